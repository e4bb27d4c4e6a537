"""Block attention: dispatch to the backend that fits the input."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htnet.core.deprecated import renamed_value
from htnet.core.errors import InputError
from htnet.core.lazy import loading
from htnet.kernels.masks import NEIGHBORS, additive, map_side, neighbor_mask
from htnet.kernels.reference import reference_attention
from htnet.kernels.routing import DTYPES, AttentionCase, Choice, choose, route, triton_obstacle
from htnet.kernels.sdpa import sdpa_attention


def block_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    mask: Tensor | str | None = None,
    scale: float | None = None,
    backend: str = "auto",
) -> Tensor:
    """Scaled dot-product attention inside each of many short sequences: softmax(q kᵀ · scale + bias) v.

    A token that may attend to nothing, because of the mask or a bias of -inf everywhere, gets 0 and passes no gradient.
    Under autocast, queries, keys and values are cast to its type, as in PyTorch's own attention.

    Args:
        q: (batch x blocks, heads, tokens, head_dim) queries; float32, bfloat16, float16 or float64.
        k: keys, same shape, type and device.
        v: values, same shape, type and device.
        bias: floating point, added to the scores, broadcastable to (batch x blocks, heads, tokens, tokens); rows are
            the queries. It receives a gradient if it requires one.
        mask: boolean, broadcastable like the bias: True if a token (row) may attend to a key (column). Or
            ``"neighbors"``: each token attends to the 3x3 neighborhood of its position in a square block (tokens in
            row order), which the Triton kernels compute without reading a mask.
        scale: factor on the scores; by default head_dim ** -0.5.
        backend: "auto" (see `route`), "reference", "sdpa", "one_token" or "triton".

    Returns:
        (batch x blocks, heads, tokens, head_dim) in the inputs' type. With one token it may be ``v`` itself.

    Raises:
        InputError: shapes, types or devices do not match, the backend is unknown, or it cannot compute this case.
        MissingExtraError: backend is "triton", which is not installed.
    """
    case = _case(q, k, v, bias, mask)
    name = choose(case, backend)
    if name == "one_token":
        # The softmax has one term, which is exactly 1 for every finite score: queries and keys are not read.
        return v
    scale = q.shape[3] ** -0.5 if scale is None else _number(scale)
    if not math.isfinite(scale):
        raise InputError(f"scale is {scale}; give a finite number, or None for head_dim ** -0.5.")
    kind = q.device.type
    cast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    if cast and q.dtype != torch.float64:
        q, k, v = (t.to(torch.get_autocast_dtype(kind)) for t in (q, k, v))
    dtype = q.dtype
    if backend == "auto" and name == "reference" and dtype in (torch.bfloat16, torch.float16):
        # A reference backend that is requested by name computes in its inputs' type. Chosen for speed, it must not be
        # less accurate than the others.
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast(kind, enabled=False) if cast else nullcontext():
        return _compute(name, q, k, v, bias, mask, scale).to(dtype)


def explain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    bias: Tensor | None = None,
    mask: Tensor | str | None = None,
    backend: str = "auto",
) -> Choice:
    """Report which backend `block_attention` uses for these arguments, and why it uses none of the others.

    Print the result to read it. Without tensors, call `route` with an `AttentionCase`.

    Raises:
        InputError: see `block_attention`.
        MissingExtraError: see `block_attention`.
    """
    return route(_case(q, k, v, bias, mask), backend)


def _compute(
    name: str, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | str | None, scale: float
) -> Tensor:
    """Compute attention with a backend that supports the case."""
    side = map_side(q.shape[2]) if isinstance(mask, str) else 0
    if isinstance(mask, str):
        mask = neighbor_mask(side, q.device) if name != "triton" else None
    bias, mask = (None if x is None else x.reshape((1,) * (4 - x.ndim) + x.shape) for x in (bias, mask))
    if name == "triton":
        with loading():
            from htnet.kernels.triton_attention import triton_attention

        return triton_attention(q, k, v, additive(bias, mask, q.dtype), scale, side)
    plain = reference_attention if name == "reference" else sdpa_attention
    return plain(q, k, v, bias, scale, mask)


def _number(scale: object) -> float:
    given: Any = scale
    try:
        return math.nan if isinstance(given, (str, bytes, bool, np.ma.MaskedArray)) else float(given)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _case(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | str | None) -> AttentionCase:
    """Check the arguments and return the case that determines the backend."""
    for name, given in (("q", q), ("k", k), ("v", v), ("bias", bias), ("mask", mask)):
        if not (isinstance(given, Tensor) or (name in ("bias", "mask") and given is None)):
            if name == "mask" and isinstance(given, str):
                continue
            raise InputError(f"{name} is of type {type(given).__name__}; give a tensor: torch.as_tensor({name}).")
    if q.ndim != 4 or q.shape != k.shape or q.shape != v.shape:
        raise InputError(
            f"block_attention got q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}; "
            "give three tensors of one shape (batch x blocks, heads, tokens, head_dim)."
        )
    if not q.dtype == k.dtype == v.dtype or q.dtype not in DTYPES:
        raise InputError(
            f"block_attention got q {q.dtype}, k {k.dtype}, v {v.dtype}; give one of "
            f"{', '.join(map(str, DTYPES))} for all three."
        )
    if not q.device == k.device == v.device:
        raise InputError(f"block_attention got q on {q.device}, k on {k.device}, v on {v.device}; give one device.")
    tokens, head_dim = q.shape[2], q.shape[3]
    if tokens < 1 or head_dim < 1:
        raise InputError(f"block_attention got {tuple(q.shape)}; give at least one token and a head_dim of at least 1.")
    if bias is not None:
        if not bias.is_floating_point():
            raise InputError(f"bias is {bias.dtype}; give a floating-point tensor, or a boolean tensor as mask.")
        _check_extra("bias", bias, q)
    kind = None
    if isinstance(mask, Tensor):
        if mask.dtype != torch.bool:
            raise InputError(f"mask is {mask.dtype}; give a boolean tensor, or give an additive term as bias.")
        _check_extra("mask", mask, q)
        kind = "tensor"
    elif mask is not None:
        if mask != NEIGHBORS and renamed_value("mask", mask) != NEIGHBORS:
            raise InputError(f"mask is {mask!r}; give a boolean tensor, {NEIGHBORS!r} or None.")
        map_side(tokens)
        kind = NEIGHBORS
    return AttentionCase(tokens, head_dim, q.dtype, q.device.type, bias is not None, kind, triton_obstacle(q.device))


def _check_extra(name: str, extra: Tensor, q: Tensor) -> None:
    wanted = (q.shape[0], q.shape[1], q.shape[2], q.shape[2])
    fits = extra.ndim <= 4 and all(n in (1, w) for n, w in zip(extra.shape[::-1], wanted[::-1], strict=False))
    if not fits:
        raise InputError(f"{name} is {tuple(extra.shape)}; give a shape that can be broadcast to {wanted}.")
    if extra.device != q.device:
        raise InputError(f"{name} is on {extra.device}, queries on {q.device}; give one device.")
