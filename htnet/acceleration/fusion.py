"""Fusion: turns models into networks in which everything that can be computed once is precomputed.

To fuse a model of your own, write a function and register it with `register_fusion`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from htnet.acceleration import algebra
from htnet.acceleration.layers import (
    FusedBlock,
    FusedDownsample,
    FusedMlp,
    PatchConvolution,
    PatchEmbed,
    PlainNorm,
    Precision,
    Product,
    RoundTrip,
    frozen,
    plain_norm,
    replace,
)
from htnet.core.deprecated import serve_old_names
from htnet.core.errors import ModelError
from htnet.core.registry import Registry
from htnet.kernels import block_attention
from htnet.models import MHSSAGCN, DualStreamHTNet, EmotionModel, FlowMLP, HTNet, STSTNet
from htnet.models.htnet import HierarchicalModel, Level
from htnet.models.layers import Block, BlockAttention, Downsample
from htnet.models.mhssa_gcn import RegionBlock

Fusion = Callable[[Any, Precision], nn.Module]
Fuse = TypeVar("Fuse", bound=Fusion)

#: Fusions by exact class: a class derived from one of these may compute something else.
FUSIONS: Registry[type[EmotionModel], Fusion] = Registry("htnet.acceleration")


def register_fusion(*model_classes: type[EmotionModel]) -> Callable[[Fuse], Fuse]:
    """A decorator that registers the function with which `htnet.optimize` fuses models of these classes.

    The decorated function gets a copy of the model, whose tensors it must not change, and a `Precision`. It returns
    the fused network.
    """

    def decorate(fusion: Fuse) -> Fuse:
        for model_class in model_classes:
            FUSIONS.add(model_class, fusion)
        return fusion

    return decorate


def fuse(source: EmotionModel, precision: Precision) -> nn.Module:
    """Fuse everything in a model that can be fused; the model itself does not change.

    Raises:
        ModelError: no fusion is registered for its class, or it has no classifier.
    """
    if type(source) not in FUSIONS:
        known = ", ".join(sorted(cls.__name__ for cls in FUSIONS))
        raise ModelError(
            f"optimize cannot fuse {type(source).__name__}: it can fuse {known}, but not classes derived from "
            "them. Use the model as it is, or torch.compile."
        )
    if not source.config.num_classes:
        raise ModelError(f"{source.name} has no classifier: optimize a model that has one, or use this one as it is.")
    # The tree of modules is a copy; its weights are the model's own until they are fused or copied below.
    own = {id(p): p for p in source.parameters()}
    net = FUSIONS[type(source)](copy.deepcopy(source, dict(own)).eval(), precision)
    for module in net.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in own:
                setattr(module, name, frozen(parameter, precision.high))
    return net.requires_grad_(False).eval()


#: Fuses a transformer block of a level; the flag states whether each block of the map has only one token.
FuseBlock = Callable[[nn.Module, bool, Precision], nn.Module]


def fuse_block(block: nn.Module, one_token: bool, precision: Precision) -> nn.Module:
    """Fuse a plain transformer block."""
    block = cast(Block, block)
    attn, mlp = block.attn, fuse_mlp(block, precision)
    if one_token:
        joined = algebra.chained(algebra.after_norm(attn.v, block.norm1), algebra.affine(attn.proj))
        return FusedBlock(plain_norm(block.norm1), None, precision.product(*joined), mlp)
    fuse_attention(attn, block.norm1, precision)
    proj = cast(Product, attn.proj)
    replace(attn, "proj", None)
    return FusedBlock(plain_norm(block.norm1), attn, proj, mlp)


@register_fusion(HTNet)
def fuse_hierarchical(
    net: HierarchicalModel,
    precision: Precision,
    fuse_block: FuseBlock = fuse_block,
    *,
    levels_follow: bool = True,
) -> nn.Module:
    """Fuse a model in place: its modules are replaced, the tensors in them are not changed.

    Args:
        net: the model.
        precision: types of the fused network.
        fuse_block: fuses the blocks of its levels.
        levels_follow: the first level follows the patch embedding directly. If False, the caller fuses what lies
            between them.
    """
    levels = [cast(Level, level) for level in net.levels]
    # The single position of a level is added by what precedes the level: here, the patch embedding.
    shift = _take_position(levels[0]) if net.attention_is_trivial and levels_follow else None
    replace(net, "patch_embed", _fuse_patches(net, shift, precision))
    replace(net, "standardize", nn.Identity())
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        _fuse_level(level, following, net.attention_is_trivial, precision, fuse_block)
    replace(net, "head", precision.exact(*algebra.after_norm(net.head, net.norm)))
    if isinstance(net, HTNet) and net.unit_head is not None:
        replace(net, "unit_head", precision.exact(*algebra.after_norm(net.unit_head, net.norm)))
    replace(net, "norm", plain_norm(net.norm, precision.high))
    return net


def _take_position(level: Level) -> Tensor:
    """Remove the positional embedding of a level with one token per block; return its one number, float64."""
    if level.pos_emb is None:
        return torch.zeros((), dtype=torch.float64)
    position, level.pos_emb = level.pos_emb.detach().double(), None
    return position


def _fuse_patches(net: HierarchicalModel, shift: Tensor | None, precision: Precision) -> PatchEmbed:
    c = net.config
    weight, bias = algebra.affine(net.patch_embed)
    weight = rearrange(weight, "o (p q c) -> o c p q", p=c.patch_size, q=c.patch_size)
    weight, bias = algebra.standardized(weight, bias, c.mean, c.std)
    return PatchEmbed(weight, bias if shift is None else bias + shift, precision.high, precision.values)


def _fuse_level(
    level: Level, following: Level | None, one_token: bool, precision: Precision, fuse_block: FuseBlock
) -> None:
    level.layers = nn.Sequential(*(fuse_block(block, one_token, precision) for block in level.layers))
    if level.pos_emb is not None:
        level.pos_emb = frozen(level.pos_emb, precision.values)
    if isinstance(level.down, Downsample) and following is not None:
        norm = level.down.norm
        shift = norm.bias.detach().double()
        if one_token:
            # A number that is the same for all positions commutes with the maximum.
            shift = shift + _take_position(following)
        conv = precision.convolution(*algebra.affine(level.down.conv))
        replace(level, "down", FusedDownsample(conv, norm.weight, shift, norm.eps, precision.values))


def fuse_mlp(block: nn.Module, precision: Precision) -> FusedMlp:
    """The MLP of a block, with its norm fused into it."""
    block = cast(Block, block)
    return FusedMlp(
        precision.product(*algebra.after_norm(block.mlp.fc1, block.norm2)),
        precision.product(*algebra.affine(block.mlp.fc2)),
    )


def fuse_attention(attn: BlockAttention, norm: nn.LayerNorm, precision: Precision) -> None:
    """Fuse the norm into queries, keys and values, and pad heads whose width is not a multiple of `ALIGNED`."""
    heads = attn.heads
    # Queries and keys are in one layer, one after the other, so it has twice as many heads.
    replace(attn, "qk", precision.product(*algebra.pad_rows(algebra.after_norm(attn.qk, norm), 2 * heads)))
    replace(attn, "v", precision.product(*algebra.pad_rows(algebra.after_norm(attn.v, norm), heads)))
    replace(attn, "proj", precision.product(*algebra.pad_columns(algebra.affine(attn.proj), heads)))


@register_fusion(STSTNet)
class FusedSTSTNet(nn.Module):
    """STSTNet as one convolution, two poolings and one product.

    The batch norms come after the ReLU: the magnitude of a factor moves through it into the convolution, its sign
    stays, and the shift moves through both poolings into the last layer. The padding is 0 in standardized values, so
    the image's mean is subtracted here, and only its deviation is fused into the convolution.
    """

    signs: Tensor
    mean: Tensor | None

    def __init__(self, source: STSTNet, precision: Precision) -> None:
        super().__init__()
        pairs = ((source.conv1, source.bn1), (source.conv2, source.bn2), (source.conv3, source.bn3))
        weight, bias = (torch.cat(parts) for parts in zip(*(algebra.affine(c) for c, _ in pairs), strict=True))
        factor, shift = (torch.cat(parts) for parts in zip(*(algebra.norm_line(n) for _, n in pairs), strict=True))
        std = torch.tensor(source.config.std, dtype=torch.float64, device=weight.device)
        self.weight = frozen(weight * factor.abs()[:, None, None, None] / std[:, None, None], precision.values)
        self.bias = frozen(bias * factor.abs(), precision.values)
        signs = torch.where(factor < 0, -1.0, 1.0)[:, None, None]
        self.register_buffer("signs", signs.to(precision.values))
        mean = source.standardize.mean.to(precision.high)
        self.register_buffer("mean", mean if any(source.config.mean) else None)
        last, start = algebra.affine(source.fc)
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


@register_fusion(FlowMLP)
def fuse_flow_mlp(net: FlowMLP, precision: Precision) -> nn.Module:
    """Fuse a model in place. There is nothing to fold; an image's own mean and deviation stay in `Precision.high`."""
    replace(net, "hidden", RoundTrip(precision.product(*algebra.affine(net.hidden)), precision.values))
    for name in ("head", "unit_head"):
        if (layer := getattr(net, name)) is not None:
            replace(net, name, precision.exact(*algebra.affine(layer)))
    net.mirrored = net.mirrored.to(precision.high)
    return net


@register_fusion(DualStreamHTNet)
def fuse_dual_stream(net: DualStreamHTNet, precision: Precision) -> nn.Module:
    """Fuse a model in place. The motion stream is recurrent and does not change."""
    part = net.appearance
    weight, bias = algebra.standardized(*algebra.affine(part.proj), net.config.mean, net.config.std)
    replace(net, "standardize", nn.Identity())
    replace(part, "proj", PatchConvolution(weight, bias, precision.high, precision.values))
    for name in ("spatial_attn", "attn", "norm1"):
        replace(part, name, copy.deepcopy(getattr(part, name)).to(precision.values))
    part.pos_embed = frozen(part.pos_embed, precision.values)
    for index in (0, 2):
        part.mlp[index] = precision.product(*algebra.affine(cast(nn.Linear, part.mlp[index])))
    replace(part, "fc", precision.exact(*algebra.after_norm(part.fc, part.norm2)))
    replace(part, "norm2", plain_norm(part.norm2, precision.high))
    return net


class FusedRegionAttention(nn.Module):
    """Attention inside the regions of `RegionBlock`, without its last product."""

    def __init__(self, heads: int, halves: tuple[int, ...], qkv: Product, proj: Product) -> None:
        """Keep the parts.

        Args:
            heads: attention heads.
            halves: indices that cut the tokens into parts that do not attend to each other, from 0 to their number.
            qkv: product for queries, keys and values of normalized tokens.
            proj: the output projection.
        """
        super().__init__()
        self.heads, self.halves, self.qkv, self.proj = heads, halves, qkv, proj

    def attend(self, x: Tensor, term: Tensor) -> Tensor:
        """Normalized tokens (B, T, C) and term (B, 1, T, T), -inf for pairs without attention, to (B, T, C)."""
        read = rearrange(self.qkv(x), "b t (c n d) -> c b n t d", c=3, n=self.heads)
        if torch.compiler.is_compiling() or x.device.type != "cpu":
            q, k, v = read
            return rearrange(block_attention(q, k, v, bias=term), "b n t d -> b t (n d)")
        # Two halves have half of the pairs. No row is fully masked, as every token attends to itself. As in
        # `block_attention`, 16-bit types are computed in float32.
        high = torch.promote_types(x.dtype, torch.float32)
        read, term = read.to(high), term.to(high)
        out = x.new_empty(len(x), x.shape[1], self.heads, read.shape[-1])
        for part in map(slice, self.halves, self.halves[1:]):
            q, k, v = read[:, :, :, part]
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=term[:, :, part, part])
            out[:, part] = found.transpose(1, 2)
        return out.flatten(2)


class FusedRegionBlock(nn.Module):
    """`RegionBlock` whose norms have no scale and shift; the products compute sums and GELU along with their output."""

    def __init__(self, norm1: PlainNorm, attn: FusedRegionAttention, norm2: PlainNorm, mlp: FusedMlp) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = norm1, attn, norm2, mlp

    def forward(self, x: Tensor, term: Tensor) -> Tensor:
        """See `RegionBlock.forward`."""
        x = self.attn.proj.added(self.attn.attend(self.norm1(x), term), x)
        return self.mlp.fc2.added(self.mlp.fc1.gelu(self.norm2(x)), x)

    def pooled(self, x: Tensor, term: Tensor, pooling: Tensor) -> Tensor:
        """See `RegionBlock.pooled`."""
        x = self.attn.proj.added(self.attn.attend(self.norm1(x), term), x)
        return self.mlp.fc2.added(pooling @ self.mlp.fc1.gelu(self.norm2(x)), pooling @ x)


class FusedMHSSAGCN(MHSSAGCN):
    """MHSSA + GCN that turns patches into tokens by one product and one table."""

    weight: nn.Parameter
    table: nn.Parameter
    values: torch.dtype

    def embed(self, patches: Tensor) -> Tensor:
        """Patches (B, 43, values), 0..255, to tokens (B, T, dim)."""
        tokens = F.pad(F.linear(patches, self.weight), (0, 0, 0, len(self.padding)))
        return (tokens + self.table).to(self.values)


@register_fusion(MHSSAGCN)
def fuse_mhssa_gcn(source: MHSSAGCN, precision: Precision) -> nn.Module:
    """Fuse a model; the graph between the regions and its scaling stay in float32 (float64 for a float64 model)."""
    net = FusedMHSSAGCN.__new__(FusedMHSSAGCN)
    net.__dict__.update(source.__dict__)
    net.values = precision.values
    weight, table = _embedding(source)
    net.weight, net.table = frozen(weight, precision.high), frozen(table, precision.high)
    replace(net, "standardize", nn.Identity())
    for name in ("patch_embed", "region_embed", "combine"):
        delattr(net, name)
    halves = _independent_halves(net.regions)
    for index, layer in enumerate(net.layers):
        block = cast(RegionBlock, layer)
        qkv = precision.product(*algebra.after_norm(block.attn.qkv, block.norm1))
        proj = precision.product(*algebra.affine(block.attn.proj))
        attn = FusedRegionAttention(block.attn.heads, halves, qkv, proj)
        net.layers[index] = FusedRegionBlock(
            plain_norm(block.norm1), attn, plain_norm(block.norm2), fuse_mlp(block, precision)
        )
    net.pooling = net.pooling.to(precision.values)
    net.AU_adj = net.AU_adj.to(precision.high)
    replace(net, "region_proj", precision.exact(*algebra.after_norm(net.region_proj, net.region_norm)))
    replace(net, "region_norm", plain_norm(net.region_norm, precision.high))
    for index, layer in enumerate(net.gcn):
        net.gcn[index] = precision.exact(*algebra.affine(cast(nn.Linear, layer)))
    replace(net, "head", precision.exact(*algebra.after_norm(net.head, net.norm)))
    replace(net, "norm", plain_norm(net.norm, precision.high))
    return net


def _independent_halves(regions: Tensor) -> tuple[int, ...]:
    """Where to cut the tokens of the regions (T,) into two parts that share no region, as equal as possible."""
    of = regions.tolist()
    cuts = [at for at in range(1, len(of)) if not set(of[:at]) & set(of[at:])]
    return (0, *sorted(cuts, key=lambda at: abs(2 * at - len(of)))[:1], len(of))


def _embedding(net: MHSSAGCN) -> tuple[Tensor, Tensor]:
    """Product (dim, values) and table (T, dim) for patches that are not standardized; float64.

    The padding of a region is 0 in standardized values, so the mean does not contribute to its tokens.
    """
    c = net.config
    over_patch, over_region = net.combine.weight.detach().double().split([c.dim, c.region_dim], dim=1)
    weight, bias = algebra.chained(algebra.affine(net.patch_embed), (over_patch, net.combine.bias.detach().double()))
    table = (bias + net.region_embed.weight.detach().double() @ over_region.T)[net.regions]
    pixels = weight.unflatten(1, (-1, c.channels)).transpose(1, 2)
    pixels, shift = algebra.standardized(pixels, torch.zeros_like(bias), c.mean, c.std)
    table[: len(net.indices)] += shift
    return pixels.transpose(1, 2).flatten(1), table


serve_old_names(__name__)
