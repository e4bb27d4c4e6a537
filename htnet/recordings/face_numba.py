"""The computations for every frame of a followed face as machine code: the loops of `face_loops`.

They run on the calling thread. Each function has an equivalent with NumPy and OpenCV at the place where it is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.native import native_function
from htnet.core.types import ByteArray, Float64Array, FloatArray
from htnet.preprocess.video.face_motion import CELL, FACE

_PACKAGE = __name__.rpartition(".")[0]
# The compiled function: its module and name, the other modules that its code depends on, its number of arguments.
_LOOPS = (f"{_PACKAGE}.face_loops", "work", ("htnet.preprocess.flow.loops",), 10)
_GRAY, _LIGHT, _ALIKE, _STEP, _PAIRS, _MEASURES, _SHRINK = range(7)
_CELLS = (FACE // CELL) ** 2
#: Margin of the window of the local mean beyond the face, on both sides together, px.
_AROUND = 20


def gray_face(picture: ByteArray, matrix: Float64Array, sigma: float) -> FloatArray:
    """The aligned face of a smoothed picture, see `follow.gray_face`.

    Args:
        picture: (H, W, 3) RGB or (H, W) gray.
        matrix: (2, 3) from px of the aligned face to px of the picture.
        sigma: standard deviation of the Gaussian, px of the picture.
    """
    picture, stride, channels = _rows(picture)
    height, width = picture.shape[:2]
    taps = _taps(sigma)
    reach = len(taps) - 1
    counts = np.array([_GRAY, height, width, stride, channels, reach], np.int64)
    memory = np.empty(2 * height * width + width + 2 * reach, np.float32)
    affine, out = np.ascontiguousarray(matrix, np.float64), np.empty((FACE, FACE), np.float32)
    _call(counts, picture, None, None, taps, affine, None, out, memory, None)
    return out


def even_light(face: ByteArray | FloatArray, sigma: float) -> FloatArray:
    """See `cell_flow.even_light`."""
    taps = _taps(sigma)
    reach = len(taps) - 1
    counts, out = np.array([_LIGHT, reach], np.int64), np.empty((FACE, FACE), np.float32)
    memory, wide = np.empty(FACE * FACE + FACE + 2 * reach, np.float32), np.empty(5 * (FACE + _AROUND))
    _call(counts, None, _plane(face), None, taps, None, None, out, memory, wide)
    return out


def alike(one: FloatArray, other: FloatArray) -> tuple[float, float, float]:
    """The sums of squares of two faces about their means, and the sum of the products."""
    counts, found = np.array([_ALIKE], np.int64), np.empty(3)
    _call(counts, None, _plane(one), _plane(other), None, None, None, None, None, found)
    a, b, both = found.tolist()
    return a, b, both


def head_step(earlier: FloatArray, now: FloatArray, side: int, steps: int, weights: FloatArray) -> Float64Array:
    """The similarity from the earlier to the current face, (2, 3) in px of the small pictures, see `follow.head_step`.

    Args:
        earlier: (112, 112) float32, the earlier face.
        now: (112, 112) float32, the current face.
        side: side of the small pictures, px; divides 112.
        steps: number of Gauss-Newton steps.
        weights: (side * side,) float32, weights of the pixels.
    """
    counts, memory = np.array([_STEP, side, steps], np.int64), np.empty((3 * side + 5) * side, np.float32)
    found = np.empty(6 + 20)
    _call(counts, None, _plane(earlier), _plane(now), _plane(weights), found, None, None, memory, None)
    return found[:6].reshape(2, 3)


def pair_sums(earlier: Sequence[tuple[FloatArray, FloatArray]], image: FloatArray, gradient: FloatArray) -> FloatArray:
    """See `cell_flow.pair_sums`, here with images and gradients instead of textures."""
    held = [_plane(part) for pair in earlier for part in pair]
    counts = np.array([_PAIRS, len(earlier), *map(_address, held)], np.int64)
    out, memory = np.empty((len(earlier), 6, _CELLS), np.float32), np.empty(6 * FACE, np.float32)
    _call(counts, None, _plane(image), _plane(gradient), None, None, None, out, memory, None)
    return out


def picture_measures(
    face: FloatArray, across: FloatArray, points: Float64Array, parts: tuple[int, int, int, int, int]
) -> FloatArray:
    """See `measure.picture_measures`.

    Args:
        face: (112, 112) float32, gray levels.
        across: (112, 112) float32, derivative to the right of the face with normalized light.
        points: (3, 2) the eyes and the middle of the mouth, px.
        parts: half height and half width of the patch around an eye and of that around the mouth, and number of rows of
            the latter that show skin.
    """
    counts, found = np.array([_MEASURES, *parts], np.int64), np.empty(5)
    _call(counts, None, _plane(face), _plane(across), None, points, None, None, None, found)
    found[1] = math.sqrt(found[1])
    return found.astype(np.float32)


def shrink(picture: ByteArray, size: tuple[int, int]) -> ByteArray:
    """Reduce a picture to (height, width) by averaging areas, like `cv2.resize` with ``INTER_AREA``.

    OpenCV takes three to five times as long if the factor is not an integer. Sums are added in a different order, so
    about one pixel in ten thousand differs by one level.
    """
    picture, stride, channels = _rows(picture)
    height, width = picture.shape[:2]
    counts = np.array([_SHRINK, height, width, stride, channels, *size], np.int64)
    out = np.empty((*size, *picture.shape[2:]), np.uint8)
    # A row of the picture; the weights of the pixels of each area in a row; a row of the output.
    memory = np.empty(width * channels + size[1] * (width // size[1] + 2 + channels), np.float32)
    _call(counts, picture, None, None, None, None, out, None, memory, None)
    return out


@lru_cache(maxsize=64)
def _taps(sigma: float) -> FloatArray:
    """The middle of a Gaussian kernel and its taps to one side, as many as OpenCV uses for floats, padded with zeros to
    a multiple of three.
    """
    reach = (round(sigma * 8 + 1) | 1) // 2
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    taps = np.zeros(1 + 3 * max(1, -(-reach // 3)), np.float32)
    taps[: reach + 1] = weights / (weights[0] + 2 * weights[1:].sum())
    return taps


def _plane(values: ByteArray | FloatArray) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)


def _rows(picture: ByteArray) -> tuple[ByteArray, int, int]:
    """A picture with contiguous rows, the number of bytes from one row to the next, and the number of channels."""
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.strides[1:] != ((channels, 1) if picture.ndim == 3 else (1,)):
        picture = np.ascontiguousarray(picture)
    return picture, picture.strides[0], channels


def _address(array: npt.NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _call(*arrays: npt.NDArray[Any] | None) -> None:
    """Run the loops with these arguments; None for those that they do not need."""
    # This runs eight times per frame: calling `_address` for each array would take as long as some of the loops.
    places = [None if array is None else array.__array_interface__["data"][0] for array in arrays]
    native_function(*_LOOPS)(*places)
