"""The training loop: deterministic, and resumable at every epoch."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from htnet.errors import RunError
from htnet.models import EmotionModel, create_model
from htnet.training.losses import recipe_loss
from htnet.training.recipe import Recipe
from htnet.training.tensors import TrainingSet

#: Called after each epoch with (epoch counted from 1, model); what it returns is kept.
OnEpoch = Callable[[int, EmotionModel], Any]
#: Changes a fresh model's weights before training, and returns a text that tells them from any others.
Start = Callable[[EmotionModel], str]


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of an unfinished training is kept.

    Attributes:
        path: file; removed when training ends.
        every: least number of seconds between two writes.
    """

    path: Path
    every: float = 60.0


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run with PyTorch's global generators seeded, and put them back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


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
        RunError: the checkpoint belongs to another training.
    """
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
        optimizer, scheduler = make_optimizer(model, recipe, steps=_steps(len(data), recipe))
        extras = data.extras(model.extra_inputs)
        what = json.dumps([name, settings, recipe.to_dict(), seed, data.digest(), begun]) if checkpoint else ""
        state = _Progress(what, model, averaged, optimizer, scheduler, device)
        if checkpoint is not None:
            state.load(checkpoint.path)
        written = time.monotonic()
        while state.epoch < recipe.epochs:
            _epoch(state.epoch, model, averaged, data, extras, recipe, optimizer, scheduler, mean, std)
            state.epoch += 1
            averaged.eval()
            if on_epoch is not None:
                state.records.append(on_epoch(state.epoch, averaged))
            if checkpoint is not None and time.monotonic() - written >= checkpoint.every:
                state.save(checkpoint.path)
                written = time.monotonic()
    if checkpoint is not None:
        checkpoint.path.unlink(missing_ok=True)
    return averaged.eval(), state.records


@torch.no_grad()
def predict_set(model: EmotionModel, data: TrainingSet, batch_size: int = 256) -> Tensor:
    """Class probabilities (N, num_classes), float32 on the CPU, of a set without augmentation."""
    model.eval()
    data = data.to(next(model.parameters()).device)
    extras = data.extras(model.extra_inputs)
    index = torch.arange(len(data), device=data.labels.device).split(batch_size)
    parts = zip(data.inputs().split(batch_size), index, strict=True)
    scores = [model(images, **{name: values[at] for name, values in extras.items()}) for images, at in parts]
    return torch.cat([part.softmax(dim=1) for part in scores]).float().cpu()


def _steps(samples: int, recipe: Recipe) -> int:
    return recipe.epochs * len(_batches(torch.empty(samples), recipe.batch_size))


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """The samples of an epoch in batches; a single one left over joins the last, for batch norms to have two."""
    batches = list(order.split(size))
    if len(batches) > 1 and size > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def make_optimizer(
    model: nn.Module, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    """The optimizer of a recipe, and its schedule over ``steps`` steps if it has one."""
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    optimizer = kind(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    if recipe.schedule == "constant":
        return optimizer, None
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)


@torch.no_grad()
def _average(averaged: EmotionModel, model: EmotionModel, decay: float) -> None:
    """Move the averaged weights, and running statistics with them, towards the model's."""
    own, new = averaged.state_dict(), model.state_dict()
    for key, value in own.items():
        if value.is_floating_point():
            value.lerp_(new[key], 1 - decay)
        else:
            value.copy_(new[key])


def _epoch(
    epoch: int,
    model: EmotionModel,
    averaged: EmotionModel,
    data: TrainingSet,
    extras: Mapping[str, Tensor],
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler | None,
    mean: Tensor,
    std: Tensor,
) -> None:
    model.train()
    order = torch.randperm(len(data)) if recipe.shuffle else torch.arange(len(data))
    batches = _batches(order.to(data.labels.device), recipe.batch_size)
    for step, index in enumerate(batches, start=epoch * len(batches)):
        images, targets, more = data.batch(index, recipe.augmentation, mean, std, extras)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            scores = model(images, **more)
        loss = recipe_loss(recipe, scores.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if averaged is not model:
            # Early averages forget faster, so that a short training is not held back by its fresh weights.
            _average(averaged, model, min(recipe.average, (1 + step) / (10 + step)))


class _Progress:
    """Everything a training needs to go on where it stopped."""

    def __init__(
        self,
        what: str,
        model: EmotionModel,
        averaged: EmotionModel,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler | None,
        device: torch.device,
    ) -> None:
        self.model, self.averaged = model, averaged
        self.optimizer, self.scheduler, self.device = optimizer, scheduler, device
        self.what = what
        self.epoch = 0
        self.records: list[Any] = []

    def save(self, path: Path) -> None:
        state = {
            "what": self.what,
            "epoch": self.epoch,
            "records": self.records,
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".tmp")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        if not path.is_file():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["what"] != self.what:
            raise RunError(
                f"{path} holds an unfinished training of another model, recipe, seed or data set. Delete it to start "
                "anew, or give what it was started with to go on."
            )
        self.epoch, self.records = state["epoch"], state["records"]
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state_dict(state["scheduler"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
