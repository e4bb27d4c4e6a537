"""Tables of 68 points that OpenFace and py-feat write: one row per face and frame.

OpenFace 2 (wiki "Output Format", and the source of its recorder and capture): ``frame`` counts from 1, ``success`` is 1
or 0, column names begin with blanks; FaceLandmarkImg writes ``face`` and no ``frame``. In a folder of images, frame n
is the n-th by plain sorting of the file names, so img10 comes before img2. py-feat (2.1.5, its test data): ``frame``
counts from 0, ``input`` is the image or video, ``FaceScore`` the detector's score. Both name the points x_0 ... x_67,
y_0 ... y_67, in the order of iBUG 300-W and in px. py-feat's MPDetector writes the 478 points of MediaPipe's mesh under
the same names, x_0 ... x_477: those numbers denote other points, so such tables are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from htnet.core.csv_files import open_table
from htnet.core.errors import LandmarkError
from htnet.core.files import FreshFile
from htnet.core.paths import as_path
from htnet.core.types import FloatArray, Frame, Landmarks, Landmarks68, QualityWarning
from htnet.preprocess.geometry import scale_points

#: Columns of the points.
COLUMNS_68 = tuple(f"{axis}_{number}" for axis in "xy" for number in range(68))
#: Confidence of OpenFace, or score of py-feat, below which points are refused, whatever ``success`` says; and below
#: which they get a warning.
REFUSED, DOUBTFUL = 0.3, 0.75
# Endings of the files that OpenFace reads from a folder.
_OPENFACE_IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True, eq=False)
class _Row:
    line: int
    frame: int | None
    source: str
    success: bool
    score: float | None
    points: FloatArray | None


@dataclass(frozen=True, eq=False)
class _Table:
    """The rows of a file, and the number of its first frame."""

    path: Path
    rows: Sequence[_Row]
    first: int

    def rows_of(self, frame: Frame, sample: str) -> Sequence[_Row]:
        if len(self.rows) == 1:
            self._check_only(self.rows[0], frame, sample)
            return self.rows
        number = self._number(frame, sample)
        if number is None:
            named = [row for row in self.rows if row.source and row.source == _name(frame.source)]
            if named and len({row.frame for row in named}) == 1:
                return named
            raise LandmarkError(
                f"{self.path} has {len(self.rows)} rows, and nothing says which row belongs to {frame.source}. "
                "Keep only that row, give the frame's number in the file with --sample frame:N, or give the video "
                "itself."
            )
        found = [row for row in self.rows if row.frame == number]
        if not found:
            raise LandmarkError(
                f"{self.path} has no row of frame {number} (it has {len(self.rows)} rows, frames from "
                f"{self.first}); it was made from another part of the video, or of another one."
            )
        return found

    def _check_only(self, row: _Row, frame: Frame, sample: str) -> None:
        """Refuse the only row if it names another frame."""
        shown = PurePosixPath(_name(re.sub(r" frame \d+$", "", frame.source)))
        given = PurePosixPath(row.source)
        # An image may have been taken from the video that the row names.
        taken = given.suffix.lower() not in _OPENFACE_IMAGES and shown.suffix.lower() in _OPENFACE_IMAGES
        if row.source and shown.suffix and not taken and given.stem.casefold() != shown.stem.casefold():
            raise LandmarkError(
                f"{self.path} line {row.line} has the points of {given}, not of {shown}; give the table of this "
                "picture or video."
            )
        named = re.fullmatch(r"frame:(\d+)", sample)
        number = int(named[1]) if named else None if frame.number is None else frame.number + self.first
        if number is not None and row.frame is not None and row.frame != number:
            raise LandmarkError(
                f"{self.path} line {row.line} has the points of frame {row.frame}, but those of frame {number} are "
                f"needed (the file counts from {self.first}); give the table of the whole video."
            )

    def _number(self, frame: Frame, sample: str) -> int | None:
        """The frame's number as the file counts, None if it cannot be determined."""
        if named := re.fullmatch(r"frame:(\d+)", sample):
            return int(named[1])
        image = Path(frame.source)
        if image.suffix.lower() in _OPENFACE_IMAGES and os.path.isfile(image):
            frames = {row.frame for row in self.rows}
            if self.first != 1 or None in frames:
                return None
            names = sorted(p.name for p in image.parent.iterdir() if p.suffix.lower() in _OPENFACE_IMAGES)
            return names.index(image.name) + 1 if len(names) == len(frames) else None
        return None if frame.number is None else frame.number + self.first


class PeerLandmarks:
    """68 points from a CSV file of OpenFace or py-feat; the row of a frame is identified, never guessed.

    A single row is used for any frame unless it names another one (``input`` or ``frame``). Among several rows, a frame
    of a video is identified by its number in the whole video. An image is identified by ``input`` (py-feat), or by its
    position in its folder (OpenFace), if the folder has as many images as the file has frames. The sample "frame:N"
    gives the frame's number in the file. Points with a confidence below `REFUSED` are refused.
    """

    def __init__(self, path: str | os.PathLike[str], *, scale: float = 1.0) -> None:
        """Read the file.

        Args:
            path: the .csv file.
            scale: see `htnet.preprocess.PrecomputedLandmarks`.

        Raises:
            LandmarkError: it cannot be read.
        """
        self.path = as_path(path, "path")
        self._file: FreshFile[_Table] = FreshFile(self.path, partial(_read, scale=scale))
        self._file.get()

    def __call__(self, frame: Frame, sample: str = "") -> Landmarks:
        """Five points of a frame; see `points68`."""
        return self.points68(frame, sample).five()

    def points68(self, frame: Frame, sample: str = "") -> Landmarks68:
        """68 points of a frame.

        Raises:
            LandmarkError: the frame's row cannot be identified, does not exist or has several faces, or the tracker
                failed there.
        """
        rows = self._file.get().rows_of(frame, sample)
        if len(rows) > 1:
            raise LandmarkError(
                f"{self.path} has {len(rows)} faces for {frame.source} (lines {', '.join(str(r.line) for r in rows)}); "
                "keep the rows of one face."
            )
        row = rows[0]
        if not row.success or row.points is None:
            raise LandmarkError(
                f"{self.path} line {row.line}: no face was found in this frame (success 0, or empty cells), so its "
                "points are meaningless. Use another onset, or let htnet detect the points: --landmarks yunet."
            )
        source = f"{self.path} (line {row.line})"
        if row.score is None or row.score >= DOUBTFUL:
            return Landmarks68(row.points, source, row.score)
        said = f"{self.path} line {row.line} gives its points a confidence of {row.score:.2f}"
        if row.score < REFUSED:
            raise LandmarkError(
                f"{said}: they are meaningless. Use another onset, or let htnet detect them: --landmarks yunet."
            )
        warning = QualityWarning("doubtful_points", f"{said}; {DOUBTFUL:g} or more is usual. Check them.")
        return Landmarks68(row.points, source, row.score, warnings=(warning,))


def is_peer_table(path: str | os.PathLike[str]) -> bool:
    """Whether a CSV file is a table of OpenFace or py-feat: it has their columns, and more than htnet's own.

    Raises:
        LandmarkError: it cannot be read.
    """
    columns = set(open_table(as_path(path, "path"), error=LandmarkError).columns)
    return set(COLUMNS_68) <= columns and not ("sample" in columns <= {*COLUMNS_68, "sample", "score"})


def _read(path: Path, scale: float) -> _Table:
    table = open_table(path, COLUMNS_68, LandmarkError)
    known = set(table.columns)
    count = sum(re.fullmatch(r"x_\d+", name) is not None for name in known)
    if count != 68:
        raise LandmarkError(
            f"{table.path} has {count} points per face. Their columns have the names of iBUG 300-W's 68, but those of "
            "py-feat's MPDetector (478) and of other meshes are other points. Give a table of py-feat's Detectorv1 or "
            "of OpenFace, or let htnet detect the points: --landmarks yunet."
        )
    openface = bool(known & {"success", "confidence"})
    wanted = [name for name in ("frame", "success", "confidence", "FaceScore") if name in known]
    numbers = [dict(zip(wanted, values, strict=True)) for values in table.numbers(wanted)]
    rows = []
    for (line, cells), more, values in zip(table.rows, numbers, table.numbers(COLUMNS_68), strict=True):
        if all(value is not None and np.isfinite(value) for value in values):
            points = scale_points(np.array(values, dtype=np.float64).reshape(2, 68).T, scale).astype(np.float32)
        else:
            points = None
        at = more.get("frame")
        if at is not None and at != int(at):
            raise LandmarkError(
                f"{table.path} line {line}: frame {at:g} is not a whole number; give the file as written."
            )
        score = more.get("confidence") if openface else more.get("FaceScore")
        frame = None if at is None else int(at)
        rows.append(_Row(line, frame, _name(cells.get("input", "")), more.get("success", 1.0) == 1, score, points))
    # A frame 0 means that frames are counted from 0, whatever wrote the file.
    return _Table(path, rows, 1 if openface and all(row.frame != 0 for row in rows) else 0)


def _name(path: str) -> str:
    return PurePosixPath(path.strip().replace("\\", "/")).name
