"""Which keys a token may read: the masks of block attention in plain PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from htnet.core.errors import InputError

#: The mask that limits each token to the 3x3 neighborhood of its place in a square block.
NEIGHBORS = "neighbors"


def map_side(tokens: int) -> int:
    """Tokens along one side of a square block.

    Raises:
        InputError: the tokens make no square.
    """
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise InputError(
            f"mask={NEIGHBORS!r} needs the tokens of a square block; {tokens} tokens make none. Give a boolean mask "
            "(tokens, tokens) in its place."
        )
    return side


def neighbor_mask(side: int, device: torch.device | None = None) -> Tensor:
    """The mask that ``mask="neighbors"`` stands for.

    Args:
        side: tokens along one side of the block; they are counted row by row.
        device: where the mask is made.

    Returns:
        (side², side²) bool: True for tokens that touch, also at a corner, or are the same.
    """
    place = torch.arange(side, device=device)
    near = (place[:, None] - place).abs() <= 1
    return (near[:, None, :, None] & near[None, :, None, :]).reshape(side**2, side**2)


def combined(bias: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """One term for the scores: the bias with -inf where the mask forbids, the boolean mask alone, or None."""
    if bias is None or mask is None:
        return mask if bias is None else bias
    return bias.masked_fill(~mask, -torch.inf)


def additive(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The same, always to be added: a boolean mask becomes 0 and -inf of the type given."""
    term = combined(bias, mask)
    if term is None or term.dtype != torch.bool:
        return term
    return torch.zeros_like(term, dtype=dtype).masked_fill(~term, -torch.inf)


def closed_rows(term: Tensor) -> Tensor:
    """Tokens that may read nothing, (..., tokens, 1) bool, of a boolean mask or an additive term."""
    if term.dtype == torch.bool:
        return ~term.any(dim=-1, keepdim=True)
    return term.detach().amax(dim=-1, keepdim=True) == -torch.inf
