"""Training on a whole manifest, into a weights folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

from htnet.core.deprecated import gathered_arguments
from htnet.core.errors import WeightsError
from htnet.core.files import refuse_same_folder
from htnet.core.global_state import usual_settings
from htnet.core.identity import TrainedPeople
from htnet.core.parallel import locked
from htnet.core.paths import as_path
from htnet.core.provenance import Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest
from htnet.data.manifest import check_manifest
from htnet.data.published import with_differences
from htnet.hub import save_pretrained
from htnet.hub.folder import check_weights_folder, checked_temperature
from htnet.models import EmotionModel
from htnet.training.curves import CURVE_FILE, write_curve
from htnet.training.generated_samples import check_classes, with_units
from htnet.training.job import Callback, OnEpoch, TrainingJob, job_of, refuse_other_count
from htnet.training.ranks import Ranks, only_first
from htnet.training.start import StartFrom
from htnet.training.state import Checkpoint
from htnet.training.tensors import FlowSet, TrainingSet
from htnet.training.trainer import run_job


@dataclass(frozen=True)
class WeightsRecord:
    """What is stored with trained weights.

    Attributes:
        labels: names of the classes.
        spec: how the model's input is made.
        card: content of the card, besides the number of samples and the seed.
        people: people that the model was trained on, without those of the start.
        provenance: data and terms, without those of the start.
        temperature: temperature of the model's probabilities.
    """

    labels: tuple[str, ...]
    spec: PreprocessSpec
    card: Mapping[str, Any]
    people: TrainedPeople
    provenance: Provenance
    temperature: float = 1.0


@gathered_arguments("job", job_of, "model", "recipe", "seed", "device", "settings", "start")
@usual_settings(grad=True)
def train_weights(
    manifest: Manifest,
    data: FlowSet,
    out: str | PathLike[str],
    job: TrainingJob | None = None,
    *,
    temperature: float = 1.0,
    training: Mapping[str, Any] | None = None,
    on_epoch: OnEpoch | None = None,
    callbacks: Sequence[Callback] = (),
    ranks: Ranks | None = None,
    overwrite: bool = False,
) -> EmotionModel:
    """Train on all samples and write a weights folder; an interrupted training is resumed.

    Samples are sorted as by `Manifest.by_name`, so the order in which they are given does not matter.

    Args:
        manifest: the samples.
        data: the same samples as tensors.
        out: weights folder.
        job: how to train; ``TrainingJob()`` unless given. If it starts from other weights, the card names their data
            and terms too.
        temperature: the model's scores are divided by it to compute probabilities; see `htnet.calibration`.
        training: further content of the card: ``license``, ``metrics``, ``dataset``, ...
        on_epoch: called after each epoch with (epoch, model), for a progress bar.
        callbacks: called after each epoch with an `EpochReport` and the model, by the first process.
        ranks: the processes that share the training, see `joined_ranks`; each makes the same call.
        overwrite: replace existing weights in ``out``.

    Returns:
        The model in eval mode. ``out`` also contains ``training.csv``, the loss of each epoch; see `train_into`.

    Raises:
        OverwriteError: ``out`` contains weights and ``overwrite`` is not given.
        WeightsError: manifest and data have different numbers of samples, or the temperature is not positive and
            finite.
        InputError: ``job`` has settings with a number of classes other than that of the manifest, or ``out`` is the
            folder of the manifest.
    """
    check_manifest(manifest)
    if len(manifest) != len(data):
        raise WeightsError(
            f"The manifest has {len(manifest)} samples, but the data have {len(data)}. Load them together."
        )
    job = job or TrainingJob()
    refuse_same_folder(out, manifest.source)
    only_first(ranks, lambda: check_weights_folder(out, overwrite=overwrite))
    order = manifest.by_name()
    manifest, data = manifest.subset(order), data.subset(order)
    check_classes(job.recipe, manifest.classes)
    refuse_other_count(job.settings, manifest.classes)
    settings = with_units(job.model, job.recipe, {**job.settings, "num_classes": len(manifest.classes)})
    card = {
        "subjects": len(manifest.subjects),
        "protocol": "trained on all samples; the last epoch, nothing was selected",
        "regions_at": data.regions_at_counts(),
        **({"notes": list(remarks)} if (remarks := with_differences(manifest).remarks) else {}),
        **({"units_annotated": int((~data.units.isnan()).any(2).any(1).sum())} if data.units is not None else {}),
        **({"points68_from": data.points68_counts()} if data.points68 is not None else {}),
        **({"generated": f"{job.recipe.generated} by htnet.synthesis in every batch"} if job.recipe.generated else {}),
        **(training or {}),
    }
    provenance = Provenance.of(manifest, generated=bool(job.recipe.generated), classes=manifest.classes)
    record = WeightsRecord(manifest.classes, data.spec, card, TrainedPeople.of(manifest), provenance, temperature)
    job = dataclasses.replace(job, settings=settings)
    return train_into(out, job, data, record, on_epoch, callbacks=callbacks, ranks=ranks, overwrite=overwrite)


@usual_settings(grad=True)
def train_into(
    out: str | PathLike[str],
    job: TrainingJob,
    data: TrainingSet,
    record: WeightsRecord,
    on_epoch: OnEpoch | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    ranks: Ranks | None = None,
    overwrite: bool = False,
) -> EmotionModel:
    """Train a model and write its weights folder; an interrupted training is resumed.

    The folder is locked during the training.

    After each epoch the learning curve is written to ``training.csv`` in the folder: epoch, loss (mean over its steps)
    and learning rate at its end.

    Args:
        out: weights folder.
        job: how to train.
        data: training set.
        record: what is stored with the weights.
        on_epoch: called after each epoch with (epoch, model).
        callbacks: called after each epoch with an `EpochReport` and the model, by the first process.
        ranks: the processes that share the training, see `joined_ranks`; each makes the same call, and the first one
            writes.
        overwrite: replace existing weights in ``out``.

    Returns:
        The model in eval mode.

    Raises:
        OverwriteError: ``out`` contains weights and ``overwrite`` is not given.
        WeightsError: the temperature is not positive and finite.
        RunError: another process trains into ``out``, or it contains the checkpoint of another training.
        InputError: ``out`` cannot be written.
    """
    # This check and the next come before anything that takes time.
    only_first(ranks, lambda: check_weights_folder(out, overwrite=overwrite))
    temperature = checked_temperature(record.temperature, "The training")
    job, people, provenance = job.loaded(record.labels), record.people, record.provenance
    folder = as_path(out, "out")
    kept = Checkpoint(folder / ".training.pt", remove=False)
    with ExitStack() as stack:
        only_first(ranks, lambda: stack.enter_context(locked(folder, below=False)))
        # Another process may have trained meanwhile.
        only_first(ranks, lambda: check_weights_folder(out, overwrite=overwrite))
        curve = partial(write_curve, folder / CURVE_FILE)
        trained, _ = run_job(job, data, on_epoch, kept, (curve, *callbacks), ranks=ranks)
        if isinstance(job.start, StartFrom):
            people, provenance = job.start.people(people), job.start.provenance(provenance)
        trained.labels, trained.preprocess_spec, trained.temperature = record.labels, record.spec, temperature
        trained.trained_people = people

        def store() -> None:
            save_pretrained(
                trained,
                out,
                recipe=job.recipe.to_dict(),
                training={"samples": len(data), "seed": job.seed, **record.card},
                people=people,
                provenance=provenance,
                overwrite=overwrite,
            )
            kept.path.unlink(missing_ok=True)

        only_first(ranks, store)
    return trained
