"""The rows of a face that is being followed. They are solved in batches, so that no pictures are kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.geometry import transform_points
from htnet.preprocess.pose import TURNED
from htnet.recordings.cell_flow import solve_motions
from htnet.recordings.faces import SeenFace, inverse, upright
from htnet.recordings.measure import COLUMN, DISTANCES, FEATURES, HEAD, Places, Rows, feature_rows
from htnet.recordings.track import GAPS, FaceTrack

# Number of rows that are solved at a time, for which memory is reserved at first, and by which it grows later. These
# are several MB: arrays of this size grow in place, and pages that were not written to take up no memory.
_PART, _ROOM, _MORE = 64, 16_384, 4096
# Half width of the window in which a straight line is fitted to the detected points, s, and the time over which the
# speed of the head is measured, s.
_SMOOTH, _SPEED = 1.0, 0.1
# Distance between the points and the edge of the frame, in distances between the eyes, below which a part of the face
# is outside the frame (see `htnet.preprocess.landmarks.verify`).
_EDGE = 0.16
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class _Look:
    """A detection of the face, in px of the aligned face, so that it does not depend on the head's motion."""

    row: int
    time: float
    points: Float64Array
    corners: Float64Array
    pose: Float64Array
    score: float


class _FeatureRows:
    """Rows of `FEATURES` that grow in place; they are most of the memory of a long recording.

    They are copied only by NumPy 2.5, which does so whenever an array grows.
    """

    def __init__(self) -> None:
        self._held, self._count = _no_rows(), 0

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, object]:
        """The state without the unused memory."""
        return {"_held": self._held[: self._count], "_count": self._count}

    def add(self, rows: FloatArray) -> None:
        """Append rows."""
        end = self._count + len(rows)
        if end > len(self._held):
            self._make_room(end)
        self._held[self._count : end] = rows
        self._count = end

    def cut(self, count: int) -> None:
        """Keep only the first ``count`` rows."""
        self._count = min(self._count, count)

    def copy(self, first: int) -> FloatArray:
        """A copy of the rows from ``first`` on."""
        return self._held[first : self._count].copy()

    def take(self) -> FloatArray:
        """Return all rows and release them here."""
        found = self._held[: self._count]  # not resize: NumPy 2.5 copies all rows to shorten an array
        self._held, self._count = _no_rows(), 0
        return found

    def _make_room(self, end: int) -> None:
        if self._count:
            self._resize(end + _MORE)
        else:
            self._held = np.empty((end + _ROOM, len(FEATURES)), np.float32)

    def _resize(self, count: int) -> None:
        if not self._held.flags.owndata:  # read from a file
            self._held = self._held.copy()
        # There are no other references to the rows.
        self._held.resize((count, len(FEATURES)), refcheck=False)


def _no_rows() -> FloatArray:
    return np.empty((0, len(FEATURES)), np.float32)


class Recorder:
    """The rows of one face."""

    def __init__(self, number: int, first: int) -> None:
        """Start without rows.

        Args:
            number: number of the face in the recording.
            first: number of its first frame.
        """
        self.number = number
        self.first = first
        self.count = 0
        self.frames: list[int] = []
        self.times: list[float] = []
        self.gaps: list[int] = []
        self.matrices: list[Float64Array] = []
        self.quality: list[float] = []
        self.looks: list[_Look] = []
        self.starts: list[int] = []  # first rows of segments
        self.corrections: dict[int, Float64Array] = {}
        self._solved = _FeatureRows()
        self._open: list[tuple[int, FloatArray, Float64Array, int, FloatArray]] = []
        self._places = Places()

    def start(self) -> None:
        """Start a segment with the next row."""
        self._solve()
        self._places = Places()
        self.starts.append(self.count)

    def add_gap(self, frame: int, time: float, reason: str) -> None:
        """Add a frame in which the face cannot be measured."""
        self._add(frame, time, np.full((2, 3), np.nan), np.nan, reason)
        self._fill()

    def add(
        self,
        frame: int,
        time: float,
        matrix: Float64Array,
        quality: float,
        sums: FloatArray,
        spans: Float64Array,
        key: int,
        picture: FloatArray,
    ) -> None:
        """Add a frame, see `htnet.recordings.measure.Rows`."""
        self._add(frame, time, matrix, quality, "")
        self._open.append((self.count - 1, sums, spans, key, picture))
        if len(self._open) >= _PART:
            self._solve()

    def repeat(self, frame: int, time: float) -> None:
        """Add a frame that is identical to the previous one."""
        self._solve()
        self._add(frame, time, self.matrices[-1], self.quality[-1], GAPS[self.gaps[-1]])
        self._fill(self._solved.copy(len(self._solved) - 1))

    def look(self, row: int, time: float, face: SeenFace, matrix: Float64Array) -> None:
        """Add a detection of the face in a row."""
        x, y, width, height = face.box
        corners = [[x, y], [x + width, y], [x, y + height], [x + width, y + height]]
        seen = (transform_points(matrix, face.points), transform_points(matrix, corners))
        self.looks.append(_Look(row, time, *seen, face.pose, face.score))

    def close_from(self, row: int, reason: str) -> None:
        """Mark the rows from ``row`` on as a gap, because it turned out that the face could not be measured there."""
        code = GAPS.index(reason)
        for later in range(max(row, 0), self.count):
            self.gaps[later] = self.gaps[later] or code

    def turned_from(self, pose: Float64Array) -> int:
        """Estimate the row at which the face turned away, between the last frontal detection and the current pose."""
        last = self.looks[-1]
        before, now = abs(float(last.pose[0])), abs(float(pose[0]))
        share = (TURNED - before) / (now - before) if now > TURNED > before else 0.5
        return last.row + 1 + int(max(0.0, share) * (self.count - 1 - last.row))

    def trim(self) -> None:
        """Remove the rows at the end in which the face was not measured."""
        self._solve()
        while self.count and self.gaps[-1]:
            self.count -= 1
            for column in (self.frames, self.times, self.gaps, self.matrices, self.quality):
                column.pop()
        self._solved.cut(self.count)

    def followed(self) -> float:
        """Time from the first to the last frame in which the face was measured, s."""
        seen = self._measured()
        return seen[-1] - seen[0] if seen else 0.0

    @property
    def measured(self) -> int:
        """Number of frames in which the face was measured."""
        return len(self._measured())

    def _measured(self) -> list[float]:
        return [time for time, gap in zip(self.times, self.gaps, strict=True) if not gap]

    def recent(self, since: float, sizes: tuple[int, int]) -> FaceTrack | None:
        """The track from a time on, as `finish` would return it now; None if the face was not measured since.

        Args:
            since: earliest time, s.
            sizes: (height, width) of a frame, px.
        """
        self._solve()
        first = bisect_left(self.times, since)
        recent = Recorder(self.number, self.first)
        for column in ("frames", "times", "gaps", "matrices", "quality"):
            setattr(recent, column, getattr(self, column)[first:])
        recent.count = self.count - first
        recent.looks = [replace(look, row=look.row - first) for look in self.looks if look.row >= first]
        recent.starts = [0, *(row - first for row in self.starts if row > first)]
        recent._solved.add(self._solved.copy(first))
        return recent.finish(sizes) if recent.followed() else None

    def finish(self, sizes: tuple[int, int]) -> FaceTrack:
        """The finished track. ``sizes`` is (height, width) of a frame, px."""
        self.trim()
        features = self._solved.take()
        times = np.asarray(self.times)
        matrices = np.asarray(self.matrices).reshape(-1, 2, 3)
        points, boxes, poses = self._seen(times, matrices)
        gaps = np.asarray(self.gaps, np.uint8)
        gaps[(gaps == 0) & _at_edge(points, sizes)] = GAPS.index("edge")
        points[gaps > 0] = boxes[gaps > 0] = poses[gaps > 0] = np.nan
        breaks = np.zeros(self.count, np.int64)
        breaks[[row for row in self.starts if row < self.count]] = 1
        segments = np.cumsum(breaks) + np.cumsum(np.diff(gaps > 0, prepend=False))
        _rates(features, times, segments)
        _cut(features, times, gaps, segments)
        return FaceTrack(
            number=self.number,
            frames=np.asarray(self.frames, np.int64),
            times=times,
            points=points,
            boxes=boxes,
            poses=poses,
            quality=np.asarray(self.quality, np.float32),
            gaps=gaps,
            segments=_spans(segments, gaps),
            features=features,
        )

    def _add(self, frame: int, time: float, matrix: Float64Array, quality: float, reason: str) -> None:
        self.frames.append(frame)
        self.times.append(time)
        self.gaps.append(GAPS.index(reason))
        self.matrices.append(matrix)
        self.quality.append(quality)
        self.count += 1

    def _fill(self, row: FloatArray | None = None) -> None:
        self._solve()
        self._solved.add(np.full((1, len(FEATURES)), np.nan, np.float32) if row is None else row)

    def _solve(self) -> None:
        if not self._open:
            return
        numbers, sums, spans, keys, picture = zip(*self._open, strict=True)
        part = slice(numbers[0], numbers[-1] + 1)
        rows = Rows(
            np.asarray(self.times[part]),
            np.asarray(self.matrices[part]),
            np.stack(sums),
            np.stack(spans),
            np.asarray(keys),
            np.stack(picture),
        )
        motions = solve_motions(rows.sums.reshape(-1, *rows.sums.shape[2:]))
        self._solved.add(feature_rows(rows, motions, self.corrections, self._places))
        self._open = []

    def _seen(self, times: Float64Array, matrices: Float64Array) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Points, boxes and poses of all rows: detections, smoothed on the aligned face and moved with the head."""
        count = len(times)
        points, boxes = np.full((count, 5, 2), np.nan, np.float32), np.full((count, 4), np.nan, np.float32)
        poses = np.full((count, 3), np.nan, np.float32)
        for first, end in zip(self.starts, [*self.starts[1:], count], strict=True):
            looks = [look for look in self.looks if first <= look.row < end]
            if not looks or first >= count:
                continue
            at = np.array([look.time for look in looks])
            seen = [np.concatenate([look.points, look.corners]).ravel() for look in looks]
            smooth = smooth_looks(at, np.hstack([np.stack(seen), np.stack([look.pose for look in looks])]))
            rows = slice(first, end)
            between = np.stack([np.interp(times[rows], at, column) for column in smooth.T], axis=1)
            for row, values in zip(range(first, end), between, strict=True):
                if np.isnan(matrices[row]).any():
                    continue
                there = transform_points(inverse(matrices[row]), values[:18].reshape(9, 2))
                points[row], boxes[row], poses[row] = there[:5], upright(there[5:]), values[18:]
        return points, boxes, poses


def smooth_looks(times: Float64Array, values: Float64Array, half: float = _SMOOTH) -> Float64Array:
    """Smooth values by fitting a straight line to those within ``half`` s of each time.

    Unlike a moving average, a line has no lag, and keeps the slope at the ends.

    Args:
        times: (N,) s, rising.
        values: (N, K).
        half: half width of the window, s.
    """
    found = np.empty_like(values)
    for row, time in enumerate(times):
        low, high = np.searchsorted(times, [time - half - _TINY, time + half + _TINY])
        at = times[low:high] - time
        near = values[low:high]
        middle = at.mean()
        spread = float(((at - middle) ** 2).sum())
        slope = ((at - middle) @ (near - near.mean(axis=0))) / spread if high - low > 2 else np.zeros(values.shape[1])
        found[row] = near.mean(axis=0) - slope * middle
    return found


def _at_edge(points: FloatArray, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The rows in which an eye or a corner of the mouth lies at the edge of the frame, as a mask."""
    seen = points[:, [0, 1, 3, 4]]
    eyes = np.hypot(*(points[:, 1] - points[:, 0]).T)
    room = np.minimum(seen + 0.5, np.array([size[1], size[0]]) - 0.5 - seen).min(axis=(1, 2))
    return np.asarray(room < _EDGE * eyes)  # False for NaN


def _rates(features: FloatArray, times: Float64Array, segments: npt.NDArray[np.int64]) -> None:
    """Fill in the rates of `HEAD`: the change from up to 50 ms before to up to 50 ms after, within a segment."""
    half = _SPEED / 2 + _TINY
    before, after = np.searchsorted(times, times - half), np.searchsorted(times, times + half, "right") - 1
    start, end = np.searchsorted(segments, segments), np.searchsorted(segments, segments, "right") - 1
    # At a low frame rate there may be no other frame within 50 ms; then the neighbors are used.
    rows = np.arange(len(times))
    before = np.maximum(np.minimum(before, rows - 1), start)
    after = np.minimum(np.maximum(after, rows + 1), end)
    passed = np.where(after > before, times[after] - times[before], np.nan)[:, None]
    columns = [COLUMN[name] for name in HEAD]
    head = features[:, columns]
    change = (head[after].astype(np.float64) - head[before]) / passed
    features[:, [COLUMN[f"{name}_rate"] for name in HEAD]] = change


def _cut(
    features: FloatArray, times: Float64Array, gaps: npt.NDArray[np.uint8], segments: npt.NDArray[np.int64]
) -> None:
    """Set features to NaN in gaps, and where a motion would start before the segment."""
    features[gaps > 0] = np.nan
    start = np.searchsorted(segments, segments)
    for distance in DISTANCES:
        over = times - times[start] < 0.6 * distance
        columns = [column for name, column in COLUMN.items() if name.endswith(f"_{distance:g}s")]
        features[np.flatnonzero(over)[:, None], columns] = np.nan


def _spans(segments: npt.NDArray[np.int64], gaps: npt.NDArray[np.uint8]) -> tuple[tuple[int, int], ...]:
    """First and last row of each stretch without a gap."""
    edges = np.flatnonzero(np.diff(segments)) + 1
    bounds: Sequence[int] = [0, *edges.tolist(), len(segments)]
    spans = [(first, end - 1) for first, end in pairwise(bounds) if end > first]
    return tuple(span for span in spans if not gaps[span[0]])
