"""The training loop: deterministic, and resumable at every epoch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import InputError, RecipeError
from htnet.core.parallel import refuse_after_fork
from htnet.models import EmotionModel, create_model
from htnet.training.companions import Companions
from htnet.training.losses import recipe_loss, unit_losses
from htnet.training.progress import Checkpoint, Part, Progress
from htnet.training.recipe import Recipe
from htnet.training.step import Gradients
from htnet.training.streams import GlobalStream, seeded
from htnet.training.tensors import TrainingSet

#: Called after each epoch with (epoch counted from 1, model); what it returns is kept.
OnEpoch = Callable[[int, EmotionModel], Any]
#: Changes a fresh model's weights before training, and returns a text that tells them from any others.
Start = Callable[[EmotionModel], str]


def train_model(
    name: str,
    data: TrainingSet,
    recipe: Recipe,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    settings: dict[str, Any] | None = None,
    start: Start | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Checkpoint | None = None,
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
        start: gives the fresh model other weights, as a transfer from another model does.
        on_epoch: called after each epoch with the model in eval mode; its results are returned.
        checkpoint: where to keep the state, to resume from if it exists already.

    Returns:
        The model in eval mode, and what ``on_epoch`` returned for each epoch.

    Raises:
        RunError: the checkpoint belongs to another training, or this process was forked from one that had computed.
        RecipeError: the recipe keeps a share of a start, and there is none.
        InputError: the recipe adds generated images, and model or data are of another kind.
    """
    refuse_after_fork()
    device = torch.device(device)
    settings = dict(settings or {})
    data = data.to(device)
    mean, std = data.statistics()
    if recipe.standardize:
        settings |= {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
    with seeded(seed, device):
        model = create_model(name, **settings)
        begun = start(model) if start is not None else None
        model = model.to(device)
        averaged = copy.deepcopy(model) if recipe.average else model
        blend = Blend(recipe, averaged, begun is not None)
        parameters = list(model.parameters())
        optimizer, scheduler = make_optimizer(parameters, recipe, steps=recipe.epochs * num_batches(len(data), recipe))
        extras = data.extras(model.extra_inputs)
        what = (
            json.dumps([name, settings, recipe.to_dict(), seed, data.digest(), begun, torch.__version__])
            if checkpoint
            else ""
        )
        parts: dict[str, Part] = {"model": model, "averaged": averaged, "optimizer": optimizer}
        parts |= {"random": GlobalStream(device), **({"scheduler": scheduler} if scheduler else {})}
        state = Progress(checkpoint, what, parts)

        def loss(inputs: Mapping[str, Tensor]) -> Tensor:
            more = {key: value for key, value in inputs.items() if key not in ("images", "targets", "units")}
            with autocast(device, recipe):
                if has_units:
                    scores, units = model(inputs["images"], return_units=True, **more)
                else:
                    scores = model(inputs["images"], **more)
            scores, targets = scores.float(), inputs["targets"]
            real = len(targets) - companions.count
            found = recipe_loss(recipe, scores[:real], targets[:real])
            if companions.count:
                theirs = recipe_loss(recipe, scores[real:], targets[real:])
                if has_units:
                    theirs = theirs + unit_losses(recipe, units[real:].float(), inputs["units"]).mean()
                found = found + recipe.generated_weight * theirs
            elif has_units:
                found = found + unit_losses(recipe, units.float(), inputs["units"]).mean()
            return found

        companions = Companions(recipe, model, data)
        has_units = trains_units(model, companions.pool if companions.count else data)
        gradients = Gradients(loss, parameters, capture=device.type == "cuda" and model.repeatable)
        step = state.epoch * num_batches(len(data), recipe)
        while state.epoch < recipe.epochs:
            model.train()
            for index in batches(len(data), recipe, device):
                batch = data.batch(index, recipe.augmentation, mean, std, extras)
                images, targets, more = companions.join(*batch, mean, std)
                gradients({"images": images, "targets": targets, **more})
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
                if averaged is not model:
                    average(averaged.state_dict(), model.state_dict(), recipe, step)
                step += 1
            state.epoch += 1
            result = blend(averaged)
            if on_epoch is not None:
                state.records.append(on_epoch(state.epoch, result))
            state.save_now_and_then()
    state.done()
    return blend(averaged), state.records


class Blend:
    """The model that a recipe makes of the trained one: itself, or its mean with what the training started from."""

    def __init__(self, recipe: Recipe, start: EmotionModel, begun: bool) -> None:
        """Keep the start's weights if a share of them is asked for.

        Raises:
            RecipeError: it is, and the weights are fresh.
        """
        check_start(recipe, begun)
        self.share, self.start = recipe.start_share, copy.deepcopy(start) if recipe.start_share else start
        self.result = copy.deepcopy(start) if recipe.start_share else start

    @torch.no_grad()
    def __call__(self, trained: EmotionModel) -> EmotionModel:
        """The result, in eval mode."""
        if not self.share:
            return trained.eval()
        for into, begin, end in zip(
            *(model.state_dict().values() for model in (self.result, self.start, trained)), strict=True
        ):
            into.copy_(end.lerp(begin, self.share) if into.is_floating_point() else end)
        return self.result.eval()


def check_start(recipe: Recipe, begun: bool) -> None:
    """Raise `RecipeError` if the recipe keeps a share of a start that there is not."""
    if recipe.start_share and not begun:
        raise RecipeError(
            f"The recipe {recipe.name!r} keeps a share of {recipe.start_share} of the weights it started from, and "
            "this training starts from fresh ones. Give it a start (such as --start synthetic), or start_share=0."
        )


@torch.no_grad()
def predict_set(model: EmotionModel, data: TrainingSet, batch_size: int = 256) -> Tensor:
    """Class probabilities (N, num_classes), float32 on the CPU, of a set without augmentation."""
    refuse_after_fork()
    model.eval()
    data = data.to(next(model.parameters()).device)
    extras = data.extras(model.extra_inputs)
    index = torch.arange(len(data), device=data.labels.device).split(batch_size)
    parts = zip(data.inputs().split(batch_size), index, strict=True)
    scores = [model(images, **{name: values[at] for name, values in extras.items()}) for images, at in parts]
    return torch.cat([part.softmax(dim=1) for part in scores]).float().cpu()


def trains_units(model: EmotionModel, data: TrainingSet) -> bool:
    """Whether action units are trained: the model tells them and the set knows them.

    Raises:
        InputError: both do, but of different numbers of units.
    """
    told, known = model.action_units, data.units
    if known is None or not told:
        return False
    if known.shape[1] != len(told):
        raise InputError(
            f"The set knows {known.shape[1]} action units and the model tells {len(told)}: {told}. Build it with "
            "action_units in the order of the set's."
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
    found = list(order.split(size))
    if len(found) > 1 and size > 1 and len(found[-1]) == 1:
        found[-2:] = [torch.cat(found[-2:])]
    return found


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


@torch.no_grad()
def average(averaged: Mapping[str, Tensor], new: Mapping[str, Tensor], recipe: Recipe, step: int) -> None:
    """Move averaged weights, and running statistics with them, towards the new ones after step ``step`` (from 0)."""
    # Early averages forget faster, so that a short training is not held back by its fresh weights.
    decay = min(recipe.average, (1 + step) / (10 + step))
    for key, value in averaged.items():
        if value.is_floating_point():
            value.lerp_(new[key], 1 - decay)
        else:
            value.copy_(new[key])
