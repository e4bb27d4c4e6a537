"""Dual-Inception: two streams of two inception blocks over the flow (Zhou et al., FG 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.streams import FlowStreams, FlowStreamsConfig, InceptionBlock


@dataclass(frozen=True)
class DualInceptionConfig(FlowStreamsConfig):
    """Settings of Dual-Inception; the defaults are the published ones, except the dropout, which is ours.

    Attributes:
        filters: filters of each branch in the two inception blocks of a stream.
        hidden: width of the fully connected layer.
    """

    filters: tuple[int, ...] = checked((6, 16), each(whole(), 2))
    hidden: int = checked(1024, whole())


class InceptionStream(nn.Module):
    """Two inception blocks, each with a 2x2 max pooling."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.block1 = InceptionBlock(1, first)
        self.block2 = InceptionBlock(4 * first, second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 4 x second, H / 4, W / 4)."""
        return F.max_pool2d(self.block2(F.max_pool2d(self.block1(x), 2)), 2)


@register_model(
    "dual_inception", spec=WHOLE_FACE, description="Dual-Inception: two streams of inception blocks, 6.45 M"
)
class DualInception(EmotionModel):
    """Two streams, of horizontal and of vertical flow, of two inception blocks each, joined by one hidden layer.

    Source: Zhou, Mao and Xue, "Dual-Inception network for cross-database micro-expression recognition", FG 2019.

    Parameters: 6,449,867. Published: 6.45 M (table of Off-TANet, PRICAI 2021, for images of 28 px), so the sizes of the
    layers agree with the published ones in total: blocks with 6 and 16 filters in each branch, and a hidden layer of
    1024.

    Deviations: the paper reads the flow from the onset to the frame in the middle of the clip; the images here are from
    onset to apex. Only the abstract of the paper was available. The order of layers in a block (`InceptionBlock`), the
    max pooling after each block and the dropout of 0.5 are therefore ours.
    """

    config_class: ClassVar[type[ModelConfig]] = DualInceptionConfig
    config: DualInceptionConfig

    def __init__(self, config: DualInceptionConfig) -> None:
        super().__init__(config)
        first, second = config.filters
        self.flow = FlowStreams(config, lambda: InceptionStream(first, second))
        self.fc = nn.Linear(8 * second * config.pooled**2, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.head = make_classifier(config.hidden, config.num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the maps of both streams (B, 128, 7, 7)."""
        return self.flow(self.standardize(x))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps to class scores (B, num_classes), or to the hidden layer (B, hidden)."""
        hidden = self.drop(F.relu(self.fc(features.flatten(1))))
        return hidden if pre_logits else self.head(hidden)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The streams."""
        return tuple(self.flow.streams)
