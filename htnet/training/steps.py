"""The steps of one training: its batches, their loss, and the trained model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.models import EmotionModel
from htnet.training.averaging import show
from htnet.training.generated_samples import GeneratedSamples
from htnet.training.job import Member
from htnet.training.losses import proposal_losses, recipe_loss, unit_losses
from htnet.training.recipe import Recipe
from htnet.training.tensors import TrainingSet

#: Keys of a batch that are not extra inputs of the model.
BATCH = ("images", "targets", "units", "weights")


class PlainStepper:
    """Steps of one training in one process."""

    def __init__(self, member: Member) -> None:
        """Prepare the steps of ``member``; generated images are made if the recipe adds any."""
        self.members: Sequence[Member] = (member,)
        self._member, self._recipe, self._model = member, member.job.recipe, member.model
        self._device = torch.device(member.job.device)
        self.weights: Mapping[str, Tensor] = self._model.state_dict()
        self.parameters: Sequence[Tensor] = list(self._model.parameters())
        self.capture = self._device.type == "cuda" and self._model.cuda_graph_safe
        self._generated = GeneratedSamples(self._recipe, self._model, member.data)
        self._has_units = trains_units(self._model, self._generated.pool or member.data)

    def drawing(self) -> AbstractContextManager[None]:
        """Draw from the training's RNG state; the forward pass draws random numbers too if the model has dropout."""
        self._model.train()
        return self._member.rng.active()

    def batches(self) -> Iterable[Tensor]:
        """Indices of the samples."""
        return batches(len(self._member.data), self._recipe, self._device)

    def inputs(self, batch: Tensor) -> dict[str, Tensor]:
        """Tensors of one step: the real samples, then the generated ones."""
        member = self._member
        made = member.data.batch(batch, self._recipe.augmentation, member.mean, member.std, member.extras)
        images, targets, extras = self._generated.append(*made, member.mean, member.std)
        return {"images": images, "targets": targets, **extras}

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Loss of emotions, and of units or proposals if they are trained; generated samples have their own weight."""
        loss, generated = self.losses(inputs, self._generated.count)
        return loss if generated is None else loss + self._recipe.generated_weight * generated

    def losses(self, inputs: Mapping[str, Tensor], generated: int) -> tuple[Tensor, Tensor | None]:
        """Mean loss of the real samples, and of the last ``generated`` samples of the batch (None without any)."""
        recipe, extras = self._recipe, {key: value for key, value in inputs.items() if key not in BATCH}
        with autocast(self._device, recipe):
            if self._has_units:
                scores, units = self._model(inputs["images"], return_units=True, **extras)
            elif recipe.proposal_weight:
                scores, proposals = self._model(inputs["images"], return_proposals=True, **extras)
            else:
                scores = self._model(inputs["images"], **extras)
        scores, targets = scores.float(), inputs["targets"]
        real = len(targets) - generated
        loss = recipe_loss(recipe, scores[:real], targets[:real])
        if recipe.proposal_weight:
            loss = loss + proposal_losses(recipe, proposals[:real].float(), targets[:real]).mean()
        if generated:
            made = recipe_loss(recipe, scores[real:], targets[real:])
            if self._has_units:
                made = made + unit_losses(recipe, units[real:].float(), inputs["units"]).mean()
            return loss, made
        if self._has_units:
            loss = loss + unit_losses(recipe, units.float(), inputs["units"]).mean()
        return loss, None

    def summed(self, loss: Tensor) -> Tensor:
        """The loss itself."""
        return loss

    def models(self, result: Mapping[str, Tensor]) -> list[EmotionModel]:
        """The trained model itself, or a copy with the recipe's EMA or interpolated weights."""
        if result is self.weights:
            return [self._model]
        shown = copy.deepcopy(self._model)
        show(result, shown)
        return [shown]


def trains_units(model: EmotionModel, data: TrainingSet) -> bool:
    """Whether action units are trained: the model scores units and the set has targets for them.

    Raises:
        InputError: the model and the set have different numbers of units.
    """
    scored, known = model.action_units, data.units
    if known is None or not scored:
        return False
    if known.shape[1] != len(scored):
        raise InputError(
            f"The set has {known.shape[1]} action units, but the model scores {len(scored)}: {scored}. Build "
            "the model with action_units in the order of the set."
        )
    return True


def autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    """The context in which a recipe's scores are computed."""
    # On CUDA without the cache of cast weights: a captured graph must not read those of an earlier pass.
    return torch.autocast(
        device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16", cache_enabled=device.type != "cuda"
    )


def num_batches(samples: int, recipe: Recipe) -> int:
    """Number of steps per epoch."""
    return len(_split(torch.empty(samples), recipe.batch_size))


def batches(samples: int, recipe: Recipe, device: torch.device) -> list[Tensor]:
    """Sample indices of an epoch, batch by batch; if the recipe shuffles, the global generator draws the order."""
    order = torch.randperm(samples) if recipe.shuffle else torch.arange(samples)
    return _split(order.to(device), recipe.batch_size)


def _split(order: Tensor, size: int) -> list[Tensor]:
    """Split into batches; a single leftover sample joins the last one, because batch norms need two samples."""
    parts = list(order.split(size))
    if len(parts) > 1 and size > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
