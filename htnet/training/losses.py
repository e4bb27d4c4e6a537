"""Losses of the recipes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.core.errors import RecipeError
from htnet.core.fields import real
from htnet.models import EmotionModel
from htnet.training.recipe import Recipe


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss: ``-alpha (1 - p)^gamma log p`` of the true class's probability p, mean over the batch.

    Samples that the model already classifies correctly count less. ``alpha`` is one factor for all classes, as in the
    published dual-stream code: it scales the loss, and with it the step of plain gradient descent, but does not balance
    the classes.
    ``focal_loss(..., alpha=1, gamma=0)`` is cross-entropy.

    Source: Lin et al., "Focal loss for dense object detection", ICCV 2017, over the softmax of several classes.

    Args:
        logits: (B, C) scores before the softmax.
        targets: (B,) int64 class indexes, or (B, C) probabilities of the classes (mixed samples), which weight the
            terms of the classes.
        alpha: factor of the loss, above 0.
        gamma: exponent, 0 or more; the larger it is, the less well-classified samples count.

    Returns:
        The loss, a scalar.

    Raises:
        RecipeError: ``alpha`` or ``gamma`` is out of range.
    """
    return _focal_losses(logits, targets, alpha, gamma).mean()


def _focal_losses(logits: Tensor, targets: Tensor, alpha: float, gamma: float) -> Tensor:
    real(gt=0).check("alpha", alpha, RecipeError)
    real(ge=0).check("gamma", gamma, RecipeError)
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    logs = logits.log_softmax(dim=1)
    # From the logarithm, so 1 - p stays exact if p is almost 1. Above 0: powers below 1 have no finite gradient there.
    wrong = (-logs.expm1()).clamp_min(torch.finfo(logs.dtype).tiny)
    return -alpha * (targets * wrong**gamma * logs).sum(dim=1)


def margin_loss(
    scores: Tensor, targets: Tensor, *, upper: float = 0.9, lower: float = 0.1, absent: float = 0.5
) -> Tensor:
    """Margin loss of capsules: T max(0, upper - s)² + absent (1 - T) max(0, s - lower)², summed over classes.

    Source: Sabour, Frosst and Hinton, "Dynamic routing between capsules", NeurIPS 2017.

    Args:
        scores: (B, C), lengths of the class capsules, 0 to 1.
        targets: (B,) int64 class indexes, or (B, C) probabilities of the classes.
        upper: length above which the true class's capsule costs nothing.
        lower: length below which the others cost nothing.
        absent: weight of the others.

    Returns:
        The mean over the batch, a scalar.
    """
    return _margin_losses(scores, targets, upper, lower, absent).mean()


def _margin_losses(scores: Tensor, targets: Tensor, upper: float, lower: float, absent: float) -> Tensor:
    if targets.ndim == 1:
        targets = F.one_hot(targets, scores.shape[1]).to(scores.dtype)
    present, others = F.relu(upper - scores).square(), F.relu(scores - lower).square()
    return (targets * present + absent * (1 - targets) * others).sum(dim=1)


def recipe_losses(recipe: Recipe, logits: Tensor, targets: Tensor) -> Tensor:
    """The recipe's loss of each sample: (B,).

    Args:
        recipe: its ``loss``, and ``focal_alpha`` and ``focal_gamma`` for "focal".
        logits: (B, C) scores of the model.
        targets: (B,) int64 class indexes, or (B, C) probabilities.
    """
    if recipe.loss == "focal":
        return _focal_losses(logits, targets, recipe.focal_alpha, recipe.focal_gamma)
    if recipe.loss == "margin":
        return _margin_losses(logits, targets, 0.9, 0.1, 0.5)
    return F.cross_entropy(logits, targets, reduction="none")


def recipe_loss(recipe: Recipe, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean of `recipe_losses`."""
    if recipe.loss == "focal":
        return focal_loss(logits, targets, alpha=recipe.focal_alpha, gamma=recipe.focal_gamma)
    if recipe.loss == "margin":
        return margin_loss(logits, targets)
    return F.cross_entropy(logits, targets)


def unit_losses(recipe: Recipe, logits: Tensor, active: Tensor) -> Tensor:
    """Weighted binary cross-entropy of the action units of each sample: (B,).

    Args:
        recipe: its ``units_weight``.
        logits: (B, U, 2) scores before the sigmoid.
        active: (B, U, 2) float, 1 if a unit is active on a side, NaN if unknown. The loss of a sample is the mean over
            its known values, or 0 if it has none.
    """
    known = ~active.isnan()
    losses = F.binary_cross_entropy_with_logits(logits, active.nan_to_num(), reduction="none")
    # The second factor is exactly 1 if all values are known.
    means = torch.where(known, losses, 0.0).mean((1, 2)) * (active[0].numel() / known.sum((1, 2)).clamp_min(1))
    return recipe.units_weight * means


def proposal_losses(recipe: Recipe, logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted binary cross-entropy of the proposals (one per class) of each sample: (B,).

    Args:
        recipe: its ``proposal_weight``.
        logits: (B, C) scores before the sigmoid.
        targets: (B,) int64 class indexes, or (B, C) probabilities.
    """
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return recipe.proposal_weight * F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)


def check_proposals(recipe: Recipe, model: EmotionModel) -> None:
    """Check that a model has the proposals that a recipe trains.

    Raises:
        RecipeError: the recipe has a proposal loss, and the model does not have one proposal per class.
    """
    found, classes = getattr(model, "proposals", 0), model.config.num_classes
    if recipe.proposal_weight and found != classes:
        raise RecipeError(
            f"The recipe {recipe.name!r} trains one proposal for each of {classes} classes; {model.name} has {found}. "
            f"Use featref with proposals={classes}, or a recipe with proposal_weight 0."
        )
