"""Precomputed points from CSV and JSON files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import real_array
from htnet.core.csv_files import open_table
from htnet.core.errors import LandmarkError, cause, did_you_mean, refuse_unknown
from htnet.core.fields import real
from htnet.core.files import FreshFile
from htnet.core.hints import hint
from htnet.core.limits import parse_json, read_file
from htnet.core.paths import as_path
from htnet.core.schema import OUTPUT_POINTS
from htnet.core.types import POINT_NAMES, Frame, Landmarks, Landmarks68
from htnet.preprocess.align import scale_points
from htnet.preprocess.landmarks.peers import PeerLandmarks, is_peer_table

#: Coordinate columns of a CSV file, in order.
COLUMNS = tuple(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")
#: The names of these columns in htnet's JSON, "image_left_eye_x", ..., to those above.
_PLAIN = dict(zip([f"{name}_{axis}" for name in OUTPUT_POINTS for axis in "xy"], COLUMNS, strict=True))
#: Coordinate columns of 68 points in the order of iBUG 300-W.
COLUMNS_68 = tuple(f"{axis}{number}" for number in range(68) for axis in "xy")


class PrecomputedLandmarks:
    """Points of many samples from one file, looked up by the sample's name.

    A CSV file (see `htnet.core.csv_files`) has the columns ``sample``, ``image_left_eye_x``, ``image_left_eye_y``, ...
    ``image_right_mouth_y`` and optionally ``score``; the names may lack ``image_``. A JSON file has
    ``{sample: [[x, y], five times]}``, or just five ``[x, y]`` that are used for every sample. Each list of five may
    also be a dictionary of the points by name, as in htnet's JSON. A file of one sample needs no name.
    CSV files of OpenFace and py-feat are read too, see `PeerLandmarks`.

    Both may contain 68 points in the order of iBUG 300-W instead of five: a JSON list of 68 ``[x, y]``, or the columns
    ``sample``, ``x0``, ``y0``, ... ``x67``, ``y67`` (in any order; ``x_0`` is accepted too).
    """

    def __init__(self, path: str | os.PathLike[str], *, scale: float = 1.0) -> None:
        """Read the file.

        Args:
            path: a .csv or .json file.
            scale: side of the frames divided by the side of the images on which the points were found, e.g. 8 for
                points on 28 px images and frames of 224 px; see `scale_points`.

        Raises:
            InputError: ``scale`` is not positive.
            LandmarkError: the file is missing or not as described.
        """
        scale = real(gt=0).check("scale", scale)
        self.__setstate__({"path": as_path(path, "path"), "scale": scale})
        self._file.get()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "scale": self.scale}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path: Path = state["path"]
        self.scale: float = state["scale"]
        self._file: FreshFile[_Points] = FreshFile(self.path, partial(_read_points, scale=self.scale))

    @property
    def has_68(self) -> bool:
        """Whether the file contains 68 points of every sample, so that `points68` can be called."""
        points = self._file.get()
        found = points.values() if isinstance(points, dict) else [points]
        return all(isinstance(one, (Landmarks68, PeerLandmarks)) for one in found)

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Five points of ``sample``; the file is read again if it has changed.

        Raises:
            LandmarkError: the file has none for it.
        """
        found = self._points(frame, sample)
        return found.five() if isinstance(found, Landmarks68) else found

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """68 points of ``sample``; the file is read again if it has changed.

        Raises:
            LandmarkError: the file has none for it, or five only.
        """
        found = self._points(frame, sample)
        if isinstance(found, Landmarks):
            raise LandmarkError(
                f"{self.path} contains five points of sample {sample!r}, not 68. Give a file of 68 points (columns x0, "
                "y0, ... x67, y67), or estimate them with htnet.preprocess.estimate_68."
            )
        return found

    def _points(self, frame: Frame, sample: str) -> Landmarks | Landmarks68:
        points = self._file.get()
        if isinstance(points, PeerLandmarks):
            return points.points68(frame, sample)
        if not isinstance(points, dict):
            return points
        if not sample and len(points) == 1:
            return next(iter(points.values()))
        name = sample if sample in points else sample.strip()  # a table's names are read without blanks around them
        if name not in points:
            cure = did_you_mean(sample, points) if sample else "Give the sample's name (--sample)."
            raise LandmarkError(
                f"{self.path} has no landmarks for sample {sample!r} (frame {frame.source}; "
                f"{len(points)} samples in the file). {cure[:500]}"
            )
        return points[name]


#: Content of a file: points of many samples by name, points that are used for all, or a table of another program.
_Points = dict[str, Landmarks | Landmarks68] | Landmarks | Landmarks68 | PeerLandmarks


def _read_points(path: Path, scale: float) -> _Points:
    if path.suffix.lower() == ".csv":
        return PeerLandmarks(path, scale=scale) if is_peer_table(path) else _read_csv(path, scale)
    content = _read_json(path)
    if isinstance(content, dict) and not _named(content):
        return {name: _landmarks(points, f"{path} (sample {name})", scale) for name, points in content.items()}
    return _landmarks(content, str(path), scale)


def image_side(path: str | os.PathLike[str]) -> float | None:
    """Side of the images that a table's points are in, if its name ends in it: 224 for ``yunet_224px.csv``."""
    found = re.search(r"_(\d+)px$", as_path(path, "path").stem)
    return float(found[1]) if found else None


def flow_image_points(path: str | os.PathLike[str], frame: Frame, sample: str) -> Landmarks | Landmarks68:
    """Points of one sample in px of its flow image: five or 68, as in the file.

    Args:
        path: a file for `PrecomputedLandmarks`. Its points are in px of the flow image, unless its name ends
            in the side of the images they are in (see `image_side`).
        frame: the flow image.
        sample: the sample's name.

    Raises:
        LandmarkError: the file is missing, not as described, or has no such sample.
    """
    side = image_side(path)
    table = landmark_table(path, frame.size[1] / side if side else 1.0)
    return table.points68(frame, sample) if table.has_68 else table(frame, sample)


def landmark_table(path: str | os.PathLike[str], scale: float = 1.0) -> PrecomputedLandmarks:
    """`PrecomputedLandmarks` of a file, cached, because one file may contain hundreds of samples.

    Raises:
        LandmarkError: the file is missing or not as described.
    """
    return _table(as_path(path, "path"), scale)


@lru_cache(maxsize=8)
def _table(path: Path, scale: float) -> PrecomputedLandmarks:
    return PrecomputedLandmarks(path, scale=scale)


def read_points_json(path: str | os.PathLike[str]) -> Landmarks:
    """Read one face's points: a JSON list of five [x, y] in frame px, order `POINT_NAMES`, or of iBUG's 68.

    Raises:
        LandmarkError: the file is missing or contains something else.
    """
    found = _landmarks(_read_json(as_path(path, "path")), str(path), 1.0)
    return found.five() if isinstance(found, Landmarks68) else found


def _read_text(path: Path) -> str:
    try:
        data = read_file(path)
        return data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except FileNotFoundError:
        raise LandmarkError(f"Landmarks file {path} does not exist; check the path.") from None
    except (OSError, ValueError) as error:
        raise LandmarkError(
            f"Landmarks file {path} cannot be read ({cause(error)}); give a UTF-8 text file."
        ) from error


def _read_json(path: Path) -> Any:
    try:
        content = parse_json(_read_text(path), str(path))
    except json.JSONDecodeError as error:
        raise LandmarkError(f"Landmarks file {path} is not JSON ({cause(error)}); give five [x, y].") from error
    if not isinstance(content, dict):
        return content
    if str(content.get("schema", "")).startswith("htnet."):
        landmarks = content.get("landmarks")
        if not isinstance(landmarks, dict) or not _named(landmarks.get("points")):
            raise LandmarkError(f"{path} is a document of kind {content['schema']} without landmarks of a pair.")
        return landmarks["points"]
    if not _named(content) and len(content) == len(POINT_NAMES) and all(map(_is_point, content.values())):
        raise LandmarkError(
            f"{path} names its points {', '.join(content)}. Whether left is the image's or the subject's differs from "
            f"detector to detector: name them {', '.join(OUTPUT_POINTS)}."
        )
    return content


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(number, (int, float)) for number in value)


def _named(points: Any) -> bool:
    """Whether this is one face's points by name, as htnet's JSON contains them."""
    return isinstance(points, dict) and (set(points) == set(OUTPUT_POINTS) or set(points) == set(POINT_NAMES))


def landmarks_from(points: npt.ArrayLike, source: str, score: float | None = None) -> Landmarks | Landmarks68:
    """Five points or 68, whichever were given.

    Raises:
        LandmarkError: the number of points is another, or a value is not a number.
    """
    shape = np.shape(points)
    if shape not in ((5, 2), (68, 2)):
        raise LandmarkError(
            f"Landmarks from {source} have shape {shape}; give five [x, y] points in the order "
            f"{', '.join(POINT_NAMES)}, or 68 in the order of iBUG 300-W."
        )
    kind = Landmarks if shape == (5, 2) else Landmarks68
    return kind(real_array(points, f"Landmarks from {source}", LandmarkError, "px of the frame"), source, score)


def _landmarks(points: Any, source: str, scale: float, score: float | None = None) -> Landmarks | Landmarks68:
    if _named(points):
        points = [points[name] for name in (OUTPUT_POINTS if OUTPUT_POINTS[0] in points else POINT_NAMES)]
    cure = f"five [x, y] in the order {', '.join(POINT_NAMES)}, or 68 in the order of iBUG 300-W"
    array = real_array(points, f"Landmarks in {source}", LandmarkError, cure, dtype=np.float64)
    return landmarks_from(scale_points(array, scale).astype(np.float32), source, score)


def _read_csv(path: Path, scale: float) -> dict[str, Landmarks | Landmarks68]:
    table = open_table(path, error=LandmarkError)
    plain = _plain_names(table.columns)
    coordinates = COLUMNS_68 if COLUMNS_68[0] in plain.values() else COLUMNS
    required = ("sample", *coordinates)
    missing = [name for name in required if name not in plain.values()]
    if missing:
        raise LandmarkError(
            f"{path} lacks the columns {', '.join(missing[:12])}; give sample, {', '.join(COLUMNS)}, or sample and the "
            f"68 points of iBUG 300-W as x0, y0, ... x67, y67.{hint(path)}"
        )
    refuse_unknown(plain.values(), (*required, "score"), f"column of {path}", LandmarkError)
    written = {old: name for name, old in plain.items()}
    if len(written) < len(plain):
        raise LandmarkError(f"{path} contains a point twice, under two names. Keep one.")
    numbers = table.numbers([written[name] for name in coordinates])
    scores = [score for [score] in table.numbers(["score"])] if "score" in written else [None] * len(numbers)
    found: dict[str, Landmarks | Landmarks68] = {}
    for (line, row), values, score in zip(table.rows, numbers, scores, strict=True):
        place, name = f"{path} line {line}", row["sample"].strip()
        if name in found:
            raise LandmarkError(f"{place} repeats sample {name!r}; keep one row per sample.")
        if None in values:
            raise LandmarkError(f"{place} (sample {name!r}) has an empty cell; give {len(coordinates)} numbers.")
        points = np.array(values, dtype=np.float64).reshape(-1, 2)
        found[name] = _landmarks(points, f"{path} (sample {name})", scale, score)
    return found


def _plain_names(columns: Sequence[str]) -> dict[str, str]:
    """For each column under another name, its name in `COLUMNS` or `COLUMNS_68`."""
    return {name: _PLAIN.get(name, re.sub(r"^([xy])_(\d+)$", r"\1\2", name)) for name in columns}
