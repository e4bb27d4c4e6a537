"""Folding of HTNet and of models made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from htnet.acceleration import folds
from htnet.acceleration.layers import (
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
from htnet.models.htnet import HierarchicalModel, HTNet, Level
from htnet.models.layers import Block, BlockAttention, Downsample

#: Folds a block of a level; told whether each of its blocks holds one token.
FoldBlock = Callable[[nn.Module, bool, Precision], nn.Module]


def fold_block(block: nn.Module, one_token: bool, precision: Precision) -> nn.Module:
    """Fold a plain transformer block."""
    block = cast(Block, block)
    attn, mlp = block.attn, fold_mlp(block, precision)
    if one_token:
        joined = folds.chained(folds.after_norm(attn.v, block.norm1), folds.affine(attn.proj))
        return FoldedBlock(plain_norm(block.norm1), None, precision.product(*joined), mlp)
    fold_attention(attn, block.norm1, precision)
    proj = cast(Product, attn.proj)
    replace(attn, "proj", None)
    return FoldedBlock(plain_norm(block.norm1), attn, proj, mlp)


def fold_hierarchical(
    net: HierarchicalModel,
    precision: Precision,
    fold_block: FoldBlock = fold_block,
    *,
    levels_follow: bool = True,
) -> nn.Module:
    """Fold a model in place: its modules are replaced, the tensors in them are not changed.

    Args:
        net: the model.
        precision: of what is folded.
        fold_block: folds the blocks of its levels.
        levels_follow: the patch embedding is followed by the first level. Otherwise what stands between them is folded
            by the caller.
    """
    levels = [cast(Level, level) for level in net.levels]
    # Before a map enters a level, something must be there that can add the level's one position to it.
    shift = _take_position(levels[0]) if net.attention_is_trivial and levels_follow else None
    replace(net, "patch_embed", _fold_patches(net, shift, precision))
    replace(net, "standardize", nn.Identity())
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        _fold_level(level, following, net.attention_is_trivial, precision, fold_block)
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


def _fold_level(
    level: Level, following: Level | None, one_token: bool, precision: Precision, fold_block: FoldBlock
) -> None:
    level.layers = nn.Sequential(*(fold_block(block, one_token, precision) for block in level.layers))
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


def fold_mlp(block: nn.Module, precision: Precision) -> FoldedMlp:
    """The MLP of a block, its norm in it."""
    block = cast(Block, block)
    return FoldedMlp(
        precision.product(*folds.after_norm(block.mlp.fc1, block.norm2)),
        precision.product(*folds.affine(block.mlp.fc2)),
    )


def fold_attention(attn: BlockAttention, norm: nn.LayerNorm, precision: Precision) -> None:
    """Norm into queries, keys and values, and heads of odd width filled up."""
    heads = attn.heads
    # Queries and keys lie in one layer, one after the other: as many heads again.
    replace(attn, "qk", precision.product(*folds.pad_rows(folds.after_norm(attn.qk, norm), 2 * heads)))
    replace(attn, "v", precision.product(*folds.pad_rows(folds.after_norm(attn.v, norm), heads)))
    replace(attn, "proj", precision.product(*folds.pad_columns(folds.affine(attn.proj), heads)))
