"""Parts of networks that have one stream of layers for each component of the flow, or that read larger images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, each, whole
from htnet.models.base import ModelConfig


@dataclass(frozen=True)
class FlowStreamsConfig(ModelConfig):
    """Settings of networks with two streams, of the horizontal and the vertical flow.

    Attributes:
        flow_channels: which channels of the image the streams read: u and v of the published order strain, v, u.
    """

    dropout: float = 0.5
    flow_channels: tuple[int, ...] = checked((2, 1), each(whole(0), 2))

    def __post_init__(self) -> None:
        super().__post_init__()
        if max(self.flow_channels) >= self.channels:
            raise ModelError(
                f"flow_channels, the channels of u and v, are {self.flow_channels}; the image has {self.channels}. "
                "Give two indexes below that, such as flow_channels=(0, 1)."
            )
        if self.image_size < 4:
            raise ModelError(f"image_size is {self.image_size}; it is halved twice by pooling, so give 4 or more.")

    @property
    def pooled(self) -> int:
        """Side of the maps after two poolings of stride 2."""
        return self.image_size // 4


class FlowStreams(nn.Module):
    """One stream of layers for each component of the flow; their maps are concatenated."""

    def __init__(self, config: FlowStreamsConfig, stream: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.channels = config.flow_channels
        self.streams = nn.ModuleList(stream() for _ in self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W) to the streams' maps (B, 2 x maps, H', W')."""
        parts = zip(self.streams, self.channels, strict=True)
        return torch.cat([stream(x[:, channel : channel + 1]) for stream, channel in parts], dim=1)


class InceptionBlock(nn.Module):
    """Four parallel branches: 1x1; 1x1, then 3x3; 1x1, then 5x5; 3x3 max pooling, then 1x1. Each ends in a ReLU.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, here with the same number of filters in every
    layer.
    """

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(inputs, filters, 1)
        self.reduce3, self.conv3 = nn.Conv2d(inputs, filters, 1), nn.Conv2d(filters, filters, 3, padding=1)
        self.reduce5, self.conv5 = nn.Conv2d(inputs, filters, 1), nn.Conv2d(filters, filters, 5, padding=2)
        self.pool = nn.Conv2d(inputs, filters, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 4 x filters, H, W)."""
        branches = (
            self.point(x),
            self.conv3(F.relu(self.reduce3(x))),
            self.conv5(F.relu(self.reduce5(x))),
            self.pool(F.max_pool2d(x, 3, stride=1, padding=1)),
        )
        return F.relu(torch.cat(branches, dim=1))


def resized(x: Tensor, side: int) -> Tensor:
    """Resize images (B, C, H, W) to another side by bilinear interpolation, unless they have it already."""
    if x.shape[-1] == side:
        return x
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
