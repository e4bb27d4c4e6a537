"""Plain attention: the reference for every other backend."""

from __future__ import annotations

import torch
from torch import Tensor


def reference_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, mask: Tensor | None = None
) -> Tensor:
    """softmax(q kᵀ · scale + bias) v, step by step, in the type of its inputs (float64 too).

    Args:
        q: (N, heads, tokens, head_dim) queries.
        k: keys, same shape.
        v: values, same shape.
        bias: added to the scores, broadcastable to (N, heads, tokens, tokens); -inf forbids a pair.
        scale: factor on the scores.
        mask: boolean, broadcastable like the bias: True if a token (row) may attend to a key (column).

    Returns:
        (N, heads, tokens, head_dim); 0 for a token that may attend to nothing.
    """
    scores = torch.einsum("nhid,nhjd->nhij", q, k) * scale
    if bias is not None:
        scores = scores + bias.to(q.dtype)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    if bias is None and mask is None:
        return torch.einsum("nhij,nhjd->nhid", scores.softmax(dim=-1), v)
    # A softmax over nothing is 0 / 0. Such rows are unmasked for it and zeroed after it, so no gradient is NaN.
    closed = (scores == -torch.inf).all(dim=-1, keepdim=True)
    weights = scores.masked_fill(closed, 0).softmax(dim=-1).masked_fill(closed, 0)
    return torch.einsum("nhij,nhjd->nhid", weights, v)
