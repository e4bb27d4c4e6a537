"""Training on generated flow images: weights without licensed data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

from htnet.core.deprecated import gathered_arguments
from htnet.core.errors import InputError
from htnet.core.fields import native, whole
from htnet.core.global_state import usual_settings
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import DataKind, License, Provenance, Selection
from htnet.core.types import EMOTIONS
from htnet.hub.folder import check_weights_folder
from htnet.models import EmotionModel, get_entry, list_models
from htnet.synthesis import ACTION_UNITS, SynthesisConfig
from htnet.training.generated_samples import generated_set, has_unit_head
from htnet.training.job import Callback, OnEpoch, TrainingJob, job_of
from htnet.training.weights import WeightsRecord, train_into


@gathered_arguments("job", partial(job_of, recipe="generated"), "model", "recipe", "seed", "device")
@usual_settings(grad=True)
def train_on_generated(
    out: str | PathLike[str],
    job: TrainingJob | None = None,
    *,
    count: int = 16000,
    config: SynthesisConfig | None = None,
    training: Mapping[str, Any] | None = None,
    temperature: float = 1.0,
    on_epoch: OnEpoch | None = None,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
) -> EmotionModel:
    """Train an HTNet on generated flow images and write a weights folder; an interrupted training is resumed.

    Args:
        out: weights folder.
        job: training of an HTNet or FlowMLP, which gets a head for the units of `htnet.synthesis.ACTION_UNITS`;
            by default `htnet_small` with the recipe "generated". The images are generated with the job's seed + 1.
        count: number of generated images.
        config: settings of the generator.
        training: further content of the card: ``metrics``, ``protocol``, ``calibration``, ...
        temperature: temperature of the model's probabilities; see `htnet.calibration`.
        on_epoch: called after each epoch with (epoch, model), for a progress bar.
        callbacks: called after each epoch with an `EpochReport` and the model.
        overwrite: replace existing weights in ``out``.

    Returns:
        The model in eval mode.

    Raises:
        OverwriteError: ``out`` contains weights and ``overwrite`` is not given.
        InputError: the model has no head for action units, the seed is above 2^31 - 2, or the settings of ``job``
            contradict the images.
    """
    job = job or job_of("generated")
    if not has_unit_head(job.model):
        able = ", ".join(name for name in list_models() if has_unit_head(name))
        raise InputError(f"{job.model} has no head for action units. Choose one that has: {able}.")
    config = config or SynthesisConfig()
    # The generator's seeds end at 2^31, and the images have the seed after that of the job.
    whole(0, le=2**31 - 2).check("seed", job.seed)
    determined = {"image_size": config.size, "action_units": ACTION_UNITS, "num_classes": len(EMOTIONS)}
    for name, value in determined.items():
        if native(job.settings.get(name, value)) != value:
            cure = "; for another size, give config=SynthesisConfig(size=...)" if name == "image_size" else ""
            raise InputError(
                f"settings has {name}={job.settings[name]!r}, but of the generated images it is {value!r}. Leave it "
                f"out{cure}."
            )
    check_weights_folder(out, overwrite=overwrite)  # before images are generated
    spec = dataclasses.replace(get_entry(job.model).spec, size=config.size)
    data = generated_set(count, job.seed + 1, config, spec)
    card = {
        "subjects": "none: all faces are generated",
        "protocol": (
            "trained on generated images alone; the last epoch, nothing was selected. The generator's constants were "
            "chosen by scores on 34 of the 68 subjects of the MEGC 2019 composite set; no real image was trained on"
        ),
        "synthesis": config.to_dict(),
        **(training or {}),
    }
    provenance = Provenance((DataKind.GENERATED,), license=License.APACHE_2_0, selection=Selection.DEVELOPMENT_SUBJECTS)
    settings = {**job.settings, "image_size": config.size, "action_units": ACTION_UNITS}
    record = WeightsRecord(EMOTIONS, data.spec, card, TrainedPeople(), provenance, temperature)
    job = dataclasses.replace(job, settings=settings)
    return train_into(out, job, data, record, on_epoch, callbacks=callbacks, overwrite=overwrite)
