"""Registration of an apex to its onset: the head's motion, estimated from the rigid parts of the face.

The motion of each of 28 x 28 cells is measured by Lucas and Kanade's least squares on smoothed pixels, after the
illumination has been matched. The similarity that most rigid cells share is the head's motion. Both steps are repeated
from coarse to fine; each time the apex's face is warped from the original frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from htnet.core.errors import FlowError
from htnet.core.native import native_loops
from htnet.core.types import TEMPLATE_28, TEMPLATE_SIZE, ByteArray, Float64Array, FloatArray, Frame
from htnet.preprocess.align import Alignment
from htnet.preprocess.flow import cell_numba
from htnet.preprocess.frames import to_gray
from htnet.preprocess.opencv import load_opencv

#: Cells across the aligned face, as many as the flow image has pixels.
GRID = 28
#: Limits of the head's motion: change of size by this factor, and shift by this fraction of the face.
MOST_GROWTH, MOST_SHIFT = 1.5, 0.5

# Widths of the smoothing before derivatives are taken and of a cell's window, in px of the picture that is compared.
_SMOOTH, _WINDOW = 1.0, 4.0
# Width of the local mean by which light is normalized, as a fraction of the face.
_LIGHT = 0.11
# Levels, (shrink, rounds). The face is first compared at 1/8 of its size, so a motion of a tenth of it is detected.
_LEVELS = ((8, 4), (4, 4), (2, 3), (1, 4))
# A step below this, in px of the picture that is compared, ends a level.
_NEAR = 0.01
# Minimum standard error of a cell's motion, in px of the picture that is compared, so that brows and mouth do not
# outweigh the skin.
_FLOOR = 0.1
# Rounds of reweighting; the residual, in medians, at which a cell's weight has fallen to a quarter; and the minimum of
# that residual, in px of the picture that is compared.
_ROUNDS, _TURNING_POINT, _LEAST = 5, 2.0, 0.03
# Minimum noise that is assumed, gray levels, because pixels are rounded.
_LEAST_NOISE = 0.05
_DERIVATIVE = np.array([[-0.5, 0.0, 0.5]], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class CellMotion:
    """Motion of each of 28 x 28 cells of an aligned face.

    Attributes:
        uv: (28, 28, 2) float64, px of the face: right and down. Its precision is ``information``.
        information: (28, 28, 2, 2) float64, the inverse of the covariance that noise gives ``uv``, 1/px^2.
        noise: standard deviation of the difference between the two smoothed faces that motion does not explain, gray
            levels.
    """

    uv: Float64Array
    information: Float64Array
    noise: float


def cell_motion(onset: ByteArray, apex: ByteArray, shrink: float = 1) -> CellMotion:
    """Small motions between two aligned faces: up to about 2 px of the picture that is compared.

    Lucas and Kanade, IJCAI 1981, with the gradient of the mean of both faces, which avoids the error of second order.

    Args:
        onset: (S, S) uint8, gray.
        apex: (S, S) uint8, gray.
        shrink: the faces are compared at 1 / ``shrink`` of their size.
    """
    side = onset.shape[0]
    small = _small(side, shrink)
    return _cell_motion(_prepared(onset, small), _prepared(apex, small), side)


def _small(side: int, shrink: float) -> int:
    """Side of the picture that is compared."""
    return max(16, round(side / shrink))


def _cell_motion(first: FloatArray, second: FloatArray, side: int) -> CellMotion:
    """`cell_motion` of prepared pictures of a face of that side."""
    small = first.shape[0]
    window = max(_WINDOW, 0.6 * small / GRID)
    if native_loops():
        uv, texture, rest = cell_numba.cell_motion(first, second, _native_windows(small, window))
    else:
        uv, texture, rest = _textures(first, second, window)
    noise = float(np.sqrt(np.median(rest[face_cells()])))
    # Smoothed noise is correlated over the width of the smoothing, so a window contains (window / smooth)^2
    # independent values.
    variance = max(noise, _LEAST_NOISE) ** 2 * (_SMOOTH / window) ** 2
    unit = side / small
    return CellMotion(uv * unit, texture / (variance * unit * unit), noise)


def _textures(first: FloatArray, second: FloatArray, window: float) -> tuple[Float64Array, Float64Array, Float64Array]:
    """`cell_numba.cell_motion` in NumPy."""
    cv2 = load_opencv()
    small = first.shape[0]
    second = second * _light_ratio(first, second)
    mean, dt = 0.5 * (first + second), second - first
    gx, gy = cv2.filter2D(mean, -1, _DERIVATIVE), cv2.filter2D(mean, -1, _DERIVATIVE.T)
    weights = _windows(small, window)

    def local(plane: FloatArray) -> Float64Array:
        return np.asarray(weights @ plane @ weights.T, dtype=np.float64)

    mx, my, mt = local(gx), local(gy), local(dt)
    xx, xy, yy = local(gx * gx) - mx * mx, local(gx * gy) - mx * my, local(gy * gy) - my * my
    bx, by, tt = mx * mt - local(gx * dt), my * mt - local(gy * dt), local(dt * dt) - mt * mt
    ridge = 1e-3  # gray levels^2 / px^2: without texture, the motion is 0
    det = (xx + ridge) * (yy + ridge) - xy * xy
    u, v = ((yy + ridge) * bx - xy * by) / det, ((xx + ridge) * by - xy * bx) / det
    texture = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    return np.stack([u, v], -1), texture, np.maximum(tt - u * bx - v * by, 0)


def register(onset: Frame, apex: Frame, alignment: Alignment, start: Float64Array | None = None) -> Float64Array:
    """The head's motion from the onset's aligned face to the apex's.

    Args:
        onset: the onset's face, aligned.
        apex: the apex, as recorded.
        alignment: alignment of the onset.
        start: (3, 3), initial motion; by default none.

    Returns:
        (3, 3) float64: the similarity from px of the onset's aligned face to px of the apex's, with the same alignment;
        the identity if the face has no texture.

    Raises:
        FlowError: the result cannot be the motion of a head.
    """
    reference, side = to_gray(onset), alignment.size[0]
    matrix = np.eye(3) if start is None else start
    for shrink, rounds in _LEVELS:
        if shrink > 1 and side < 14 * shrink:
            continue
        small = _small(side, shrink)
        first = _prepared(reference, small)
        for _ in range(rounds):
            moved = to_gray(follow(alignment, matrix).warp(apex))
            found = _cell_motion(first, _prepared(moved, small), side)
            step = head_step(found, side, shrink)
            matrix = matrix @ step
            growth = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
            middle = np.array([side / 2, side / 2, 1.0])
            shift = float(np.hypot(*(matrix @ middle - middle)[:2]))
            if not (1 / MOST_GROWTH < growth < MOST_GROWTH and shift < MOST_SHIFT * side):
                raise FlowError(
                    f"The face of {apex.source} cannot be registered to that of {onset.source}: they differ by more "
                    "than a motion of the head. Give two frames of one recording, of the same face."
                )
            if np.abs(_corners(step, side)).max() < _NEAR * shrink:
                break
    return matrix


def follow(alignment: Alignment, matrix: Float64Array) -> Alignment:
    """The alignment of an apex whose head has moved: it maps the apex's frame to px of the onset's aligned face."""
    whole = np.vstack([alignment.matrix, [0.0, 0.0, 1.0]])
    return Alignment((np.linalg.inv(matrix) @ whole)[:2], alignment.size)


def head_step(found: CellMotion, side: int, unit: float = 1.0) -> Float64Array:
    """The similarity that most rigid cells share, by iteratively reweighted least squares.

    The weights are those of Geman and McClure (1987), so that parts that move on their own have almost no influence.

    Args:
        found: motion of the cells.
        side: side of the face, px.
        unit: px of the face in one px of the picture that was compared.

    Returns:
        (3, 3) float64 in px of the face.
    """
    prior = rigid_cells()
    design = _similarities(side)
    numbers = robust_fit(found, design, prior, unit)
    linear = np.array([[numbers[2], -numbers[3]], [numbers[3], numbers[2]]])
    matrix = np.eye(3)
    matrix[:2, :2] += linear / side
    matrix[:2, 2] = numbers[:2] - linear @ np.full(2, (side - 1) / 2) / side
    return matrix


@lru_cache(maxsize=8)
def _similarities(side: int) -> Float64Array:
    """(28, 28, 2, 4): motions of the cells of a face: right, down, scaling, rotation."""
    place = (cell_centers(side) - (side - 1) / 2) / side
    x, y = place[..., 0], place[..., 1]
    one, none = np.ones_like(x), np.zeros_like(x)
    columns = [(one, none), (none, one), (x, y), (-y, x)]
    return np.stack([np.stack(column, -1) for column in columns], -1)


def robust_fit(found: CellMotion, design: Float64Array, prior: Float64Array, unit: float = 1.0) -> Float64Array:
    """Coefficients of a linear model of the cells' motion: (P,) float64.

    Args:
        found: motion of the cells.
        design: (28, 28, 2, P), the motion per unit of each coefficient, px.
        prior: (28, 28), weight of each cell.
        unit: px of the face in one px of the picture that was compared.
    """
    settings = ((_FLOOR * unit) ** 2, _LEAST * unit, _TURNING_POINT)
    if native_loops():
        return cell_numba.robust_fit(found.uv, found.information, design, prior, _ROUNDS, settings)
    return _fitted(found, design, prior, settings)


def _fitted(
    found: CellMotion, design: Float64Array, prior: Float64Array, settings: tuple[float, float, float]
) -> Float64Array:
    """`cell_numba.robust_fit` in NumPy."""
    wobble, least, turning = settings
    count = design.shape[-1]
    # Cells of weight 0 are left out. The horizontal parts of all others come first, then their vertical parts.
    counted = np.flatnonzero(prior)
    prior = prior.ravel()[counted]
    xx, xy, yy = bounded(found.information.reshape(-1, 2, 2)[counted], wobble)
    uv = found.uv.reshape(-1, 2)[counted].T.ravel()
    parts = design.reshape(-1, 2, count)[counted]
    along, down = parts[:, 0], parts[:, 1]
    sides = np.concatenate([along, down])
    known = np.concatenate(
        [xx[:, None] * along + xy[:, None] * down, xy[:, None] * along + yy[:, None] * down],
    )
    both = np.column_stack([sides, uv])
    told, one = prior * (xx + yy), np.eye(count)
    weight: Float64Array = prior
    numbers: Float64Array = np.zeros(count)
    for _ in range(_ROUNDS):
        sums = (known * np.concatenate([weight, weight])[:, None]).T @ both
        normal = sums[:, :count]
        normal += (1e-6 * np.trace(normal) + 1e-9) * one
        numbers = np.asarray(np.linalg.solve(normal, sums[:, count]), dtype=np.float64)
        left_u, left_v = (uv - sides @ numbers).reshape(2, -1)
        # Length of the residual, weighted by its precision.
        squares = xx * left_u * left_u + 2 * xy * left_u * left_v + yy * left_v * left_v
        length = np.sqrt(np.maximum(squares, 0) * wobble)
        scale = max(least, turning * _weighted_median(length, told))
        weight = prior / (1 + (length / scale) ** 2) ** 2
    return numbers


def bounded(
    information: Float64Array, variance: Float64Array | float
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Information of each cell after a variance, px^2, is added to its noise: xx, xy and yy.

    The products of 2x2 matrices are written out, because NumPy is slow at many small matrix products.

    Args:
        information: (..., 2, 2), see `CellMotion`.
        variance: (...), or one for all.
    """
    xx, xy, yy = information[..., 0, 0], information[..., 0, 1], information[..., 1, 1]
    more = variance * (xx * yy - xy * xy)
    det = 1 + variance * (xx + yy + more)
    return (xx + more) / det, xy / det, (yy + more) / det


@lru_cache(maxsize=8)
def cell_centers(side: int) -> Float64Array:
    """(28, 28, 2) float64, x and y of the cells' centers in px of a face."""
    at = (np.arange(GRID) + 0.5) * side / GRID - 0.5
    return np.stack(np.meshgrid(at, at), -1)


@lru_cache(maxsize=1)
def face_units() -> Float64Array:
    """(28, 28, 2) float64: positions of the cells relative to the point between the eyes, in eye distances."""
    left, right = np.array(TEMPLATE_28[0]), np.array(TEMPLATE_28[1])
    return (cell_centers(TEMPLATE_SIZE) + 0.5 - (left + right) / 2) / float(np.hypot(*(right - left)))


@lru_cache(maxsize=1)
def face_cells() -> npt.NDArray[np.bool_]:
    """(28, 28): which cells show the face of the template, not hair or background beside it."""
    x, y = np.abs(face_units()[..., 0]), face_units()[..., 1]
    # The face narrows toward the chin.
    inside = (x < 1.02 - 0.45 * np.clip(y - 0.4, 0, None)) & (y > -0.62) & (y < 1.55)
    inside[[0, -1]] = False
    inside[:, [0, -1]] = False
    return inside


@lru_cache(maxsize=1)
def rigid_cells() -> Float64Array:
    """(28, 28) float64: weight of each cell in the head's motion: 1 where the face is rigid, less where muscles act."""
    x, y = np.abs(face_units()[..., 0]), face_units()[..., 1]
    weight = face_cells().astype(np.float64)
    weight[(y > -0.55) & (y < -0.18) & (x < 0.95)] *= 0.5  # brows
    weight[(y >= -0.18) & (y < 0.2) & (x > 0.2) & (x < 0.85)] *= 0.25  # eyes
    weight[(y > 0.75) & (x < 0.65)] *= 0.3  # mouth and chin
    return weight


def _prepared(face: ByteArray, small: int) -> FloatArray:
    cv2 = load_opencv()
    plane = np.asarray(face, dtype=np.float32)
    if small != plane.shape[0]:
        plane = cv2.resize(plane, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _SMOOTH, borderType=cv2.BORDER_REFLECT), dtype=np.float32)


@lru_cache(maxsize=32)
def _windows(side: int, width: float) -> FloatArray:
    """(28, side) float32: the Gaussian weights of each cell along one axis, which sum to 1."""
    at = (np.arange(GRID) + 0.5) * side / GRID - 0.5
    with np.errstate(under="ignore"):  # weights far from a cell are 0
        weights = np.exp(-0.5 * ((np.arange(side) - at[:, None]) / width) ** 2)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=32)
def _native_windows(side: int, width: float) -> cell_numba.Windows:
    """Windows of the compiled loops for pictures of one size."""
    cv2 = load_opencv()
    enlarge = cv2.resize(np.eye(GRID, dtype=np.float32), (GRID, side), interpolation=cv2.INTER_CUBIC)
    return cell_numba.Windows(_windows(side, width), _windows(side, _LIGHT * side), enlarge)


def _light_ratio(first: FloatArray, second: FloatArray) -> FloatArray:
    """Ratio of the brightness of the first picture to that of the second in a wide window around each pixel."""
    cv2 = load_opencv()
    side = first.shape[0]
    weights = _windows(side, _LIGHT * side)
    one, other = (weights @ plane @ weights.T + 1 for plane in (first, second))
    return np.asarray(cv2.resize(one / other, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _corners(step: Float64Array, side: int) -> Float64Array:
    """How far a step moves the corners of the face, px."""
    at = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]], dtype=np.float64)
    return np.asarray((at @ step.T - at)[:, :2])


def _weighted_median(values: Float64Array, weights: Float64Array) -> float:
    order = np.argsort(values, axis=None)
    total = weights.ravel()[order].cumsum()
    return float(values.ravel()[order][min(np.searchsorted(total, total[-1] / 2), total.size - 1)])
