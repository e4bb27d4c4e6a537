"""Faces of a frame of a recording: all of them, or the one that is followed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from htnet.core.errors import LandmarkError
from htnet.core.types import ByteArray, Float64Array, Frame, Landmarks
from htnet.preprocess.geometry import transform_points
from htnet.preprocess.landmarks.detector import Faces, YuNet
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.pose import check_order, face_shape, pose_warnings
from htnet.preprocess.video.face_motion import FACE

# Longer side of the whole frame when faces are searched in it, px, and of the second look where none was found: YuNet
# is surest of faces of 50 to 300 px.
_SIDES = (480, 224)
# Side of the picture around a face that is followed, px, and the share of it that the aligned face takes.
_NEAR_SIDE, _NEAR_SHARE = 144, 0.5
# Faces below this score are none.
_LEAST_SCORE = 0.6


@dataclass(frozen=True, eq=False)
class SeenFace:
    """A face of one frame.

    Attributes:
        box: (4,) float64, left, top, width and height, px of the frame.
        points: (5, 2) float64, px of the frame, order `htnet.types.POINT_NAMES`.
        score: of the detector, 0..1.
    """

    box: Float64Array
    points: Float64Array
    score: float

    @property
    def pose(self) -> Float64Array:
        """Turn, height of the nose and roll, see `htnet.preprocess.pose.FaceShape`: (3,) float64."""
        shape = face_shape(self.points)
        return np.array([shape.turn, shape.nose_height, shape.roll])

    def frontal(self) -> bool:
        """Whether the points are those of a face that looks into the camera."""
        try:
            check_order(self.points, "the recording")
            return not pose_warnings(Landmarks(self.points.astype(np.float32), "recording"), "the recording")
        except LandmarkError:
            return False


class FaceFinder(Protocol):
    """What finds faces in the frames of a recording."""

    def everywhere(self, frame: Frame) -> list[SeenFace]:
        """All faces of a frame."""
        ...

    def near(self, frame: Frame, matrix: Float64Array) -> list[SeenFace]:
        """The faces at a place: where ``matrix``, (2, 3), takes px of the frame to an aligned face of 112 px."""
        ...


class YuNetFaces:
    """Faces by YuNet: in the whole frame made small, or in the square around a face, its eyes level."""

    def __init__(self, model: str | os.PathLike[str] | None = None) -> None:
        """Keep the model file, see `htnet.preprocess.YuNetLandmarker`."""
        self._yunet = YuNet(model)

    def everywhere(self, frame: Frame) -> list[SeenFace]:
        """See `FaceFinder.everywhere`."""
        cv2 = load_opencv("FaceDetectorYN")
        height, width = frame.size
        for side in _SIDES:
            scale = side / max(height, width)
            if scale > 1 and side == _SIDES[0]:
                continue
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
            grow = np.array([width / size[0], height / size[1]])
            matrix = np.array([[grow[0], 0.0, 0.5 * grow[0] - 0.5], [0.0, grow[1], 0.5 * grow[1] - 0.5]])
            found = _seen(self._yunet.faces(np.asarray(small, np.uint8)), matrix)
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
    """Faces of a small picture as faces of the frame."""
    found = []
    for face in faces[faces[:, 14] >= _LEAST_SCORE]:
        x, y, width, height = face[:4]
        corners = transform_points(to_frame, [[x, y], [x + width, y], [x, y + height], [x + width, y + height]])
        box = upright(corners)
        found.append(SeenFace(box, transform_points(to_frame, face[4:14].reshape(5, 2)), float(face[14])))
    return found


def upright(corners: npt.ArrayLike) -> Float64Array:
    """(4,) left, top, width and height of the upright box around the middle of four corners, as large as theirs."""
    points = np.asarray(corners, dtype=np.float64)
    middle = points.mean(axis=0)
    size = np.array([np.hypot(*(points[1] - points[0])), np.hypot(*(points[2] - points[0]))])
    return np.concatenate([middle - size / 2, size])


def inverse(matrix: npt.ArrayLike) -> Float64Array:
    """The inverse of a (2, 3) affine matrix."""
    (a, b, c), (d, e, f) = np.asarray(matrix, dtype=np.float64).tolist()
    k = 1 / (a * e - b * d)
    return np.array([[e * k, -b * k, (b * f - c * e) * k], [-d * k, a * k, (c * d - a * f) * k]])


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
    """The part of a frame that ``matrix`` takes to a picture of ``size`` (height, width), and its own matrix.

    Args:
        pixels: of the frame.
        matrix: (2, 3), px of the frame to px of the picture.
        size: of the picture.
        margin: px of the frame around it.
    """
    height, width = size
    corners = transform_points(inverse(matrix), [[-1, -1], [width, -1], [-1, height], [width, height]])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin, 0, np.array(pixels.shape[1::-1]) - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1 + margin, low + 1, pixels.shape[1::-1])
    inner = np.hstack([matrix[:, :2], (matrix[:, 2] + matrix[:, :2] @ low)[:, None]])
    return pixels[low[1] : high[1], low[0] : high[0]], inner


def shrunk(picture: ByteArray, matrix: Float64Array, size: tuple[int, int]) -> tuple[ByteArray, Float64Array]:
    """A picture made smaller by averaging, to (height, width), and its own matrix."""
    small = (size[1], size[0])
    grow = np.array([picture.shape[1] / small[0], picture.shape[0] / small[1]])
    part = load_opencv().resize(picture, small, interpolation=load_opencv().INTER_AREA)
    inner = np.hstack([matrix[:, :2] * grow, (matrix[:, 2] + matrix[:, :2] @ (0.5 * grow - 0.5))[:, None]])
    return np.asarray(part, np.uint8), inner


def warp(pixels: ByteArray, matrix: Float64Array, size: tuple[int, int]) -> ByteArray:
    """The part of a frame that ``matrix`` takes to a picture of ``size`` (height, width).

    Only that part is touched, made smaller first by averaging where it shrinks to less than half. Places outside the
    frame repeat its edge.
    """
    cv2 = load_opencv()
    part, inner = part_of(pixels, matrix, size)
    shrink = float(np.sqrt(abs(np.linalg.det(inner[:, :2]))))
    if shrink < 0.5:
        small = (max(1, round(part.shape[0] * shrink)), max(1, round(part.shape[1] * shrink)))
        part, inner = shrunk(part, inner, small)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(part, inner, size[::-1], flags=flags, borderMode=border), np.uint8)
