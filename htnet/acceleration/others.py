"""Folding the models of the zoo that are no hierarchies."""

from __future__ import annotations

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.acceleration import folds
from htnet.acceleration.layers import PatchConvolution, Through, plain_norm, replace
from htnet.acceleration.linear import frozen
from htnet.acceleration.precision import Precision
from htnet.models.dual_stream import DualStreamHTNet
from htnet.models.flow_mlp import FlowMLP
from htnet.models.mhssa_gcn import MHSSAGCN, RegionBlock
from htnet.models.ststnet import STSTNet


class FoldedSTSTNet(nn.Module):
    """STSTNet as one convolution, two poolings and one product.

    The batch norms stand after the ReLU: a factor's size goes through it into the convolution, its sign stays, and the
    shift passes through both poolings into the last layer. The padding is 0 in standardized values, so that the
    image's mean is subtracted here and only its deviation is in the convolution.
    """

    signs: Tensor
    mean: Tensor | None

    def __init__(self, source: STSTNet, precision: Precision) -> None:
        """Fold ``source``."""
        super().__init__()
        pairs = ((source.conv1, source.bn1), (source.conv2, source.bn2), (source.conv3, source.bn3))
        weight, bias = (torch.cat(parts) for parts in zip(*(folds.affine(c) for c, _ in pairs), strict=True))
        factor, shift = (torch.cat(parts) for parts in zip(*(folds.norm_line(n) for _, n in pairs), strict=True))
        std = torch.tensor(source.config.std, dtype=torch.float64, device=weight.device)
        self.weight = frozen(weight * factor.abs()[:, None, None, None] / std[:, None, None], precision.values)
        self.bias = frozen(bias * factor.abs(), precision.values)
        signs = torch.where(factor < 0, -1.0, 1.0)[:, None, None]
        self.register_buffer("signs", signs.to(precision.values))
        mean = source.standardize.mean.to(precision.high)
        self.register_buffer("mean", mean if any(source.config.mean) else None)
        last, start = folds.affine(source.fc)
        places = last.shape[1] // len(shift)
        self.fc = precision.exact(last, start + last @ shift.repeat_interleave(places))
        self.dtype = precision.values

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W), 0..255, to class scores (B, num_classes)."""
        x = (x if self.mean is None else x - self.mean).to(self.dtype)
        x = F.relu(F.conv2d(x, self.weight, self.bias, padding=2))
        x = F.avg_pool2d(F.max_pool2d(x * self.signs, 3, stride=3, padding=1), 2)
        scores: Tensor = self.fc(x.flatten(1).to(self.fc.bias.dtype))
        return scores


def fold_flow_mlp(net: FlowMLP, precision: Precision) -> nn.Module:
    """Fold a model in place. There is nothing to fold; an image's own mean and deviation stay in `Precision.high`."""
    replace(net, "hidden", Through(precision.product(*folds.affine(net.hidden)), precision.values))
    for name in ("head", "unit_head"):
        if (layer := getattr(net, name)) is not None:
            replace(net, name, precision.exact(*folds.affine(layer)))
    net.mirrored = net.mirrored.to(precision.high)
    return net


def fold_dual_stream(net: DualStreamHTNet, precision: Precision) -> nn.Module:
    """Fold a model in place. The motion stream is recurrent, and stays as it is."""
    part = net.appearance
    weight, bias = folds.standardized(*folds.affine(part.proj), net.config.mean, net.config.std)
    replace(net, "standardize", nn.Identity())
    replace(part, "proj", PatchConvolution(weight, bias, precision.high, precision.values))
    for name in ("spatial_attn", "attn", "norm1"):
        replace(part, name, copy.deepcopy(getattr(part, name)).to(precision.values))
    part.pos_embed = frozen(part.pos_embed, precision.values)
    for index in (0, 2):
        part.mlp[index] = precision.product(*folds.affine(cast(nn.Linear, part.mlp[index])))
    replace(part, "fc", precision.exact(*folds.after_norm(part.fc, part.norm2)))
    replace(part, "norm2", plain_norm(part.norm2, precision.high))
    return net


class FoldedMHSSAGCN(MHSSAGCN):
    """MHSSA + GCN whose patches become tokens by one product and one table."""

    weight: nn.Parameter
    table: nn.Parameter
    values: torch.dtype

    def embed(self, patches: Tensor) -> Tensor:
        """Patches (B, 43, values), 0..255, to tokens (B, T, dim)."""
        tokens = F.pad(F.linear(patches, self.weight), (0, 0, 0, len(self.padding)))
        return (tokens + self.table).to(self.values)


def fold_mhssa_gcn(source: MHSSAGCN, precision: Precision) -> nn.Module:
    """Fold a model; the graph between the regions and its scaling stay in float32 (float64 where all is)."""
    net = FoldedMHSSAGCN.__new__(FoldedMHSSAGCN)
    net.__dict__.update(source.__dict__)
    net.values = precision.values
    weight, table = _embedding(source)
    net.weight, net.table = frozen(weight, precision.high), frozen(table, precision.high)
    replace(net, "standardize", nn.Identity())
    for name in ("patch_embed", "region_embed", "combine"):
        delattr(net, name)
    for layer in net.layers:
        block = cast(RegionBlock, layer)
        replace(block.attn, "qkv", precision.product(*folds.after_norm(block.attn.qkv, block.norm1)))
        replace(block.attn, "proj", precision.product(*folds.affine(block.attn.proj)))
        replace(block.mlp, "fc1", precision.product(*folds.after_norm(block.mlp.fc1, block.norm2)))
        replace(block.mlp, "fc2", precision.product(*folds.affine(block.mlp.fc2)))
        replace(block, "norm1", plain_norm(block.norm1))
        replace(block, "norm2", plain_norm(block.norm2))
    net.pooling = net.pooling.to(precision.values)
    net.AU_adj = net.AU_adj.to(precision.high)
    replace(net, "region_proj", precision.exact(*folds.after_norm(net.region_proj, net.region_norm)))
    replace(net, "region_norm", plain_norm(net.region_norm, precision.high))
    for index, layer in enumerate(net.gcn):
        net.gcn[index] = precision.exact(*folds.affine(cast(nn.Linear, layer)))
    replace(net, "head", precision.exact(*folds.after_norm(net.head, net.norm)))
    replace(net, "norm", plain_norm(net.norm, precision.high))
    return net


def _embedding(net: MHSSAGCN) -> tuple[Tensor, Tensor]:
    """Product (dim, values) and table (T, dim) for patches that are not standardized; float64.

    The padding of a region is 0 in standardized values, so that its tokens have no share of the mean.
    """
    c = net.config
    over_patch, over_region = net.combine.weight.detach().double().split([c.dim, c.region_dim], dim=1)
    weight, bias = folds.chained(folds.affine(net.patch_embed), (over_patch, net.combine.bias.detach().double()))
    table = (bias + net.region_embed.weight.detach().double() @ over_region.T)[net.regions]
    pixels = weight.unflatten(1, (-1, c.channels)).transpose(1, 2)
    pixels, shift = folds.standardized(pixels, torch.zeros_like(bias), c.mean, c.std)
    table[: len(net.indices)] += shift
    return pixels.transpose(1, 2).flatten(1), table
