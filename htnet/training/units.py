"""Action units of training samples: a model's table of their co-occurrence, and the units that it learns."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from htnet.core.errors import InputError, ManifestError, ModelError
from htnet.data import Sample, training_cooccurrence
from htnet.models import get_entry, list_models
from htnet.training.annotated_units import annotated_units
from htnet.training.generated_samples import has_unit_head

#: Number of samples in which a unit must be active to be learned by default.
FEWEST = 5


def counted_units(model: str, samples: Iterable[Sample]) -> dict[str, Any]:
    """The setting ``au_cooccurrence`` of a model, counted by `htnet.data.training_cooccurrence`.

    Args:
        model: registered model name.
        samples: the samples to train on, never those to test on.

    Returns:
        ``{"au_cooccurrence": ...}``, for `htnet.models.create_model`.

    Raises:
        ModelError: the model reads no such table.
        InputError: an annotation cannot be read.
        ManifestError: no sample is annotated.
    """
    known = [field.name for field in dataclasses.fields(get_entry(model).model_class.config_class)]
    if "au_cooccurrence" not in known:
        raise ModelError(f"{model} reads no table of action units, so there is nothing to count. Choose mhssa_gcn.")
    return {"au_cooccurrence": tuple(map(tuple, training_cooccurrence(samples).tolist()))}


def units_to_learn(model: str, samples: Iterable[Sample], units: Sequence[int] | None = None) -> tuple[int, ...]:
    """The setting ``action_units`` of a model that is to learn the units of samples.

    Args:
        model: registered model name.
        samples: the samples to train on.
        units: FACS numbers; by default those of the units that are active in at least `FEWEST` samples.

    Raises:
        ModelError: the model has no head for action units.
        ManifestError: no sample is annotated, or no unit is active in enough samples.
        InputError: a given unit is active in no sample, or an annotation cannot be read.
    """
    if not has_unit_head(model):
        able = ", ".join(name for name in list_models() if has_unit_head(name))
        raise ModelError(f"{model} has no head for action units. Choose one that has: {able}.")
    found = annotated_units(samples)
    if not found:
        raise ManifestError(
            "No sample has action units to learn. Fill the column 'action_units' (docs/data.md), or train without "
            "action units."
        )
    if units is None:
        often = tuple(number for number, count in found.items() if count >= FEWEST)
        if not often:
            raise ManifestError(
                f"No action unit is active in {FEWEST} samples or more, so there is none to learn by default. Name "
                f"the units to learn: {_counts(found)}."
            )
        return often
    if absent := [number for number in units if number not in found]:
        raise InputError(
            f"Action unit {', '.join(map(str, absent))} is active in no sample, so it cannot be learned. Active units "
            f"are {_counts(found)}."
        )
    return tuple(units)


def _counts(found: dict[int, int]) -> str:
    return ", ".join(f"{number} (in {count})" for number, count in found.items())
