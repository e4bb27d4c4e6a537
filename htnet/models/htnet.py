"""HTNet: hierarchical transformer over regions of a flow image (arXiv 2307.14637)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.layers import Block, BlockSizes, Downsample
from htnet.models.registry import register_model
from htnet.models.unit_model import ACTION_UNITS, UnitModel


@dataclass(frozen=True)
class HTNetConfig(ModelConfig):
    """Settings of HTNet; the defaults are the published ones.

    Attributes:
        patch_size: side of a patch, px.
        dim: width of the first level; it doubles from level to level.
        heads: attention heads of the first level; they double too.
        num_hierarchies: number of levels; level l has 2^(num_hierarchies - 1 - l) blocks per side.
        block_repeats: transformer blocks in each level.
        mlp_mult: ratio of the MLP's inner to its outer width.
        action_units: FACS numbers of the action units that a second head predicts, see `HTNet.forward`; usually empty.
    """

    patch_size: int = checked(7, whole())
    dim: int = checked(256, whole())
    heads: int = checked(3, whole())
    num_hierarchies: int = checked(3, whole())
    block_repeats: tuple[int, ...] = checked((2, 2, 10), each(whole()))
    mlp_mult: int = checked(4, whole())
    action_units: tuple[int, ...] = checked((), ACTION_UNITS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.block_repeats) != self.num_hierarchies:
            raise ModelError(
                f"block_repeats is {self.block_repeats} for {self.num_hierarchies} hierarchies; give one number of "
                f"blocks per level."
            )
        if self.heads > self.dim:
            raise ModelError(f"heads is {self.heads} for dim {self.dim}; give at most {self.dim} heads.")
        blocks = 2 ** (self.num_hierarchies - 1)
        if self.image_size % (self.patch_size * blocks):
            raise ModelError(
                f"image_size {self.image_size} does not split into {blocks} x {blocks} blocks of whole "
                f"{self.patch_size} px patches; give a multiple of {self.patch_size * blocks}."
            )

    @property
    def block_side(self) -> int:
        """Tokens along one side of a block; the same in every level."""
        return self.image_size // self.patch_size // 2 ** (self.num_hierarchies - 1)


class PatchEmbed(nn.Linear):
    """One linear layer over the values of each patch, in the order row, column, channel."""

    def __init__(self, channels: int, side: int, dim: int) -> None:
        super().__init__(channels * side**2, dim)
        self.side = side

    def forward(self, input: Tensor) -> Tensor:
        """Image (B, channels, H, W) to the map of its patches (B, H / side, W / side, dim)."""
        p = self.side
        return super().forward(rearrange(input, "b c (h p) (w q) -> b h w (p q c)", p=p, q=p))


class Level(nn.Module):
    """One hierarchy level: position embeddings, transformer blocks, and downsampling to the next level."""

    pos_emb: nn.Parameter | None

    def __init__(self, config: HTNetConfig, index: int) -> None:
        super().__init__()
        self.blocks = 2 ** (config.num_hierarchies - 1 - index)
        self.side = config.block_side
        self.pos_emb = nn.Parameter(torch.randn(self.side**2))
        self.layers = nn.Sequential(*(self.make_block(config, index, i) for i in range(config.block_repeats[index])))
        dim = config.dim * 2**index
        last = index == config.num_hierarchies - 1
        self.down = nn.Identity() if last else Downsample(dim, dim * 2)

    def make_block(self, config: HTNetConfig, index: int, depth: int) -> nn.Module:
        """Transformer block number ``depth`` of level ``index``."""
        return Block(**block_sizes(config, index))

    def add_positions(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        if self.pos_emb is None:
            return x
        # One scalar per position in the block, shared by all blocks and channels.
        positions = self.pos_emb.view(self.side, self.side).repeat(self.blocks, self.blocks)
        return x + positions[:, :, None]

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the map of the next level."""
        return self.down(self.layers(self.add_positions(x)))


def block_sizes(config: HTNetConfig, index: int) -> BlockSizes:
    """Sizes of a transformer block of level ``index``."""
    return {
        "dim": config.dim * 2**index,
        "heads": config.heads * 2**index,
        "head_dim": config.dim // config.heads,
        "blocks": 2 ** (config.num_hierarchies - 1 - index),
        "mult": config.mlp_mult,
        "dropout": config.dropout,
    }


class HierarchicalModel(EmotionModel):
    """Base class of HTNet and its variants: patches, levels of transformer blocks, head."""

    config_class: ClassVar[type[ModelConfig]] = HTNetConfig
    level_class: ClassVar[type[Level]] = Level
    same_operations: ClassVar[bool] = True
    config: HTNetConfig

    def __init__(self, config: HTNetConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbed(config.channels, config.patch_size, config.dim)
        self.levels = nn.Sequential(*(self.level_class(config, i) for i in range(config.num_hierarchies)))
        width = config.dim * 2 ** (config.num_hierarchies - 1)
        self.norm = nn.LayerNorm(width)
        self.head = make_classifier(width, config.num_classes)

    @property
    def attention_is_trivial(self) -> bool:
        """Whether each block contains exactly one token, as in the published setting.

        A softmax over one key is 1, so attention reduces to the value and output projections:
        queries, keys and the number of heads have no effect, query and key weights never receive a
        gradient, and attention maps carry no information. It is False if
        image_size / patch_size > 2^(num_hierarchies - 1).
        """
        return self.config.block_side == 1

    def embed(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the map of its patches (B, H / patch_size, W / patch_size, dim)."""
        return self.patch_embed(self.standardize(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the last map (B, side, side, width)."""
        return self.levels(self.embed(x))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Last map to class scores (B, num_classes), or to the pooled vector (B, width)."""
        pooled = self.norm(features).mean(dim=(1, 2))
        return pooled if pre_logits else self.head(pooled)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The levels."""
        return tuple(self.levels)

    def stage_map(self, output: Tensor) -> Tensor:
        """(B, H, W, C) to (B, C, H, W)."""
        return output.permute(0, 3, 1, 2)


@register_model("htnet_base", description="the published setting: width 256, (2, 2, 10), 139.6 M parameters")
@register_model("htnet_small", dim=64, heads=4, block_repeats=(1, 1, 2), description="width 64, (1, 1, 2), 2.2 M")
@register_model("htnet_tiny", dim=32, heads=2, block_repeats=(1, 1, 1), description="width 32, (1, 1, 1), for tests")
class HTNet(UnitModel, HierarchicalModel):
    """Hierarchical transformer over the mosaic of four facial regions.

    Source: Wang et al., "HTNet for micro-expression recognition", arXiv 2307.14637, Neurocomputing
    602 (2024). Numerically the same function as the published implementation.

    With the published setting every block contains one token; see `attention_is_trivial`.

    With ``action_units`` in its config it has a second head besides the published one: a score for each unit on each
    side of the face.
    """

    def __init__(self, config: HTNetConfig) -> None:
        super().__init__(config)
        units = len(config.action_units)
        self.unit_head = nn.Linear(self.norm.normalized_shape[0], 2 * units) if units else None

    def unit_scores(self, features: Tensor) -> Tensor:
        """Last map to the scores of the units, (B, units, 2)."""
        assert self.unit_head is not None  # checked by `forward`
        return self.unit_head(self.forward_head(features, pre_logits=True)).unflatten(1, (-1, 2))
