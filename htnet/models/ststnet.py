"""STSTNet: shallow triple stream three-dimensional CNN (Liong et al., FG 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.fields import checked, each, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model


@dataclass(frozen=True)
class STSTNetConfig(ModelConfig):
    """Settings of STSTNet; the defaults are the published ones.

    Attributes:
        filters: filters of the three streams.
    """

    dropout: float = 0.5
    filters: tuple[int, ...] = checked((3, 5, 8), each(whole(), 3))


@register_model("ststnet", spec=WHOLE_FACE, description="three shallow streams over the whole face, 1.7 k")
class STSTNet(EmotionModel):
    """Three parallel one-layer convolutional streams over the whole-face flow image.

    Source: Liong et al., "Shallow Triple Stream Three-dimensional CNN (STSTNet) for Micro-expression
    Recognition", FG 2019. Parameter names are those of the published PyTorch checkpoints.
    """

    config_class: ClassVar[type[ModelConfig]] = STSTNetConfig
    classifier_name: ClassVar[str] = "fc"
    config: STSTNetConfig

    def __init__(self, config: STSTNetConfig) -> None:
        super().__init__(config)
        a, b, c = config.filters
        self.conv1 = nn.Conv2d(config.channels, a, 3, padding=2)
        self.conv2 = nn.Conv2d(config.channels, b, 3, padding=2)
        self.conv3 = nn.Conv2d(config.channels, c, 3, padding=2)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(a), nn.BatchNorm2d(b), nn.BatchNorm2d(c)
        self.drop = nn.Dropout(config.dropout)
        pooled = (config.image_size + 3) // 3  # 3x3 max pooling, stride 3, of size + 2, padding 1
        self.fc = make_classifier(sum(config.filters) * (pooled // 2) ** 2, config.num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the pooled streams (B, sum of filters, 5, 5)."""
        x = self.standardize(x)
        streams = [
            self.drop(F.max_pool2d(norm(F.relu(conv(x))), 3, stride=3, padding=1))
            for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
        ]
        return F.avg_pool2d(torch.cat(streams, dim=1), 2)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Pooled streams to class scores (B, num_classes), or to the flat vector (B, 400)."""
        flat = features.flatten(1)
        return flat if pre_logits else self.fc(flat)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The three streams before their pooling."""
        return self.bn1, self.bn2, self.bn3
