"""Evidence that two frames differ by an expression, from the motion in px before it is scaled.

Both faces are aligned at 224 px, the apex is registered to the onset, and the motion of 28 x 28 cells is measured
(`htnet.preprocess.flow.registration`). The motion of out-of-plane head rotation is fitted and subtracted. The rest is
compared with the motion expected without an expression: the noise of these two frames, the error of registration and,
near the eyes, the effect of blinks and gaze. There are three measures: the strongest motion of the skin, the rise
of the fold above the eyes, and the rise of the skin below them. An expression raises the last two, a blink lowers them.

Thresholds, noise terms and slope were set on drawn faces and one portrait (seeds 41000 to 42009 of
`benchmarks.droop_faces`, kinds drawn, shaded, hopper); `benchmarks/expression.py` scores others.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from htnet.core.types import EXPRESSION_THRESHOLD, NO_EXPRESSION, Float64Array, Frame, Landmarks
from htnet.preprocess.align import Alignment, fit_alignment
from htnet.preprocess.flow.registration import (
    CellMotion,
    cell_motion,
    face_cells,
    face_units,
    follow,
    register,
    rigid_cells,
    robust_fit,
)
from htnet.preprocess.frames import to_gray

#: Side of the face on which evidence is measured, px, independent of the model's.
FACE = 224
#: Operating points of the three measures, in their standard errors. On people and a portrait that nothing was chosen
#: on (benchmarks/results/expression.json) there are false alarms in 4 of 585 pairs with noise, light, shifts, turns in
#: the plane, blinks and gaze, but in 37 of 45 where the head turns aside by 1.5 degrees; misses in 6 of 111 at 0.5 px
#: and in 1 of 222 at 1 px.
SKIN, FOLD, BELOW = 3.0, 1.1, 1.9
#: Slope of the logistic curve over the logarithm of the strength, fitted on as many pairs with an expression as
#: without.
SLOPE = 6.2

# Error that registration and interpolation leave in a cell, px of the face at its own resolution.
_FLOOR = 0.08
# Cells whose mean is the strongest motion, and those of the eye that tell how far it moves.
_STRONGEST, _OF_EYE = 8, 6
# How far a blink or a look aside reaches: half width and half height of a Gaussian about each eye, distances between
# the eyes; and the share of the eye's motion that reaches the skin above and below the lids.
_REACH, _SHARE = (0.3, 0.22), 0.2
# Cells of a patch share their windows: so many count as one measurement.
_SHARED = 4.0


def expression_probability(onset: Frame, apex: Frame, landmarks: Landmarks, start: Float64Array | None = None) -> float:
    """Probability that the two frames differ by an expression, assuming that half of all pairs do; 0.5 is the operating
    point.

    Args:
        onset: as recorded.
        apex: as recorded.
        landmarks: five points in px of the onset.
        start: (3, 3), the head's motion on the aligned face if already known; see `register`.

    Returns:
        0 to 1; 0 without motion.

    Raises:
        FlowError: the apex cannot be registered to the onset.
        LandmarkError: see `htnet.preprocess.fit_alignment`.
    """
    alignment = fit_alignment(landmarks, size=FACE, frame=onset.source)
    strength = expression_strength(_registered_motion(onset, apex, alignment, start), max(1.0, alignment.scale))
    return 1 / (1 + math.exp(-SLOPE * math.log(max(strength, 1e-3))))


def answered(label: str, expression: float | None, always: bool = False) -> str:
    """The predicted label: a model's most probable class, or `NO_EXPRESSION` if the probability is below 0.5.

    Args:
        label: the class.
        expression: probability of an expression; None if it cannot be determined.
        always: return the class in any case.
    """
    return label if always or expression is None or expression >= EXPRESSION_THRESHOLD else NO_EXPRESSION


def _registered_motion(onset: Frame, apex: Frame, alignment: Alignment, start: Float64Array | None) -> CellMotion:
    face = alignment.warp(onset)
    again = follow(alignment, register(face, apex, alignment, start)).warp(apex)
    # A small face is compared at its own resolution: enlarged noise is no texture.
    return cell_motion(to_gray(face), to_gray(again), max(1.0, alignment.scale))


def expression_strength(found: CellMotion, enlarged: float = 1.0) -> float:
    """Ratio of the face's own motion to that expected without an expression: 1 at the operating point.

    Args:
        found: motion between registered faces of 224 px.
        enlarged: px of the face per px of the frame, 1 or more.
    """
    design = _turn_modes()
    uv = found.uv - design @ robust_fit(found, design, rigid_cells())
    floor = _FLOOR**2 * enlarged
    eye = _eye_motion(found, uv)
    reach = _eye_reach() * eye
    skin = np.sort(_errors(uv, found.information, floor + reach**2)[face_cells()])[-_STRONGEST:].mean()
    known = _bounded(found.information, np.full(uv.shape[:2], floor + (_SHARE * eye) ** 2))
    fold, below = (max(_rise(uv, known, part) for part in _sides(mask)) for mask in _lid_cells())
    return float(max(skin / SKIN, fold / FOLD, below / BELOW))


def _bounded(information: Float64Array, variance: Float64Array) -> Float64Array:
    """Information that is left when a variance, px^2, is added to the noise of each cell."""
    more = variance[..., None, None] * information
    return np.asarray(information @ np.linalg.inv(np.eye(2) + more))


def _errors(uv: Float64Array, information: Float64Array, variance: Float64Array) -> Float64Array:
    """Length of each cell's motion in standard errors."""
    squares = np.einsum("hwi,hwij,hwj->hw", uv, _bounded(information, variance), uv)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _eye_motion(found: CellMotion, uv: Float64Array) -> float:
    """How far lids and pupils move, px: the mean of the strongest cells, cells without texture counted as still."""
    likely = found.information @ np.linalg.inv(np.eye(2) + found.information) @ uv[..., None]
    length = np.hypot(likely[..., 0, 0], likely[..., 1, 0])
    return float(np.sort(length[_eye_cells()])[-_OF_EYE:].mean())


def _rise(uv: Float64Array, known: Float64Array, cells: npt.NDArray[np.bool_]) -> float:
    """How far a patch moves up, in standard errors; negative for down."""
    total = known[cells].sum(0)
    moved = np.linalg.solve(total + 1e-6 * np.eye(2), (known @ uv[..., None])[cells].sum(0))[:, 0]
    precision = total[1, 1] - total[0, 1] ** 2 / (total[0, 0] + 1e-9)
    return float(-moved[1] * math.sqrt(max(precision, 0.0) / _SHARED))


def _sides(cells: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], ...]:
    """A pair of patches, and each of the two."""
    left = face_units()[..., 0] < 0
    return cells, cells & left, cells & ~left


@lru_cache(maxsize=1)
def _turn_modes() -> Float64Array:
    """(28, 28, 2, 10): motions of a head that is registered nearly: affine ones, and, for a turn aside, those of a face
    that is round from side to side and has a nose.
    """
    x, y = np.moveaxis(face_units(), -1, 0)
    nose = np.exp(-0.5 * ((x / 0.17) ** 2 + ((y - 0.5) / 0.25) ** 2))
    planes = np.stack([np.ones_like(x), x, y, x * x, nose], -1)
    none = np.zeros_like(planes)
    return np.stack([np.concatenate([planes, none], -1), np.concatenate([none, planes], -1)], -2)


def _from_eyes() -> tuple[Float64Array, Float64Array]:
    """Places of the cells from the nearer eye, in distances between the eyes: sideways (0 or more) and down."""
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
def _lid_cells() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The fold above the eyes, and the skin below them."""
    aside, down = _from_eyes()
    fold = (aside < 0.22) & (down > -0.29) & (down < -0.15)
    return np.asarray(fold), np.asarray((aside < 0.2) & (down > 0.13) & (down < 0.33))
