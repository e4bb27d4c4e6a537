"""Many trainings of one architecture at once: their weights stacked, their products batched."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.core.global_state import usual_settings
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel
from htnet.models.layers import BlockAttention, Downsample
from htnet.training.averaging import check_wise_ft, show
from htnet.training.job import Member, OnCurve, OnEpoch, TrainingJob
from htnet.training.losses import recipe_losses
from htnet.training.recipe import Recipe
from htnet.training.start import Start
from htnet.training.state import Checkpoint
from htnet.training.steps import BATCH, autocast, batches, num_batches, trains_units
from htnet.training.tensors import TrainingSet
from htnet.training.trainer import run


@dataclass(frozen=True, eq=False)
class Training:
    """One of the trainings.

    Attributes:
        data: training set.
        seed: of weights, order and augmentation.
        on_epoch: called after each epoch with (epoch, model in eval mode); its results are returned.
        on_curve: called at the end with loss and learning rate of each epoch.
    """

    data: TrainingSet
    seed: int = 0
    on_epoch: OnEpoch | None = None
    on_curve: OnCurve | None = None


@usual_settings(grad=True)
def train_vmapped(
    name: str,
    trainings: Sequence[Training],
    recipe: Recipe,
    *,
    device: str | torch.device = "cpu",
    settings: Mapping[str, Any] | None = None,
    start: Start | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[tuple[EmotionModel, list[Any]]]:
    """Train several models at once; up to rounding, each equals the model that `train_model` trains alone.

    Their weights are stacked along a new first dimension, so every product of the network is one batched product
    for all. Each draws its random numbers as if it were alone. If sets differ in size, the last batch of an epoch
    is padded with samples of weight 0.

    Args:
        name: registered model.
        trainings: the trainings; all must have the same number of steps per epoch, see `num_batches`.
        recipe: how to train.
        device: where to train.
        settings: overrides of the model's config, for all trainings.
        start: gives each fresh model other weights, as in `train_model`.
        checkpoint: where to keep the state of all trainings, to resume from if it exists already.

    Returns:
        For each training the model in eval mode, and what its ``on_epoch`` returned for each epoch.

    Raises:
        InputError: no trainings, different numbers of steps, or a model that cannot be vmapped (dropout, running
            statistics, operations that depend on values).
        RecipeError: the recipe interpolates with starting weights (WiSE-FT), and there are none.
        RunError: the checkpoint belongs to other trainings, or this process was forked from one that had already used
            PyTorch's threads.
    """
    refuse_after_fork()
    check_wise_ft(recipe, start is not None)
    steps = {num_batches(len(t.data), recipe) for t in trainings}
    if len(steps) != 1:
        raise InputError(
            f"{len(trainings)} trainings with {sorted(steps)} steps per epoch cannot run at once. Give one or more "
            "with the same number of steps."
        )
    if recipe.generated:
        raise InputError(
            f"The recipe {recipe.name!r} adds generated images to each batch, which works for one model at a "
            "time only. "
            "Use train_model (htnet loso --vmap-folds 1)."
        )
    members = [
        Member.begin(TrainingJob(name, recipe, t.seed, device, settings or {}, start), t.data, t.on_epoch, t.on_curve)
        for t in trainings
    ]
    trained = run(VmappedStepper(members), checkpoint)
    for model, _ in trained:
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()  # so that the others' weights can be freed
    return trained


class VmappedStepper:
    """Steps of several trainings whose models differ only in their weights."""

    def __init__(self, members: Sequence[Member]) -> None:
        """Stack the weights.

        Raises:
            InputError: the model cannot be vmapped, or action units are to be trained.
        """
        refuse_not_vmappable(members[0].model)
        if any(trains_units(member.model, member.data) for member in members):
            raise InputError("Action units are trained one model at a time only. Use train_model.")
        self.members, self._recipe = members, members[0].job.recipe
        self._device = torch.device(members[0].job.device)
        self._base = copy.deepcopy(members[0].model).train()
        for module in self._base.modules():
            if isinstance(module, (BlockAttention, Downsample)):
                module.vmapped = True
        stacked, self._buffers = torch.func.stack_module_state([member.model for member in members])
        self.weights: Mapping[str, Tensor] = stacked
        self.parameters: Sequence[Tensor] = list(stacked.values())
        self.capture = self._device.type == "cuda"

    def drawing(self) -> AbstractContextManager[None]:
        """Do nothing: each member's RNG state is used where it draws, and the forward pass draws nothing."""
        return nullcontext()

    def batches(self) -> Iterable[tuple[Tensor, ...]]:
        """Indices of each member's samples."""
        orders = []
        for member in self.members:
            with member.rng.active():
                orders.append(batches(len(member.data), self._recipe, self._device))
        return zip(*orders, strict=True)

    def inputs(self, batch: Sequence[Tensor]) -> dict[str, Tensor]:
        """One batch of every training, stacked to (trainings, B, ...), with the samples' weights in the loss."""
        made = []
        for member, index in zip(self.members, batch, strict=True):
            with member.rng.active():
                images, targets, extras = member.data.batch(
                    index, self._recipe.augmentation, member.mean, member.std, member.extras
                )
            extras.pop("units", None)
            weights = torch.full((len(index),), 1 / len(index), dtype=torch.float32, device=images.device)
            made.append({"images": images, "targets": targets, "weights": weights, **extras})
        return {key: _stack([own[key] for own in made]) for key in made[0]}

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The loss of each training: (trainings,). Each training's gradients are those of the sum of all losses."""
        extras = {key: value for key, value in inputs.items() if key not in BATCH}
        with autocast(self._device, self._recipe):
            scores = torch.vmap(self._one)(self.weights, self._buffers, inputs["images"], extras)
        losses = recipe_losses(self._recipe, scores.flatten(0, 1).float(), inputs["targets"].flatten(0, 1))
        return (losses.view_as(inputs["weights"]) * inputs["weights"]).sum(1)

    def _one(self, weights: Any, buffers: Any, images: Tensor, extras: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(self._base, (weights, buffers), (images,), extras)

    def summed(self, loss: Tensor) -> Tensor:
        """The loss itself."""
        return loss

    def models(self, result: Mapping[str, Tensor]) -> list[EmotionModel]:
        """The members' own models, with views of the stacked weights."""
        for i, member in enumerate(self.members):
            show({key: tensor[i] for key, tensor in result.items()}, member.model)
        return [member.model for member in self.members]


def refuse_not_vmappable(model: EmotionModel) -> None:
    """Raise `InputError` unless many models of this kind can be trained at once."""
    if not model.cuda_graph_safe:
        raise InputError(
            f"{model.name} cannot be vmapped: it has dropout, keeps running statistics, or its operations "
            "depend on values. Train them one by one (train_model; htnet loso --vmap-folds 1)."
        )


def _stack(parts: Sequence[Tensor]) -> Tensor:
    """Stack tensors of different lengths, padded with zeros."""
    longest = max(map(len, parts))
    filled = [torch.cat([p, p.new_zeros(longest - len(p), *p.shape[1:])]) if len(p) < longest else p for p in parts]
    return torch.stack(filled)
