"""The shape of a head: a stack of ellipses with a relief of nose, brows and lips, and how it is seen when it turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv

#: Values of one precision.
Values = TypeVar("Values", Float64Array, FloatArray)
#: Up to this angle from the front a place on the head is told by its x; beyond, by the length along the surface.
_FRONT = 0.873
_SIN, _COS = float(np.sin(_FRONT)), float(np.cos(_FRONT))
#: The head turns about an axis at this height, px of a 224 px face below the eyes.
_AXIS = 60.0
#: Rows below this one end at this angle from the front: behind it is the neck.
_JAW_ROW, _JAW_ANGLE = 55.0, 1.65
#: Steepest parallax of the relief that is shown.
_MOST_TURN = 0.6
_STEPS = 60
_NEAR_ENOUGH = 1e-4
#: A point that is not found within this, px, is hidden.
_HIDDEN = 0.5


@dataclass(frozen=True)
class Pose:
    """Where and how a head is seen.

    Attributes:
        x: of the middle between the eyes of the head seen from the front, px of the frame.
        y: the same downward.
        scale: px of the frame for one px of a 224 px face.
        yaw: turn to the image's right, degrees.
        pitch: nod downward, degrees.
        roll: turn in the picture, clockwise, degrees.
    """

    x: float
    y: float
    scale: float
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def to_frame(self, points: Float64Array) -> Float64Array:
        """(N, 2) px of the upright head, as it is turned, to px of the frame."""
        angle = np.deg2rad(self.roll)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.asarray(points @ turn.T * self.scale + (self.x, self.y))

    def from_frame(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The inverse of `to_frame` at columns x and rows y of the frame: px of the upright head, (rows, columns)."""
        angle = math.radians(self.roll)
        cos, sin = np.float32(math.cos(angle) / self.scale), np.float32(math.sin(angle) / self.scale)
        x, y = (x - np.float32(self.x))[None], (y - np.float32(self.y))[:, None]
        return x * cos + y * sin, y * cos - x * sin


@dataclass(frozen=True, eq=False)
class HeadShape:
    """A head in px of a 224 px face; x to the image's right, y downward, from the middle between the eyes.

    Attributes:
        rows: (R,) heights, ascending in equal steps.
        width: (R,) half of the width there.
        depth: (R,) half of the depth there.
        relief: (H, W) float32, how far nose, brows and lips stand out, px.
        relief_at: x and y of the relief's first value, and the step between values, px.
    """

    rows: Float64Array
    width: Float64Array
    depth: Float64Array
    relief: FloatArray
    relief_at: tuple[float, float, float]

    def seen(self, x: Values, y: Values, yaw: float, pitch: float) -> tuple[Values, Values, Values, Values]:
        """What lies at places of the turned head.

        Args:
            x: px from the middle between the eyes, any shape.
            y: the same downward.
            yaw: degrees.
            pitch: degrees.

        Returns:
            x and y of the skin that is seen there, on the unrolled head; the distance from the head's outline
            (negative outside it), px; and the sine of the angle between the view and the skin, across.
        """
        turn, nod = np.deg2rad(np.float32(yaw)), np.deg2rad(np.float32(pitch))
        sin, cos = np.sin(turn), np.cos(turn)
        steep = np.float32(np.clip(np.tan(turn), -_MOST_TURN, _MOST_TURN))
        row = y
        extra = np.zeros_like(x)
        for last in (False, True):
            a, b, slope = self._profile(row)
            half = np.sqrt((a * cos) ** 2 + (b * sin) ** 2) + np.float32(1e-3)
            across = np.clip(x / half, -0.9999, 0.9999)
            angle = np.arcsin(across) - np.arctan2(b * sin, a * cos)
            front = a * np.sin(angle)
            near = b * np.cos(angle) * cos - front * sin
            row = (y - _AXIS - (near + extra) * np.sin(nod)) / np.cos(nod) + _AXIS
            if not last:
                extra = self._relief(front, row)
        size = np.abs(angle)
        u = np.where(size < _FRONT, front, np.sign(angle) * a * (_SIN + _COS * (size - _FRONT)))
        u = u - extra * steep
        # Across the outline, not along x: the two differ where the outline is flat, as at the chin.
        out = (half - np.abs(x)) / np.sqrt(1 + (slope * a / half) ** 2)
        out = np.minimum(out, np.minimum(row - self.rows[0], self.rows[-1] - row))
        jaw = np.where(row > _JAW_ROW, (_JAW_ANGLE - size) * b * 0.5, 1e3)
        return u.astype(x.dtype), row.astype(x.dtype), np.minimum(out, jaw).astype(x.dtype), across

    def outline(self, points: Float64Array, yaw: float, pitch: float) -> Float64Array:
        """Where (N, 2) points of a head without relief are seen when it is turned, those behind its rim too."""
        turn, nod = np.deg2rad(yaw), np.deg2rad(pitch)
        # A point off the head's end is told from its last rows.
        inside = np.clip(points[:, 1], self.rows[0] + 8, self.rows[-1] - 8)
        a, b = (np.interp(inside, self.rows, k) for k in (self.width, self.depth))
        angle = np.arcsin(np.clip(points[:, 0] / a, -0.98, 0.98))
        across, ahead = a * np.sin(angle), b * np.cos(angle)
        x = across * np.cos(turn) + ahead * np.sin(turn)
        near = ahead * np.cos(turn) - across * np.sin(turn)
        return np.stack([x, (inside - _AXIS) * np.cos(nod) + near * np.sin(nod) + _AXIS], axis=1)

    def place(self, points: Float64Array, yaw: float, pitch: float) -> Float64Array:
        """Where (N, 2) points of the skin are seen when the head is turned: the inverse of `seen`.

        Points that the turned head hides are reported as if it had no relief.
        """
        start = self.outline(points, yaw, pitch)
        at, miss = start, np.zeros_like(start)
        for _ in range(_STEPS):
            u, v, _, _ = self.seen(at[:, 0], at[:, 1], yaw, pitch)
            miss = points - np.stack([u, v], axis=1)
            if np.abs(miss).max() < _NEAR_ENOUGH:
                return at
            at = at + 0.8 * np.cos(np.deg2rad(yaw)) * miss
        return np.where(np.abs(miss).max(axis=1, keepdims=True) < _HIDDEN, at, start)

    def _profile(self, row: Values) -> tuple[Values, Values, Values]:
        """Half width, half depth and the width's slope at rows."""
        last = len(self.rows) - 1
        at = (row - row.dtype.type(self.rows[0])) * row.dtype.type(last / (self.rows[-1] - self.rows[0]))
        at = np.clip(at, 0, last)
        low = np.minimum(at.astype(np.intp), last - 1)
        share = at - low.astype(row.dtype)
        a, b, slope = (
            (table := values.astype(row.dtype))[low] * (1 - share) + table[low + 1] * share
            for values in (self.width, self.depth, self._slope)
        )
        return a, b, slope

    @cached_property
    def _slope(self) -> Float64Array:
        return np.asarray(np.gradient(self.width, self.rows))

    def _relief(self, x: Values, y: Values) -> Values:
        left, top, step = self.relief_at
        maps = [np.atleast_2d(((k - at) / step).astype(np.float32)) for k, at in ((x, left), (y, top))]
        cv2 = load_opencv()
        found = cv2.remap(self.relief, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(found).reshape(x.shape).astype(x.dtype)
