"""Fusion of the convolutional networks: batch norms go into convolutions, and large products may be packed."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.acceleration import algebra
from htnet.acceleration.fusion import register_fusion
from htnet.acceleration.layers import Precision, RoundTrip, frozen, plain_norm, replace
from htnet.models import RCN, CapsuleNet, DualInception, FeatRef, MiERCvT, OFFApexNet
from htnet.models.capsulenet import BasicBlock
from htnet.models.mier_cvt import ConvProjection, CvTLayer, Stage
from htnet.models.rcn import RecurrentLayer, dilated


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


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d, precision: Precision) -> FixedConvolution:
    """A convolution fused with the batch norm that follows it."""
    return FixedConvolution(*algebra.batch_normed(conv, norm), conv, precision.values)


def fold_pair(module: nn.Module, conv: str, norm: str, precision: Precision) -> None:
    """Fuse two children of a module, a convolution and a batch norm, in place."""
    parts = cast(nn.Conv2d, getattr(module, conv)), cast(nn.BatchNorm2d, getattr(module, norm))
    replace(module, conv, folded(*parts, precision))
    replace(module, norm, nn.Identity())


def packed(layer: nn.Linear, precision: Precision) -> RoundTrip:
    """A large fully connected layer as a product that may be packed."""
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


class FixedRecurrentLayer(nn.Module):
    """A recurrent layer whose norms are fused into its convolutions."""

    def __init__(self, source: RecurrentLayer, precision: Precision) -> None:
        super().__init__()
        self.shortcut, self.dilations = source.shortcut, source.dilations
        self.read = folded(source.conv, source.norm, precision)
        lines = [algebra.batch_normed(source.recurrent, cast(nn.BatchNorm2d, norm)) for norm in source.norms]
        self.weights = nn.ParameterList(frozen(weight, precision.values) for weight, _ in lines)
        self.biases = nn.ParameterList(frozen(bias, precision.values) for _, bias in lines)

    def forward(self, x: Tensor) -> Tensor:
        """(B, filters, H, W) to the same shape."""
        read = self.read(x)
        state = F.relu(read)
        if self.shortcut:
            read = read + x
        for weight, bias in zip(self.weights, self.biases, strict=True):
            state = F.relu(read + dilated(state.to(weight.dtype), weight, bias, self.dilations).to(x.dtype))
        return state


@register_fusion(RCN)
def fuse_rcn(net: RCN, precision: Precision) -> nn.Module:
    """Fuse a model in place: batch norms go into the convolutions."""
    replace(net, "conv", folded(net.conv, net.norm, precision))
    replace(net, "norm", nn.Identity())
    replace(net, "layer", FixedRecurrentLayer(net.layer, precision))
    replace(net, "head", precision.exact(*algebra.affine(net.head)))
    return net


@register_fusion(CapsuleNet)
def fuse_capsulenet(net: CapsuleNet, precision: Precision) -> nn.Module:
    """Fuse a model in place: batch norms go into the convolutions, and the routing stays in `Precision.high`."""
    fold_pair(net.stem, "0", "1", precision)
    for module in list(net.modules()):
        if isinstance(module, BasicBlock):
            fold_pair(module, "conv1", "bn1", precision)
            fold_pair(module, "conv2", "bn2", precision)
            if isinstance(module.down, nn.Sequential):
                fold_pair(module.down, "0", "1", precision)
    fix_convolutions(net, precision)
    return net


@register_fusion(FeatRef)
def fuse_featref(net: FeatRef, precision: Precision) -> nn.Module:
    """Fuse a model in place, as OFF-ApexNet."""
    fix_convolutions(net.flow, precision)
    for name in ("fc", "attention"):
        replace(net, name, packed(getattr(net, name), precision))
    replace(net, "head", precision.exact(*algebra.affine(net.head)))
    return net


@register_fusion(MiERCvT)
def fuse_mier_cvt(net: MiERCvT, precision: Precision) -> nn.Module:
    """Fuse a model in place: batch norms go into the convolutions, and the norm of each MLP into its first layer."""
    for module in list(net.modules()):
        if isinstance(module, ConvProjection):
            fold_pair(module, "conv", "norm", precision)
            replace(module, "proj", packed(module.proj, precision))
        elif isinstance(module, CvTLayer):
            fc1 = precision.product(*algebra.after_norm(module.fc1, module.norm2))
            replace(module, "fc1", RoundTrip(fc1, precision.values))
            replace(module, "norm2", plain_norm(module.norm2))
            replace(module, "fc2", packed(module.fc2, precision))
            replace(module.attn, "proj", packed(module.attn.proj, precision))
        elif isinstance(module, Stage):
            replace(module, "embed", FixedConvolution(*algebra.affine(module.embed), module.embed, precision.values))
    replace(net, "head", precision.exact(*algebra.affine(net.head)))
    return net
