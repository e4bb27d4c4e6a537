"""Training on generated flow images: weights that no licensed data have touched."""

from __future__ import annotations

import dataclasses
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.errors import InputError
from htnet.hub import AS_THE_CODE, GENERATED
from htnet.models import EmotionModel, get_entry
from htnet.preprocess import PUBLISHED_CHANNELS, template_points
from htnet.synthesis import ACTION_UNITS, FlowGenerator, SynthesisConfig
from htnet.training.recipe import Recipe, get_recipe
from htnet.training.tensors import FlowSet
from htnet.training.weights import train_into
from htnet.types import EMOTIONS, PreprocessSpec

#: A unit counts as active on a side from this motion of its skin on, px of a 224 px face: about what flow estimation
#: can tell from its own errors.
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


def train_on_generated(
    out: str | PathLike[str],
    *,
    model: str = "htnet_small",
    count: int = 16000,
    recipe: str | Recipe = "generated",
    seed: int = 0,
    device: str = "cpu",
    config: SynthesisConfig | None = None,
    training: dict[str, Any] | None = None,
    temperature: float = 1.0,
    on_epoch: Any = None,
) -> EmotionModel:
    """Train an HTNet on generated flow images and write a weights folder; an interrupted training goes on.

    Args:
        out: weights folder.
        model: registered HTNet or FlowMLP; it gets a head for the units of `htnet.synthesis.ACTION_UNITS`.
        count: number of generated images.
        recipe: how to train.
        seed: of weights and order; images come from seed + 1.
        device: where to train.
        config: what is generated.
        training: what the card says besides: ``metrics``, ``protocol``, ``calibration``, ...
        temperature: the model's, for its probabilities; see `htnet.calibration`.
        on_epoch: called after each epoch with (epoch, model), for a progress bar.

    Returns:
        The model in eval mode.

    Raises:
        InputError: the model has no head for action units.
    """
    entry = get_entry(model)
    if "action_units" not in {field.name for field in dataclasses.fields(entry.model_class.config_class)}:
        raise InputError(
            f"{model} has no head for action units. Choose one that has: htnet_small, htnet_base, htnet_tiny, flow_mlp."
        )
    recipe, out = get_recipe(recipe), Path(out)
    config = config or SynthesisConfig()
    data = generated_set(count, seed + 1, config, dataclasses.replace(entry.spec, size=config.size))
    described = {
        "dataset": GENERATED,
        "subjects": "none: all faces are generated",
        "protocol": (
            "trained on generated images alone; the last epoch, nothing was selected. The generator's constants were "
            "chosen by scores on 34 of the 68 subjects of the MEGC 2019 composite set; no real image was trained on"
        ),
        "licence": AS_THE_CODE,
        "synthesis": config.to_dict(),
        **(training or {}),
    }
    return train_into(
        out,
        model,
        data,
        recipe,
        EMOTIONS,
        described,
        spec=data.spec,
        seed=seed,
        device=device,
        settings={"image_size": config.size, "action_units": ACTION_UNITS},
        temperature=temperature,
        on_epoch=on_epoch,
    )
