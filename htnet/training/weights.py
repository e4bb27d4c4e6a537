"""Training on a whole manifest, into a weights folder."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.errors import WeightsError
from htnet.core.files import check_folder
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest
from htnet.data.published import with_differences
from htnet.hub import save_pretrained
from htnet.hub.folder import FILES, checked_temperature
from htnet.models import EmotionModel
from htnet.training.generated_samples import check_classes, with_units
from htnet.training.job import OnEpoch, Start
from htnet.training.recipe import Recipe, get_recipe
from htnet.training.start import StartFrom
from htnet.training.state import Checkpoint
from htnet.training.tensors import FlowSet, TrainingSet
from htnet.training.trainer import train_model


def train_weights(
    manifest: Manifest,
    data: FlowSet,
    out: str | PathLike[str],
    *,
    model: str = "htnet_small",
    recipe: str | Recipe = "default",
    seed: int = 0,
    device: str = "cpu",
    settings: dict[str, Any] | None = None,
    start: StartFrom | None = None,
    temperature: float = 1.0,
    training: Mapping[str, Any] | None = None,
    on_epoch: Any = None,
    overwrite: bool = False,
) -> EmotionModel:
    """Train on all samples and write a weights folder; an interrupted training goes on.

    Args:
        manifest: the samples.
        data: the same samples as tensors.
        out: weights folder.
        model: registered model name.
        recipe: how to train.
        seed: of everything random.
        device: where to train.
        settings: overrides of the model's config.
        start: weights that training starts from, in place of fresh ones; the card then names their data and terms too.
        temperature: what the model's scores are to be divided by for its probabilities; see `htnet.calibration`.
        training: what the card says besides: ``license``, ``metrics``, ``dataset``, ...
        on_epoch: called after each epoch with (epoch, model), for a progress bar.
        overwrite: replace weights that ``out`` holds.

    Returns:
        The model in eval mode.

    Raises:
        OverwriteError: ``out`` holds weights and ``overwrite`` is not given.
        WeightsError: manifest and data do not belong together, or the temperature is not positive and finite.
    """
    if len(manifest) != len(data):
        raise WeightsError(f"The manifest has {len(manifest)} samples, the data {len(data)}. Load them together.")
    recipe, out = get_recipe(recipe), Path(out)
    check_folder(out, FILES, overwrite=overwrite)
    check_classes(recipe, manifest.classes)
    settings = with_units(model, recipe, {**(settings or {}), "num_classes": len(manifest.classes)})
    described = {
        "subjects": len(manifest.subjects),
        "protocol": "trained on all samples; the last epoch, nothing was selected",
        "regions_at": data.regions_at_counts(),
        **({"notes": list(remarks)} if (remarks := with_differences(manifest).remarks) else {}),
        **({"points68_from": data.points68_counts()} if data.points68 is not None else {}),
        **({"generated": f"{recipe.generated} by htnet.synthesis in every batch"} if recipe.generated else {}),
        **(training or {}),
    }
    provenance = Provenance.of(manifest, generated=bool(recipe.generated))
    return train_into(
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
        start=start,
        people=start.people(manifest) if start is not None else TrainedPeople.of(manifest),
        provenance=start.provenance(provenance) if start is not None else provenance,
        temperature=temperature,
        on_epoch=on_epoch,
        overwrite=overwrite,
    )


def train_into(
    out: Path,
    model: str,
    data: TrainingSet,
    recipe: Recipe,
    labels: tuple[str, ...],
    described: Mapping[str, Any],
    *,
    spec: PreprocessSpec,
    seed: int,
    device: str,
    settings: dict[str, Any],
    people: TrainedPeople,
    provenance: Provenance,
    start: Start | None = None,
    temperature: float = 1.0,
    on_epoch: OnEpoch | None = None,
    overwrite: bool = False,
) -> EmotionModel:
    """Train a model and write its weights folder, where an interrupted training goes on.

    Args:
        out: weights folder.
        model: registered model name.
        data: training set.
        recipe: how to train.
        labels: names of the classes.
        described: what the card says, besides the number of samples and the seed.
        spec: how the model's input is made.
        seed: of everything random.
        device: where to train.
        settings: overrides of the model's config.
        people: who the weights know afterwards, those of the start among them.
        provenance: data and terms, those of the start among them.
        start: gives the fresh model other weights.
        temperature: the model's, for its probabilities.
        on_epoch: called after each epoch with (epoch, model).
        overwrite: replace weights that ``out`` holds.

    Returns:
        The model in eval mode.

    Raises:
        OverwriteError: ``out`` holds weights and ``overwrite`` is not given.
        WeightsError: the temperature is not positive and finite.
    """
    check_folder(out, FILES, overwrite=overwrite)  # before it costs any time, like the next
    temperature = checked_temperature(temperature, "The training")
    trained, _ = train_model(
        model,
        data,
        recipe,
        seed=seed,
        device=device,
        settings=settings,
        start=start,
        on_epoch=on_epoch,
        checkpoint=Checkpoint(out / ".training.pt"),
    )
    trained.labels, trained.preprocess_spec, trained.temperature = labels, spec, temperature
    trained.trained_people = people
    training = {"samples": len(data), "seed": seed, **described}
    save_pretrained(
        trained,
        out,
        recipe=recipe.to_dict(),
        training=training,
        people=people,
        provenance=provenance,
        overwrite=overwrite,
    )
    return trained
