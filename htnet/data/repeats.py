"""Samples of a manifest that show the same pictures under two names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from htnet.core.errors import ManifestError
from htnet.core.paths import real_path

# Largest number of repeated samples in a note.
_NAMED = 10


def repeated_pictures(path: Path, samples: Sequence[Any], lines: Mapping[str, int]) -> list[str]:
    """A note on samples that have the same files under two names, so that they count twice; none if there are none.

    Links are resolved. Copies of a file are not compared here, but between people in every split
    (`htnet.core.shared_files.check_files`).

    Args:
        path: the table, for messages.
        samples: its samples, as `htnet.data.Sample`.
        lines: line of each sample, by its name.

    Raises:
        ManifestError: two samples have the same files and different labels.
    """
    first: dict[tuple[str, ...], Any] = {}
    found = []
    for sample in samples:
        files, what = _pictures(sample)
        other = first.setdefault(tuple(map(real_path, files)), sample)
        if other is sample:
            continue
        two = f"{other.sample!r} (line {lines[other.sample]}) and {sample.sample!r} (line {lines[sample.sample]})"
        if None not in (other.label, sample.label) and other.label != sample.label:
            raise ManifestError(
                f"{path}: the samples {two} have the same {what}, but are labeled {other.label} and {sample.label}. "
                "Correct the files or the label, or delete one of them."
            )
        found.append(f"{two}, the same {what}")
    if not found:
        return []
    shown = "; ".join(found[:_NAMED]) + (f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    return [f"{path}: samples that are listed twice count twice: {shown}."]


def _pictures(sample: Any) -> tuple[tuple[Path, ...], str]:
    """The files that a sample shows, and what they are."""
    if sample.onset is not None and sample.apex is not None:
        return (sample.onset, sample.apex), "onset and apex"
    if sample.flow is not None:
        return (sample.flow,), "flow image"
    return (sample.image,) if sample.image is not None else (), "image"
