"""Alignment: one similarity transform maps every frame of a sample to the same upright face."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import plain_array, real_array
from htnet.core.errors import FrameError, InputError, LandmarkError
from htnet.core.fields import native, real
from htnet.core.types import (
    TEMPLATE_28,
    TEMPLATE_SIZE,
    ByteArray,
    Float64Array,
    Frame,
    Landmarks,
    Landmarks68,
    PreprocessSpec,
)
from htnet.preprocess.frames import byte_pixels
from htnet.preprocess.geometry import (
    agreement,
    scale_of,
    scale_points,
    similarity,
    transform_points,
)
from htnet.preprocess.mean_shape import MEAN_SHAPE_28
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.pose import check_order

__all__ = [
    "MIN_AGREEMENT",
    "MIN_FACE",
    "Alignment",
    "align_frames",
    "align_pair",
    "face_similarity",
    "fit_alignment",
    "scale_points",
    "similarity",
    "transform_points",
]

#: Minimum agreement of points with the template. Faces, including profiles, are far above it; swapped or mirrored
#: points are far below.
MIN_AGREEMENT = 0.5
#: Minimum width in onset px of the template's square (28 by 28 units) around the face.
MIN_FACE = 12.0
#: Side of the aligned face, px, where none is given.
DEFAULT_SIZE = 224

AnyLandmarks = TypeVar("AnyLandmarks", Landmarks, Landmarks68)


@dataclass(frozen=True, eq=False)
class Alignment:
    """Similarity transform from frame px to px of the aligned face, the same for every frame of a sample.

    Attributes:
        matrix: (2, 3) float64, aligned = matrix @ [x, y, 1].
        size: (height, width) of the aligned face, px.
    """

    matrix: Float64Array
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Px of the aligned face per px of the frame."""
        return scale_of(self.matrix)

    def warp(self, frame: Frame) -> Frame:
        """Warp a frame to the aligned face, (height, width, 3); pixels outside the frame repeat its edge."""
        return Frame(_warp(frame, self.matrix, self.size), frame.source)

    def map(self, points: npt.ArrayLike) -> Float64Array:
        """Map (N, 2) points from frame px to px of the aligned face: (N, 2) float64."""
        return transform_points(self.matrix, points)

    def unmap(self, points: npt.ArrayLike) -> Float64Array:
        """Map (N, 2) points from px of the aligned face to frame px: (N, 2) float64."""
        at = real_array(points, "Points", LandmarkError, "(x, y) of each point", np.float64)
        if at.ndim < 1 or at.shape[-1] != 2:
            raise LandmarkError(f"The points have shape {at.shape}; give (N, 2).")
        linear = np.linalg.inv(self.matrix[:, :2])
        return np.asarray((at - self.matrix[:, 2]) @ linear.T)

    def map_landmarks(self, landmarks: AnyLandmarks) -> AnyLandmarks:
        """Map landmarks from frame px to px of the aligned face; their other fields are kept."""
        return replace(landmarks, points=self.map(landmarks.points).astype(np.float32))


def fit_alignment(
    landmarks: Landmarks | Landmarks68,
    *,
    template: npt.ArrayLike | None = None,
    size: int | tuple[int, int] = DEFAULT_SIZE,
    margin: float = 0.0,
    box: Sequence[float] | None = None,
    frame: str = "the frame",
) -> Alignment:
    """Fit the least-squares similarity from landmarks to a template, with the crop around it.

    Canonical coordinates are 28 px units: the template's face fills the square from (0, 0) to (28, 28), and the
    default crop is that square.

    Args:
        landmarks: five or 68 points in px of the sample's onset frame.
        template: target points, (5, 2) or (68, 2) in 28 px units. None for `TEMPLATE_28` with five points
            and `MEAN_SHAPE_28` with 68. A (5, 2) template with 68 landmarks uses their five.
        size: side of the aligned face in px, or (height, width). An integer is the longer side; (height,
            width) must have the aspect ratio of the crop, to half a px, because a similarity scales both axes equally.
        margin: added on each side of the crop, as a fraction of its width and height: 0.25 adds a quarter on
            the left, right, top and bottom; negative values shrink the crop.
        box: the crop (x, y, width, height) in canonical coordinates, before the margin; None for
            (0, 0, 28, 28).
        frame: name of the frame, for messages.

    Returns:
        The alignment.

    Raises:
        LandmarkError: the points coincide, span a few pixels only, or are not arranged like those of a face (wrong
            order, x and y swapped); or the template has another number of points.
        InputError: a bad ``size``, ``margin`` or ``box``.
    """
    places, points = _target(landmarks, template)
    left, top, width, height = _crop(box, margin)
    shape = _shape(size, width, height)
    unit = max(shape) / max(width, height)
    target = scale_points(places - np.array([left, top]), unit)
    matrix = face_similarity(points, target, landmarks.source)
    face = TEMPLATE_SIZE * unit / scale_of(matrix)
    if face < MIN_FACE:
        raise LandmarkError(
            f"The points from {landmarks.source} span a face of {face:.1f} px in {frame}; give pixels of the "
            "frame (not fractions or 28 px units), or a larger face."
        )
    return Alignment(matrix, shape)


def align_frames(
    frames: Iterable[Frame],
    landmarks: Landmarks | Landmarks68,
    *,
    template: npt.ArrayLike | None = None,
    size: int | tuple[int, int] = DEFAULT_SIZE,
    margin: float = 0.0,
    box: Sequence[float] | None = None,
) -> tuple[Iterator[Frame], Alignment]:
    """Warp frames by the similarity from the first frame's points to a template.

    No other frame is aligned by its own points: their error would appear as motion, and true motion of the
    head or of the points would be removed.

    Args:
        frames: frames of one sample, all of one size; read one at a time, so a long video need not fit in memory.
        landmarks: five or 68 points in px of the first frame (the onset).
        template: see `fit_alignment`, also for the following arguments.
        size: side of the aligned face in px, or (height, width).
        margin: added on each side of the crop, as a fraction of it.
        box: the crop (x, y, width, height) in 28 px units.

    Returns:
        An iterator over the aligned frames, and the alignment.

    Raises:
        FrameError: there are no frames, or (during the iteration) one has another size than the first.
        LandmarkError: see `fit_alignment`.
        InputError: see `fit_alignment`.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise FrameError("There are no frames to align; give at least one.")
    alignment = fit_alignment(landmarks, template=template, size=size, margin=margin, box=box, frame=first.source)
    return _aligned(chain([first], rest), alignment, first), alignment


def align_pair(
    onset: Frame, apex: Frame, landmarks: Landmarks, spec: PreprocessSpec
) -> tuple[Frame, Frame, Float64Array]:
    """Warp both frames by the similarity from the onset's points to the template.

    Args:
        onset: the neutral frame.
        apex: the frame of strongest expression, of the same size.
        landmarks: five points in onset px.
        spec: template and side of the aligned face.

    Returns:
        Onset and apex, (face_size, face_size, 3) each, and the (2, 3) matrix from onset px to face px.

    Raises:
        LandmarkError: the points coincide, span a few pixels only, or are not arranged like those of a face (wrong
            order, x and y swapped).
    """
    alignment = fit_alignment(landmarks, template=spec.template, size=spec.face_size, frame=onset.source)
    return alignment.warp(onset), alignment.warp(apex), alignment.matrix


def face_similarity(points: npt.ArrayLike, target: npt.ArrayLike, source: str) -> Float64Array:
    """Least-squares similarity between two faces' points, whose arrangement must agree.

    Args:
        points: (5, 2) or (68, 2).
        target: the same points of the other face, (N, 2).
        source: origin of ``points``, for the message.

    Returns:
        (2, 3) float64, see `similarity`.

    Raises:
        LandmarkError: the points coincide, their agreement with ``target`` is below `MIN_AGREEMENT`, or they are not
            in the order of a face, see `htnet.preprocess.pose.check_order`.
    """
    points = real_array(points, f"Points from {source}", LandmarkError, "(x, y) of each point", np.float64)
    matrix = similarity(points, target)
    found = agreement(points, target)
    if found >= MIN_AGREEMENT:
        given = np.asarray(points, dtype=np.float32)
        check_order(given if len(given) == 5 else Landmarks68(given, source).five().points, source)
        return matrix
    count, order = "68", "of iBUG 300-W (jaw, brows, nose, eyes, lips)"
    if len(np.asarray(points)) == 5:
        count, order = "five", "left eye, right eye, nose, left mouth corner, right mouth corner"
    raise LandmarkError(
        f"The {count} points from {source} are not arranged like those of a face (agreement {found:.2f}); give [x, y] "
        f"in the order {order}, where left is the image's left."
    )


def _target(
    landmarks: Landmarks | Landmarks68, template: npt.ArrayLike | None
) -> tuple[Float64Array, npt.NDArray[Any]]:
    """Target points in 28 px units, and the landmarks' points that are mapped to them."""
    if template is None:
        template = TEMPLATE_28 if isinstance(landmarks, Landmarks) else MEAN_SHAPE_28
    places = plain_array(template, "The template has", LandmarkError)
    if places.dtype.kind not in "iuf":
        raise LandmarkError(f"The template is {template!r}; give (5, 2) or (68, 2) numbers in 28 px units.")
    places = places.astype(np.float64)
    points = landmarks.points
    if isinstance(landmarks, Landmarks68) and places.shape == (5, 2):
        points = landmarks.five().points
    if places.shape != points.shape:
        raise LandmarkError(
            f"The template has shape {places.shape}, but there are {len(points)} points from {landmarks.source}; "
            "give a template of five points, or, with 68 landmarks, of 68."
        )
    return places, points


def _crop(box: Sequence[float] | None, margin: float) -> tuple[float, float, float, float]:
    """(left, top, width, height) in 28 px units, margin included."""
    given: tuple[float, ...] = (0.0, 0.0, float(TEMPLATE_SIZE), float(TEMPLATE_SIZE))
    if box is not None:
        numbers = plain_array(box, "box has")
        given = tuple(numbers.astype(np.float64)) if numbers.shape == (4,) and numbers.dtype.kind in "iuf" else ()
    if len(given) != 4 or not all(map(math.isfinite, given)) or min(given[2:]) <= 0:
        raise InputError(f"box is {box!r}; give (x, y, width, height) in 28 px units, width and height above 0.")
    margin = real(gt=-0.5).check("margin", margin)
    left, top, width, height = given
    return left - margin * width, top - margin * height, (1 + 2 * margin) * width, (1 + 2 * margin) * height


def _shape(size: int | tuple[int, int], width: float, height: float) -> tuple[int, int]:
    """(height, width) in px of the aligned face."""
    size = native(size)
    sides = size if isinstance(size, tuple) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 4 for side in sides):
        raise InputError(f"size is {size!r}; give a whole number of px, 4 or more, or two: (height, width).")
    unit = max(sides) / max(width, height)
    fitting = max(1, round(height * unit)), max(1, round(width * unit))
    if isinstance(size, int):
        return fitting
    if max(abs(sides[0] - height * unit), abs(sides[1] - width * unit)) > 0.5:
        raise InputError(
            f"size {sides} has another aspect ratio than the crop of {width:g} by {height:g} units; give {fitting}, or "
            f"a box {sides[1] / sides[0]:.4g} times as wide as high."
        )
    return sides[0], sides[1]


def _aligned(frames: Iterable[Frame], alignment: Alignment, first: Frame) -> Iterator[Frame]:
    for number, frame in enumerate(frames):
        check_size(frame, number, first)
        yield alignment.warp(frame)


def check_size(frame: Frame, number: int, first: Frame) -> None:
    """Refuse a frame whose size differs from the first of its clip.

    Raises:
        FrameError: the sizes differ.
    """
    if frame.size != first.size:
        (h, w), (oh, ow) = frame.size, first.size
        raise FrameError(
            f"Frame {number} ({frame.source}, counted from 0) is {w}x{h} px, but the first ({first.source}) is "
            f"{ow}x{oh} px; give frames of one video, at the same size."
        )


def shrunk(pixels: ByteArray, scale: float) -> ByteArray:
    """Shrink an image (H, W, 3) to ``scale`` times its size by averaging; unchanged for a scale of 1 or more."""
    if scale >= 1:
        return pixels
    cv2 = load_opencv()
    height, width = pixels.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _warp(frame: Frame, matrix: Float64Array, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    cv2 = load_opencv()
    pixels = byte_pixels(frame)
    scale = scale_of(matrix)
    if scale < 0.5:
        # Bilinear sampling reads 2x2 pixels: a stronger shrink would skip pixels and alias.
        pixels = shrunk(pixels, scale)
        grow = np.array(frame.pixels.shape[1::-1]) / pixels.shape[1::-1]
        linear = matrix[:, :2] * grow
        matrix = np.hstack([linear, (matrix[:, 2] + matrix[:, :2] @ (0.5 * grow - 0.5))[:, None]])
    warped = cv2.warpAffine(pixels, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)
