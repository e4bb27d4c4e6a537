"""Plain attention: the truth that every other backend is compared with."""

from __future__ import annotations

import torch
from torch import Tensor


def reference_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """softmax(q kᵀ · scale + bias) v, step by step, in the dtype of its input (float64 too).

    Args:
        q: (N, heads, tokens, head_dim) queries.
        k: keys, same shape.
        v: values, same shape.
        bias: added to the scores, broadcastable to (N, heads, tokens, tokens); -inf forbids a pair.
        scale: factor on the scores.

    Returns:
        (N, heads, tokens, head_dim).
    """
    scores = torch.einsum("nhid,nhjd->nhij", q, k) * scale
    if bias is not None:
        scores = scores + bias
    return torch.einsum("nhij,nhjd->nhid", scores.softmax(dim=-1), v)
