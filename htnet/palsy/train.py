"""Training of a grading model, from fresh weights or from those of a micro-expression model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from os import PathLike

from htnet.core.deprecated import gathered_arguments, renamed_arguments
from htnet.core.errors import ManifestError, ModelError
from htnet.core.global_state import usual_settings
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import Provenance
from htnet.data import Manifest
from htnet.hub.folder import check_weights_folder
from htnet.models import EmotionModel, TransferReport, create_model, get_entry, list_models
from htnet.palsy.faces import FaceSet
from htnet.palsy.grades import check_order
from htnet.training import StartFrom, TrainingJob, WeightsRecord, job_of, train_into
from htnet.training.job import Callback, OnEpoch

_job = partial(job_of, recipe="palsy", model="htnet_palsy_tiny")


@renamed_arguments
@gathered_arguments("job", _job, "model", "recipe", "start", "seed", "device", "settings")
@usual_settings(grad=True)
def train_palsy(
    manifest: Manifest,
    data: FaceSet,
    out: str | PathLike[str],
    job: TrainingJob | None = None,
    *,
    on_epoch: OnEpoch | None = None,
    callbacks: Sequence[Callback] = (),
    overwrite: bool = False,
) -> tuple[EmotionModel, TransferReport | None]:
    """Train on faces and write a weights folder; an interrupted training is resumed.

    Nothing is selected on held-out images: the last epoch is the result.

    Args:
        manifest: the training split, see `Manifest.split`.
        data: the same samples as tensors, of the model's ``image_size``.
        out: weights folder.
        job: training of a model that reads faces, with a recipe whose augmentation is for faces; by default
            `htnet_palsy_tiny` with the recipe "palsy".
        on_epoch: called after each epoch with (epoch, model), for a progress bar.
        callbacks: called after each epoch with an `EpochReport` and the model.
        overwrite: replace existing weights in ``out``.

    Returns:
        The model in eval mode, and a report of which tensors were transferred from the job's start (None without one).

    Raises:
        OverwriteError: ``out`` contains weights and ``overwrite`` is not given.
        ModelError: the model does not read faces, or reads faces of another size.
        ManifestError: manifest and data have different numbers of samples, contain a single image or class, or
            the grades are not in their order.
        WeightsError: the start cannot be loaded.
        RunError: ``out`` contains the checkpoint of another training.
    """
    check_weights_folder(out, overwrite=overwrite)
    if len(manifest) != len(data):
        raise ManifestError(
            f"The manifest has {len(manifest)} samples, but the data have {len(data)}. Load them together."
        )
    if len({s.label for s in manifest}) < 2:
        raise ManifestError(
            f"{manifest.source}: {len(manifest)} training image(s) of one class; give images of two or more."
        )
    check_order(manifest.classes, manifest.source)
    order = manifest.by_name()
    manifest, data = manifest.subset(order), data.subset(order)
    job = job or _job()
    job = dataclasses.replace(job, settings={**job.settings, "num_classes": len(manifest.classes)})
    check_face_model(create_model(job.model, **job.settings), data.spec.size)
    job = job.loaded(manifest.classes)
    card = {
        "subjects": len(manifest.subjects),
        "protocol": "trained on the training split; the last epoch, nothing was selected",
    }
    people, provenance = TrainedPeople.of(manifest), Provenance.of(manifest, classes=manifest.classes)
    record = WeightsRecord(manifest.classes, data.spec, card, people, provenance)
    trained = train_into(out, job, data, record, on_epoch, callbacks=callbacks, overwrite=overwrite)
    return trained, job.start.report if isinstance(job.start, StartFrom) else None


def check_face_model(model: EmotionModel, size: int | None = None) -> None:
    """Refuse a model that does not read faces, reads faces of another size, or has its grades in a wrong order.

    Args:
        model: the model.
        size: side of the faces, px; None for any.

    Raises:
        ModelError: the model reads flow images, or faces of another size, or its grades are not in their order.
    """
    if model.input_kind != "face":
        raise ModelError(
            f"{model.name} reads {model.input_kind} images, not faces. Choose a model for faces: "
            f"{', '.join(face_models())}."
        )
    check_order(model.labels, model.name, ModelError)
    if size is not None and model.config.image_size != size:
        raise ModelError(
            f"{model.name} reads faces of {model.config.image_size} px, but the data are of {size} px. Load the faces "
            "at the model's size, or give image_size."
        )


def face_models() -> list[str]:
    """Names of registered models that read faces."""
    return [name for name in list_models() if get_entry(name).model_class.input_kind == "face"]
