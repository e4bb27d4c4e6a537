"""Block attention by Triton kernels: tile sizes, launches and PyTorch operators.

The operators are registered with ``torch.library``, so torch.compile treats each of them as one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from htnet.kernels import triton_kernels as kernels

#: Up to this many tokens, one program processes whole sequences, and several of them if they are short.
WHOLE_TOKENS = 64


@dataclass(frozen=True)
class Tiling:
    """Distribution of sequences over programs.

    Attributes:
        group: sequences per program.
        rows: rows of its tile of scores.
        keys: columns of its tile of scores; all keys of its sequences.
        chunk: columns of queries, keys and values read in one step.
        warps: groups of 32 threads per program.
    """

    group: int
    rows: int
    keys: int
    chunk: int
    warps: int

    def programs(self, pairs: int, tokens: int) -> int:
        """Programs for ``pairs`` sequences."""
        return triton.cdiv(pairs, self.group) * triton.cdiv(self.group * tokens, self.rows)


@lru_cache
def tiling(tokens: int, head_dim: int, itemsize: int, backward: bool = False) -> Tiling:
    """Tile sizes with which the compiler keeps almost everything in registers (compute capability 9.0).

    Tensor cores do not support float32 at full precision, so the scores between sequences, which are discarded, cost
    time there. Tiles of float32 therefore hold fewer sequences.

    Args:
        tokens: tokens of a sequence, up to 256.
        head_dim: width of a head, up to 256.
        itemsize: bytes of a value: 4 for float32, 2 for the 16-bit types.
        backward: for the kernels of the backward pass, which hold two tiles of scores.
    """
    full = itemsize == 4
    chunk = min(max(triton.next_power_of_2(head_dim), 16), 16 if full else 32)
    if tokens > WHOLE_TOKENS:
        return Tiling(1, 16 if full else 32 if backward else 64, triton.next_power_of_2(tokens), chunk, 8)
    rows = max(triton.next_power_of_2(tokens), 16 if full else 32)
    return Tiling(rows // tokens, rows, rows, chunk, rows // 8 if full else rows // 16)


def _empty(*shape: int, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Uninitialized memory for a kernel, which must write every element."""
    return torch.empty(shape, dtype=dtype or like.dtype, device=like.device)


def _addressable(x: Tensor) -> Tensor:
    """The tensor, or a copy if its rows are not contiguous in memory or its offsets are too large for 32 bits."""
    if x.is_contiguous():
        return x
    span = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x if x.stride(-1) == 1 and span < 2**31 else x.contiguous()


def _spread(bias: Tensor | None, q: Tensor) -> Tensor | None:
    """Expand the bias to (N, heads, tokens, tokens) with strides of 0, without a copy."""
    return None if bias is None else bias.expand(q.shape[0], q.shape[1], q.shape[2], q.shape[2])


def _settings(q: Tensor, bias: Tensor | None, side: int, backward: bool) -> tuple[Tiling, dict[str, Any]]:
    """Tile sizes, and the compile-time arguments that all kernels share."""
    tokens, head_dim = q.shape[2], q.shape[3]
    sizes = tiling(tokens, head_dim, q.element_size(), backward)
    # Full precision for float32; the 16-bit types have no choice of precision.
    meta = {"tokens": tokens, "dim": head_dim, "chunk": sizes.chunk, "rows": sizes.rows, "precision": "ieee"}
    return sizes, {**meta, "has_bias": bias is not None, "side": side, "num_warps": sizes.warps, "num_stages": 1}


def _strides(q: Tensor, k: Tensor, v: Tensor, *more: Tensor) -> tuple[int, ...]:
    return tuple(stride for x in (q, k, v, *more) for stride in x.stride()[:3])


def _forward(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, side: int) -> Tensor:
    out = _empty(*q.shape, like=q)
    if out.numel() == 0:
        return out
    q, k, v = _addressable(q), _addressable(k), _addressable(v)
    term = _spread(bias, q)
    sizes, meta = _settings(q, bias, side, backward=False)
    pairs = q.shape[0] * q.shape[1]
    grid: Any = (sizes.programs(pairs, q.shape[2]),)
    kernels.forward_kernel[grid](
        q, k, v, q if term is None else term, out, scale, pairs, q.shape[1],
        *_strides(q, k, v), *((0,) * 4 if term is None else term.stride()),
        group=sizes.group, keys=sizes.keys, **meta,
    )  # fmt: skip
    return out


_operator = torch.library.custom_op(
    "htnet::block_attention",
    _forward,
    mutates_args=(),
    schema="(Tensor q, Tensor k, Tensor v, Tensor? bias, float scale, int side) -> Tensor",
)


@_operator.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, side: int) -> Tensor:
    return torch.empty(q.shape, dtype=q.dtype, device=q.device)


def _backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, side: int, bias_grad: bool
) -> tuple[Tensor, ...]:
    """Gradients of q, k, v and of the bias before it was broadcast (empty unless requested)."""
    N, heads, tokens, _ = q.shape
    grads = [_empty(*q.shape, like=q) for _ in range(3)]
    shape = (N, heads, tokens, tokens) if bias_grad else (0,)
    # The gradient of a broadcast bias is a sum over its copies, in float32.
    grad_bias = _empty(*shape, like=q, dtype=torch.float32)
    if q.numel() == 0:
        return (*grads, grad_bias)
    q, k, v, grad = _addressable(q), _addressable(k), _addressable(v), _addressable(grad)
    term = _spread(bias, q)
    sizes, meta = _settings(q, bias, side, backward=True)
    pairs = N * heads
    grid: Any = (sizes.programs(pairs, tokens),)
    inputs = (q, k, v, q if term is None else term, grad)
    numbers = (scale, pairs, heads, *_strides(q, k, v, grad), *((0,) * 4 if term is None else term.stride()))
    if tokens <= WHOLE_TOKENS:
        kernels.backward_kernel[grid](
            *inputs, *grads, grad_bias, *numbers, group=sizes.group, bias_grad=bias_grad, **meta
        )
        return (*grads, grad_bias)
    sums, products = (_empty(pairs, tokens, like=q, dtype=torch.float32) for _ in range(2))
    meta["keys"] = sizes.keys
    kernels.backward_queries_kernel[grid](
        *inputs, grads[0], grad_bias, sums, products, *numbers, bias_grad=bias_grad, **meta
    )
    kernels.backward_keys_kernel[grid](*inputs, grads[1], grads[2], sums, products, *numbers, **meta)
    return (*grads, grad_bias)


_backward_operator = torch.library.custom_op(
    "htnet::block_attention_backward",
    _backward,
    mutates_args=(),
    schema="(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor? bias, float scale, int side, bool bias_grad)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)


@_backward_operator.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, side: int, bias_grad: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    q_grad, k_grad, v_grad = (torch.empty(q.shape, dtype=q.dtype, device=q.device) for _ in range(3))
    N, heads, tokens, _ = q.shape
    shape = (N, heads, tokens, tokens) if bias_grad else (0,)
    return q_grad, k_grad, v_grad, torch.empty(shape, dtype=torch.float32, device=q.device)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: object) -> None:
    q, k, v, bias, ctx.scale, ctx.side = inputs
    ctx.save_for_backward(q, k, v, bias)


def _gradients(ctx: Any, grad: Tensor, backward: Any = _backward_operator) -> tuple[Tensor | None, ...]:
    q, k, v, bias = ctx.saved_tensors
    wanted = ctx.needs_input_grad[3]
    *grads, grad_bias = backward(grad, q, k, v, bias, ctx.scale, ctx.side, wanted)
    return (*grads, grad_bias.sum_to_size(bias.shape).to(bias.dtype) if wanted else None, None, None)


_operator.register_autograd(_gradients, setup_context=_keep)


class _Eager(torch.autograd.Function):
    """The operator without PyTorch's dispatcher, whose overhead is as long as a small kernel."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        _keep(ctx, inputs, None)
        return _forward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _gradients(ctx, grad, _backward)


def triton_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, scale: float, side: int) -> Tensor:
    """Same as `htnet.kernels.reference.reference_attention`, computed by Triton.

    If several sequences share a tile, one that contains NaN or infinity does not affect the others.

    Args:
        q: (N, heads, tokens, head_dim) queries, up to 256 tokens, head_dim up to 256; float32, bfloat16 or float16.
        k: keys, same shape.
        v: values, same shape.
        bias: added to the scores, four dimensions that can be broadcast to (N, heads, tokens, tokens), or None.
        scale: factor on the scores.
        side: side of the square block in which each token attends to its 3x3 neighborhood; 0 for no such limit.

    Returns:
        (N, heads, tokens, head_dim).
    """
    call = _operator if torch.compiler.is_compiling() else _Eager.apply
    out: Tensor = call(q, k, v, bias, scale, side)
    return out
