"""The second design of HTNet for facial palsy: diagonal attention, and regions of interest on the last level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.fields import checked, flag, whole
from htnet.models.base import ModelConfig
from htnet.models.htnet import HTNetConfig, Level
from htnet.models.layers import BlockAttention, Linear
from htnet.models.registry import register_model
from htnet.palsy.micro_attention import Maps
from htnet.palsy.model import FaceGradeModel, MapsLevel

#: Weight of the similarity that tokens on one diagonal add to their score.
DIAGONAL_WEIGHT = 0.3
#: A position is used if the region maps there sum to more than this.
MASK_THRESHOLD = 0.3
#: Factor by which the hidden layers of gates are narrower than the map.
REDUCTION = 8
#: Kernel side of the convolution of the spatial attention.
SPATIAL_SIDE = 7


@dataclass(frozen=True)
class HTNetEnhancedConfig(HTNetConfig):
    """Settings of the second palsy design; the defaults are the documented ones.

    Attributes:
        use_diagonal_attn: every second layer of a level has diagonal attention.
        use_roi: the last map passes through ROI attention.
        num_roi_regions: number of region maps.
    """

    image_size: int = 224
    num_classes: int = 6
    heads: int = 4
    use_diagonal_attn: bool = checked(True, flag())
    use_roi: bool = checked(True, flag())
    num_roi_regions: int = checked(5, whole())


def diagonal_pairs(side: int) -> Tensor:
    """Which pairs of tokens of a square block lie on the same diagonal, (side², side²) float32 of 0 and 1.

    1 if both tokens lie on the main diagonal of the block, or both on its anti-diagonal.
    """
    row = torch.arange(side).repeat_interleave(side)
    column = torch.arange(side).repeat(side)
    main, anti = row == column, row + column == side - 1
    return ((main[:, None] & main) | (anti[:, None] & anti)).float()


class DiagonalAttention(BlockAttention):
    """Attention that adds a term for the diagonals of the block and is amplified where the face is asymmetric.

    If both tokens lie on the same diagonal of the block, 0.3 times the cosine similarity of query and key is added to
    their score. The output of each position is multiplied by 1 + gate(|left - mirrored right|): the map is compared
    with its mirror image over its whole width, so every level compares the halves of the face, not those of a block.
    """

    pairs: Tensor

    def __init__(self, dim: int, heads: int, head_dim: int, blocks: int, dropout: float, side: int) -> None:
        super().__init__(dim, heads, head_dim, blocks, dropout)
        self.gate = nn.Sequential(Linear(dim, max(dim // REDUCTION, 1)), nn.GELU(), Linear(max(dim // REDUCTION, 1), 1))
        self.register_buffer("pairs", DIAGONAL_WEIGHT * diagonal_pairs(side), persistent=False)

    def bias(self, q: Tensor, k: Tensor) -> Tensor | None:
        """(B x blocks, heads, tokens, tokens)."""
        return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT * self.pairs

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        """(B, H, W, C) to the same shape; the gate (B, H, W) is appended to ``maps``."""
        gate = self.gate((x - x.flip(2)).abs()).sigmoid()
        if maps is not None:
            maps.append(gate[..., 0])
        return self.drop(self.proj(self.attend(x) * (1 + gate)))


class EnhancedLevel(MapsLevel):
    """A level of the second design.

    Without ROI attention the last level has no positional embedding: nothing after it could use it, see
    `htnet.palsy.model.PalsyLevel`.
    """

    attention_class = DiagonalAttention

    def compares(self, config: HTNetConfig) -> bool:
        """Whether the config asks for diagonal attention."""
        return isinstance(config, HTNetEnhancedConfig) and config.use_diagonal_attn

    def last_has_positions(self, config: HTNetConfig) -> bool:
        """Whether the config asks for ROI attention."""
        return isinstance(config, HTNetEnhancedConfig) and config.use_roi


def through_threshold(total: Tensor) -> Tensor:
    """1 if ``total`` exceeds the threshold, else 0; its gradient is that of sigmoid(total - threshold).

    A step has no gradient, and would keep the detector from learning where to look. The straight-through estimator
    (Bengio et al., arXiv 1308.3432) takes the step forward and the gradient of a smooth step backward.
    """
    soft = (total - MASK_THRESHOLD).sigmoid()
    hard = (total > MASK_THRESHOLD).to(total.dtype)
    # The difference carries no gradient, so the value is that of the step and the gradient that of the sigmoid.
    return soft + (hard - soft).detach()


class RoiAttention(nn.Module):
    """Region maps, and a refinement of the positions that belong to any region.

    The map is masked where no region is found, weighted by position (Woo et al., CBAM, ECCV 2018: convolution of the
    channels' mean and maximum) and by channel (Hu et al., squeeze-and-excitation, CVPR 2018), refined by a depth-wise
    convolution and added to the input. Norms are over channels, so a batch of one and a map of one position also work.
    """

    def __init__(self, dim: int, regions: int) -> None:
        super().__init__()
        narrow = max(dim // REDUCTION, 1)
        self.detect = nn.Conv2d(dim, narrow, 3, padding=1)
        self.detect_norm = nn.LayerNorm(narrow)
        self.regions = Linear(narrow, regions)
        self.spatial = nn.Conv2d(2, 1, SPATIAL_SIDE, padding=SPATIAL_SIDE // 2)
        self.channel = nn.Sequential(Linear(dim, narrow), nn.GELU(), Linear(narrow, dim))
        self.refine = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, H, W, C) to the same shape, region maps (B, H, W, regions) and mask (B, H, W, 1) of 0 and 1."""
        found = F.gelu(self.detect_norm(_convolve(x, self.detect)))
        maps = self.regions(found).sigmoid()
        mask = through_threshold(maps.sum(dim=-1, keepdim=True))
        summary = torch.cat([x.mean(dim=-1, keepdim=True), x.amax(dim=-1, keepdim=True)], dim=-1)
        spatial = _convolve(summary, self.spatial).sigmoid()
        channel = self.channel(x.mean(dim=(1, 2), keepdim=True)).sigmoid()
        return x + _convolve(x * mask * spatial * channel, self.refine), maps, mask


def _convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """(B, H, W, C) to (B, H, W, C')."""
    return conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@register_model("htnet_enhanced", description="House-Brackmann grades, second design at 224 px, 4 heads")
@register_model(
    "htnet_enhanced_tiny",
    image_size=112,
    dim=32,
    heads=2,
    block_repeats=(2, 2, 2),
    description="the same at 112 px, 32 wide, (2, 2, 2)",
)
class HTNetEnhanced(FaceGradeModel):
    """HTNet with diagonal attention and ROI attention, for grades of facial palsy.

    The published code of this design cannot run at its documented setting. This class implements what its description
    means; no published checkpoint fits it.
    """

    config_class: ClassVar[type[ModelConfig]] = HTNetEnhancedConfig
    level_class: ClassVar[type[Level]] = EnhancedLevel
    config: HTNetEnhancedConfig

    def __init__(self, config: HTNetEnhancedConfig) -> None:
        super().__init__(config)
        width = config.dim * 2 ** (config.num_hierarchies - 1)
        self.roi = RoiAttention(width, config.num_roi_regions) if config.use_roi else None

    def _features(self, x: Tensor, asymmetry: Maps | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The last map, region maps (B, regions, H, W) and mask (B, 1, H, W)."""
        x = self.embed(x)
        for level in self.levels:
            x = level(x, asymmetry)
        if self.roi is None:
            return x, None, None
        x, maps, mask = self.roi(x)
        return x, maps.permute(0, 3, 1, 2), mask.permute(0, 3, 1, 2)
