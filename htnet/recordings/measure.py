"""The features that are measured in every frame of a face: names, in the order of `FaceTrack.features`, and values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.native import native_loops
from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.geometry import similarity
from htnet.preprocess.video.face_motion import FACE, TOLD_FACE
from htnet.recordings import face_numba
from htnet.recordings.cell_flow import Motions
from htnet.recordings.faces import inverse
from htnet.recordings.follow import MIDDLE, PLACES, compose
from htnet.recordings.regions import REGIONS

#: Time distances over which the motion of a frame is measured, s. The first is one frame at 25 frames per second.
DISTANCES = (0.04, 0.08, 0.2, 0.5)
#: Measures of the picture of the aligned face: mean gray level, contrast (standard deviation), and apparent opening of
#: the eyes and the mouth (see `picture_measures`).
PICTURE = ("light", "contrast", "left_eye_aperture", "right_eye_aperture", "mouth_aperture")
#: Position of the head in the frame: x and y in px, scaled so that the face in the segment's first frame is 224 px
#: wide; roll in degrees; and the natural logarithm of its size in px of the frame.
HEAD = ("head_x", "head_y", "head_roll", "head_log_size")

# Half height and half width of the patches around an eye and around the mouth, px of the aligned face; and number of
# rows at the top and at the bottom of the mouth's patch that show skin.
_EYE, _MOUTH, _SKIN_ROWS = (8, 7), (12, 9), 3


def _names() -> tuple[str, ...]:
    names = [f"{region}_{axis}_{d:g}s" for d in DISTANCES for region in REGIONS for axis in "uv"]
    names += [f"{region}_{axis}" for region in REGIONS for axis in "uv"]
    names += [f"{region}_strain_{d:g}s" for d in DISTANCES[2:] for region in REGIONS]
    names += [f"{what}_{d:g}s" for what in ("rest", "noise") for d in DISTANCES]
    return (*names, "rest", "noise", *PICTURE, *HEAD, *(f"{name}_rate" for name in HEAD))


#: Names of the features. "left_eye_v_0.2s" is the downward motion of the left eye's region within 0.2 s, px of a 224 px
#: face. "left_eye_v" is its position, which is 0 at the start of each segment. "strain" is in px per px. "rest" is the
#: motion of the rigid parts of the face without that of the head, "noise" the motion of a cell that is due to noise,
#: both px. "rate" is per second.
FEATURES = _names()
COLUMN = {name: column for column, name in enumerate(FEATURES)}


@dataclass(frozen=True, eq=False)
class Rows:
    """Successive frames of a face, before their motions are solved.

    Attributes:
        times: (T,) times of the frames, s.
        matrices: (T, 2, 3) float64, px of the frame to px of the aligned face.
        sums: (T, D + 1, 6, cells), see `pair_sums`; the last pair is with the key face.
        spans: (T, D) time between the frame and the earlier one, s; NaN if there is none.
        keys: (T,) number of the key face.
        picture: (T, 5), see `PICTURE`.
    """

    times: Float64Array
    matrices: Float64Array
    sums: FloatArray
    spans: Float64Array
    keys: npt.NDArray[np.int64]
    picture: FloatArray


class Places:
    """Positions of the regions and of the head, continued from one key face to the next without jumps."""

    def __init__(self) -> None:
        self._key = -1
        self._offset = np.zeros((len(REGIONS), 2), np.float32)
        self._drift = np.hstack([np.eye(2), np.zeros((2, 1))])
        self._last = self._offset, self._drift
        self._size = 0.0

    def read(
        self, key: int, correction: Float64Array, regions: FloatArray, head: FloatArray, matrix: Float64Array
    ) -> tuple[FloatArray, Float64Array]:
        """Positions in one frame.

        Args:
            key: number of its key face.
            correction: (2, 3), correction of the alignment when the key face was taken.
            regions: (regions, 2) motion of the regions from the key face.
            head: (6,) motion of the head from the key face, see `Motions`.
            matrix: (2, 3) alignment of the frame.

        Returns:
            Positions of the regions, (regions, 2), px of a 224 px face, and of the head, (4,), see `HEAD`.
        """
        if key != self._key:
            if self._key >= 0:
                self._offset, self._drift = self._last[0], compose(correction, self._last[1])
            self._key = key
        step = _similar(head)
        drift = compose(step, self._drift)
        self._last = self._offset + regions, drift
        there = compose(inverse(matrix), drift)
        middle = there[:, :2] @ MIDDLE + there[:, 2]
        size = float(np.hypot(there[0, 0], there[1, 0])) * FACE
        self._size = self._size or size / TOLD_FACE
        roll = float(np.degrees(np.arctan2(there[1, 0], there[0, 0])))
        return self._last[0], np.array([middle[0] / self._size, middle[1] / self._size, roll, np.log(size)])


def _similar(head: FloatArray) -> Float64Array:
    """The similarity nearest to an affine motion of the head, (2, 3) in px of the aligned face."""
    still = np.eye(2, 3)
    return still + np.asarray((_similarities() @ np.asarray(head, dtype=np.float64)).reshape(2, 3))


@cache
def _similarities() -> Float64Array:
    """(6, 6): the matrix from the six affine parameters of the head's motion to the nearest similarity minus identity.

    The map is linear because the similarity is always fitted to the same points.
    """
    x, y = (2 * (PLACES + 0.5) / FACE - 1).T
    one, none = np.ones_like(x), np.zeros_like(x)
    ways = [(one, none), (x, none), (y, none), (none, one), (none, x), (none, y)]
    moved = [similarity(PLACES, PLACES + np.stack(way, axis=1) * FACE / TOLD_FACE) for way in ways]
    return np.stack([(matrix - np.eye(2, 3)).ravel() for matrix in moved], axis=1)


def picture_measures(face: FloatArray, across: FloatArray, eyes: npt.ArrayLike, mouth: npt.ArrayLike) -> FloatArray:
    """Compute `PICTURE` of an aligned gray face.

    The aperture of an eye is the mean absolute derivative of its picture to the right: iris and white differ
    horizontally, while closing lids, lashes and brows differ vertically. The aperture of the mouth is the sum of
    absolute differences from the gray level of the skin, which is interpolated from above to below the mouth, divided
    by the mean gray level of the face.

    Args:
        face: (112, 112) float32, gray levels.
        across: (112, 112) float32, derivative to the right of the face with normalized light.
        eyes: (2, 2) the eyes, px of the aligned face.
        mouth: (2,) the middle of the mouth, px of the aligned face.
    """
    if native_loops():
        points = np.array([*np.asarray(eyes), mouth], np.float64)
        return face_numba.picture_measures(face, across, points, (*_EYE, *_MOUTH, _SKIN_ROWS))
    middle = face[FACE // 8 : -FACE // 8, FACE // 8 : -FACE // 8]
    level = float(middle.mean())
    left, right = (float(np.abs(_patch(across, eye, _EYE)).mean()) for eye in np.asarray(eyes, dtype=np.float64))
    return np.array([level, middle.std(), left, right, _difference(face, mouth) / (level + 1)], np.float32)


def _patch(picture: npt.NDArray[Any], at: npt.ArrayLike, half: tuple[int, int]) -> npt.NDArray[Any]:
    """The part of a picture around a point; ``half`` is half its height and half its width, px."""
    x, y = np.rint(np.asarray(at, dtype=np.float64)).astype(int)
    y, x = (min(max(int(place), reach), FACE - 1 - reach) for place, reach in zip((y, x), half, strict=True))
    return picture[y - half[0] : y + half[0] + 1, x - half[1] : x + half[1] + 1]


def _difference(face: FloatArray, at: npt.ArrayLike) -> float:
    patch = _patch(face, at, _MOUTH)
    above, below = patch[:_SKIN_ROWS].mean(), patch[-_SKIN_ROWS:].mean()
    skin = above + (below - above) * _down(len(patch))
    return float(np.abs(patch - skin).sum() / patch.shape[1])


@cache
def _down(rows: int) -> FloatArray:
    """(rows, 1) from 0 at the top to 1 at the bottom."""
    return np.linspace(0, 1, rows, dtype=np.float32)[:, None]


def feature_rows(rows: Rows, motions: Motions, corrections: dict[int, Float64Array], places: Places) -> FloatArray:
    """`FEATURES` of frames, (T, features). The rates are NaN.

    The earlier frame is the one nearest to the time distance in the feature's name. Motions are scaled to exactly this
    distance.
    """
    count, pairs = len(rows.times), len(DISTANCES) + 1
    regions = motions.regions.reshape(count, pairs, len(REGIONS), 2)
    scale = (np.array(DISTANCES) / rows.spans).astype(np.float32)  # NaN where there is no earlier frame
    back = (regions[:, :-1] * scale[..., None, None]).reshape(count, -1)
    strain = motions.strain.reshape(count, pairs, -1)[:, 2:-1] * scale[:, 2:, None]
    level = np.stack([motions.rest, motions.noise]).reshape(2, count, pairs)
    of_pairs = np.where(np.isnan(scale), np.nan, level[:, :, :-1])
    place, head = np.empty((count, 2 * len(REGIONS)), np.float32), np.empty((count, len(HEAD)), np.float64)
    affine = motions.head.reshape(count, pairs, 6)[:, -1]
    for row in range(count):
        key = int(rows.keys[row])
        found = places.read(key, corrections[key], regions[row, -1], affine[row], rows.matrices[row])
        place[row], head[row] = found[0].ravel(), found[1]
    parts = [back, place, strain.reshape(count, -1), *of_pairs, level[:, :, -1].T, rows.picture, head]
    return np.hstack(
        [*(np.asarray(part, np.float32) for part in parts), np.full((count, len(HEAD)), np.nan, np.float32)]
    )
