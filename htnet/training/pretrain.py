"""Training on generated flow images: weights that no licensed data have touched."""

from __future__ import annotations

import dataclasses
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError
from htnet.core.files import check_folder
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import DataKind, License, Provenance, Selection
from htnet.core.types import EMOTIONS
from htnet.hub.folder import FILES
from htnet.models import EmotionModel, get_entry
from htnet.synthesis import ACTION_UNITS, SynthesisConfig
from htnet.training.generated_samples import generated_set, has_unit_head
from htnet.training.recipe import Recipe, get_recipe
from htnet.training.weights import train_into


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
    overwrite: bool = False,
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
        overwrite: replace weights that ``out`` holds.

    Returns:
        The model in eval mode.

    Raises:
        OverwriteError: ``out`` holds weights and ``overwrite`` is not given.
        InputError: the model has no head for action units.
    """
    entry = get_entry(model)
    if not has_unit_head(model):
        raise InputError(
            f"{model} has no head for action units. Choose one that has: htnet_small, htnet_base, htnet_tiny, flow_mlp."
        )
    recipe, out = get_recipe(recipe), Path(out)
    check_folder(out, FILES, overwrite=overwrite)  # before images are generated
    config = config or SynthesisConfig()
    data = generated_set(count, seed + 1, config, dataclasses.replace(entry.spec, size=config.size))
    described = {
        "subjects": "none: all faces are generated",
        "protocol": (
            "trained on generated images alone; the last epoch, nothing was selected. The generator's constants were "
            "chosen by scores on 34 of the 68 subjects of the MEGC 2019 composite set; no real image was trained on"
        ),
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
        people=TrainedPeople(),
        provenance=Provenance(
            (DataKind.GENERATED,), license=License.APACHE_2_0, selection=Selection.DEVELOPMENT_SUBJECTS
        ),
        temperature=temperature,
        on_epoch=on_epoch,
        overwrite=overwrite,
    )
