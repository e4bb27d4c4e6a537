"""Many trainings of one architecture at once: their weights stacked, their products batched."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel, create_model
from htnet.models.layers import BlockAttention, Downsample
from htnet.training.loop import (
    OnEpoch,
    Start,
    autocast,
    average,
    batches,
    check_start,
    make_optimizer,
    num_batches,
    trains_units,
)
from htnet.training.losses import recipe_losses
from htnet.training.progress import Checkpoint, Part, Progress
from htnet.training.recipe import Recipe
from htnet.training.step import Gradients
from htnet.training.streams import Streams
from htnet.training.tensors import TrainingSet

_OWN_INPUTS = ("images", "targets", "weights")


@dataclass(frozen=True, eq=False)
class Training:
    """One of the trainings.

    Attributes:
        data: training set.
        seed: of weights, order and augmentation.
        on_epoch: called after each epoch with (epoch, model in eval mode); its results are returned.
    """

    data: TrainingSet
    seed: int = 0
    on_epoch: OnEpoch | None = None


@dataclass(frozen=True, eq=False)
class _Member:
    """A training under way: its data on the device, and a model whose weights are views of the stack's."""

    training: Training
    data: TrainingSet
    settings: dict[str, Any]
    begun: str | None
    model: EmotionModel
    mean: Tensor
    std: Tensor
    extras: dict[str, Tensor]


class _Tensors:
    """Named tensors as a part of a checkpoint."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def state_dict(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.tensors.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])


def train_together(
    name: str,
    trainings: Sequence[Training],
    recipe: Recipe,
    *,
    device: str | torch.device = "cpu",
    settings: dict[str, Any] | None = None,
    start: Start | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[tuple[EmotionModel, list[Any]]]:
    """Train many models at once; each comes out as `train_model` makes it alone, up to rounding.

    Their weights are stacked along a new first dimension, so that every product of the network is one batched product
    for all. Each draws its random numbers as if it were alone. Where sets differ in size, the last batch of an epoch
    is filled up with samples that count nothing.

    Args:
        name: registered model.
        trainings: what to train; all must have the same number of steps an epoch, see `num_batches`.
        recipe: how to train.
        device: where to train.
        settings: overrides of the model's config, for all.
        start: gives each fresh model other weights, as in `train_model`.
        checkpoint: where to keep the state of all, to resume from if it exists already.

    Returns:
        For each training the model in eval mode, and what its ``on_epoch`` returned for each epoch.

    Raises:
        InputError: no trainings, different numbers of steps, or a model that cannot be stacked (dropout, running
            statistics, operations that depend on values).
        RecipeError: the recipe keeps a share of a start, and there is none.
        RunError: the checkpoint belongs to other trainings, or this process was forked from one that had computed.
    """
    refuse_after_fork()
    device = torch.device(device)
    steps = {num_batches(len(t.data), recipe) for t in trainings}
    if len(steps) != 1:
        raise InputError(
            f"{len(trainings)} trainings with {sorted(steps)} steps an epoch; give one or more that have the same."
        )
    (steps_an_epoch,) = steps
    streams = Streams([t.seed for t in trainings], device)
    members = []
    for i, training in enumerate(trainings):
        with streams.of(i):
            members.append(_begin(name, training, recipe, dict(settings or {}), start, device))
    refuse_unstackable(members[0].model)
    if recipe.generated:
        raise InputError(
            f"The recipe {recipe.name!r} adds generated images to each batch, which is done one model at a time only. "
            "Use train_model (htnet loso --stack 1)."
        )
    if any(trains_units(member.model, member.data) for member in members):
        raise InputError("Action units are trained one model at a time only. Use train_model.")
    base = copy.deepcopy(members[0].model).train()
    for module in base.modules():
        if isinstance(module, (BlockAttention, Downsample)):
            module.stacked = True
    weights, buffers = torch.func.stack_module_state([member.model for member in members])
    result = {key: value.detach().clone() for key, value in weights.items()} if recipe.average else weights
    check_start(recipe, start is not None)
    begin = {key: value.detach().clone() for key, value in weights.items()} if recipe.start_share else {}
    shown = {key: value.clone() for key, value in begin.items()} or result
    for i, member in enumerate(members):
        for key, parameter in member.model.named_parameters():
            parameter.data = shown[key].detach()[i]

    def one(own: Any, kept: Any, images: Tensor, extras: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(base, (own, kept), (images,), extras)

    def loss(inputs: Mapping[str, Tensor]) -> Tensor:
        extras = {key: value for key, value in inputs.items() if key not in _OWN_INPUTS}
        with autocast(device, recipe):
            scores = torch.vmap(one)(weights, buffers, inputs["images"], extras)
        losses = recipe_losses(recipe, scores.flatten(0, 1).float(), inputs["targets"].flatten(0, 1))
        return losses @ inputs["weights"].flatten()

    parameters = list(weights.values())
    gradients = Gradients(loss, parameters, capture=device.type == "cuda")
    optimizer, scheduler = make_optimizer(parameters, recipe, steps=recipe.epochs * steps_an_epoch)
    parts: dict[str, Part] = {"weights": _Tensors(weights), "result": _Tensors(result), "optimizer": optimizer}
    parts |= {"random": streams, **({"scheduler": scheduler} if scheduler else {})}
    state = Progress(checkpoint, _describe(name, members, recipe) if checkpoint else "", parts)
    state.records = state.records or [[] for _ in members]
    step = state.epoch * steps_an_epoch
    while state.epoch < recipe.epochs:
        orders = []
        for i, member in enumerate(members):
            with streams.of(i):
                orders.append(batches(len(member.data), recipe, device))
        for indices in zip(*orders, strict=True):
            gradients(_inputs(members, indices, recipe, streams))
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            if recipe.average:
                average(result, weights, recipe, step)
            step += 1
        state.epoch += 1
        _blend(shown, begin, result, recipe.start_share)
        for member, records in zip(members, state.records, strict=True):
            if member.training.on_epoch is not None:
                records.append(member.training.on_epoch(state.epoch, member.model.eval()))
        state.save_now_and_then()
    _blend(shown, begin, result, recipe.start_share)
    state.done()
    for member in members:
        for parameter in member.model.parameters():
            parameter.data = parameter.data.clone()  # the others' weights need not stay in memory
    return [(member.model.eval(), records) for member, records in zip(members, state.records, strict=True)]


@torch.no_grad()
def _blend(
    shown: Mapping[str, Tensor], begin: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float
) -> None:
    """As `htnet.training.loop.Blend`, for weights that are stacked."""
    for key, start in begin.items():
        shown[key].copy_(trained[key].lerp(start, share))


def refuse_unstackable(model: EmotionModel) -> None:
    """Raise `InputError` unless many models of this kind can be trained at once."""
    if not model.repeatable:
        raise InputError(
            f"{model.name} cannot be trained many at once: it has dropout, keeps running statistics, or does other "
            "operations for other values. Train them one by one (train_model; htnet loso --stack 1)."
        )


def _begin(
    name: str,
    training: Training,
    recipe: Recipe,
    settings: dict[str, Any],
    start: Start | None,
    device: torch.device,
) -> _Member:
    data = training.data.to(device)
    mean, std = data.statistics()
    if recipe.standardize:
        settings |= {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
    model = create_model(name, **settings)
    begun = start(model) if start is not None else None
    model = model.to(device)
    return _Member(training, data, settings, begun, model, mean, std, data.extras(model.extra_inputs))


def _describe(name: str, members: Sequence[_Member], recipe: Recipe) -> str:
    each = [[m.settings, m.training.seed, m.data.digest(), m.begun] for m in members]
    return json.dumps(["together", name, recipe.to_dict(), each, torch.__version__])


def _inputs(
    members: Sequence[_Member], indices: Sequence[Tensor], recipe: Recipe, streams: Streams
) -> dict[str, Tensor]:
    """One batch of every training, (trainings, B, ...) each, with the weights of the samples in the loss."""
    found = []
    for i, (member, index) in enumerate(zip(members, indices, strict=True)):
        with streams.of(i):
            images, targets, more = member.data.batch(
                index, recipe.augmentation, member.mean, member.std, member.extras
            )
        more.pop("units", None)
        weights = torch.full((len(index),), 1 / len(index), device=images.device)
        found.append({"images": images, "targets": targets, "weights": weights, **more})
    return {key: _stack([batch[key] for batch in found]) for key in found[0]}


def _stack(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of different lengths in one, filled up with zeros."""
    longest = max(map(len, parts))
    filled = [torch.cat([p, p.new_zeros(longest - len(p), *p.shape[1:])]) if len(p) < longest else p for p in parts]
    return torch.stack(filled)
