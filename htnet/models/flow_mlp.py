"""FlowMLP: a perceptron with one wide hidden layer over the coarse flow of the whole face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import checked, whole
from htnet.models.base import ModelConfig, make_classifier
from htnet.models.registry import WHOLE_FACE, register_model
from htnet.models.unit_model import ACTION_UNITS, UnitModel

#: Added to a channel's variance, in squared gray levels: a channel without any structure stays 0.
_VARIANCE_FLOOR = 1.0


@dataclass(frozen=True)
class FlowMLPConfig(ModelConfig):
    """Settings of FlowMLP.

    Attributes:
        grid: number of averaging cells per side.
        hidden: width of the hidden layer.
        u_channel: index of the channel of the horizontal flow, whose sign changes in a mirror image; None if there is
            none.
        action_units: FACS numbers of the action units that a second head predicts, as in `htnet.models.HTNetConfig`.
    """

    grid: int = checked(7, whole())
    hidden: int = checked(512, whole())
    u_channel: int | None = 2
    action_units: tuple[int, ...] = checked((), ACTION_UNITS)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_multiple("image_size", "grid")
        if self.u_channel is not None and not whole(0, lt=self.channels).allows(self.u_channel):
            raise ModelError(
                f"u_channel, the channel of the horizontal flow, is {self.u_channel!r}; the image has {self.channels}. "
                "Give its index (u_channel=0 is the first), or u_channel=None if it is none of them."
            )


@register_model("flow_mlp", spec=WHOLE_FACE, description="one hidden layer over 7 x 7 cells of the whole face, 77 k")
class FlowMLP(UnitModel):
    """Two-layer perceptron over 7 x 7 cells of the whole face, invariant to mirroring.

    Each channel of each image is standardized to mean 0 and standard deviation 1 *separately*: the published images are
    min-max scaled one by one, so one outlier shifts the gray level of "no motion" and the scale of the whole channel.
    The channel is then averaged over a coarse grid. The hidden layer reads the face and its mirror image (u negated);
    the head reads the mean of the two outputs, so an expression and its mirror image get the same scores.

    Our own model, not a published one: chosen by a recipe search on half of the composite subjects (see the docs,
    "Synthesis").
    """

    config_class: ClassVar[type[ModelConfig]] = FlowMLPConfig
    same_operations: ClassVar[bool] = True
    config: FlowMLPConfig
    mirrored: Tensor

    def __init__(self, config: FlowMLPConfig) -> None:
        super().__init__(config)
        inputs = config.channels * config.grid**2
        self.hidden = nn.Linear(inputs, config.hidden)
        self.drop = nn.Dropout(config.dropout)
        self.head = make_classifier(config.hidden, config.num_classes)
        units = len(config.action_units)
        self.unit_head = nn.Linear(config.hidden, 2 * units) if units else None
        sign = [-1.0 if channel == config.u_channel else 1.0 for channel in range(config.channels)]
        self.register_buffer("mirrored", torch.tensor(sign).view(1, -1, 1, 1), persistent=False)
        # Inputs have standard deviation 1 and are correlated, so the hidden activations cover the nonlinear part of
        # GELU.
        nn.init.normal_(self.hidden.weight, std=inputs**-0.5)
        nn.init.normal_(self.hidden.bias, std=0.5)

    def cells(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to its standardized cells (B, channels, grid, grid)."""
        # The set's mean and deviation, `standardize`, would cancel out here.
        centered = x - x.mean(dim=(2, 3), keepdim=True)
        scale = (centered.square().mean(dim=(2, 3), keepdim=True) + _VARIANCE_FLOOR).rsqrt()
        return F.avg_pool2d(centered * scale, self.config.image_size // self.config.grid)

    def forward_features(self, x: Tensor) -> Tensor:
        """Image (B, channels, H, W), 0..255, to the hidden activations of face and mirror image (B, 2, hidden)."""
        cells = self.cells(x)
        both = torch.stack([cells, cells.flip(-1) * self.mirrored], dim=1).flatten(2)
        return self.drop(F.gelu(self.hidden(both)))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Activations (B, 2, hidden) to class scores (B, num_classes), or to their mean (B, hidden)."""
        pooled = features.mean(dim=1)
        return pooled if pre_logits else self.head(pooled)

    @property
    def stages(self) -> tuple[nn.Module, ...]:
        """The hidden layer, before its GELU: face and mirror image, (B, 2, hidden)."""
        return (self.hidden,)

    def unit_scores(self, features: Tensor) -> Tensor:
        """Activations (B, 2, hidden) to unit scores (B, units, 2); the sides of the mirror image are swapped back."""
        assert self.unit_head is not None  # checked by `forward`
        face, mirror = self.unit_head(features).unflatten(2, (-1, 2)).unbind(1)
        scores: Tensor = (face + mirror.flip(-1)) / 2
        return scores
