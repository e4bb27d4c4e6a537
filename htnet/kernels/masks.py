"""Masks of block attention in plain PyTorch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from htnet.core.errors import InputError

#: Name of the mask that limits each token to the 3x3 neighborhood of its position in a square block.
NEIGHBORS = "neighbors"


def map_side(tokens: int) -> int:
    """Tokens along one side of a square block.

    Raises:
        InputError: the tokens do not form a square.
    """
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise InputError(
            f"mask={NEIGHBORS!r} needs the tokens of a square block; {tokens} tokens do not form one. Give a boolean "
            "mask (tokens, tokens) instead."
        )
    return side


def neighbor_mask(side: int, device: torch.device | None = None) -> Tensor:
    """The boolean mask of ``mask="neighbors"``.

    Args:
        side: tokens along one side of the block, in row order.
        device: device of the mask.

    Returns:
        (side², side²) bool: True for a token itself and its up to eight neighbors.

    Raises:
        InputError: ``side`` is not a whole number of 1 or more.
    """
    if isinstance(side, (bool, float, str)) or side < 1:
        raise InputError(f"side is {side!r}; give the tokens along one side of a block, a whole number of 1 or more.")
    place = torch.arange(side, device=device)
    near = (place[:, None] - place).abs() <= 1
    return (near[:, None, :, None] & near[None, :, None, :]).reshape(side**2, side**2)


def combined(bias: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """Combine bias and mask: the bias with -inf at masked pairs, the boolean mask alone, or None."""
    if bias is None or mask is None:
        return mask if bias is None else bias
    return bias.masked_fill(~mask, -torch.inf)


def additive(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Combine bias and mask into an additive term: a boolean mask becomes 0 and -inf of the given type."""
    term = combined(bias, mask)
    if term is None or term.dtype != torch.bool:
        return term
    return torch.zeros_like(term, dtype=dtype).masked_fill(~term, -torch.inf)


def closed_rows(term: Tensor) -> Tensor:
    """Return which tokens may attend to nothing, (..., tokens, 1) bool, from a boolean mask or an additive term."""
    if term.dtype == torch.bool:
        return ~term.any(dim=-1, keepdim=True)
    return term.detach().amax(dim=-1, keepdim=True) == -torch.inf
