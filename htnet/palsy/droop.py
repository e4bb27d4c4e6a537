"""Estimates the pull at a corner of the mouth: the smooth shift of one side that makes an upright face most symmetric.

The line that `htnet.palsy.mirror` follows loses a corner that sinks far within a short distance, because the line
is steep there and no longer looks like its mirror image. So the pull is undone first: one side stays in place, the
other is moved by a bell curve around the corner of the mouth, and the axis of symmetry may lie beside the middle
between the eyes (a sunken eye moves it). What remains is then measured along the line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.types import ByteArray
from htnet.core.types import Float64Array as Matrix
from htnet.preprocess.opencv import load_opencv

Plane = npt.NDArray[np.float32]

# All lengths are fractions of the distance between the eyes. Compared area: outward, above and below the mouth.
_OUT, _ABOVE, _BELOW = 0.64, 0.32, 0.44
# Distance below the eyes down to which there is the nose, not the mouth; rows this near to the mouth count most.
_NOSE_ENDS, _ROWS_COUNT = 0.64, 0.24
# Values that are tried: drops, widths of the bell, positions of the corner, axes beside the middle.
_DROPS = (0.03, 0.06, 0.10, 0.14, 0.18, 0.23, 0.28)
_WIDTHS, _CORNERS = (0.12, 0.18, 0.27, 0.42), (0.31, 0.39)
# Heights of the corner; bells narrower than this are tried both as round before the pull and as round after it.
_LOWER, _NARROW = (-0.06, 0.03), 0.2
_AXES = np.arange(-0.12, 0.121, 0.04)
# Penalty for a drop of 0.1 and for an axis 0.1 beside the middle, in agreement: the gain of small drops may be chance.
_DROP_PRICE, _AXIS_PRICE = 0.012, 0.01
# Smallest step of the final search, which halves its steps.
_FINEST = 0.004
_WEAK = 0.15
# Iterations that find how far a point sank, if that depends on where it is now.
_ROUNDS = 5
# The drop is read at the bell's center, but only from the mouth's line to this far below it. Above the line, folds of
# the cheek mislead.
_LIP = 0.10


@dataclass(frozen=True)
class Pull:
    """A pull of one side; all lengths in distances between the eyes.

    Attributes:
        drop: drop of the corner; positive if the image's left side lies lower, negative if the right one does.
        width: standard deviation of the bell.
        out: how far the corner lies from the axis.
        down: how far the corner lay below the eyes before the pull.
        axis: how far the axis lies to the image's right of the middle between the eyes.
        skew: 1 if the bell is round in the face as it is now, 0 if it was round before the pull.
    """

    drop: float
    width: float
    out: float
    down: float
    axis: float
    skew: float = 0.0

    def at(self, out: npt.NDArray[Any], down: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
        """How far points of one side (-1 the image's left, 1 its right) sank."""
        if self.drop == 0 or side * self.drop > 0:
            return np.zeros(np.broadcast(out, down).shape)
        drop, beside = abs(self.drop), np.exp(-0.5 * ((out - self.out) / self.width) ** 2)
        above = down - self.down
        bell = beside * np.exp(-0.5 * (above / self.width) ** 2)
        if self.skew:
            for _ in range(_ROUNDS):
                shifted = above + self.skew * drop * (bell - 1)
                bell = (bell + 2 * beside * np.exp(-0.5 * (shifted / self.width) ** 2)) / 3
        return np.asarray(drop * bell)

    def about(self, line: Matrix, unit: float, middle: float, eye_row: float) -> npt.NDArray[Any]:
        """How far the mouth sank at its line, (N, 2) px of the face before the pull; the most down to `_LIP` below."""
        x, down = (line[:, 0] - middle) / unit, (line[:, 1] - eye_row) / unit
        side = -1 if self.drop > 0 else 1
        return self.at(side * x, np.clip(self.down, down, down + _LIP), side) * (side * x > 0)

    def moved(self, places: Matrix, unit: float, middle: float, eye_row: float) -> Matrix:
        """Map points of the face without the pull, (..., 2) px, to the face as it is."""
        x, down = (places[..., 0] - middle) / unit, (places[..., 1] - eye_row) / unit
        sank = np.where(x < 0, self.at(-x, down, -1), self.at(x, down, 1))
        return np.stack([places[..., 0] + self.axis * unit, places[..., 1] + sank * unit], -1)

    def undone(self, face: ByteArray, unit: float, eye_row: float) -> ByteArray:
        """The upright face without the pull, with its axis in the middle."""
        cv2 = load_opencv()
        height, width = face.shape[:2]
        places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
        at = self.moved(places, unit, (width - 1) / 2, eye_row).astype(np.float32)
        return np.asarray(cv2.remap(face, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


class PullSearch:
    """Finds the pull of an upright face."""

    def __init__(self, planes: Iterable[Plane], unit: float, middle: float, eye_row: float, mouth: float) -> None:
        """Prepare the search.

        Args:
            planes: planes of the face with even light; they are compared at half their size.
            unit: distance between the eyes, px.
            middle, eye_row: column midway between the eyes, and their row, px.
            mouth: how far the mouth lies below the eyes, in distances between the eyes.
        """
        cv2 = load_opencv()
        self._planes = []
        for plane in planes:
            height, width = plane.shape
            small = cv2.resize(plane, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self._planes.append(np.asarray(small, dtype=np.float32))
        self._unit, self._middle, self._eye_row, self._mouth = unit / 2, (middle - 0.5) / 2, (eye_row - 0.5) / 2, mouth
        step = 1 / self._unit
        self._out, self._down = np.meshgrid(
            np.arange(step / 2, _OUT, step), np.arange(max(_NOSE_ENDS, mouth - _ABOVE), mouth + _BELOW, step)
        )
        self._votes = np.exp(-0.5 * ((self._down - mouth) / _ROWS_COUNT) ** 2).astype(np.float32)
        self._weak = _WEAK * float(sum(np.square(plane).mean() for plane in self._planes))
        self._seen: dict[tuple[int, float], list[Plane]] = {}

    def _side(self, side: int, pull: Pull) -> list[Plane]:
        cv2 = load_opencv()
        still = pull.drop == 0 or side * pull.drop > 0
        key = (side, pull.axis)
        if still and key in self._seen:
            return self._seen[key]
        x = self._middle + (pull.axis + side * self._out) * self._unit
        y = self._eye_row + (self._down + pull.at(self._out, self._down, side)) * self._unit
        at = x.astype(np.float32), y.astype(np.float32)
        found = [np.asarray(cv2.remap(p, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)) for p in self._planes]
        if still:
            self._seen[key] = found
        return found

    def score(self, pull: Pull) -> float:
        """Similarity of the sides without the pull, minus the penalties for the pull."""
        both = energy = 0.0
        for one, other in zip(self._side(-1, pull), self._side(1, pull), strict=True):
            weighted = self._votes * one
            both += float(np.vdot(weighted, other))
            energy += float(np.vdot(weighted, one)) + float(np.vdot(self._votes * other, other))
        alike = 2 * both / (energy + self._weak * float(self._votes.sum()))
        return alike - _DROP_PRICE * abs(pull.drop) / 0.1 - _AXIS_PRICE * (pull.axis / 0.1) ** 2

    def best(self) -> Pull:
        """The pull whose removal makes the sides most similar."""
        drops = [0.0, *(side * drop for drop in _DROPS for side in (-1, 1))]
        start = Pull(0.0, _WIDTHS[1], _CORNERS[1], self._mouth, 0.0)
        axes = [replace(start, axis=float(axis), drop=drop) for axis in _AXES for drop in drops]
        start = max(axes, key=self.score)
        pulls = [
            replace(start, drop=drop, width=width, out=out, down=self._mouth + lower, skew=skew)
            for drop in drops
            for width in _WIDTHS
            for out in _CORNERS
            for lower in _LOWER
            for skew in ((0.0, 1.0) if width < _NARROW else (0.0,))
        ]
        pull = max([start, *pulls], key=self.score)
        score, step = self.score(pull), 0.016
        while step >= _FINEST:
            better = False
            for name, size in (("drop", step), ("axis", step / 2), ("out", step), ("down", step), ("width", step)):
                for sign in (-1, 1):
                    offer = replace(pull, **{name: getattr(pull, name) + sign * size})
                    if not (0.11 <= offer.width <= 0.5 and abs(offer.drop) <= 0.36 and abs(offer.axis) <= 0.16):
                        continue
                    if not (0.27 <= offer.out <= 0.46 and -0.08 <= offer.down - self._mouth <= 0.16):
                        continue
                    if offer.drop * pull.drop < 0:
                        continue
                    new = self.score(offer)
                    if new > score + 1e-6:
                        pull, score, better = offer, new, True
            if not better:
                step /= 2
        return pull
