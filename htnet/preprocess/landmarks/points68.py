"""68 points: detected by a landmarker, or estimated from five."""

from __future__ import annotations

import numpy as np

from htnet.core.errors import LandmarkError
from htnet.core.types import Frame, Landmarks, Landmarks68
from htnet.preprocess.align import face_similarity
from htnet.preprocess.geometry import transform_points
from htnet.preprocess.landmarks.base import Landmarker, Landmarker68, found_by
from htnet.preprocess.landmarks.cached import CachedLandmarker
from htnet.preprocess.landmarks.files import PrecomputedLandmarks
from htnet.preprocess.mean_shape import MEAN_SHAPE_28


def estimate_68(landmarks: Landmarks) -> Landmarks68:
    """Estimate 68 points: a mean face, fitted to five points by the least-squares similarity.

    Position, size and tilt come from the five points, everything else from `MEAN_SHAPE_28`: brows do not rise, lips do
    not part, the head does not turn. Suitable for cutting regions, not for measuring an expression. A similarity is
    used, not an affine transform: with six unknowns for ten numbers, an affine transform follows the error of single
    points, and a smile, which spreads the mouth corners, would widen the whole face.

    Args:
        landmarks: five points in frame px.

    Returns:
        68 points in frame px, ``estimated`` true and ``source`` "estimated from ...". Their own ``five()`` lie
        near the given ones, not on them.

    Raises:
        LandmarkError: the points coincide or are not arranged like those of a face.
    """
    five = _mean_face().five().points
    # Fitted from the mean face to the frame, which minimizes the error in frame px.
    matrix = face_similarity(five, landmarks.points, landmarks.source)
    points = transform_points(matrix, MEAN_SHAPE_28).astype(np.float32)
    return Landmarks68(points, f"estimated from {landmarks.source}", landmarks.score, estimated=True)


def finds_68(landmarker: Landmarker) -> bool:
    """Whether a landmarker returns 68 points: a cache if its inner landmarker does, a file if it contains 68."""
    if isinstance(landmarker, CachedLandmarker):
        return finds_68(landmarker.inner)
    if isinstance(landmarker, PrecomputedLandmarks):
        return landmarker.has_68
    return isinstance(landmarker, Landmarker68)


def landmarks_68(landmarker: Landmarker, frame: Frame, sample: str = "", *, estimate: bool = False) -> Landmarks68:
    """68 points of a frame from any landmarker.

    Args:
        landmarker: one with ``points68``, or, with ``estimate``, any.
        frame: the frame.
        sample: its identifier, for landmarkers that look it up.
        estimate: use `estimate_68` of the five points if the landmarker does not detect 68.

    Raises:
        LandmarkError: the landmarker returns five points and ``estimate`` is false, or it detects no face.
    """
    if isinstance(landmarker, Landmarker68) and finds_68(landmarker):
        return found_by(landmarker.points68, frame, sample, Landmarks68)
    if not estimate:
        raise LandmarkError(
            f"{type(landmarker).__name__} finds five points, not 68; use 'face-alignment', or accept a mean face "
            "fitted to the five points with estimate=True."
        )
    return estimate_68(found_by(landmarker, frame, sample, Landmarks))


def _mean_face() -> Landmarks68:
    return Landmarks68(MEAN_SHAPE_28.astype(np.float32), "the mean shape")
