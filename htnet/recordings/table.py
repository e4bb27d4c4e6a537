"""Curves of a recording as files: a CSV table for users, and an archive that htnet can read again."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import InputError, cause, refuse_short_memory
from htnet.core.files import check_outputs, write_bytes, write_text
from htnet.core.limits import check_archive, parse_json
from htnet.core.paths import as_path
from htnet.core.types import POINT_NAMES, QualityWarning
from htnet.recordings.measure import FEATURES
from htnet.recordings.stream import Missing
from htnet.recordings.track import CURVES, FaceTrack, RecordingCurves

#: Columns of the table before the curves.
TABLE_COLUMNS = (
    *("face", "frame", "time_s", "gap", "quality", "turn", "nose_height", "roll"),
    *("box_left", "box_top", "box_width", "box_height"),
    *(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"),
)
# Version of the archive format.
_VERSION = 1
_ARRAYS = tuple(field.name for field in dataclasses.fields(FaceTrack) if field.name not in ("number", "segments"))


def write_table(found: RecordingCurves, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the measurements of a recording.

    Args:
        found: the curves.
        path: a file that ends in .csv for a table with one row for every face and frame, with the columns
            `TABLE_COLUMNS` and `CURVES`, empty in gaps; or in .npz for an archive with all features, which
            `read_curves` reads.
        overwrite: replace a file that exists.

    Returns:
        The path of the file.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the name has another ending, or the file cannot be written.
    """
    path = as_path(path, "path")
    ending = path.suffix.lower()
    if ending not in (".csv", ".npz"):
        raise InputError(f"Curves cannot be written as {path.name!r}; give a name that ends in .csv or .npz.")
    check_outputs(path, overwrite=overwrite)
    if ending == ".csv":
        write_text(path, _as_csv(found))
    else:
        write_bytes(path, _as_archive(found))
    return path


def read_curves(path: str | os.PathLike[str]) -> RecordingCurves:
    """Read an archive that `write_table` wrote.

    Raises:
        InputError: it is not such an archive, or it is from another version.
    """
    cure = "Give a .npz file that htnet.recordings.write_table wrote, or measure the recording again."
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as archive:
            head = parse_json(str(archive["recording"]))
            if head.pop("version") != _VERSION or head.pop("features") != list(FEATURES):
                raise InputError(f"{path} is an archive from another version of htnet. {cure}")
            tracks = tuple(
                FaceTrack(
                    number=number,
                    segments=tuple((int(first), int(last)) for first, last in segments),
                    **{name: archive[f"{name}_{number}"] for name in _ARRAYS},
                )
                for number, segments in enumerate(head.pop("segments"))
            )
        missing = tuple(Missing(**part) for part in head.pop("missing"))
        warnings = tuple(QualityWarning(**part) for part in head.pop("warnings"))
        size, cuts = tuple(head.pop("size")), tuple(head.pop("cuts"))
        return RecordingCurves(**head, size=size, cuts=cuts, tracks=tracks, missing=missing, warnings=warnings)
    except InputError:
        raise
    except Exception as error:  # NumPy's and zipfile's readers raise many types for damaged archives
        refuse_short_memory(error, path)
        raise InputError(f"{path} cannot be read as curves of a recording ({cause(error)}). {cure}") from error


def _as_csv(found: RecordingCurves) -> str:
    file = io.StringIO(newline="")
    writer = CsvWriter(file)
    writer.writerow((*TABLE_COLUMNS, *CURVES))
    for track in found.tracks:
        curves = np.stack([track.curves[name] for name in CURVES], axis=1)
        for row in range(len(track)):
            values = (
                track.quality[row : row + 1],
                track.poses[row],
                track.boxes[row],
                track.points[row].ravel(),
                curves[row],
            )
            cells = ["" if np.isnan(value) else f"{value:.6g}" for value in np.concatenate(values)]
            writer.writerow((track.number, track.frames[row], f"{track.times[row]:.6f}", track.gap(row), *cells))
    return file.getvalue()


def _as_archive(found: RecordingCurves) -> bytes:
    head: dict[str, Any] = {
        name: getattr(found, name) for name in ("source", "fps", "size", "frames", "duration", "cuts")
    }
    head["missing"] = [dataclasses.asdict(part) for part in found.missing]
    head["warnings"] = [dataclasses.asdict(part) for part in found.warnings]
    head |= {"segments": [track.segments for track in found.tracks], "features": FEATURES, "version": _VERSION}
    arrays = {f"{name}_{track.number}": getattr(track, name) for track in found.tracks for name in _ARRAYS}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, recording=np.array(json.dumps(head)), **arrays)
    return file.getvalue()
