"""Points and the similarities between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import real_array
from htnet.core.errors import LandmarkError
from htnet.core.types import Float64Array

#: No pixel is as far away; squares of larger numbers overflow.
_FAR = 1e30
#: Points of a face that are all nearer to the upper left corner than this, px, are fractions of the sides: no face is
#: that small.
FRACTIONS_BELOW = 2


def scale_points(points: npt.ArrayLike, scale: float) -> Float64Array:
    """Scale points to an image of ``scale`` times the size, by a plain product.

    The field gives points of a 224 px face in "28 px units": pixels divided by 8, without the half
    pixel that separates the pixel centers of the two image sizes. The template and the published crop
    are in these units, so only a plain product aligns faces in the same way as the training images.

    Args:
        points: (..., 2) in px.
        scale: new side divided by old side.

    Returns:
        (..., 2) float64 in px of the resized image.

    Raises:
        LandmarkError: the points or the scale are not real numbers, or the scale is not above 0.
    """
    factor = real_array(scale, "The scale factors", LandmarkError, "one number", np.float64)
    if not (np.isfinite(factor) & (factor > 0)).all():
        raise LandmarkError(f"The scale of the points is {scale!r}; give the new side divided by the old one, above 0.")
    return _numbers(points) * factor


def transform_points(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Float64Array:
    """Apply a (2, 3) affine matrix to (N, 2) points: (N, 2) float64.

    Raises:
        LandmarkError: the numbers are not real, or the shapes differ from those.
    """
    matrix, at = _numbers(matrix, "The numbers of the matrix"), _numbers(points)
    if matrix.shape != (2, 3) or at.ndim < 1 or at.shape[-1] != 2:
        raise LandmarkError(
            f"The matrix has shape {matrix.shape} and the points {at.shape}; give a (2, 3) matrix and (N, 2) points."
        )
    return np.asarray(at @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)


def similarity(source_points: npt.ArrayLike, target_points: npt.ArrayLike) -> Float64Array:
    """The least-squares similarity (rotation, one scale, shift; no reflection) from source to target.

    In two dimensions Umeyama's solution (IEEE TPAMI 13(4), 1991) has a closed form with points as complex
    numbers: a = sum(conj(s) t) / sum(|s|^2) on centered points is scale times rotation.

    Args:
        source_points: (N, 2), N of 2 or more.
        target_points: (N, 2).

    Returns:
        (2, 3) float64, target = matrix @ [x, y, 1].

    Raises:
        LandmarkError: shapes differ, a value is not finite, or the points of one side coincide or are
            mirrored, so no similarity is best.
    """
    source, target = _numbers(source_points), _numbers(target_points)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise LandmarkError(
            f"A similarity needs two (N, 2) sets of 2 or more points, not {source.shape} and {target.shape}."
        )
    if not (np.abs(source) < _FAR).all() or not (np.abs(target) < _FAR).all():
        raise LandmarkError("A similarity needs finite points in px; remove NaN and infinity.")
    s, t = _centered(source), _centered(target)
    for name, centered, points in (("source", s, source), ("target", t, target)):
        if _spread(centered) <= 1e-6 * (1.0 + float(np.abs(points).max())):
            raise LandmarkError(f"The {name} points coincide at {points[0].tolist()}; give distinct points.")
    a = np.vdot(s, t) / np.vdot(s, s).real
    if abs(a) <= 1e-6 * _spread(t) / _spread(s):
        raise LandmarkError("The points are mirrored: no rotation aligns them; check their order.")
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    shift = target.mean(axis=0) - linear @ source.mean(axis=0)
    return np.hstack([linear, shift[:, None]])


def scale_of(matrix: npt.ArrayLike) -> float:
    """The one scale of a (2, 3) similarity."""
    matrix = _numbers(matrix, "The numbers of the matrix")
    if matrix.shape != (2, 3):
        raise LandmarkError(f"The matrix has shape {matrix.shape}; give (2, 3).")
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def agreement(source_points: npt.ArrayLike, target_points: npt.ArrayLike) -> float:
    """How well a similarity maps one set to the other, from 0 (not at all) to 1 (exactly).

    The modulus of the correlation of the centered points as complex numbers; 1 - agreement^2 is the share of
    the target's variance that the best similarity leaves.

    Args:
        source_points: (N, 2), not all in one place.
        target_points: (N, 2), not all in one place.
    """
    source, target = _numbers(source_points), _numbers(target_points)
    for points in (source, target):
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not (np.abs(points) < _FAR).all():
            raise LandmarkError(f"Points have shape {points.shape}, or numbers that are not px; give finite (N, 2).")
    s, t = _centered(source), _centered(target)
    return float(abs(np.vdot(s, t)) / (_spread(s) * _spread(t)))


def _numbers(values: npt.ArrayLike, what: str = "Points") -> Float64Array:
    return real_array(values, what, LandmarkError, "(x, y) of each point", np.float64)


def _centered(points: Float64Array) -> npt.NDArray[np.complex128]:
    z = points[:, 0] + 1j * points[:, 1]
    return np.asarray(z - z.mean(), dtype=np.complex128)


def _spread(centered: npt.NDArray[np.complex128]) -> float:
    return float(np.linalg.norm(centered))
