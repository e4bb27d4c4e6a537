"""A model's table of action units, counted over the samples it is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from htnet.core.errors import ModelError
from htnet.data import Sample, training_cooccurrence
from htnet.models import get_entry


def counted_units(model: str, samples: Iterable[Sample]) -> dict[str, Any]:
    """The setting ``au_cooccurrence`` of a model, counted by `htnet.data.training_cooccurrence`.

    Args:
        model: registered model name.
        samples: those to train on, never those to test on.

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
