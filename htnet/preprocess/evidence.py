"""Evidence that two frames differ by an expression, from the motion in px before it is scaled.

Both faces are aligned at 224 px, the apex is registered to the onset, and the motion of 28 x 28 cells is measured
(`htnet.preprocess.flow.registration`). The motion caused by out-of-plane head rotation is fitted and subtracted, and
the rest is measured again. It is compared with the motion expected without an expression: the noise of these two
frames, the error of registration, what the fitted rotation leaves because no two heads are alike, the background at the
outline of a head that moves and, near the eyes, the effect of blinks and gaze. There are three measures: the strongest
motion of the skin, the rise of the fold above the eyes, and the rise of the skin below them. An expression raises the
last two, a blink lowers them.

Thresholds, noise terms and slope were set on drawn faces, drawn solid heads and one portrait (seeds 41000 to 42009 of
`benchmarks.droop_faces`, kinds drawn, shaded, hopper; people 100000 to 100015 of `benchmarks.turned_heads`);
`benchmarks/expression.py` evaluates them on others.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from htnet.core.types import (
    EXPRESSION_THRESHOLD,
    NO_EXPRESSION,
    TEMPLATE_28,
    ByteArray,
    Float64Array,
    FloatArray,
    Frame,
    Landmarks,
)
from htnet.preprocess.align import fit_alignment
from htnet.preprocess.flow.registration import (
    CellMotion,
    bounded,
    cell_centers,
    cell_motion,
    face_cells,
    face_units,
    follow,
    register,
    rigid_cells,
    robust_fit,
)
from htnet.preprocess.frames import to_gray
from htnet.preprocess.opencv import load_opencv

#: Side of the face on which evidence is measured, px, independent of the model's.
FACE = 224
#: Operating points of the three measures, in their standard errors. On people and a portrait on which nothing was tuned
#: (benchmarks/results/expression.json), there are false alarms in 1 of 585 pairs with noise, changes of light, shifts,
#: in-plane rotation, blinks and gaze, and in 0 of 320 pairs of solid heads that rotate out of plane by up to 2 degrees
#: or shift. Misses: 17 of 111 at 0.5 px, 5 of 222 at 1 px.
SKIN, FOLD, BELOW = 3.0, 1.0, 1.7
#: Slope of the logistic curve over the logarithm of the strength, fitted on as many pairs with an expression as
#: without.
SLOPE = 7.0

# Error that registration and interpolation leave in a cell, px of the face at its own resolution.
_FLOOR = 0.08
# Number of cells whose mean is the strongest motion, and of eye cells whose mean is the eye's motion.
_STRONGEST, _OF_EYE = 8, 6
# How far the effect of a blink or a change of gaze reaches: half width and half height of a Gaussian around each eye,
# in distances between the eyes; the share of the eye's motion that reaches the skin above and below the lids; and its
# share in the cells just below the eyes, whose windows contain part of the eye (the last value is how far down they
# reach, in distances between the eyes). Eyes that look up raise those cells.
_REACH, _SHARE, _SHARE_NEAR, _NEAR = (0.3, 0.22), 0.2, 0.5, 0.24
# Error that a fitted head rotation leaves: as a share of its parallax in each cell, and as shares of the root mean
# square of the parallax over the face: anywhere; around the eyes, whose sockets differ in depth from head to head; in
# the patches above and below them.
_TURN_SHARE, _TURN_SKIN, _TURN_EYES, _TURN_LIDS = 0.4, 0.15, 0.5, 0.8
# Possible outline of a narrow head, in distances between the eyes: half width at the eyes, least distance of the chin
# below them, and width of the band over which the motion of the outline fades in.
_SIDE, _CHIN, _BAND = 0.75, 1.1, 0.15
# The windows of the cells of a patch overlap: this many cells count as one measurement.
_SHARED = 4.0


def expression_probability(
    onset: Frame,
    apex: Frame,
    landmarks: Landmarks,
    start: Float64Array | None = None,
) -> float:
    """Probability that the two frames differ by an expression.

    It assumes that half of all pairs do; 0.5 is the operating point.

    Args:
        onset: the frame as recorded.
        apex: the frame as recorded.
        landmarks: five points in px of the onset.
        start: (3, 3), the head's motion on the aligned face if already known; see `register`.

    Returns:
        0 to 1; 0 without motion.

    Raises:
        FlowError: the apex cannot be registered to the onset.
        LandmarkError: see `htnet.preprocess.fit_alignment`.
    """
    alignment = fit_alignment(landmarks, size=FACE, frame=onset.source)
    face, enlarged = alignment.warp(onset), max(1.0, alignment.scale)
    matrix = register(face, apex, alignment, start)
    first, second = to_gray(face), to_gray(follow(alignment, matrix).warp(apex))
    # A small face is compared at its own resolution, because enlarged noise would look like texture.
    turn = _fitted_turn(cell_motion(first, second, enlarged), enlarged)
    # Cells measure small motions best, so the rotation is undone in the pixels and the rest is measured again.
    found = cell_motion(first, _turned_back(second, turn), enlarged)
    strength = expression_strength(found, enlarged, turn, matrix)
    return 1 / (1 + math.exp(-SLOPE * math.log(max(strength, 1e-3))))


def answered(label: str, expression: float | None, always: bool = False) -> str:
    """The predicted label: a model's most probable class, or `NO_EXPRESSION` if the probability is below 0.5.

    Args:
        label: the class.
        expression: probability of an expression; None if it cannot be determined.
        always: return the class in any case.
    """
    return label if always or expression is None or expression >= EXPRESSION_THRESHOLD else NO_EXPRESSION


def expression_strength(
    found: CellMotion,
    enlarged: float = 1.0,
    turn: Float64Array | None = None,
    matrix: Float64Array | None = None,
) -> float:
    """Ratio of the face's own motion to that expected without an expression: 1 at the operating point.

    Args:
        found: motion between registered faces of 224 px.
        enlarged: px of the face per px of the frame, 1 or more.
        turn: (10,) coefficients of the head rotation that was already undone.
        matrix: (3, 3), the motion of the head that the registration removed.
    """
    rest = _fitted_turn(found, enlarged)
    uv = found.uv - _turn_modes() @ rest
    floor = _FLOOR**2 * enlarged
    eye = _eye_motion(found, uv)
    reach = _eye_reach() * eye
    parallax = _parallax(rest if turn is None else rest + turn)
    left = (_TURN_SHARE * parallax) ** 2
    turned = float(np.sqrt((parallax[face_cells()] ** 2).mean()))
    about = left + (turned * (_TURN_SKIN + _TURN_EYES * _about_eyes())) ** 2 + _outline_motion(matrix) ** 2
    errors = _errors(uv, found.information, floor + reach**2 + about)
    skin = np.sort(errors[face_cells()])[-_STRONGEST:].mean()
    known = bounded(found.information, floor + (_eye_share() * eye) ** 2 + left + (_TURN_LIDS * turned) ** 2)
    fold, below = (max(_rise(uv, known, part) for part in _sides(mask)) for mask in _lid_cells())
    return float(max(skin / SKIN, fold / FOLD, below / BELOW))


def _fitted_turn(found: CellMotion, enlarged: float) -> Float64Array:
    """(10,) coefficients of `_turn_modes`, fitted on the rigid cells."""
    return robust_fit(found, _turn_modes(), rigid_cells(), enlarged)


def _turned_back(face: ByteArray, turn: Float64Array) -> ByteArray:
    """A registered face with its fitted rotation undone."""
    cv2 = load_opencv()
    planes = _turn_planes()
    at = np.arange(FACE, dtype=np.float32)
    x = at + planes @ turn[: planes.shape[-1]].astype(np.float32)
    y = at[:, None] + planes @ turn[planes.shape[-1] :].astype(np.float32)
    return np.asarray(cv2.remap(face, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def _parallax(turn: Float64Array) -> Float64Array:
    """(28, 28): how far a head rotation moves each cell relative to the plane that fits the face's motion best, px."""
    rest = _beside_plane()
    return np.asarray(np.hypot(rest @ turn[3:5], rest @ turn[8:10]))


@lru_cache(maxsize=1)
def _beside_plane() -> Float64Array:
    """(28, 28, 2): motion of the two non-planar shapes relative to the planes that fit them best."""
    shapes = _turn_modes()[..., 0, : _turn_modes().shape[-1] // 2]
    flat, deep = shapes[..., :3], shapes[..., 3:]
    plane = np.linalg.lstsq(flat[face_cells()], deep[face_cells()], rcond=None)[0]
    return np.asarray(deep - flat @ plane)


def _outline_motion(matrix: Float64Array | None) -> Float64Array:
    """(28, 28): how far the background beside a moving head may move relative to it, px; 0 within the face."""
    if matrix is None:
        return np.zeros(face_cells().shape)
    at = cell_centers(FACE)
    moved = at @ matrix[:2, :2].T + matrix[:2, 2] - at
    x, y = np.abs(face_units()[..., 0]), face_units()[..., 1]
    # The face narrows toward the chin.
    near = np.maximum(x - (_SIDE - 0.45 * np.clip(y - 0.4, 0, None)), y - _CHIN) / _BAND
    return np.asarray(np.clip(near, 0, 1) * np.hypot(moved[..., 0], moved[..., 1]))


def _errors(uv: Float64Array, information: Float64Array, variance: Float64Array) -> Float64Array:
    """Length of each cell's motion in standard errors."""
    xx, xy, yy = bounded(information, variance)
    u, v = uv[..., 0], uv[..., 1]
    return np.asarray(np.sqrt(np.maximum(xx * u * u + 2 * xy * u * v + yy * v * v, 0)))


def _eye_motion(found: CellMotion, uv: Float64Array) -> float:
    """How far lids and pupils move, px: the mean of the strongest cells; cells without texture count as still."""
    xx, xy, yy = bounded(found.information[_eye_cells()], 1.0)
    u, v = uv[_eye_cells()].T
    return float(np.sort(np.hypot(xx * u + xy * v, xy * u + yy * v))[-_OF_EYE:].mean())


def _rise(uv: Float64Array, known: tuple[Float64Array, ...], cells: npt.NDArray[np.bool_]) -> float:
    """How far a patch moves up, in standard errors; negative for down."""
    xx, xy, yy = (part[cells] for part in known)
    u, v = uv[cells].T
    total = np.array([[xx.sum(), xy.sum()], [xy.sum(), yy.sum()]])
    moved = np.linalg.solve(total + 1e-6 * np.eye(2), [(xx * u + xy * v).sum(), (xy * u + yy * v).sum()])
    precision = total[1, 1] - total[0, 1] ** 2 / (total[0, 0] + 1e-9)
    return float(-moved[1] * math.sqrt(max(precision, 0.0) / _SHARED))


def _sides(cells: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], ...]:
    """Both patches of a pair together, then each of the two."""
    left = face_units()[..., 0] < 0
    return cells, cells & left, cells & ~left


def _shapes(units: Float64Array) -> Float64Array:
    """(..., 5): basis shapes of a head's depth: three of a plane, one curved from side to side, and a nose."""
    x, y = np.moveaxis(units, -1, 0)
    nose = np.exp(-0.5 * ((x / 0.17) ** 2 + ((y - 0.5) / 0.25) ** 2))
    return np.stack([np.ones_like(x), x, y, x * x, nose], -1)


@lru_cache(maxsize=1)
def _turn_modes() -> Float64Array:
    """(28, 28, 2, 10): motions of an almost registered head: each shape to the right, then each downward."""
    planes = _shapes(face_units())
    none = np.zeros_like(planes)
    return np.stack([np.concatenate([planes, none], -1), np.concatenate([none, planes], -1)], -2)


@lru_cache(maxsize=1)
def _turn_planes() -> FloatArray:
    """(224, 224, 5) float32: the shapes at every px of the face."""
    left, right = np.array(TEMPLATE_28[:2]) * (FACE / 28)
    at = np.stack(np.meshgrid(np.arange(FACE), np.arange(FACE)), -1) + 0.5
    return _shapes((at - (left + right) / 2) / np.hypot(*(right - left))).astype(np.float32)


def _from_eyes() -> tuple[Float64Array, Float64Array]:
    """Positions of the cells relative to the nearer eye, in distances between the eyes: sideways (0 or more), down."""
    x, y = np.moveaxis(face_units(), -1, 0)
    return np.abs(np.abs(x) - 0.5), y


@lru_cache(maxsize=1)
def _eye_cells() -> npt.NDArray[np.bool_]:
    aside, down = _from_eyes()
    return np.asarray((aside < 0.2) & (np.abs(down) < 0.14))


@lru_cache(maxsize=1)
def _eye_reach() -> Float64Array:
    aside, down = _from_eyes()
    return np.asarray(np.exp(-0.5 * ((aside / _REACH[0]) ** 2 + (down / _REACH[1]) ** 2)))


@lru_cache(maxsize=1)
def _eye_share() -> Float64Array:
    _, down = _from_eyes()
    return np.where((down > 0) & (down < _NEAR), _SHARE_NEAR, _SHARE)


@lru_cache(maxsize=1)
def _about_eyes() -> Float64Array:
    aside, down = _from_eyes()
    return np.asarray(np.exp(-0.5 * ((aside / 0.3) ** 2 + ((down + 0.03) / 0.2) ** 2)))


@lru_cache(maxsize=1)
def _lid_cells() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The fold above the eyes, and the skin below them."""
    aside, down = _from_eyes()
    fold = (aside < 0.22) & (down > -0.29) & (down < -0.15)
    return np.asarray(fold), np.asarray((aside < 0.2) & (down > 0.13) & (down < 0.33))
