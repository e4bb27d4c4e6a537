"""RCN: recurrent convolutional networks with modules that have no parameters (Xia et al., 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, flag, whole
from htnet.models.base import EmotionModel, ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model


@dataclass(frozen=True)
class RCNConfig(ModelConfig):
    """Settings of RCN.

    Attributes:
        filters: filters of every layer.
        steps: how often the recurrent layer reads its own output.
        pool: side and stride of the average pooling before the classifier, px.
        attention: multiply the map by its attention over positions, see `spatial_attention`.
        shortcut: add the recurrent layer's input in each of its steps.
        wide: read the recurrent layer's own output at two scales with the same weights.
    """

    filters: int = checked(32, whole())
    steps: int = checked(3, whole())
    pool: int = checked(5, whole())
    attention: bool = checked(False, flag())
    shortcut: bool = checked(False, flag())
    wide: bool = checked(False, flag())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool > self.image_size:
            raise ModelError(f"pool is {self.pool}, more than image_size {self.image_size}; give less.")


def spatial_attention(x: Tensor) -> Tensor:
    """Attention over positions that has no parameters: sigmoid of the standardized mean over channels.

    Args:
        x: (B, C, H, W).

    Returns:
        (B, 1, H, W), 0 to 1.
    """
    mean = x.mean(dim=1, keepdim=True)
    centered = mean - mean.mean(dim=(2, 3), keepdim=True)
    scale = centered.square().mean(dim=(2, 3), keepdim=True).sqrt() + 1e-3
    return (centered / scale).sigmoid()


def dilated(x: Tensor, weight: Tensor, bias: Tensor | None, dilations: tuple[int, ...]) -> Tensor:
    """3x3 convolutions of the same weights at several dilations, their mean: (B, C, H, W) to (B, C', H, W)."""
    parts = [F.conv2d(x, weight, bias, padding=d, dilation=d) for d in dilations]
    return parts[0] if len(parts) == 1 else torch.stack(parts).mean(dim=0)


@register_model("rcn_a", spec=WHOLE_FACE, description="RCN with attention, 22 k", attention=True)
@register_model("rcn_s", spec=WHOLE_FACE, description="RCN with shortcuts, 22 k", shortcut=True)
@register_model("rcn_w", spec=WHOLE_FACE, description="RCN, widened, 22 k", wide=True)
@register_model(
    "rcn_f", spec=WHOLE_FACE, description="RCN with all three, 22 k", attention=True, shortcut=True, wide=True
)
class RCN(EmotionModel):
    """A convolution, a recurrent convolutional layer and average pooling, with up to three modules without parameters.

    The recurrent layer reads its input once. In each of a few steps it reads its own output by a second convolution,
    whose weights all steps share (Liang and Hu, "Recurrent convolutional neural network for object recognition", CVPR
    2015): h_0 = ReLU(a), h_t = ReLU(a + norm_t(W h_(t-1))), where a is the normed convolution of the input.

    Source: Xia, Peng, Khor, Feng and Zhao, "Revealing the invisible with model and data shrinking for
    composite-database micro-expression recognition", IEEE TIP 29, 2020 (arXiv 2006.09674). From its abstract: a shallow
    recurrent convolutional network for images of low resolution, and three modules that add no parameters: wide
    expansion (RCN-W), shortcut connection (RCN-S) and attention unit (RCN-A). From the command line in the README of
    the authors' repository: 32 filters, pooling of 5.

    Parameters: 22,019 in all four, since the modules have none. No published number was available.

    Deviations: only the abstract of the paper was available. These choices are therefore ours: one recurrent layer of
    three steps; a batch norm for each step; and what the modules do. Attention: `spatial_attention`. Shortcut: the
    layer's input is added in each step. Wide expansion: each step reads at dilations 1 and 2 with the same weights, and
    takes the mean. RCN-F is a combination that the paper found by a search; ours is all three modules together. The
    image is read at its 28 px.
    """

    config_class: ClassVar[type[ModelConfig]] = RCNConfig
    config: RCNConfig

    def __init__(self, config: RCNConfig) -> None:
        super().__init__(config)
        n = config.filters
        self.conv, self.norm = nn.Conv2d(config.channels, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)
        self.layer = RecurrentLayer(config)
        self.drop = nn.Dropout(config.dropout)
        self.head = make_classifier(n * (config.image_size // config.pool) ** 2, config.num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the recurrent layer's map (B, filters, H, W)."""
        x = self.layer(F.relu(self.norm(self.conv(self.standardize(x)))))
        return x * spatial_attention(x) if self.config.attention else x

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Map to class scores (B, num_classes), or to the pooled map (B, filters x 25)."""
        pooled = self.drop(F.avg_pool2d(features, self.config.pool).flatten(1))
        return pooled if pre_logits else self.head(pooled)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The convolution, normed, before its ReLU; the recurrent layer."""
        return self.norm, self.layer


class RecurrentLayer(nn.Module):
    """The recurrent convolutional layer.

    Attributes:
        dilations: of the convolution that reads the layer's own output.
    """

    def __init__(self, config: RCNConfig) -> None:
        super().__init__()
        n, self.shortcut, self.dilations = config.filters, config.shortcut, (1, 2) if config.wide else (1,)
        self.conv, self.norm = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n)
        self.recurrent = nn.Conv2d(n, n, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for _ in range(config.steps))

    def forward(self, x: Tensor) -> Tensor:
        """(B, filters, H, W) to the same shape."""
        read = self.norm(self.conv(x))
        state = F.relu(read)
        if self.shortcut:
            read = read + x
        for norm in self.norms:
            state = F.relu(read + norm(dilated(state, self.recurrent.weight, None, self.dilations)))
        return state
