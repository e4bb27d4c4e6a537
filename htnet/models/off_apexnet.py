"""OFF-ApexNet: two streams of two convolutions over the flow from onset to apex (Gan et al., 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.streams import FlowStreams, FlowStreamsConfig


@dataclass(frozen=True)
class OFFApexNetConfig(FlowStreamsConfig):
    """Settings of OFF-ApexNet; the defaults are the published ones, except the dropout, which is ours.

    Attributes:
        filters: filters of the two convolutions of a stream.
        hidden: width of the two fully connected layers.
    """

    filters: tuple[int, ...] = checked((6, 16), each(whole(), 2))
    hidden: int = checked(1024, whole())


@register_model("off_apexnet", spec=WHOLE_FACE, description="OFF-ApexNet: two streams of two convolutions, 2.66 M")
class OFFApexNet(EmotionModel):
    """Two streams, of horizontal and of vertical flow, joined by two fully connected layers.

    Source: Gan, Liong, Yau, Huang and Tan, "OFF-ApexNet on micro-expression recognition system", Signal Processing:
    Image Communication 74, 2019 (arXiv 1805.08699). Each stream: 5x5 convolution with 6 filters, 2x2 max pooling, 5x5
    convolution with 16 filters, 2x2 max pooling; then two fully connected layers of 1024 over both.

    Parameters: 2,664,475. Published: 2.66 M (table of Off-TANet, PRICAI 2021, for images of 28 px), so every layer has
    its published size.

    Deviations: only the abstract of the paper, and citations of it, were available. These choices are therefore ours:
    the padding of 2 (maps keep their side; this padding gives the published number of parameters), ReLU after each
    layer, and dropout of 0.5 after each fully connected layer.
    """

    config_class: ClassVar[type[ModelConfig]] = OFFApexNetConfig
    config: OFFApexNetConfig

    def __init__(self, config: OFFApexNetConfig) -> None:
        super().__init__(config)
        first, second = config.filters
        self.flow = FlowStreams(config, lambda: _Stream(first, second))
        self.fc1 = nn.Linear(2 * second * config.pooled**2, config.hidden)
        self.fc2 = nn.Linear(config.hidden, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.head = make_classifier(config.hidden, config.num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the maps of both streams (B, 32, 7, 7)."""
        return self.flow(self.standardize(x))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Maps to class scores (B, num_classes), or to the second fully connected layer (B, hidden)."""
        hidden = self.drop(F.relu(self.fc1(features.flatten(1))))
        hidden = self.drop(F.relu(self.fc2(hidden)))
        return hidden if pre_logits else self.head(hidden)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The streams."""
        return tuple(self.flow.streams)


class _Stream(nn.Module):
    """Two convolutions, each with a pooling."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, first, 5, padding=2)
        self.conv2 = nn.Conv2d(first, second, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, second, H / 4, W / 4)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return F.max_pool2d(F.relu(self.conv2(x)), 2)
