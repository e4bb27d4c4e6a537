"""Fusion of the convolutional networks of the field: batch norms go into convolutions, large products may be packed."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.acceleration import algebra
from htnet.acceleration.fusion import register_fusion
from htnet.acceleration.layers import Precision, RoundTrip, frozen, replace
from htnet.models import DualInception, OFFApexNet


class FixedConvolution(nn.Module):
    """A convolution whose weights do not change, in a floating-point type of its own."""

    def __init__(self, weight: Tensor, bias: Tensor, like: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.bias = frozen(weight, dtype), frozen(bias, dtype)
        self.stride, self.padding, self.groups = like.stride, cast("tuple[int, ...]", like.padding), like.groups

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W'), of the type of ``x``."""
        dtype = self.weight.dtype
        out = F.conv2d(x.to(dtype), self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return out.to(x.dtype)


def fix_convolutions(net: nn.Module, precision: Precision) -> None:
    """Replace every convolution below a module, in place."""
    for module in list(net.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, nn.Conv2d):
                replace(module, name, FixedConvolution(*algebra.affine(part), part, precision.values))


def packed(layer: nn.Linear, precision: Precision) -> RoundTrip:
    """A large fully connected layer."""
    return RoundTrip(precision.product(*algebra.affine(layer)), precision.values)


@register_fusion(OFFApexNet)
def fuse_off_apexnet(net: OFFApexNet, precision: Precision) -> nn.Module:
    """Fuse a model in place. There is nothing to fold: convolutions are padded in standardized values."""
    fix_convolutions(net.flow, precision)
    for name in ("fc1", "fc2"):
        replace(net, name, packed(getattr(net, name), precision))
    replace(net, "head", precision.exact(*algebra.affine(net.head)))
    return net


@register_fusion(DualInception)
def fuse_dual_inception(net: DualInception, precision: Precision) -> nn.Module:
    """Fuse a model in place, as OFF-ApexNet."""
    fix_convolutions(net.flow, precision)
    replace(net, "fc", packed(net.fc, precision))
    replace(net, "head", precision.exact(*algebra.affine(net.head)))
    return net
