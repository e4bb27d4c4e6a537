"""Packs weights in the layout of the processor's math library (oneDNN), and unpacks them.

A network is fused into plain modules first. `pack` is the last step, for runs by PyTorch on x86 processors; `plain`
returns the form that all others need: compilers, exporters and other engines.
"""

from __future__ import annotations

import copy
import platform
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
    128 rows packed float32 is faster by a fifth. The parameter ``weight`` holds the packed weights themselves, as an
    opaque tensor of the same shape: there is one copy. It is plain in what is saved, copied or moved. A parameter that
    is put in its place is used as it lies.

    Attributes:
        packed: whether the weights were packed; `torch.compile` cannot tell from the tensor.
    """

    packed = False

    def __init__(self, product: FusedLinear) -> None:
        super().__init__(product.dense(), product.bias, product.bias.dtype, large=product.large)
        self.pack()

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        weight = self.weight
        return _pointwise(x, weight, self.bias, "none") if weight.is_mkldnn else super().forward(x)

    def gelu(self, x: Tensor) -> Tensor:
        """The product and a GELU, (..., in) to (..., out)."""
        weight = self.weight
        return _pointwise(x, weight, self.bias, "gelu") if weight.is_mkldnn else super().gelu(x)

    def added(self, x: Tensor, to: Tensor) -> Tensor:
        """The product added to ``to``; x (..., in), ``to`` (..., out)."""
        weight = self.weight
        if not weight.is_mkldnn:
            return super().added(x, to)
        out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, to, weight, self.bias, "add")
        return out

    def pack(self) -> None:
        """Pack plain weights, if they are on the CPU and there are packed products of their type."""
        weight = self.weight
        if not weight.is_mkldnn and weight.device.type == "cpu" and can_pack(weight.dtype):
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), PACKED_FOR)
            self.weight, self.packed = nn.Parameter(packed, requires_grad=False), True

    def dense(self) -> Tensor:
        """The weights (out, in)."""
        weight = self.weight
        return weight.to_dense() if weight.is_mkldnn else weight

    def unpack(self) -> None:
        """Have plain weights again."""
        self.weight, self.packed = _plain(self.weight), False

    def unpacked(self) -> FusedLinear:
        """The plain product of the same weights."""
        return FusedLinear(self.dense(), self.bias, self.bias.dtype, large=self.large)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.weight.is_mkldnn:
            destination[prefix + "weight"] = self.dense()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unpack()
        super()._load_from_state_dict(*args, **kwargs)
        self.pack()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> PackedLinear:
        self.unpack()
        super()._apply(fn, recurse)
        self.pack()
        return self

    def __getstate__(self) -> dict[str, Any]:
        plain = {"_parameters": {**self._parameters, "weight": _plain(self.weight)}, "packed": False}
        return {**self.__dict__, **plain}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.pack()


def _plain(weight: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(weight.to_dense(), requires_grad=False) if weight.is_mkldnn else weight


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


def is_packed(network: nn.Module) -> bool:
    """Whether a network has packed weights, which compilers and exporters do not take."""
    return any(isinstance(part, PackedLinear) and part.packed for part in network.modules())


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
