"""Generated flow images: as a training set, and mixed into the batches of a training on real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.core.global_state import usual_settings
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.models import EmotionModel, get_entry
from htnet.preprocess import PUBLISHED_CHANNELS, template_points
from htnet.synthesis import ACTION_UNITS, FlowGenerator, SynthesisConfig
from htnet.training.recipe import Recipe
from htnet.training.tensors import FlowSet, TrainingSet

#: Number of generated images in the pool that batches draw from, and the seed of the pool.
POOL, POOL_SEED = 16000, 991
#: Smallest motion of the skin at which a unit counts as active on a side, px of a 224 px face: about the smallest that
#: flow estimation can separate from its own errors.
ACTIVE = 0.3


@usual_settings(float32=True)
def generated_set(
    count: int, seed: int = 0, config: SynthesisConfig | None = None, spec: PreprocessSpec | None = None
) -> FlowSet:
    """Generated flow images as a training set, with their action units.

    Args:
        count: number of images.
        seed: seed of the generator.
        config: settings of the generator.
        spec: how regions are cut; its size and channels must be those of the images. By default, regions in the
            default layout.

    Returns:
        The set; regions are cut at the template's points, units are in the order of `htnet.synthesis.ACTION_UNITS`.

    Raises:
        InputError: the spec does not fit the images.
    """
    config = config or SynthesisConfig()
    spec = spec or PreprocessSpec(size=config.size)
    if (spec.size, spec.channels) != (config.size, PUBLISHED_CHANNELS):
        raise InputError(
            f"The images are {config.size} px with channels {PUBLISHED_CHANNELS}, but the spec says {spec.size} px "
            f"with {spec.channels}. Give a spec with the size and channels of the images."
        )
    made = FlowGenerator(config)(count, seed)
    points = template_points(spec).expand(count, 5, 2).contiguous()
    units = (made.units >= ACTIVE).float()
    return FlowSet(made.images, points, made.labels, spec, ("template",) * count, units=units)


@lru_cache(maxsize=2)
def _pool(spec: PreprocessSpec) -> FlowSet:
    """The pool of generated images, shared by all trainings of a process."""
    return generated_set(POOL, POOL_SEED, SynthesisConfig(size=spec.size), spec)


def has_unit_head(model: str) -> bool:
    """Whether a registered model can have a head for action units."""
    return "action_units" in {field.name for field in dataclasses.fields(get_entry(model).model_class.config_class)}


def with_units(model: str, recipe: Recipe, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model, with an action-unit head if the recipe adds generated images and the model can have one.

    Args:
        model: registered model name.
        recipe: how the model is to be trained.
        settings: overrides of the model's config; ``action_units`` given there are kept.
    """
    if not recipe.generated or not has_unit_head(model):
        return settings
    return {"action_units": ACTION_UNITS, **settings}


def check_classes(recipe: Recipe, classes: Sequence[str]) -> None:
    """Raise `InputError` if a recipe adds generated images to samples of other classes."""
    if recipe.generated and tuple(classes) != EMOTIONS:
        raise InputError(
            f"The recipe {recipe.name!r} adds generated images of {', '.join(EMOTIONS)}, but the samples are of "
            f"{', '.join(classes)}. Give the same classes in the same order, or a recipe with generated=0."
        )


class GeneratedSamples:
    """Adds generated samples to the batches of a training."""

    def __init__(self, recipe: Recipe, model: EmotionModel, data: TrainingSet) -> None:
        """Make the pool that samples are drawn from.

        Args:
            recipe: its ``generated`` is their number per batch; 0 for none.
            model: the model to be trained.
            data: the real samples.

        Raises:
            InputError: the model or the set cannot be trained with generated images.
        """
        self.count = recipe.generated
        self.pool: FlowSet | None = None
        if not self.count:
            return
        self._recipe = recipe
        if isinstance(data, FlowSet) and data.units is not None:
            raise InputError(
                f"The recipe {recipe.name!r} trains action units on the {self.count} generated flow images that it "
                "adds to each batch. Give a recipe with generated=0 to train them on the samples."
            )
        if not isinstance(data, FlowSet):
            raise InputError(
                f"The recipe {recipe.name!r} adds {self.count} generated flow images to each batch, but this set does "
                "not contain flow images. Give a recipe with generated=0."
            )
        if model.extra_inputs:
            raise InputError(
                f"{model.name} reads {', '.join(model.extra_inputs)} in addition to the image, which generated "
                "images lack. Give a recipe with generated=0."
            )
        check_classes(recipe, model.labels)
        if model.action_units not in ((), ACTION_UNITS):
            raise InputError(
                f"Generated images have the action units {ACTION_UNITS}, but the model scores {model.action_units}. "
                "Build the model with the same units, or with none."
            )
        self.pool = _pool(data.spec).to(data.labels.device)
        self._units = bool(model.action_units)

    def append(
        self, images: Tensor, targets: Tensor, more: dict[str, Tensor], mean: Tensor, std: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Append generated samples to a batch, drawn with the global generator.

        Args:
            images: (B, 3, S, S) network input of the real samples.
            targets: (B,) labels.
            more: extra inputs of the model.
            mean: (C,) per-channel mean of the real set.
            std: (C,) per-channel deviation of the real set.

        Returns:
            The three, extended; ``more`` also contains the "units" of the generated samples if the model scores any.
        """
        if self.pool is None:
            return images, targets, more
        index = torch.randint(len(self.pool), (self.count,)).to(images.device)
        generated, labels, units = self.pool.batch(index, self._recipe.augmentation, mean, std)
        more = {**more, **(units if self._units else {})}
        return torch.cat([images, generated]), torch.cat([targets, labels]), more
