"""Matrix products with fixed weights, in the form in which they are read fastest."""

from __future__ import annotations

import platform
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.models.layers import linear

#: Up to this many rows int8 weights are multiplied as they are; with more they are turned into bfloat16 first.
FEW_ROWS = 8
#: The product of int8 weights reads whole vectors of the input: with another width it reads past its end.
VECTOR = 64
#: Rows that weights are packed for; all numbers of rows take them. Of 1, 4, 16, 32 and 128 this was the fastest at 1
#: and at 128.
PACKED_FOR = 4
_PACKING = threading.Lock()


def frozen(values: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """A parameter that is never trained."""
    return nn.Parameter(values.detach().to(dtype, copy=True), requires_grad=False)


class Product(nn.Module):
    """x Wᵀ + b of weights that do not change."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        raise NotImplementedError

    def gelu(self, x: Tensor) -> Tensor:
        """The product and a GELU, (..., in) to (..., out)."""
        return F.gelu(self(x))

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        """The product added to ``to``; x (..., in), ``to`` (..., out)."""
        return to + self(x)


class FoldedLinear(Product):
    """A product in one floating-point type."""

    weight: nn.Parameter | None

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        """Keep weights (out, in) and bias (out,), given in float64, as ``dtype``."""
        super().__init__()
        self.weight = frozen(weight, dtype)
        self.bias = frozen(bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        assert self.weight is not None  # only `PackedLinear` gives its plain weights up
        return linear(x, self.weight, self.bias)


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this PyTorch and this processor have products of packed weights of that type.

    They are what PyTorch's own compiler uses on CPUs, and no public interface, so that they are looked for and not
    relied on: without them the results are the same up to rounding, and come more slowly. Other processors than x86
    have other libraries behind them, which were not tried.
    """
    ops = torch.ops.mkldnn
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    return all(hasattr(ops, name) for name in names) and (
        dtype == torch.float32 or bool(ops._is_mkldnn_bf16_supported())
    )


class PackedLinear(FoldedLinear):
    """float32 or bfloat16 weights, on the CPU in oneDNN's own order.

    Weights as they lie are reordered at every product. At one row that halves the speed at which bfloat16 is read; at
    128 rows packed float32 is faster by a fifth. The plain weights are given up for the packed ones, and made again
    whenever they are asked for: to save, to copy, to move.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        """Keep weights (out, in) and bias (out,) as ``dtype``."""
        super().__init__(weight, bias, dtype)
        self._packed: Tensor | None = None
        self._packing = True

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        packed = self._pack(x)
        return super().forward(x) if packed is None else _pointwise(x, packed, self.bias, "none")

    def gelu(self, x: Tensor) -> Tensor:
        """The product and a GELU, (..., in) to (..., out)."""
        packed = self._pack(x)
        return super().gelu(x) if packed is None else _pointwise(x, packed, self.bias, "gelu")

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        """The product added to ``to``; x (..., in), ``to`` (..., out)."""
        packed = self._pack(x)
        if packed is None:
            return super().added(x, to)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, to, packed, self.bias, "add")
        return out

    def _pack(self, x: Tensor) -> Tensor | None:
        """The packed weights, made at the first product on the CPU; None where products take plain ones."""
        if self._packed is not None:
            return self._packed
        if not self._packing or x.device.type != "cpu" or not can_pack(self.bias.dtype):
            return None
        with _PACKING:
            if self._packed is None and self.weight is not None:
                packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), PACKED_FOR)
                self._packed, self.weight = packed, None
        return self._packed

    def set_packing(self, on: bool) -> None:
        """Whether weights are packed; compilers want to see the plain ones."""
        self._packing = on
        if not on:
            self.unpack()

    def unpack(self) -> None:
        """Have plain weights again."""
        with _PACKING:
            if self._packed is not None:
                self.weight = nn.Parameter(self._packed.to_dense(), requires_grad=False)
                self._packed = None

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if self._packed is not None:
            destination[prefix + "weight"] = self._packed.to_dense()
        super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        self.unpack()
        super()._apply(fn, recurse)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: packed weights can be neither."""
        self.unpack()
        return self.__dict__.copy()


def _pointwise(x: Tensor, packed: Tensor, bias: Tensor, after: str) -> Tensor:
    # "none" is the exact GELU, not its tanh form.
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], "none" if after == "gelu" else "")
    return out


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights as int8 and one scale a row, symmetric: weight ≈ int8 x scale.

    Scales are rounded to bfloat16 before the weights are divided by them, so that they add no error of their own when
    products multiply by them in bfloat16.

    Args:
        weight: (out, in).

    Returns:
        (out, in) int8 in -127..127 and (out,) bfloat16.
    """
    scale = (weight.abs().amax(dim=1) / 127).to(torch.bfloat16)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


class Int8Linear(Product):
    """int8 weights with one scale a row; what goes in and out is bfloat16, and so is the product."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """Quantize weights (out, in); keep bias (out,) as bfloat16."""
        super().__init__()
        values, scale = quantize(weight)
        self.register_buffer("weight", values.contiguous())
        self.register_buffer("scale", scale)
        self.bias = frozen(bias, torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        few = not torch.compiler.is_compiling() and x.shape[:-1].numel() <= FEW_ROWS
        if x.device.type == "cpu" and few and x.shape[-1] % VECTOR == 0 and hasattr(torch, "_weight_int8pack_mm"):
            flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), self.weight, self.scale)
            return flat.view(*x.shape[:-1], -1) + self.bias
        # Integers to 127 are exact in bfloat16.
        return torch.addcmul(self.bias, F.linear(x, self.weight.to(x.dtype)), self.scale)
