"""Preprocessing specification of a model to be trained."""

from __future__ import annotations

import dataclasses
from typing import Any

from htnet.core.errors import InputError
from htnet.core.types import PreprocessSpec
from htnet.models import get_entry, list_models


def spec_for(model: str, spec: PreprocessSpec | None = None, **changes: Any) -> PreprocessSpec:
    """The preprocessing of a registered model, with changes.

    Args:
        model: registered model name.
        spec: used instead of the model's own.
        **changes: fields to change; a field that is None keeps its value.

    Raises:
        InputError: clips are requested for a model that does not read motion.
    """
    spec = dataclasses.replace(
        spec or get_entry(model).spec, **{name: value for name, value in changes.items() if value is not None}
    )
    if changes.get("clip_frames") and "motion" not in get_entry(model).model_class.extra_inputs:
        readers = [name for name in list_models() if "motion" in get_entry(name).model_class.extra_inputs]
        raise InputError(
            f"{model} reads no motion, so clip_frames (--clip-frames) must be 0. Models that do: {', '.join(readers)}."
        )
    return spec
