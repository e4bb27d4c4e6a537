"""Doubts about a folder of frames that its names raise: numbers are missing, or several sequences are mixed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htnet.core.errors import VideoError
from htnet.core.types import Float64Array, QualityWarning
from htnet.core.words import counted

# A step between numbers that is this many times the usual one is a gap, as for times.
_GAP = 1.5
# Number of examples in a message.
_NAMED = 3


def refuse_copies(folder: Path, paths: Sequence[Path]) -> None:
    """Refuse a folder in which frames are in files of two formats, because each of them would be read twice.

    Raises:
        VideoError: two files have the same name except for the extension.
    """
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise VideoError(
                f"The folder {folder} contains {other.name} and {path.name}: a frame in two formats would be read "
                "twice. Keep the files of one format."
            )


def name_warnings(folder: Path, paths: Sequence[Path]) -> tuple[QualityWarning, ...]:
    """Warnings about the names of frames that are read one after the other.

    Args:
        folder: their folder.
        paths: the files, in the order in which they are read.
    """
    kinds: dict[str, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_without_numbers(path), []).append(path)
    if len(several := [group for group in kinds.values() if len(group) > 1]) > 1:
        groups = "; ".join(f"{g[0].name} to {g[-1].name} ({len(g)})" for g in several[:_NAMED])
        more = f"; and {len(several) - _NAMED} more" if len(several) > _NAMED else ""
        message = (
            f"The folder {folder} seems to contain several sequences: {groups}{more}. They are read one after the "
            "other, as one video. Give each its own folder."
        )
        return (QualityWarning("mixed_frames", message),)
    main = max(kinds.values(), key=len, default=[])
    numbers = file_numbers(main)
    if numbers is None or len(numbers) < 3:
        return ()
    steps = np.diff(numbers)
    usual = float(np.median(steps))
    places = np.flatnonzero((steps > _GAP * usual) | (steps <= 0))
    if not len(places):
        return ()
    shown = ", ".join(f"from {main[i].name} to {main[i + 1].name}" for i in places[:_NAMED].tolist())
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    message = (
        f"The numbers in the names of the frames in {folder} do not rise evenly: {shown}{more} "
        f"({counted(len(places), 'place')}; elsewhere by {usual:g}). If frames are missing there, the times of all "
        "later ones are too small, because files are counted for them, and an apex among the missing ones is not found."
    )
    return (QualityWarning("frame_gaps", message),)


def _without_numbers(path: Path) -> str:
    return re.sub(r"\d+", "#", path.stem.lower())


def file_numbers(paths: Sequence[Path]) -> Float64Array | None:
    """The one number that differs from name to name, of each file; None if none or several do."""
    if len(set(map(_without_numbers, paths))) > 1:
        return None
    table = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    columns = [column for column in zip(*table, strict=True) if len(set(column)) > 1]
    if len(columns) != 1 or max(columns[0]) >= 2**53:
        return None
    return np.asarray(columns[0], dtype=np.float64)
