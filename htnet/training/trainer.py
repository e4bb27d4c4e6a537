"""The one training loop: deterministic, and resumable at every epoch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel
from htnet.training.averaging import ResultWeights, check_wise_ft, show
from htnet.training.generated_samples import GeneratedSamples
from htnet.training.gradients import Gradients
from htnet.training.job import Callback, EpochReport, Member, OnCurve, OnEpoch, TrainingJob, describe
from htnet.training.losses import proposal_losses, recipe_loss, unit_losses
from htnet.training.recipe import Recipe
from htnet.training.start import Start
from htnet.training.state import Checkpoint, NamedTensors, Stateful, TrainingState
from htnet.training.tensors import TrainingSet

#: What every batch has; all else in it is read by the model.
BATCH = ("images", "targets", "units", "weights")


class Stepper(Protocol):
    """What the loop asks of one training, or of many that are run at once.

    Attributes:
        members: the trainings.
        weights: the tensors that are trained, and those that change with them.
        parameters: those of them that have gradients.
        capture: whether loss and gradients are captured as a CUDA graph.
    """

    members: Sequence[Member]
    weights: Mapping[str, Tensor]
    parameters: Sequence[Tensor]
    capture: bool

    def drawing(self) -> AbstractContextManager[None]:
        """Within it the steps of an epoch are made."""
        ...

    def batches(self) -> Iterable[Any]:
        """The samples of an epoch, step by step."""
        ...

    def inputs(self, batch: Any) -> dict[str, Tensor]:
        """The tensors of one step."""
        ...

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """That of each training: (trainings,), or a scalar of the only one."""
        ...

    def models(self, result: Mapping[str, Tensor]) -> list[EmotionModel]:
        """Models whose weights are views of ``result``, to look at and to return."""
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

    The result depends on the seed, the data, the recipe and the number of threads only: not on what
    ran before, nor on how often it was interrupted and resumed.

    Args:
        name: registered model.
        data: training set.
        recipe: how to train.
        seed: of weights, order, augmentation and dropout.
        device: where to train.
        settings: overrides of the model's config.
        start: gives the fresh model other weights, as `StartFrom` does.
        on_epoch: called after each epoch with the model in eval mode; its results are returned.
        checkpoint: where to keep the state, to resume from if it exists already.
        callbacks: called after each epoch with an `EpochReport`, which tells loss and learning rate of every epoch so
            far, and the model in eval mode, which they must not change.

    Returns:
        The model in eval mode, and what ``on_epoch`` returned for each epoch.

    Raises:
        RunError: the checkpoint belongs to another training, or this process was forked from one that had computed.
        RecipeError: the recipe interpolates with a start (WiSE-FT), and there is none.
        InputError: the recipe adds generated images, and model or data are of another kind.
    """
    job = TrainingJob(name, recipe, seed, device, settings or {}, start)
    return run_job(job, data, on_epoch, checkpoint, callbacks)


def run_job(
    job: TrainingJob,
    data: TrainingSet,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[Callback] = (),
    *,
    on_curve: OnCurve | None = None,
) -> tuple[EmotionModel, list[Any]]:
    """`train_model` for a job; ``on_curve`` is called at the end with loss and learning rate of each epoch."""
    refuse_after_fork()
    check_wise_ft(job.recipe, job.start is not None)
    (trained,) = run(PlainStepper(Member.begin(job.loaded(), data, on_epoch, on_curve)), checkpoint, callbacks)
    return trained


def run(
    stepper: Stepper, checkpoint: Checkpoint | None, callbacks: Sequence[Callback] = ()
) -> list[tuple[EmotionModel, list[Any]]]:
    """Train; for each member its model in eval mode, and what its ``on_epoch`` returned for each epoch.

    Callbacks are told the curve of the first member, and its model.
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
    state = TrainingState(checkpoint, describe(members) if checkpoint else "", parts, len(members))
    step = state.epoch * steps
    while state.epoch < recipe.epochs:
        loss: Tensor | float = 0.0
        with stepper.drawing():
            for batch in stepper.batches():
                loss = loss + gradients(stepper.inputs(batch))
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
                weights.update(step)
                step += 1
        state.epoch += 1
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
    for member, curve in zip(members, state.curves.read(), strict=True):
        if member.on_curve is not None:
            member.on_curve(curve)
    state.done()
    return [(model.eval(), records) for model, records in zip(models, state.records, strict=True)]


class PlainStepper:
    """One training."""

    def __init__(self, member: Member) -> None:
        """Prepare its steps; generated images are made if the recipe adds any."""
        self.members: Sequence[Member] = (member,)
        self._member, self._recipe, self._model = member, member.job.recipe, member.model
        self._device = torch.device(member.job.device)
        self.weights: Mapping[str, Tensor] = self._model.state_dict()
        self.parameters: Sequence[Tensor] = list(self._model.parameters())
        self.capture = self._device.type == "cuda" and self._model.cuda_graph_safe
        self._generated = GeneratedSamples(self._recipe, self._model, member.data)
        self._has_units = trains_units(self._model, self._generated.pool or member.data)

    def drawing(self) -> AbstractContextManager[None]:
        """The forward pass draws random numbers too, where there is dropout."""
        self._model.train()
        return self._member.rng.active()

    def batches(self) -> Iterable[Tensor]:
        """Indices of the samples."""
        return batches(len(self._member.data), self._recipe, self._device)

    def inputs(self, batch: Tensor) -> dict[str, Tensor]:
        """Real samples, and generated ones after them."""
        member = self._member
        made = member.data.batch(batch, self._recipe.augmentation, member.mean, member.std, member.extras)
        images, targets, extras = self._generated.append(*made, member.mean, member.std)
        return {"images": images, "targets": targets, **extras}

    def loss(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Of emotions, and of units or proposals where they are trained; generated samples have their own weight."""
        recipe, extras = self._recipe, {key: value for key, value in inputs.items() if key not in BATCH}
        with autocast(self._device, recipe):
            if self._has_units:
                scores, units = self._model(inputs["images"], return_units=True, **extras)
            elif recipe.proposal_weight:
                scores, proposals = self._model(inputs["images"], return_proposals=True, **extras)
            else:
                scores = self._model(inputs["images"], **extras)
        scores, targets = scores.float(), inputs["targets"]
        real = len(targets) - self._generated.count
        loss = recipe_loss(recipe, scores[:real], targets[:real])
        if recipe.proposal_weight:
            loss = loss + proposal_losses(recipe, proposals[:real].float(), targets[:real]).mean()
        if self._generated.count:
            generated = recipe_loss(recipe, scores[real:], targets[real:])
            if self._has_units:
                generated = generated + unit_losses(recipe, units[real:].float(), inputs["units"]).mean()
            loss = loss + recipe.generated_weight * generated
        elif self._has_units:
            loss = loss + unit_losses(recipe, units.float(), inputs["units"]).mean()
        return loss

    def models(self, result: Mapping[str, Tensor]) -> list[EmotionModel]:
        """The trained model itself, or a copy with the weights that the recipe makes of it."""
        if result is self.weights:
            return [self._model]
        shown = copy.deepcopy(self._model)
        show(result, shown)
        return [shown]


@torch.no_grad()
def predict_set(model: EmotionModel, data: TrainingSet, batch_size: int = 256) -> Tensor:
    """Class probabilities of a set without augmentation, by the model's temperature; see `EmotionModel.probabilities`.

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


def trains_units(model: EmotionModel, data: TrainingSet) -> bool:
    """Whether action units are trained: the model scores them and the set knows them.

    Raises:
        InputError: both do, but of different numbers of units.
    """
    scored, known = model.action_units, data.units
    if known is None or not scored:
        return False
    if known.shape[1] != len(scored):
        raise InputError(
            f"The set knows {known.shape[1]} action units and the model scores {len(scored)}: {scored}. Build "
            "it with action_units in the order of the set."
        )
    return True


def autocast(device: torch.device, recipe: Recipe) -> torch.autocast:
    """The context in which a recipe's scores are computed."""
    # Without its cache of cast weights, which a captured graph must not read from an earlier pass.
    return torch.autocast(
        device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16", cache_enabled=device.type != "cuda"
    )


def num_batches(samples: int, recipe: Recipe) -> int:
    """Steps of an epoch."""
    return len(_split(torch.empty(samples), recipe.batch_size))


def batches(samples: int, recipe: Recipe, device: torch.device) -> list[Tensor]:
    """The samples of an epoch, in an order drawn from the global generator if the recipe shuffles."""
    order = torch.randperm(samples) if recipe.shuffle else torch.arange(samples)
    return _split(order.to(device), recipe.batch_size)


def _split(order: Tensor, size: int) -> list[Tensor]:
    """In batches; a single sample left over joins the last, for batch norms to have two."""
    parts = list(order.split(size))
    if len(parts) > 1 and size > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def make_optimizer(
    parameters: Iterable[Tensor], recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    """The optimizer of a recipe, and its schedule over ``steps`` steps if it has one.

    It leaves parameters without a gradient alone, as queries and keys of blocks with one token are.
    """
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    if recipe.schedule == "constant":
        return optimizer, None
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
