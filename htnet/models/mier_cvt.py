"""MiER-CvT: a small convolutional vision transformer over the flow from onset to apex (Xu et al., 2026)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, each, whole
from htnet.kernels import block_attention
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.streams import resized


@dataclass(frozen=True)
class MiERCvTConfig(ModelConfig):
    """Settings of MiER-CvT, one value per stage; the defaults are the published ones, except read_size and mlp_mult.

    Attributes:
        read_size: side that the image is first resized to, px.
        kernels: sides of the convolutions that embed the map.
        strides: their strides.
        paddings: their paddings.
        dims: widths.
        heads: attention heads.
        depths: transformer layers.
        mlp_mult: ratio of the MLP's inner to its outer width.
    """

    read_size: int = checked(224, whole())
    kernels: tuple[int, ...] = checked((32, 5, 3), each(whole()))
    strides: tuple[int, ...] = checked((16, 3, 1), each(whole()))
    paddings: tuple[int, ...] = checked((8, 0, 0), each(whole(0)))
    dims: tuple[int, ...] = checked((64, 192, 384), each(whole()))
    heads: tuple[int, ...] = checked((1, 3, 6), each(whole()))
    depths: tuple[int, ...] = checked((1, 2, 3), each(whole()))
    mlp_mult: int = checked(4, whole())

    def __post_init__(self) -> None:
        super().__post_init__()
        of_stages = ("kernels", "strides", "paddings", "dims", "heads", "depths")
        if len({len(getattr(self, name)) for name in of_stages}) != 1 or not self.dims:
            raise ModelError(f"{', '.join(of_stages)} must have the same number of values, one for each stage.")
        for dim, heads in zip(self.dims, self.heads, strict=True):
            if dim % heads:
                raise ModelError(f"dims {self.dims} are not multiples of heads {self.heads}; give multiples.")
        if min(self.sides) < 1:
            raise ModelError(
                f"With read_size {self.read_size} the maps of the stages have sides of {self.sides} px; give a larger "
                "read_size, or smaller kernels and strides."
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of the map in each stage."""
        found = [self.read_size]
        for kernel, stride, padding in zip(self.kernels, self.strides, self.paddings, strict=True):
            found.append((found[-1] + 2 * padding - kernel) // stride + 1)
        return tuple(found[1:])


@register_model(
    "mier_cvt", spec=WHOLE_FACE, description="MiER-CvT: convolutional vision transformer; 28 px enlarged to 224, 7.5 M"
)
class MiERCvT(EmotionModel):
    """Three stages, each a convolution that embeds the map and transformer layers with convolutional projections.

    Source: Xu, Khizer Bin Talib, Cao, Xu, Xu and Song, "Lightweight micro-expression recognition based on optical flow
    and convolutional vision Transformer", Journal of Zhejiang University (Engineering Science) 60 (7), 2026: flow and
    strain from onset to apex, three stages, and its table 4 with kernels, strides, paddings, widths, heads and layers.
    The layers are those of CvT (Wu et al., "CvT: introducing convolutions to vision transformers", ICCV 2021).

    Parameters: 7,487,491. Published: 7.5 M, and 0.1 G operations, which fits an image of 224 px.

    Deviations: the image is enlarged from 28 to 224 px by bilinear interpolation. There is no adversarial training
    against the identity of the subjects, which the paper adds. Only the abstract of the paper and that table were
    available. These choices are therefore ours: keys and values at every position (CvT's stride of 2 would leave one of
    them in the last stage, which makes attention trivial); the sequence softmax as a softmax over positions of one
    linear layer, which weights the mean of the normed positions that the classifier reads; MLPs of four times the
    width.
    """

    config_class: ClassVar[type[ModelConfig]] = MiERCvTConfig
    config: MiERCvTConfig

    def __init__(self, config: MiERCvTConfig) -> None:
        super().__init__(config)
        widths = pairwise((config.channels, *config.dims))
        self.levels = nn.Sequential(*(Stage(config, i, inputs) for i, (inputs, _) in enumerate(widths)))
        self.norm = nn.LayerNorm(config.dims[-1])
        self.weigh = nn.Linear(config.dims[-1], 1, bias=False)
        self.drop = nn.Dropout(config.dropout)
        self.head = make_classifier(config.dims[-1], config.num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the last stage's map (B, dim, side, side)."""
        return self.levels(resized(self.standardize(x), self.config.read_size))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Map to class scores (B, num_classes), or to the weighted mean over positions (B, dim)."""
        tokens = self.norm(features.flatten(2).mT)
        pooled = self.drop((self.weigh(tokens).softmax(dim=1) * tokens).sum(dim=1))
        return pooled if pre_logits else self.head(pooled)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The stages: maps of 14, 4 and 2 px."""
        return tuple(self.levels)


class Stage(nn.Module):
    """A convolution that embeds the map, a norm, and transformer layers."""

    def __init__(self, config: MiERCvTConfig, index: int, inputs: int) -> None:
        super().__init__()
        dim, kernel, stride = config.dims[index], config.kernels[index], config.strides[index]
        self.embed = nn.Conv2d(inputs, dim, kernel, stride=stride, padding=config.paddings[index])
        self.norm = nn.LayerNorm(dim)
        layers = (
            CvTLayer(dim, config.heads[index], config.mlp_mult, config.dropout) for _ in range(config.depths[index])
        )
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, dim, H', W')."""
        x = self.norm(self.embed(x).permute(0, 2, 3, 1))
        return self.layers(x).permute(0, 3, 1, 2)


class ConvProjection(nn.Module):
    """A depthwise 3x3 convolution, a batch norm, and a linear layer."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to tokens (B, H x W, C)."""
        return self.proj(self.norm(self.conv(x)).flatten(2).mT)


class ConvAttention(nn.Module):
    """Multi-head attention between all positions, with convolutional projections."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = ConvProjection(dim), ConvProjection(dim), ConvProjection(dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        maps = x.permute(0, 3, 1, 2)
        tokens = (project(maps).unflatten(2, (self.heads, -1)).transpose(1, 2) for project in (self.q, self.k, self.v))
        q, k, v = tokens
        read = block_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.proj(read).unflatten(1, x.shape[1:3])


class CvTLayer(nn.Module):
    """Pre-norm transformer layer: x + attention(norm(x)), then x + mlp(norm(x)), with GELU."""

    def __init__(self, dim: int, heads: int, mult: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim), ConvAttention(dim, heads)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(dim), nn.Linear(dim, mult * dim), nn.Linear(mult * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) to the same shape."""
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.fc2(F.gelu(self.fc1(self.norm2(x)))))
