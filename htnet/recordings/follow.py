"""Alignment of a followed face from frame to frame by the motion of its pixels, between two detections."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from htnet.core.native import native_loops
from htnet.core.types import TEMPLATE_28, TEMPLATE_SIZE, Float64Array, FloatArray, Frame
from htnet.preprocess.geometry import scale_points, similarity, transform_points
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.face_motion import FACE
from htnet.recordings import face_numba
from htnet.recordings.faces import inverse, part_of, shrinking, shrunk
from htnet.recordings.regions import GRID, rigid_weights

#: Side of the pictures on which the head is followed, px, and number of steps, coarse and fine. The coarse steps
#: compare with the previous frame, which is most similar; the fine steps with the key face, so that errors do not
#: add up.
COARSE, FINE = (28, 3), (56, 2)
#: Positions of the five points on the aligned face, px.
PLACES = scale_points(TEMPLATE_28, FACE / TEMPLATE_SIZE)

#: Mean of these positions.
MIDDLE = PLACES.mean(axis=0)

# Standard deviation of the Gaussian before the face is sampled, px of the aligned face, and the scale below which the
# face is reduced before that.
_BEFORE, _FAR = 0.5, 0.25


def align(points: npt.ArrayLike) -> Float64Array:
    """The similarity (2, 3) from px of the frame to px of the aligned face, fitted to five points.

    Raises:
        LandmarkError: the points coincide or are mirrored.
    """
    return similarity(points, PLACES)


def gray_face(frame: Frame, matrix: Float64Array) -> FloatArray:
    """The aligned face, (112, 112) float32, gray levels.

    Detail finer than its pixels is smoothed away before sampling; otherwise it would look like motion whenever the head
    shifts by a fraction of a pixel. Gray levels are not rounded.
    """
    part, inner = part_of(frame.pixels, matrix, (FACE, FACE), margin=3)
    shrink = shrinking(inner)
    if native_loops() and shrink >= _FAR:
        return face_numba.gray_face(part, inverse(inner), _BEFORE / min(shrink, 1.0))
    cv2 = load_opencv()
    gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY), np.uint8)
    if shrink < _FAR:  # reduce a large face to twice the final size first; smoothing it would cost more than all else
        gray, inner = shrunk(gray, inner, (round(len(gray) * 2 * shrink), round(gray.shape[1] * 2 * shrink)))
        shrink = 0.5
        if native_loops():
            return face_numba.gray_face(gray, inverse(inner), _BEFORE / shrink)
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), _BEFORE / min(shrink, 1.0))
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(smooth, inner, (FACE, FACE), flags=flags, borderMode=border), np.float32)


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Correlation of two pictures, -1..1; 0 if one of them is uniform."""
    if native_loops() and one.shape == other.shape == (FACE, FACE):
        first, second, both = face_numba.alike(one, other)
        norm = math.sqrt(first * second)
        return both / norm if norm > 1e-6 else 0.0
    a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 1e-6 else 0.0


def head_step(earlier: FloatArray, now: FloatArray, settings: tuple[int, int]) -> Float64Array:
    """The similarity from the face ``now`` to the ``earlier`` one, (2, 3) in px of the aligned face.

    It is fitted by Gauss-Newton steps of least squares on reduced pictures, weighted to the pixels that move with the
    skull.

    Args:
        earlier: (112, 112) the earlier face, a result of `even_light`.
        now: (112, 112) the current face, likewise.
        settings: `COARSE` or `FINE`.
    """
    side, steps = settings
    if native_loops():
        return _of_faces(face_numba.head_step(earlier, now, side, steps, _grid(side)[2]), side)
    cv2 = load_opencv()
    first, second = (cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in (earlier, now))
    x, y, weights = _grid(side)
    moved, total = second, np.eye(3)
    for step in range(steps):
        mean, change = 0.5 * (first + moved), moved - first
        gx, gy = np.zeros_like(mean), np.zeros_like(mean)
        np.subtract(mean[:, 2:], mean[:, :-2], out=gx[:, 1:-1])
        np.subtract(mean[2:], mean[:-2], out=gy[1:-1])
        gx, gy = 0.5 * gx, 0.5 * gy
        # Columns: shift in x and y, scale and rotation about the middle.
        columns = np.stack([gx, gy, gx * x + gy * y, gy * x - gx * y]).reshape(4, -1)
        weighted = columns * weights
        system = (weighted @ columns.T).astype(np.float64)
        system[np.diag_indices(4)] += 1e-3 * np.trace(system) / 4 + 1e-9
        dx, dy, grow, turn = np.linalg.solve(system, -(weighted @ change.ravel()).astype(np.float64))
        middle = (side - 1) / 2
        linear = np.array([[1 + grow, -turn], [turn, 1 + grow]])
        shift = np.array([dx, dy]) + middle - linear @ np.full(2, middle)
        total = total @ np.vstack([np.hstack([linear, shift[:, None]]), [0, 0, 1]])
        if step + 1 < steps:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            moved = cv2.warpAffine(second, total[:2], (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return _of_faces(total[:2], side)


def _of_faces(total: Float64Array, side: int) -> Float64Array:
    """Invert a similarity from the earlier to the current face, and convert it to px of the aligned face."""
    ratio = FACE / side  # coordinates refer to the centers of pixels
    linear, shift = total[:, :2], total[:, 2]
    shift = ratio * (shift + 0.5 - linear @ np.full(2, 0.5)) - 0.5 + linear @ np.full(2, 0.5)
    return inverse(np.hstack([linear, shift[:, None]]))


def head_shift(earlier: FloatArray, now: FloatArray) -> Float64Array:
    """Shift of a face by phase correlation, px of the aligned face. It finds fast motion that `head_step` cannot."""
    cv2 = load_opencv()
    side, window = FINE[0], _window()
    first, second = (cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in (earlier, now))
    shift, _ = cv2.phaseCorrelate(first, second, window)
    return np.asarray(shift, dtype=np.float64) * FACE / side


@cache
def _window() -> FloatArray:
    """The Hanning window for the phase correlation, which weights the middle of the face most."""
    return np.asarray(load_opencv().createHanningWindow((FINE[0], FINE[0]), load_opencv().CV_32F), np.float32)


@cache
def _grid(side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coordinates x and y relative to the middle, and weight, of every pixel of a small face."""
    at = np.arange(side, dtype=np.float32) - (side - 1) / 2
    x, y = np.meshgrid(at, at)
    weights = np.kron(rigid_weights().reshape(GRID, GRID), np.ones((side // GRID, side // GRID), np.float32))
    return x, y, weights.ravel()


def compose(outer: Float64Array, inner: Float64Array) -> Float64Array:
    """The affine matrix (2, 3) that applies ``inner`` first, then ``outer``."""
    linear, shift = outer[:, :2], outer[:, 2]
    found = linear @ inner
    found[:, 2] += shift
    return np.asarray(found)


def size_of(step: Float64Array) -> float:
    """The largest distance by which a matrix moves a point of the aligned face, px."""
    return float(np.hypot(*(transform_points(step, PLACES) - PLACES).T).max())
