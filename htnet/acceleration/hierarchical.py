"""Folding HTNet and the models made from it."""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from htnet.acceleration import folds
from htnet.acceleration.layers import (
    AddBias,
    As,
    FoldedBlock,
    FoldedDownsample,
    FoldedMlp,
    PatchEmbed,
    Product,
    plain_norm,
    replace,
)
from htnet.acceleration.linear import frozen
from htnet.acceleration.precision import Precision
from htnet.models.enhanced import DiagonalAttention, RoiAttention
from htnet.models.htnet import HierarchicalModel, HTNet, Level
from htnet.models.layers import Block, BlockAttention, Downsample
from htnet.models.micro_attention import MicroAttention, MicroBlock
from htnet.models.roi import RoiModule


def fold_hierarchical(net: HierarchicalModel, precision: Precision) -> nn.Module:
    """Fold a model in place: its modules are replaced, the tensors in them are not changed."""
    levels = [cast(Level, level) for level in net.levels]
    roi = getattr(net, "roi", None)
    # Before a map enters a level, something must be there that can add the level's one position to it.
    shift = _take_position(levels[0]) if net.attention_is_trivial and not isinstance(roi, RoiModule) else None
    replace(net, "patch_embed", _fold_patches(net, shift, precision))
    replace(net, "standardize", nn.Identity())
    if isinstance(roi, RoiModule):
        _fold_roi(roi, precision)
    elif isinstance(roi, RoiAttention):
        # Its mask is a step: rounding would move positions across.
        replace(net, "roi", As(roi, precision.high))
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        _fold_level(level, following, net.attention_is_trivial, precision)
    replace(net, "head", precision.exact(*folds.after_norm(net.head, net.norm)))
    if isinstance(net, HTNet) and net.unit_head is not None:
        replace(net, "unit_head", precision.exact(*folds.after_norm(net.unit_head, net.norm)))
    replace(net, "norm", plain_norm(net.norm, precision.high))
    return net


def _take_position(level: Level) -> Tensor:
    """The one number that a level of one token a block adds to everything, float64; the level adds it no more."""
    if level.pos_emb is None:
        return torch.zeros((), dtype=torch.float64)
    position, level.pos_emb = level.pos_emb.detach().double(), None
    return position


def _fold_patches(net: HierarchicalModel, shift: Tensor | None, precision: Precision) -> PatchEmbed:
    c = net.config
    weight, bias = folds.affine(net.patch_embed)
    weight = rearrange(weight, "o (p q c) -> o c p q", p=c.patch_size, q=c.patch_size)
    weight, bias = folds.standardized(weight, bias, c.mean, c.std)
    return PatchEmbed(weight, bias if shift is None else bias + shift, precision.high, precision.values)


def _fold_roi(roi: RoiModule, precision: Precision) -> None:
    """Batch norms into the convolutions before them."""
    for conv, norm in (("detect", "detect_norm"), ("refine", "refine_norm")):
        folded = folds.batch_normed(getattr(roi, conv), getattr(roi, norm))
        replace(roi, conv, precision.convolution(*folded))
        replace(roi, norm, nn.Identity())
    for name in ("regions", "face"):
        replace(roi, name, precision.product(*folds.affine(getattr(roi, name))))
    roi.prior = roi.prior.to(precision.values)


def _fold_level(level: Level, following: Level | None, one_token: bool, precision: Precision) -> None:
    level.layers = nn.Sequential(*(_fold_block(block, one_token, precision) for block in level.layers))
    if level.pos_emb is not None:
        level.pos_emb = frozen(level.pos_emb, precision.values)
    if isinstance(level.down, Downsample) and following is not None:
        norm = level.down.norm
        shift = norm.bias.detach().double()
        if one_token:
            # What is the same for all positions passes through the maximum.
            shift = shift + _take_position(following)
        conv = precision.convolution(*folds.affine(level.down.conv))
        replace(level, "down", FoldedDownsample(conv, norm.weight, shift, norm.eps, precision.values))


def _fold_block(block: nn.Module, one_token: bool, precision: Precision) -> nn.Module:
    assert isinstance(block, (Block, MicroBlock))
    attn = cast(BlockAttention, block.attn)
    mlp = FoldedMlp(
        precision.product(*folds.after_norm(block.mlp.fc1, block.norm2)),
        precision.product(*folds.affine(block.mlp.fc2)),
    )
    if isinstance(block, MicroBlock):
        _fold_comparison(attn, block.norm1, precision)
    joined = folds.chained(folds.after_norm(attn.v, block.norm1), folds.affine(attn.proj))
    if one_token and isinstance(block, Block):
        return FoldedBlock(plain_norm(block.norm1), None, precision.product(*joined), mlp)
    if one_token:
        # The gate stands between values and projection, but is one number a position: it passes through the matrix.
        bias = attn.proj.bias.detach().double()
        replace(attn, "qk", None)
        replace(attn, "v", precision.product(joined[0], joined[1] - bias))
        replace(attn, "proj", AddBias(bias, precision.values))
    else:
        _fold_attention(attn, block.norm1, precision)
    if isinstance(block, Block):
        proj = cast(Product, attn.proj)
        replace(attn, "proj", None)
        return FoldedBlock(plain_norm(block.norm1), attn, proj, mlp)
    replace(block, "mlp", mlp)
    replace(block, "norm1", plain_norm(block.norm1))
    replace(block, "norm2", plain_norm(block.norm2))
    return block


def _fold_attention(attn: BlockAttention, norm: nn.LayerNorm, precision: Precision) -> None:
    """Norm into queries, keys and values, and heads of odd width filled up."""
    heads = attn.heads
    # Queries and keys lie in one layer, one after the other: as many heads again.
    replace(attn, "qk", precision.product(*folds.pad_rows(folds.after_norm(attn.qk, norm), 2 * heads)))
    replace(attn, "v", precision.product(*folds.pad_rows(folds.after_norm(attn.v, norm), heads)))
    replace(attn, "proj", precision.product(*folds.pad_columns(folds.affine(attn.proj), heads)))


def _fold_comparison(attn: BlockAttention, norm: nn.LayerNorm, precision: Precision) -> None:
    """The layers that compare left with right, which read the norm's output too."""
    if isinstance(attn, MicroAttention):
        if attn.asymmetry is not None:
            attn.asymmetry.stretch = attn.asymmetry.stretch.to(precision.values)
            replace(attn.asymmetry, "fc1", precision.product(*folds.after_norm(attn.asymmetry.fc1, norm)))
            replace(attn.asymmetry, "fc2", precision.product(*folds.affine(attn.asymmetry.fc2)))
    elif isinstance(attn, DiagonalAttention):
        attn.pairs = attn.pairs.to(precision.values)
        # It reads the size of a difference, in which the norm's shift cancels and its scale has lost its sign.
        weight, bias = folds.affine(cast(nn.Linear, attn.gate[0]))
        scaled = weight * norm.weight.detach().double().abs()
        attn.gate[0] = precision.product(scaled, bias)
        attn.gate[2] = precision.product(*folds.affine(cast(nn.Linear, attn.gate[2])))
