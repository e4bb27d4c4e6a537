"""Base class of models with a second head, for action units."""

from __future__ import annotations

from typing import Literal, overload

from torch import Tensor, nn

from htnet.core.errors import ModelError
from htnet.core.fields import Rule, each, whole
from htnet.models.base import EmotionModel

#: Rule of the field `action_units` of models that have a head for them.
ACTION_UNITS = Rule(
    lambda units: each(whole()).allows(units) and len(set(units)) == len(units),
    "FACS numbers of 1 or more, each once",
)


class UnitModel(EmotionModel):
    """Base class of models with an optional second head for action units (``action_units`` in the config)."""

    unit_head: nn.Linear | None

    def unit_scores(self, features: Tensor) -> Tensor:
        """Scores of the units, (B, units, 2), from the output of `forward_features`; needs a `unit_head`."""
        raise NotImplementedError

    @overload
    def forward(self, x: Tensor, *, return_units: Literal[False] = False) -> Tensor: ...

    @overload
    def forward(self, x: Tensor, *, return_units: Literal[True]) -> tuple[Tensor, Tensor]: ...

    def forward(self, x: Tensor, *, return_units: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Class scores.

        Args:
            x: (B, channels, image_size, image_size), channels in the order of `input_kind`, range 0..255, of an integer
                or floating-point type.
            return_units: return the scores of the action units too.

        Returns:
            (B, num_classes) scores before the softmax; with ``return_units`` also (B, units, 2) scores before the
            sigmoid, in the order of ``config.action_units``, for the image's left (the subject's right) and right
            side.

        Raises:
            ModelError: the shape or the type is wrong, or there is no head for action units.
        """
        if not return_units:
            return super().forward(x)
        if self.unit_head is None:
            raise ModelError(
                f"{self.name} has no head for action units. Load weights that have one, such as 'synthetic', or build "
                "the model with action_units=(1, 2, 4, ...)."
            )
        features = self.forward_features(self.check_image(x))
        return self.forward_head(features), self.unit_scores(features)
