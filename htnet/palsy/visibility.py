"""Checks whether eyes and mouth are visible enough to compare the two halves of a face.

Two covered halves may mirror each other well, so agreement alone is not enough. The checks cover the size of the face,
areas without any structure (masks, bars, blocks), the sharpness, and light and structure of one half relative to the
other. The limits lie between the values of 164 generated faces from benchmarks/droop_faces.py and
benchmarks/palsy_faces.py (eyes 28 to 120 px apart, blurred, noisy, lit from a side) and those of covered, blurred and
shaded portraits; docs/palsy.md lists both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from htnet.core.types import ByteArray, Frame
from htnet.palsy.mirror import EYES_DOWN, SIDE, UNIT, upright
from htnet.preprocess.opencv import load_opencv

#: Minimum distance between the eyes, px, from the measurements in docs/palsy.md.
LEAST_EYES = 26
#: Largest fraction of a half of the mouth, and of an eye, in which no pixel differs from its neighbors.
FLAT_MOUTH, FLAT_EYE = 0.45, 0.30
#: Smallest ratio of fine to coarse structure around mouth and eyes; around the eyes also of slopes from left to right
#: and of slopes downward.
SHARP_MOUTH, SHARP_EYES, SHARP_ACROSS, SHARP_DOWN = 0.50, 0.45, 1.6, 1.5
#: Largest factors between the halves: for their structure at the mouth, and for their light.
UNEVEN_MOUTH, UNEVEN_LIGHT = 2.2, 2.0
# Largest difference between neighbors in a flat area, gray levels.
_ALIKE = 1
_MIDDLE, _EYE_ROW = (SIDE - 1) / 2, EYES_DOWN * SIDE
_MOUTH_ROW = _EYE_ROW + 0.98 * UNIT

Box = tuple[slice, slice]


def _box(left: float, right: float, top: float, bottom: float, row: float) -> Box:
    """A part of the upright face: fractions of the distance between the eyes, from the middle and from a row."""
    rows = slice(int(row + top * UNIT), int(row + bottom * UNIT))
    return rows, slice(int(_MIDDLE + left * UNIT), int(_MIDDLE + right * UNIT))


_MOUTH = _box(-0.5, 0.5, -0.3, 0.35, _MOUTH_ROW)
_MOUTH_HALVES = _box(-0.5, 0, -0.3, 0.35, _MOUTH_ROW), _box(0, 0.5, -0.3, 0.35, _MOUTH_ROW)
_EYES = _box(-0.8, 0.8, -0.25, 0.25, _EYE_ROW)
_EACH_EYE = _box(-0.75, -0.25, -0.18, 0.18, _EYE_ROW), _box(0.25, 0.75, -0.18, 0.18, _EYE_ROW)
_CHEEKS = _box(-0.9, 0, 0, 0.98, _EYE_ROW), _box(0, 0.9, 0, 0.98, _EYE_ROW)


def hidden(frame: Frame, eyes: npt.NDArray[np.float64]) -> dict[str, str]:
    """Reasons why "mouth" and "brow" of a face cannot be measured; regions that can be measured are not in it.

    Args:
        frame: the picture.
        eyes: (2, 2) px, the detected eyes.
    """
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    if apart < LEAST_EYES:
        return _all(f"the eyes are {apart:.0f} px apart, and at least {LEAST_EYES} px are needed")
    cv2 = load_opencv()
    alignment = upright(eyes)
    gray = np.asarray(cv2.cvtColor(alignment.warp(frame).pixels, cv2.COLOR_RGB2GRAY))
    # Large pictures are checked after warping, since their smooth skin has equal neighbors; small ones before, since
    # warping adds differences.
    if apart > UNIT:
        flat = _flat(gray)
    else:
        mask = _flat(np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY))).astype(np.uint8) * 255
        flat = alignment.warp(Frame(np.repeat(mask[..., None], 3, axis=2), frame.source)).pixels[..., 0] > 127
    bare = max(float(flat[box].mean()) for box in _EACH_EYE)
    if bare > FLAT_EYE:
        return _all(f"{bare:.0%} of an eye shows nothing: it is covered, painted over or made of blocks")
    plane = gray.astype(np.float32)
    light = _factor(*(float(plane[box].mean()) for box in _CHEEKS))
    if light > UNEVEN_LIGHT:
        return _all(f"one half of the face is {light:.1f} times as bright as the other; light it evenly")
    fine, middle, coarse = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in (1.5, 3.0, 6.0))
    soft = cv2.GaussianBlur(plane, (0, 0), 5.0)
    down, across = (
        _rms(np.gradient(fine, axis=axis)[_EYES]) / (_rms(np.gradient(soft, axis=axis)[_EYES]) + 0.05)
        for axis in (0, 1)
    )
    sharp = [_rms((fine - middle)[box]) / (_rms((middle - coarse)[box]) + 0.1) for box in (_MOUTH, _EYES)]
    if sharp[1] < SHARP_EYES or across < SHARP_ACROSS or down < SHARP_DOWN:
        return _all("the picture is blurred: the eyes show too little fine structure; take a sharp one")
    bare = max(float(flat[box].mean()) for box in _MOUTH_HALVES)
    if bare > FLAT_MOUTH:
        return {"mouth": f"{bare:.0%} of a half of it shows nothing: it is covered, painted over or made of blocks"}
    if sharp[0] < SHARP_MOUTH:
        return {"mouth": "it is blurred: it shows too little fine structure"}
    slopes = np.hypot(*np.gradient(cv2.GaussianBlur(plane, (0, 0), 1.2)))
    uneven = _factor(*(float(slopes[box].mean()) for box in _MOUTH_HALVES))
    if uneven > UNEVEN_MOUTH:
        return {"mouth": f"one half of it shows {uneven:.1f} times as much structure as the other: one may be covered"}
    return {}


def _all(reason: str) -> dict[str, str]:
    return {"mouth": reason, "brow": reason}


def _flat(gray: ByteArray) -> npt.NDArray[np.bool_]:
    """Mask of the pixels that equal all their neighbors, up to `_ALIKE`."""
    cv2 = load_opencv()
    around = np.ones((3, 3), np.uint8)
    differences = cv2.subtract(cv2.dilate(gray, around), cv2.erode(gray, around))
    return np.asarray(differences <= _ALIKE, dtype=np.bool_)


def _rms(values: npt.NDArray[np.float32]) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).mean()))


def _factor(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.01) / (low + 0.01)
