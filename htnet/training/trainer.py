"""The training loop: deterministic, and resumable at every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from htnet.core.global_state import usual_settings
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel
from htnet.training.averaging import ResultWeights, check_wise_ft
from htnet.training.finite import LossWatch
from htnet.training.gradients import Gradients
from htnet.training.job import Callback, EpochReport, Member, OnCurve, OnEpoch, TrainingJob, describe
from htnet.training.ranks import Ranks
from htnet.training.recipe import Recipe
from htnet.training.shared import SharedStepper
from htnet.training.start import Start
from htnet.training.state import Checkpoint, NamedTensors, Stateful, TrainingState
from htnet.training.steps import PlainStepper, num_batches
from htnet.training.tensors import TrainingSet


class Stepper(Protocol):
    """What the training loop needs from one training, or from several that run at once.

    Attributes:
        members: the trainings.
        weights: the trained tensors, and the buffers that change with them.
        parameters: those of ``weights`` that have gradients.
        capture: whether loss and gradients are captured as a CUDA graph.
    """

    members: Sequence[Member]
    weights: Mapping[str, Tensor]
    parameters: Sequence[Tensor]
    capture: bool

    def drawing(self) -> AbstractContextManager[None]:
        """Context in which the steps of an epoch run."""
        ...

    def batches(self) -> Iterable[Any]:
        """The samples of an epoch, step by step."""
        ...

    def inputs(self, batch: Any) -> dict[str, Tensor]:
        """The tensors of one step."""
        ...

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Loss of each training: (trainings,), or a scalar if there is only one."""
        ...

    def summed(self, loss: Tensor) -> Tensor:
        """The loss of a step; if several processes share the step, loss and gradients are summed over them."""
        ...

    def models(self, result: Mapping[str, Tensor]) -> list[EmotionModel]:
        """Models whose weights are views of ``result``, for callbacks and to return."""
        ...


def train_model(
    name: str,
    data: TrainingSet,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    settings: Mapping[str, Any] | None = None,
    start: Start | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[EmotionModel, list[Any]]:
    """Build a model and train it.

    The result depends only on the seed, the data, the recipe and the number of threads, not on what ran before or on
    how often training was interrupted and resumed.

    Args:
        name: registered model.
        data: training set.
        recipe: how to train.
        seed: seed of weights, order, augmentation and dropout.
        device: where to train.
        settings: overrides of the model's config.
        start: gives the fresh model other weights, as `StartFrom` does.
        on_epoch: called after each epoch with the model in eval mode; its results are returned.
        checkpoint: where to keep the state, to resume from if it exists already.
        callbacks: called after each epoch with an `EpochReport`, which contains loss and learning rate of every epoch
            so far, and the model in eval mode, which they must not change.

    Returns:
        The model in eval mode, and what ``on_epoch`` returned for each epoch.

    Raises:
        NonFiniteLossError: the loss of a step is NaN or infinite; the samples of its batch are named. The checkpoint is
            removed.
        RunError: the checkpoint belongs to another training, or this process was forked from one that had already used
            PyTorch's threads.
        RecipeError: the recipe interpolates with starting weights (WiSE-FT), and there are none.
        InputError: the recipe adds generated images, which the model or the data cannot be trained with.
    """
    refuse_after_fork()
    job = TrainingJob(name, recipe, seed, device, settings or {}, start)
    return run_job(job, data, on_epoch, checkpoint, callbacks)


@usual_settings(grad=True)
def run_job(
    job: TrainingJob,
    data: TrainingSet,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
    *,
    on_curve: OnCurve | None = None,
    ranks: Ranks | None = None,
) -> tuple[EmotionModel, list[Any]]:
    """Run `train_model` for a job, which several processes may share; see `joined_ranks`.

    ``on_curve`` is called at the end with loss and learning rate of each epoch.

    Raises:
        InputError: a batch has fewer samples than there are processes, or the device is not the CPU.
        ModelError: the model draws random numbers in a way that several processes cannot share.
        RunError: the processes have other data, options or versions.
    """
    refuse_after_fork()
    check_wise_ft(job.recipe, job.start is not None)
    member = Member.begin(job.loaded(), data, on_epoch, on_curve)
    if ranks is None:
        (trained,) = run(PlainStepper(member), checkpoint, callbacks)
        return trained
    ranks.check_same(describe([member]), "data, options or versions")
    (trained,) = run(SharedStepper(member, ranks), checkpoint, callbacks if ranks.writes else (), ranks)
    return trained


def run(
    stepper: Stepper, checkpoint: Checkpoint | None, callbacks: Sequence[Callback] = (), ranks: Ranks | None = None
) -> list[tuple[EmotionModel, list[Any]]]:
    """Train; returns for each member its model in eval mode, and what its ``on_epoch`` returned for each epoch.

    Callbacks get the curve and the model of the first member.
    """
    members, recipe = stepper.members, stepper.members[0].job.recipe
    steps = num_batches(len(members[0].data), recipe)
    optimizer, scheduler = make_optimizer(stepper.parameters, recipe, steps=recipe.epochs * steps)
    weights = ResultWeights(recipe, stepper.weights)
    models = stepper.models(weights.result)
    gradients = Gradients(stepper.loss, stepper.parameters, stepper.capture)
    parts: dict[str, Stateful] = {"weights": NamedTensors(stepper.weights), "ema": NamedTensors(weights.ema)}
    parts |= {"optimizer": optimizer, **({"scheduler": scheduler} if scheduler else {})}
    parts |= {f"rng{i}": member.rng for i, member in enumerate(members)}
    state = TrainingState(checkpoint, describe(members) if checkpoint else "", parts, len(members), ranks)
    step = state.epoch * steps
    watch = LossWatch(members, steps, torch.device(members[0].job.device), state.discard)
    while state.epoch < recipe.epochs:
        loss: Tensor | float = 0.0
        with stepper.drawing():
            for batch in stepper.batches():
                of_step = stepper.summed(gradients(stepper.inputs(batch)))
                watch.look(state.epoch + 1, batch, of_step)
                loss = loss + of_step
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
                weights.update(step)
                step += 1
        state.epoch += 1
        watch.end_epoch(state.epoch)
        weights.interpolate()
        state.curves.add(torch.as_tensor(loss), steps, float(optimizer.param_groups[0]["lr"]))
        for member, model, records in zip(members, models, state.records, strict=True):
            if member.on_epoch is not None:
                records.append(member.on_epoch(state.epoch, model.eval()))
        if callbacks:
            report = EpochReport(state.epoch, recipe.epochs, tuple(state.curves.read()[0]))
            for callback in callbacks:
                callback(report, models[0].eval())
        state.save_now_and_then()
    weights.interpolate()
    watch.end(state.epoch, weights.result.values())
    for member, curve in zip(members, state.curves.read(), strict=True):
        if member.on_curve is not None:
            member.on_curve(curve)
    state.done()
    return [(model.eval(), records) for model, records in zip(models, state.records, strict=True)]


@usual_settings()
def predict_set(model: EmotionModel, data: TrainingSet, batch_size: int = 256) -> Tensor:
    """Class probabilities of a set, without augmentation and with the model's temperature.

    See `EmotionModel.probabilities`.

    Returns:
        (N, num_classes) float32, on the CPU.
    """
    refuse_after_fork()
    model.eval()
    data = data.to(next(model.parameters()).device)
    extras = data.extras(model.extra_inputs)
    index = torch.arange(len(data), device=data.labels.device).split(batch_size)
    parts = zip(data.inputs().split(batch_size), index, strict=True)
    scores = [model(images, **{name: values[at] for name, values in extras.items()}) for images, at in parts]
    return torch.cat([model.probabilities(part) for part in scores]).cpu()


def make_optimizer(
    parameters: Iterable[Tensor], recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    """The optimizer of a recipe, and its schedule over ``steps`` steps if it has one.

    It does not change parameters without a gradient, such as queries and keys of blocks with one token.
    """
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    if recipe.schedule == "constant":
        return optimizer, None
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
