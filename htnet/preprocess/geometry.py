"""Points and the similarities between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import refuse_masked
from htnet.core.errors import LandmarkError
from htnet.core.types import Float64Array


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
    """
    return _numbers(points) * scale


def transform_points(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Float64Array:
    """Apply a (2, 3) affine matrix to (N, 2) points: (N, 2) float64."""
    matrix = _numbers(matrix, "The matrix has")
    return _numbers(points) @ matrix[:, :2].T + matrix[:, 2]


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
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise LandmarkError("A similarity needs finite points; remove NaN and infinity.")
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
    matrix = np.asarray(matrix, dtype=np.float64)
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def agreement(source_points: npt.ArrayLike, target_points: npt.ArrayLike) -> float:
    """How well a similarity maps one set to the other, from 0 (not at all) to 1 (exactly).

    The modulus of the correlation of the centered points as complex numbers; 1 - agreement^2 is the share of
    the target's variance that the best similarity leaves.

    Args:
        source_points: (N, 2), not all in one place.
        target_points: (N, 2), not all in one place.
    """
    s, t = _centered(source_points), _centered(target_points)
    return float(abs(np.vdot(s, t)) / (_spread(s) * _spread(t)))


def _numbers(values: npt.ArrayLike, what: str = "Points have") -> Float64Array:
    refuse_masked(values, what, LandmarkError)
    return np.asarray(values, dtype=np.float64)


def _centered(points: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    points = np.asarray(points, dtype=np.float64)
    z = points[:, 0] + 1j * points[:, 1]
    return np.asarray(z - z.mean(), dtype=np.complex128)


def _spread(centered: npt.NDArray[np.complex128]) -> float:
    return float(np.linalg.norm(centered))
