"""Detection of faces in a frame of a recording, everywhere or near a followed face."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError
from htnet.core.native import native_loops
from htnet.core.types import ByteArray, Float64Array, Frame, Landmarks
from htnet.preprocess.geometry import transform_points
from htnet.preprocess.landmarks.detector import Faces, YuNet
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.pose import check_order, face_shape, pose_warnings
from htnet.preprocess.video.face_motion import FACE
from htnet.recordings import face_numba

# Longer side to which the whole frame is scaled for detection, px: first the one, then the other if no face was found.
# YuNet is most reliable for faces of 50 to 300 px.
_SIDES = (480, 224)
# Side of the picture around a followed face, px, and the fraction of it that the aligned face takes up.
_NEAR_SIDE, _NEAR_SHARE = 144, 0.5
# Detections with a lower score are discarded.
_LEAST_SCORE = 0.6


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face that was detected in a frame.

    Attributes:
        box: (4,) float64, left, top, width and height, px of the frame.
        points: (5, 2) float64, px of the frame, in the order of `htnet.types.POINT_NAMES`.
        score: score of the face detector, 0..1.
    """

    box: Float64Array
    points: Float64Array
    score: float

    @property
    def pose(self) -> Float64Array:
        """(3,) float64: turn, height of the nose and roll, see `htnet.preprocess.pose.FaceShape`."""
        shape = face_shape(self.points)
        return np.array([shape.turn, shape.nose_height, shape.roll])

    def frontal(self) -> bool:
        """Whether the face looks into the camera, judged by its points."""
        try:
            check_order(self.points, "the recording")
            return not pose_warnings(Landmarks(self.points.astype(np.float32), "recording"), "the recording")
        except LandmarkError:
            return False


class FaceFinder(Protocol):
    """Interface of an object that finds faces in the frames of a recording."""

    def everywhere(self, frame: Frame) -> list[SeenFace]:
        """Find all faces in a frame."""
        ...

    def near(self, frame: Frame, matrix: Float64Array) -> list[SeenFace]:
        """Find the faces near a position, given by ``matrix``, (2, 3), from px of the frame to an aligned face of
        112 px.
        """
        ...


class YuNetFaces:
    """Finds faces with YuNet, in the whole frame scaled down, or in the square around a face, rotated upright."""

    def __init__(self, model: str | os.PathLike[str] | None = None) -> None:
        """Store the model file, see `htnet.preprocess.YuNetLandmarker`."""
        self._yunet = YuNet(model)

    def identity(self) -> Mapping[str, Any]:
        """Everything but the pixels that the faces depend on, except for htnet's version: the model's SHA-256.

        Raises:
            WeightsError: the model cannot be read.
            CorruptWeightsError: the model file is not a known one.
        """
        return {"finder": "yunet", "model": self._yunet.digest()}

    def everywhere(self, frame: Frame) -> list[SeenFace]:
        """See `FaceFinder.everywhere`."""
        cv2 = load_opencv("FaceDetectorYN")
        height, width = frame.size
        for side in _SIDES:
            scale = side / max(height, width)
            if scale > 1 and side == _SIDES[0]:
                continue
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            if scale < 1:
                small = averaged(frame.pixels, (size[1], size[0]))
            else:
                small = np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
            grow = np.array([width / size[0], height / size[1]])
            matrix = np.array([[grow[0], 0.0, 0.5 * grow[0] - 0.5], [0.0, grow[1], 0.5 * grow[1] - 0.5]])
            found = _seen(self._yunet.faces(small), matrix)
            if found:
                return found
        return []

    def near(self, frame: Frame, matrix: Float64Array) -> list[SeenFace]:
        """See `FaceFinder.near`."""
        scale = _NEAR_SIDE * _NEAR_SHARE / FACE
        there = np.array(matrix, dtype=np.float64) * scale
        there[:, 2] += np.full(2, (_NEAR_SIDE - scale * FACE) / 2)
        picture = warp(frame.pixels, there, (_NEAR_SIDE, _NEAR_SIDE))
        return _seen(self._yunet.faces(picture), inverse(there))


def _seen(faces: Faces, to_frame: Float64Array) -> list[SeenFace]:
    """Convert faces of a small picture to faces of the frame."""
    found = []
    for face in faces[faces[:, 14] >= _LEAST_SCORE]:
        x, y, width, height = face[:4]
        corners = transform_points(to_frame, [[x, y], [x + width, y], [x, y + height], [x + width, y + height]])
        box = upright(corners)
        found.append(SeenFace(box, transform_points(to_frame, face[4:14].reshape(5, 2)), float(face[14])))
    return found


def upright(corners: npt.ArrayLike) -> Float64Array:
    """(4,) left, top, width and height of the upright box with the same center and size as that of four corners."""
    points = np.asarray(corners, dtype=np.float64)
    middle = points.mean(axis=0)
    size = np.array([np.hypot(*(points[1] - points[0])), np.hypot(*(points[2] - points[0]))])
    return np.concatenate([middle - size / 2, size])


def inverse(matrix: npt.ArrayLike) -> Float64Array:
    """The inverse of a (2, 3) affine matrix."""
    (a, b, c), (d, e, f) = np.asarray(matrix, dtype=np.float64).tolist()
    k = 1 / (a * e - b * d)
    return np.array([[e * k, -b * k, (b * f - c * e) * k], [-d * k, a * k, (c * d - a * f) * k]])


def shrinking(matrix: Float64Array) -> float:
    """The scale of a (2, 3) affine matrix, below 1 if it shrinks: the square root of its change of area."""
    (a, b, _), (c, d, _) = matrix.tolist()
    return math.sqrt(abs(a * d - b * c))


def overlap(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Intersection over union of two boxes (left, top, width, height)."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    low = np.maximum(a[:2], b[:2])
    high = np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / max(float(np.prod(a[2:]) + np.prod(b[2:])) - shared, 1e-9)


def part_of(
    pixels: ByteArray, matrix: Float64Array, size: tuple[int, int], margin: int = 1
) -> tuple[ByteArray, Float64Array]:
    """The part of a frame that ``matrix`` maps to a picture of ``size`` (height, width), and the matrix of that part.

    Args:
        pixels: pixels of the frame.
        matrix: (2, 3), from px of the frame to px of the picture.
        size: (height, width) of the picture, px.
        margin: margin around the part, px of the frame.
    """
    height, width = size
    (a, b, x), (c, d, y) = inverse(matrix).tolist()
    across, down = (-a, a * width), (-c, c * width)
    beside, below = (-b, b * height), (-d, d * height)
    left, right = _reach(x + min(across) + min(beside), x + max(across) + max(beside), margin, pixels.shape[1])
    top, low = _reach(y + min(down) + min(below), y + max(down) + max(below), margin, pixels.shape[0])
    inner = np.array(matrix, dtype=np.float64)
    inner[:, 2] += inner[:, :2] @ (left, top)
    return pixels[top:low, left:right], inner


def _reach(low: float, high: float, margin: int, length: int) -> tuple[int, int]:
    """First index and end index of a range along an axis, clipped to the axis and with at least one element."""
    first = min(max(math.floor(low) - margin, 0), length - 1)
    return first, min(max(math.ceil(high) + 1 + margin, first + 1), length)


def shrunk(picture: ByteArray, matrix: Float64Array, size: tuple[int, int]) -> tuple[ByteArray, Float64Array]:
    """Reduce a picture to (height, width) by averaging. Returns it with its matrix."""
    grow = np.array([picture.shape[1] / size[1], picture.shape[0] / size[0]])
    inner = np.hstack([matrix[:, :2] * grow, (matrix[:, 2] + matrix[:, :2] @ (0.5 * grow - 0.5))[:, None]])
    return averaged(picture, size), inner


def averaged(picture: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Reduce a picture to (height, width) by averaging areas."""
    (height, width), (rows, columns) = picture.shape[:2], size
    # OpenCV has fast loops for integer factors.
    if native_loops() and rows <= height and columns <= width and (height % rows or width % columns):
        return face_numba.shrink(picture, size)
    cv2 = load_opencv()
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def warp(pixels: ByteArray, matrix: Float64Array, size: tuple[int, int]) -> ByteArray:
    """Warp a frame by ``matrix`` to a picture of ``size`` (height, width).

    Only the part that is needed is read. It is reduced by averaging first if it shrinks to less than half. Outside the
    frame, its edge is repeated.
    """
    cv2 = load_opencv()
    part, inner = part_of(pixels, matrix, size)
    shrink = shrinking(inner)
    if shrink < 0.5:
        small = (max(1, round(part.shape[0] * shrink)), max(1, round(part.shape[1] * shrink)))
        part, inner = shrunk(part, inner, small)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(part, inner, size[::-1], flags=flags, borderMode=border), np.uint8)
