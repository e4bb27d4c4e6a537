"""Attention inside many small blocks, by the backend that suits the input."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from htnet.errors import InputError, did_you_mean
from htnet.kernels.reference import reference_attention

BACKENDS = ("reference", "sdpa", "one_token")


def _check(q: Tensor, k: Tensor, v: Tensor) -> None:
    if q.ndim != 4 or q.shape != k.shape or q.shape != v.shape:
        raise InputError(
            f"block_attention got q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}; "
            "give three tensors of one shape (batch x blocks, heads, tokens, head_dim)."
        )


def choose_backend(tokens: int, has_bias: bool) -> str:
    """The backend that ``backend="auto"`` takes.

    With one token a softmax has one term and is exactly 1 for every finite score, so the answer is
    ``v`` and queries and keys are not read. A bias may forbid even that one pair (-inf gives NaN in
    the reference), so the shortcut is taken only without one.

    Args:
        tokens: tokens per block.
        has_bias: whether a bias is added to the scores.

    Returns:
        A name of `BACKENDS`.
    """
    return "one_token" if tokens == 1 and not has_bias else "sdpa"


def block_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Scaled dot-product attention inside each block.

    Args:
        q: (batch x blocks, heads, tokens, head_dim) queries.
        k: keys, same shape.
        v: values, same shape.
        bias: added to the scores, broadcastable to (batch x blocks, heads, tokens, tokens).
        scale: factor on the scores; head_dim ** -0.5 unless given.
        backend: "auto", "reference", "sdpa" or "one_token".

    Returns:
        (batch x blocks, heads, tokens, head_dim).

    Raises:
        InputError: shapes differ, the backend is unknown, or it cannot do what was asked.
    """
    _check(q, k, v)
    tokens = q.shape[2]
    scale = q.shape[3] ** -0.5 if scale is None else scale
    name = choose_backend(tokens, bias is not None) if backend == "auto" else backend
    if name == "one_token":
        if tokens != 1 or bias is not None:
            raise InputError(
                f"Backend 'one_token' takes one token a block and no bias; this call has {tokens} tokens"
                f"{' and a bias' if bias is not None else ''}. Use backend='auto'."
            )
        return v
    if name == "sdpa":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    if name == "reference":
        return reference_attention(q, k, v, bias, scale)
    raise InputError(f"Unknown attention backend: {backend!r}. {did_you_mean(backend, ('auto', *BACKENDS))}")
