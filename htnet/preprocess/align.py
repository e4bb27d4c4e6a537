"""Alignment: one similarity takes both frames to the same upright face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from htnet.errors import LandmarkError
from htnet.types import TEMPLATE_SIZE, Frame, Landmarks, PreprocessSpec

Matrix = npt.NDArray[np.float64]

#: Least agreement of five points with the template; faces, profiles too, lie far above, swapped or mirrored
#: points far below.
MIN_AGREEMENT = 0.5
#: Least width in onset px of the square that is warped to the aligned face.
MIN_FACE = 12.0


def scale_points(points: npt.ArrayLike, scale: float) -> Matrix:
    """Points in units ``scale`` times as fine.

    The field gives points of a 224 px face in "28 px units": pixels divided by 8, without the half
    pixel that separates the pixel centres of the two image sizes. The template and the published crop
    are in these units, so a plain product is the conversion that puts aligned faces where the training
    images have theirs.

    Args:
        points: (..., 2) in px.
        scale: new side divided by old side.

    Returns:
        (..., 2) float64 in px of the resized image.
    """
    return np.asarray(points, dtype=np.float64) * scale


def transform_points(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Matrix:
    """Apply a (2, 3) affine matrix to (N, 2) points: (N, 2) float64."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ matrix[:, :2].T + matrix[:, 2]


def similarity(source_points: npt.ArrayLike, target_points: npt.ArrayLike) -> Matrix:
    """The least-squares similarity (rotation, one scale, shift; no reflection) from source to target.

    In two dimensions Umeyama's solution (IEEE TPAMI 13(4), 1991) has a closed form with points as complex
    numbers: a = sum(conj(s) t) / sum(|s|^2) on centred points is scale times rotation.

    Args:
        source_points: (N, 2), N of 2 or more.
        target_points: (N, 2).

    Returns:
        (2, 3) float64, target = matrix @ [x, y, 1].

    Raises:
        LandmarkError: shapes differ, a value is not finite, or the points of one side coincide or are
            mirrored, so that no similarity is best.
    """
    source = np.asarray(source_points, dtype=np.float64)
    target = np.asarray(target_points, dtype=np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise LandmarkError(
            f"A similarity needs two (N, 2) sets of 2 or more points, not {source.shape} and {target.shape}."
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise LandmarkError("A similarity needs finite points; remove NaN and infinity.")
    s, t = _centred(source), _centred(target)
    for name, centred, points in (("source", s, source), ("target", t, target)):
        if _spread(centred) <= 1e-6 * (1.0 + float(np.abs(points).max())):
            raise LandmarkError(f"The {name} points coincide at {points[0].tolist()}; give distinct points.")
    a = np.vdot(s, t) / np.vdot(s, s).real
    if abs(a) <= 1e-6 * _spread(t) / _spread(s):
        raise LandmarkError("The points are mirrored: no rotation brings them together; check their order.")
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    shift = target.mean(axis=0) - linear @ source.mean(axis=0)
    return np.hstack([linear, shift[:, None]])


def align_pair(onset: Frame, apex: Frame, landmarks: Landmarks, spec: PreprocessSpec) -> tuple[Frame, Frame, Matrix]:
    """Warp both frames by the one similarity that takes the onset's points to the template.

    The apex is not aligned by points of its own: their error would appear as motion.

    Args:
        onset: the neutral frame.
        apex: the frame of strongest expression, of the same size.
        landmarks: five points in onset px.
        spec: template and side of the aligned face.

    Returns:
        Onset and apex, (face_size, face_size, 3) each, and the (2, 3) matrix from onset px to face px.

    Raises:
        LandmarkError: the points coincide, span a few pixels only, or do not lie like a face's (wrong order,
            x and y swapped).
    """
    target = scale_points(spec.template, spec.face_size / TEMPLATE_SIZE)
    matrix = similarity(landmarks.points, target)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    agreement = scale * _spread(_centred(landmarks.points)) / _spread(_centred(target))
    if agreement < MIN_AGREEMENT:
        raise LandmarkError(
            f"The five points from {landmarks.source} do not lie like those of a face (agreement "
            f"{agreement:.2f}); give [x, y] in the order left eye, right eye, nose, left mouth corner, "
            "right mouth corner, left being the image's left."
        )
    if spec.face_size / scale < MIN_FACE:
        raise LandmarkError(
            f"The five points from {landmarks.source} span a face of {spec.face_size / scale:.1f} px in "
            f"{onset.source}; give pixels of the frame (not fractions or 28 px units), or a larger face."
        )
    return (
        Frame(_warp(onset, matrix, spec.face_size), onset.source),
        Frame(_warp(apex, matrix, spec.face_size), apex.source),
        matrix,
    )


def _centred(points: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    points = np.asarray(points, dtype=np.float64)
    z = points[:, 0] + 1j * points[:, 1]
    return np.asarray(z - z.mean(), dtype=np.complex128)


def _spread(centred: npt.NDArray[np.complex128]) -> float:
    return float(np.linalg.norm(centred))


def _warp(frame: Frame, matrix: Matrix, side: int) -> npt.NDArray[np.uint8]:
    import cv2

    pixels = frame.pixels
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        # Bilinear sampling reads 2x2 pixels: a stronger shrink would skip pixels and alias.
        height, width = frame.size
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = np.asarray(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        grow = np.array([width / small[0], height / small[1]])
        linear = matrix[:, :2] * grow
        matrix = np.hstack([linear, (matrix[:, 2] + matrix[:, :2] @ (0.5 * grow - 0.5))[:, None]])
    warped = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)
