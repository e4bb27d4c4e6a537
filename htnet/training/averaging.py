"""Averaging of weights: EMA after each step, and WiSE-FT interpolation with the start at the end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import RecipeError
from htnet.training.recipe import Recipe


class ResultWeights:
    """The resulting weights of a training.

    Attributes:
        ema: the EMA weights; the trained weights themselves in a recipe without EMA.
        result: interpolation of the start and the EMA weights, see `Recipe.wise_ft_alpha`; the EMA weights themselves
            if alpha is 1.
    """

    def __init__(self, recipe: Recipe, trained: Mapping[str, Tensor]) -> None:
        """Begin with the starting weights in ``trained``, tensors that training changes in place."""
        self._recipe, self._trained = recipe, trained
        self.ema = _copies(trained) if recipe.ema_decay else trained
        self._start = _copies(trained) if recipe.wise_ft_alpha < 1 else {}
        self.result = _copies(trained) if self._start else self.ema

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the EMA weights and running statistics toward the trained ones after step ``step`` (from 0)."""
        if self.ema is self._trained:
            return
        # The decay is smaller at first, so that the initial weights do not dominate a short training.
        decay = min(self._recipe.ema_decay, (1 + step) / (10 + step))
        for key, value in self.ema.items():
            if value.is_floating_point():
                value.lerp_(self._trained[key], 1 - decay)
            else:
                value.copy_(self._trained[key])

    @torch.no_grad()
    def interpolate(self) -> None:
        """Bring ``result`` up to date."""
        for key, start in self._start.items():
            end = self.ema[key]
            self.result[key].copy_(end.lerp(start, 1 - self._recipe.wise_ft_alpha) if end.is_floating_point() else end)


@renamed_arguments
def check_wise_ft(recipe: Recipe, started: bool) -> None:
    """Raise `RecipeError` if the recipe interpolates with starting weights (WiSE-FT), but there are none."""
    if recipe.wise_ft_alpha < 1 and not started:
        raise RecipeError(
            f"The recipe {recipe.name!r} has wise_ft_alpha {recipe.wise_ft_alpha}: its result is interpolated "
            "with the starting weights, but this training starts from scratch. Give it a start (such as "
            "--start synthetic), or wise_ft_alpha=1."
        )


def show(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    """Make a model's parameters and buffers views of these tensors."""
    for key, tensor in model.state_dict(keep_vars=True).items():
        if key in weights:
            tensor.data = weights[key].detach()


def _copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in weights.items()}
