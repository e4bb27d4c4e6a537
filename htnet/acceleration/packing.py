"""Packs weights in the layout of the processor's math library (oneDNN), and unpacks them.

A network is fused into plain modules first. `pack` is the last step, for runs by PyTorch on x86 processors; `plain`
returns the form that all others need: compilers, exporters and other engines.
"""

from __future__ import annotations

import copy
import platform
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from htnet.acceleration.layers import Convolution, FusedLinear, Int8Linear, PlainConvolution, replace
from htnet.acceleration.tiled import TiledConvolution, tiled

#: Types of weights that can be packed.
PACKABLE = (torch.float32, torch.bfloat16)
#: Number of input rows that weights are packed for; packed weights work with any number. Among 1, 4, 16, 32 and 128,
#: this was the fastest at 1 and at 128 rows.
PACKED_FOR = 4
_PACKING = threading.Lock()


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Whether this PyTorch on this processor can multiply by packed weights of that type.

    PyTorch's own compiler uses these operators on CPUs, but they are not a public interface, so they are used only if
    they exist. Without them the results are the same up to rounding, but slower. On processors other than x86, PyTorch
    uses other libraries, which were not tested.
    """
    ops = torch.ops.mkldnn
    names = ("_reorder_linear_weight", "_linear_pointwise", "_is_mkldnn_bf16_supported")
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    return all(hasattr(ops, name) for name in names) and (
        dtype == torch.float32 or bool(ops._is_mkldnn_bf16_supported())
    )


class PackedLinear(FusedLinear):
    """float32 or bfloat16 weights, on the CPU in oneDNN's own order.

    Weights as they lie are reordered at every product. At one row that halves the speed at which bfloat16 is read; at
    128 rows packed float32 is faster by a fifth. The plain weights are given up for the packed ones, and made again
    whenever they are requested: to save, to copy, to move.
    """

    def __init__(self, product: FusedLinear) -> None:
        assert product.weight is not None
        super().__init__(product.weight, product.bias, product.bias.dtype, large=product.large)
        self._packed: Tensor | None = None

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
        """The packed weights, made at the first product on the CPU; None if products take plain ones."""
        if self._packed is not None:
            return self._packed
        if x.device.type != "cpu" or not can_pack(self.bias.dtype):
            return None
        with _PACKING:
            if self._packed is None and self.weight is not None:
                packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), PACKED_FOR)
                self._packed, self.weight = packed, None
        return self._packed

    def dense(self) -> Tensor:
        """The weights (out, in)."""
        with _PACKING:
            return super().dense() if self._packed is None else self._packed.to_dense()

    def unpack(self) -> None:
        """Have plain weights again."""
        with _PACKING:
            if self._packed is not None:
                self.weight = nn.Parameter(self._packed.to_dense(), requires_grad=False)
                self._packed = None

    def unpacked(self) -> FusedLinear:
        """The plain product of the same weights."""
        self.unpack()
        assert self.weight is not None
        return FusedLinear(self.weight, self.bias, self.bias.dtype, large=self.large)

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
        self.unpack()
        return self.__dict__.copy()


def _pointwise(x: Tensor, packed: Tensor, bias: Tensor, after: str) -> Tensor:
    # "none" is the exact GELU, not its tanh form.
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], "none" if after == "gelu" else "")
    return out


def pack(network: nn.Module) -> None:
    """Pack the weights of the large products of a fused network, and make its convolutions tiled, in place."""

    def packed(part: nn.Module) -> nn.Module | None:
        fits = type(part) is FusedLinear and part.large and part.bias.dtype in PACKABLE
        return PackedLinear(part) if fits else None  # type: ignore[arg-type] # it is a FusedLinear

    _replace_each(network, tiled)
    _replace_each(network, packed)


def unpack(network: nn.Module) -> None:
    """Undo `pack`, in place."""
    _replace_each(network, lambda part: Convolution(part.product) if isinstance(part, TiledConvolution) else None)
    _replace_each(network, lambda part: part.unpacked() if isinstance(part, PackedLinear) else None)


def plain(network: nn.Module) -> nn.Module:
    """A copy of a fused network with weights in the layout of PyTorch's own layers, and with real convolutions."""
    network = copy.deepcopy(network)
    unpack(network)

    def convolution(part: nn.Module) -> nn.Module | None:
        fits = isinstance(part, Convolution) and type(part.product) is FusedLinear
        return PlainConvolution(part.product) if fits else None  # type: ignore[arg-type] # as checked

    _replace_each(network, convolution)
    return network


def widened(network: nn.Module) -> nn.Module:
    """Like `plain`, for a network with int8 weights, in float32: each weight is its integer times its row's scale."""

    def wide(part: nn.Module) -> nn.Module | None:
        if not isinstance(part, Int8Linear):
            return None
        weight = part.weight.float() * part.scale.float()[:, None]
        return FusedLinear(weight, part.bias, torch.float32, large=True)

    network = copy.deepcopy(network).float()
    _replace_each(network, wide)
    for module in network.modules():
        # Attributes that hold the type in which a part computes.
        vars(module).update({k: torch.float32 for k, v in vars(module).items() if v is torch.bfloat16})
    return plain(network)


def large_weights(network: nn.Module) -> list[Tensor]:
    """The weights (out, in) of the large products in the result of `plain` or `widened`, without convolutions."""
    return [part.dense() for part in network.modules() if isinstance(part, FusedLinear) and part.large]


def _replace_each(network: nn.Module, other: Callable[[nn.Module], nn.Module | None]) -> None:
    """Replace the parts for which ``other`` returns another."""
    for module in list(network.modules()):
        for name, part in list(module.named_children()):
            if (found := other(part)) is not None:
                replace(module, name, found.train(part.training).requires_grad_(False))
