"""Generated flow images as a training set, and in the batches of a training on real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from htnet.core.errors import InputError
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.models import EmotionModel, get_entry
from htnet.preprocess import PUBLISHED_CHANNELS, template_points
from htnet.synthesis import ACTION_UNITS, FlowGenerator, SynthesisConfig
from htnet.training.recipe import Recipe
from htnet.training.tensors import FlowSet, TrainingSet

#: Generated images that a training draws those of its batches from, and their seed.
POOL, POOL_SEED = 16000, 991
#: A unit counts as active on a side from this motion of its skin on, px of a 224 px face: about what flow estimation
#: can separate from its own errors.
ACTIVE = 0.3


def generated_set(
    count: int, seed: int = 0, config: SynthesisConfig | None = None, spec: PreprocessSpec | None = None
) -> FlowSet:
    """Generated flow images as a training set, with their action units.

    Args:
        count: number of images.
        seed: of the generator.
        config: what is generated.
        spec: how the images are cut; its size and channels must be those of the images. Regions in the default layout
            unless given.

    Returns:
        The set; regions are cut at the template's points, units are in the order of `htnet.synthesis.ACTION_UNITS`.

    Raises:
        InputError: the spec does not fit the images.
    """
    config = config or SynthesisConfig()
    spec = spec or PreprocessSpec(size=config.size)
    if (spec.size, spec.channels) != (config.size, PUBLISHED_CHANNELS):
        raise InputError(
            f"The images are {config.size} px with channels {PUBLISHED_CHANNELS}, the spec says {spec.size} px with "
            f"{spec.channels}. Give a spec of the same."
        )
    made = FlowGenerator(config)(count, seed)
    points = template_points(spec).expand(count, 5, 2).contiguous()
    units = (made.units >= ACTIVE).float()
    return FlowSet(made.images, points, made.labels, spec, ("template",) * count, units=units)


@lru_cache(maxsize=2)
def _pool(spec: PreprocessSpec) -> FlowSet:
    """The same images for all trainings of a process."""
    return generated_set(POOL, POOL_SEED, SynthesisConfig(size=spec.size), spec)


def has_unit_head(model: str) -> bool:
    """Whether a registered model can have a head for action units."""
    return "action_units" in {field.name for field in dataclasses.fields(get_entry(model).model_class.config_class)}


def with_units(model: str, recipe: Recipe, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model, with a head of action units if it is shown generated images and can have one.

    Args:
        model: registered model name.
        recipe: how it is to be trained.
        settings: overrides of its config; units that are named there stay.
    """
    if not recipe.generated or not has_unit_head(model):
        return settings
    return {"action_units": ACTION_UNITS, **settings}


def check_classes(recipe: Recipe, classes: Sequence[str]) -> None:
    """Raise `InputError` if a recipe adds generated images to samples of other classes."""
    if recipe.generated and tuple(classes) != EMOTIONS:
        raise InputError(
            f"The recipe {recipe.name!r} adds generated images of {', '.join(EMOTIONS)}, the samples are of "
            f"{', '.join(classes)}. Give the same classes in the same order, or a recipe with generated=0."
        )


class GeneratedSamples:
    """Generated samples in the batches of a training."""

    def __init__(self, recipe: Recipe, model: EmotionModel, data: TrainingSet) -> None:
        """Make the pool that they are drawn from.

        Args:
            recipe: its ``generated`` is their number in a batch; 0 for none.
            model: what is trained.
            data: the real samples.

        Raises:
            InputError: the model or the set are of another kind than the images.
        """
        self.count = recipe.generated
        self.pool: FlowSet | None = None
        if not self.count:
            return
        self._recipe = recipe
        if isinstance(data, FlowSet) and data.units is not None:
            raise InputError(
                f"The recipe {recipe.name!r} trains the action units of the {self.count} generated flow images that it "
                "adds to each batch. Give a recipe with generated=0 to train those of the samples."
            )
        if not isinstance(data, FlowSet):
            raise InputError(
                f"The recipe {recipe.name!r} adds {self.count} generated flow images to each batch; the set is not one "
                "of real flow images. Give a recipe with generated=0."
            )
        if model.extra_inputs:
            raise InputError(
                f"{model.name} reads {', '.join(model.extra_inputs)} in addition to the image, which generated "
                "images lack. Give a recipe with generated=0."
            )
        check_classes(recipe, model.labels)
        if model.action_units not in ((), ACTION_UNITS):
            raise InputError(
                f"Generated images know the action units {ACTION_UNITS}, the model scores {model.action_units}. Give "
                "it the same, or none."
            )
        self.pool = _pool(data.spec).to(data.labels.device)
        self._units = bool(model.action_units)

    def append(
        self, images: Tensor, targets: Tensor, more: dict[str, Tensor], mean: Tensor, std: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """A batch with generated samples at the end, drawn from the global generator.

        Args:
            images: (B, 3, S, S) network input of the real samples.
            targets: (B,) labels.
            more: what else the model reads.
            mean: (C,) per-channel mean of the real set.
            std: (C,) per-channel deviation of the real set.

        Returns:
            The batch; ``more`` then has the "units" of the generated samples if the model scores any.
        """
        if self.pool is None:
            return images, targets, more
        index = torch.randint(len(self.pool), (self.count,)).to(images.device)
        generated, labels, units = self.pool.batch(index, self._recipe.augmentation, mean, std)
        more = {**more, **(units if self._units else {})}
        return torch.cat([images, generated]), torch.cat([targets, labels]), more
