"""Attention for asymmetric faces: limited to neighbors, and amplified where left and right differ."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.kernels import NEIGHBORS
from htnet.models.layers import BlockAttention, Linear, Mlp

#: A position is amplified by 1 + this times its asymmetry.
ASYMMETRY_GAIN = 0.5

#: Collects one map per layer.
Maps = list[Tensor]


class Asymmetry(nn.Module):
    """How much the left half of each block differs from the mirrored right half: one number per position, 0..1.

    A block of odd width has a middle column that belongs to neither half. All numbers are interpolated: the map of the
    halves is stretched over the whole width (bilinear, corners not aligned). The left and the right position of a
    pair therefore do not get the same number. This is the published definition. Blocks have ``side`` x ``side``
    tokens, with a side of 2 or more.
    """

    stretch: Tensor

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.side, self.columns = side, side // 2
        self.fc1 = Linear(2 * dim, dim)
        self.fc2 = Linear(dim, 1)
        # Interpolation along the width is linear: applied to unit vectors, it gives its own matrix.
        unit = torch.eye(self.columns)[None]
        self.register_buffer("stretch", F.interpolate(unit, size=side, mode="linear")[0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to (B, H, W)."""
        blocks = x.unflatten(2, (-1, self.side))
        left, right = blocks[..., : self.columns, :], blocks[..., self.side - self.columns :, :].flip(-2)
        scores = self.fc2(F.gelu(self.fc1(torch.cat([left, right], dim=-1))))
        return (scores[..., 0].sigmoid() @ self.stretch).flatten(2)


class MicroAttention(BlockAttention):
    """Attention of each token to its 3x3 neighborhood inside its block, times (1 + 0.5 x asymmetry).

    A block of one token has no halves to compare: its asymmetry is 0, and there are no layers for it.
    """

    mask = NEIGHBORS

    def __init__(self, dim: int, heads: int, head_dim: int, blocks: int, dropout: float, side: int) -> None:
        super().__init__(dim, heads, head_dim, blocks, dropout)
        self.asymmetry = Asymmetry(dim, side) if side > 1 else None

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        """(B, H, W, C) to the same shape; the asymmetry (B, H, W) is appended to ``maps``."""
        out = self.attend(x)
        asymmetry = None if self.asymmetry is None else self.asymmetry(x)
        if asymmetry is not None:
            out = out * (1 + ASYMMETRY_GAIN * asymmetry[..., None])
        if maps is not None:
            maps.append(x.new_zeros(x.shape[:3]) if asymmetry is None else asymmetry)
        return self.drop(self.proj(out))


class MicroBlock(nn.Module):
    """Pre-norm transformer block around an attention that reports a map.

    Its parameters are named as in `htnet.models.layers.Block`.
    """

    def __init__(self, dim: int, attention: nn.Module, mult: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mult, dropout)

    def forward(self, x: Tensor, maps: Maps | None = None) -> Tensor:
        """(B, H, W, C) to the same shape; the attention's map is appended to ``maps``."""
        x = x + self.attn(self.norm1(x), maps)
        return x + self.mlp(self.norm2(x))
