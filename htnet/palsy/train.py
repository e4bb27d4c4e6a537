"""Training of a grading model, from fresh weights or from those of a micro-expression model."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.deprecated import renamed_arguments
from htnet.core.errors import ManifestError, ModelError
from htnet.core.files import check_folder
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import Provenance
from htnet.data import Manifest
from htnet.hub.folder import FILES
from htnet.models import EmotionModel, TransferReport, create_model, get_entry, list_models
from htnet.palsy.faces import FaceSet
from htnet.training import Recipe, StartFrom, get_recipe, train_into


@renamed_arguments(source="start")
def train_palsy(
    manifest: Manifest,
    data: FaceSet,
    out: str | PathLike[str],
    *,
    model: str = "htnet_palsy_tiny",
    recipe: str | Recipe = "palsy",
    start: str | PathLike[str] | EmotionModel | None = None,
    seed: int = 0,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
    on_epoch: Any = None,
    overwrite: bool = False,
) -> tuple[EmotionModel, TransferReport | None]:
    """Train on faces and write a weights folder; an interrupted training goes on.

    Nothing is selected on held-out images: the last epoch is the result.

    Args:
        manifest: the training split, see `Manifest.split`.
        data: the same samples as tensors, of the model's ``image_size``.
        out: weights folder.
        model: registered model that reads faces.
        recipe: how to train; its augmentation must be one of faces.
        start: weights to start from, for `htnet.load_pretrained`, or a loaded model: what fits is taken over, see
            `htnet.models.transfer.transfer_weights`.
        seed: of everything random.
        device: where to train.
        settings: overrides of the model's config.
        on_epoch: called after each epoch with (epoch, model), for a progress bar.
        overwrite: replace weights that ``out`` holds.

    Returns:
        The model in eval mode, and what the transfer took over and what not (None without ``start``).

    Raises:
        OverwriteError: ``out`` holds weights and ``overwrite`` is not given.
        ModelError: the model reads no faces, or ones of another size.
        ManifestError: manifest and data do not belong together, or hold a single image or class.
        WeightsError: ``start`` cannot be loaded.
        RunError: ``out`` holds the checkpoint of another training.
    """
    recipe, out = get_recipe(recipe), Path(out)
    check_folder(out, FILES, overwrite=overwrite)
    if len(manifest) != len(data):
        raise ManifestError(f"The manifest has {len(manifest)} samples, the data {len(data)}. Load them together.")
    if len({s.label for s in manifest}) < 2:
        raise ManifestError(
            f"{manifest.source}: {len(manifest)} training image(s) of one class; give images of two or more."
        )
    settings = {**(settings or {}), "num_classes": len(manifest.classes)}
    check_face_model(create_model(model, **settings), data.spec.size)
    beginning = StartFrom(start, manifest.classes) if start is not None else None
    described = {
        "subjects": len(manifest.subjects),
        "protocol": "trained on the training split; the last epoch, nothing was selected",
    }
    provenance = Provenance.of(manifest)
    trained = train_into(
        out,
        model,
        data,
        recipe,
        manifest.classes,
        described,
        spec=data.spec,
        seed=seed,
        device=device,
        settings=settings,
        start=beginning,
        people=beginning.people(manifest) if beginning is not None else TrainedPeople.of(manifest),
        provenance=beginning.provenance(provenance) if beginning is not None else provenance,
        on_epoch=on_epoch,
        overwrite=overwrite,
    )
    return trained, beginning.report if beginning is not None else None


def check_face_model(model: EmotionModel, size: int | None = None) -> None:
    """Refuse a model that reads flow images, or faces of another size.

    Args:
        model: the model.
        size: side of the faces at hand, px; None for any.

    Raises:
        ModelError: it does.
    """
    if model.input_kind != "face":
        raise ModelError(
            f"{model.name} reads {model.input_kind} images, not faces. Choose a model for faces: "
            f"{', '.join(face_models())}."
        )
    if size is not None and model.config.image_size != size:
        raise ModelError(
            f"{model.name} reads faces of {model.config.image_size} px, the data are of {size} px. Load the faces at "
            "the model's size, or give image_size."
        )


def face_models() -> list[str]:
    """Names of registered models that read faces."""
    return [name for name in list_models() if get_entry(name).model_class.input_kind == "face"]
