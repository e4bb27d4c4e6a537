"""Description of a training: all settings except the samples."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from htnet.core.described import own_code
from htnet.core.errors import InputError, RecipeError, refuse_type
from htnet.core.fields import seed_number
from htnet.core.global_state import usual_settings
from htnet.core.optional import named_device, usable_device
from htnet.models import EmotionModel, create_model
from htnet.training.losses import check_proposals
from htnet.training.recipe import Recipe, get_recipe
from htnet.training.rng import RngState
from htnet.training.start import Start, load_start
from htnet.training.tensors import TrainingSet

#: Called after each epoch with (epoch counted from 1, model); its return values are kept.
OnEpoch = Callable[[int, EmotionModel], Any]
#: Loss (mean over the steps) and learning rate at the end of each epoch.
Curve = Sequence[tuple[float, float]]
#: Called with the learning curve when a training ends.
OnCurve = Callable[[Curve], Any]


@dataclass(frozen=True)
class EpochReport:
    """Progress of a training after an epoch.

    Attributes:
        epoch: the epoch that has ended, counted from 1.
        epochs: number of epochs of the whole training.
        curve: (loss, learning rate) of each epoch so far, including those before a training was resumed. The loss is
            the mean over the steps, with augmentation and with the weights of each step; the learning rate is that at
            the end of the epoch.
    """

    epoch: int
    epochs: int
    curve: tuple[tuple[float, float], ...]

    @property
    def loss(self) -> float:
        """Loss of the epoch."""
        return self.curve[-1][0]

    @property
    def lr(self) -> float:
        """Learning rate at the end of the epoch."""
        return self.curve[-1][1]


#: Called after each epoch with an `EpochReport` and the model, in eval mode.
Callback = Callable[[EpochReport, EmotionModel], Any]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """Settings of one training.

    Attributes:
        model: registered model name.
        recipe: the training recipe.
        seed: seed of weights, order, augmentation and dropout, 0 to 2^64 - 1.
        device: device for training; "auto" for a CUDA device where there is one.
        settings: overrides of the model's config.
        start: weights to start from, for `htnet.load_pretrained`, or a loaded model: matching tensors are copied
            (see `htnet.training.StartFrom`); or a function that sets the weights of the fresh model.
    """

    model: str = "htnet_small"
    recipe: Recipe = field(default_factory=Recipe)
    seed: int = 0
    device: str | torch.device = "cpu"
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: Start | str | PathLike[str] | EmotionModel | None = None

    def __post_init__(self) -> None:
        cure = "htnet.training.get_recipe(name), or use htnet.training.job_of"
        refuse_type("recipe", self.recipe, Recipe, cure, RecipeError)
        refuse_type("settings", self.settings, Mapping, "a dictionary of fields of the model's config")
        object.__setattr__(self, "seed", seed_number().check("seed", self.seed))
        object.__setattr__(self, "device", named_device(self.device))

    def loaded(self, labels: tuple[str, ...] | None = None) -> TrainingJob:
        """The job with its start loaded, for models of these classes."""
        return dataclasses.replace(self, start=load_start(self.start, labels))


def refuse_other_count(settings: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Refuse a number of classes other than that of the data, which determines the outputs of a model.

    Args:
        settings: overrides of the model's config.
        classes: names of the classes of the data.

    Raises:
        InputError: ``num_classes`` is another number, or there are fewer than two classes.
    """
    if len(classes) < 2:
        raise InputError(
            f"The data have one class ({', '.join(classes)}), so a model would give it the probability 1 whatever it "
            "sees. Add samples of another class."
        )
    given = settings.get("num_classes")
    if given not in (None, len(classes)):
        raise InputError(
            f"settings has num_classes={given!r}, but the data have {len(classes)} classes ({', '.join(classes)}). "
            "Leave num_classes out: the data determine it."
        )


def job_of(recipe: str | Recipe = "default", **fields: Any) -> TrainingJob:
    """A `TrainingJob` whose recipe may be given by name."""
    return TrainingJob(recipe=get_recipe(recipe), **fields)


@dataclass(frozen=True, eq=False)
class Member:
    """State of a running training.

    Attributes:
        job: its settings.
        data: its samples, on the device.
        model: the model, on the device, with the weights that training begins from.
        settings: overrides of the model's config, with the statistics of the set.
        started_from: text that identifies the starting weights; None for fresh ones.
        mean: (C,) per-channel mean of the set.
        std: (C,) per-channel deviation of the set.
        extras: extra inputs of the model, for all samples.
        rng: its RNG state.
        on_epoch: called after each epoch.
        on_curve: called when the training ends.
    """

    job: TrainingJob
    data: TrainingSet
    model: EmotionModel
    settings: dict[str, Any]
    started_from: str | None
    mean: Tensor
    std: Tensor
    extras: dict[str, Tensor]
    rng: RngState
    on_epoch: OnEpoch | None
    on_curve: OnCurve | None = None

    @classmethod
    def begin(
        cls, job: TrainingJob, data: TrainingSet, on_epoch: OnEpoch | None, on_curve: OnCurve | None = None
    ) -> Member:
        """Build the model, and move it and its samples to the device.

        Raises:
            InputError: the device cannot be used, or the settings contain what the recipe computes.
        """
        device = usable_device(job.device)
        data, rng, settings = data.to(device), RngState(job.seed, device), dict(job.settings)
        mean, std = data.statistics()
        if job.recipe.standardize and (both := {"mean", "std"} & set(settings)):
            raise InputError(
                f"settings has {' and '.join(sorted(both))}, but the recipe {job.recipe.name!r} computes mean and std "
                "from the training set. Leave them out, or give a recipe with standardize=False."
            )
        if job.recipe.standardize:
            settings |= {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
        with rng.active(), usual_settings(grad=True, float32=True):
            model = create_model(job.model, **settings)
            check_proposals(job.recipe, model)
            started_from = start(model) if (start := load_start(job.start)) is not None else None
        model = model.to(device)
        extras = data.extras(model.extra_inputs)
        return cls(job, data, model, settings, started_from, mean, std, extras, rng, on_epoch, on_curve)


def describe(members: Sequence[Member]) -> str:
    """A text that identifies these trainings."""
    first = members[0].job
    each = [[m.settings, m.job.seed, m.data.digest(), m.started_from] for m in members]
    code = own_code(type(members[0].model))
    own = [code] if code else []
    return json.dumps([first.model, first.recipe.to_dict(), each, torch.__version__, *own])
