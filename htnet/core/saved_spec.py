"""Specifications that were saved with weights, prepared data and runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from htnet.core.errors import HtnetError, SpecError
from htnet.core.types import PreprocessSpec

#: Fields that were added after the first files were written. Files without them were made with their defaults.
_LATER = ("head_motion", "clahe", "clip_frames")


def saved_spec(data: Mapping[str, Any], names: Iterable[str] | None = None) -> PreprocessSpec:
    """Rebuild a saved spec. Its fields must all be there: a default in place of a lost one would change the input.

    Args:
        data: what was read from JSON.
        names: the fields, if only some of them were saved.

    Raises:
        SpecError: a field is missing, unknown or impossible.
    """
    wanted = PreprocessSpec.field_names() if names is None else tuple(names)
    refuse_missing(data, [name for name in wanted if name not in _LATER], "preprocessing field", SpecError)
    return PreprocessSpec.from_dict(data)


def refuse_missing(data: object, names: Iterable[str], what: str, error: type[HtnetError]) -> None:
    """Raise ``error`` if saved content lacks a name that htnet always writes.

    Args:
        data: what was read from JSON.
        names: the names.
        what: what the names stand for, for the message ("preprocessing field").
        error: the exception type to raise.
    """
    if isinstance(data, Mapping) and (lost := [name for name in names if name not in data]):
        raise error(
            f"Missing {what}: {', '.join(lost)}. htnet always writes it, and a default in its place might give other "
            "answers. Restore the file."
        )
