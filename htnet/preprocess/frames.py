"""Frames: reading, checking and converting image files and arrays to RGB uint8."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import IOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

from htnet.core.arrays import refuse_masked
from htnet.core.errors import FrameError, refuse_type
from htnet.core.hints import how
from htnet.core.paths import as_path
from htnet.core.threads import beside
from htnet.core.types import TEMPLATE_SIZE, ByteArray, Frame
from htnet.preprocess.depth import RawFrame, check_bit_depth, refuse_black, stated_white, together
from htnet.preprocess.in_memory import encoded_picture, picture_array
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.picture_reader import FRAME, decode_picture, picture_bytes

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

#: An image file as a path, its bytes or opened as binary; an RGB array or tensor; a picture of Pillow; or a `Frame`.
#: See `read_frame`.
FrameSource: TypeAlias = "str | os.PathLike[str] | np.ndarray[Any, Any] | Frame | Image | Tensor | bytes | IO[bytes]"

#: Shortest side of a frame that can hold a usable face, px.
MIN_SIDE = 16

#: Minimum correlation of two color channels in a picture of 28x28 px that may show a face: the bundled face has 0.95 at
#: that size, the 1768 published flow images (four of each sample of the composite) 0.61 or less.
_COLORS_ALIKE = 0.7
#: Types that OpenCV converts from BGR to RGB, in a tenth of NumPy's time.
_FAST = (np.uint8, np.uint16, np.float32)


def read_frame(source: FrameSource, bit_depth: int | None = None) -> Frame:
    """Read one frame as RGB uint8.

    Use `read_pair` or `read_clip` to read frames that are compared with each other.

    Args:
        source: an image file as a path, as bytes or opened as binary; an array or tensor in RGB order; a picture of
            Pillow; or a `Frame`. Arrays: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16 or float in 0..1;
            tensors also (3, H, W). Gray is repeated in three channels, 16-bit values are divided by 257 and rounded,
            and alpha is dropped, not composited: the colors of transparent pixels stay visible. Files and pictures of
            Pillow are rotated according to their EXIF orientation.
        bit_depth: bits of the values, one of `htnet.types.BIT_DEPTHS`, if a 16-bit file or a wider type contains
            fewer. Files that state their largest value (PGM, PPM, some TIFF files) do not need it.

    Returns:
        The frame, pixels (H, W, 3) uint8 RGB.

    Raises:
        FrameError: the file is missing, a folder, empty, truncated, damaged or not an image; the array
            has another shape or type, or contains NaN; a side is under `MIN_SIDE` px; or 16-bit values are all below
            16384, so they may be 14-, 12- or 10-bit values, and ``bit_depth`` is not given.
    """
    return _frames([_read_raw(source)], [source], bit_depth)[0]


def read_pair(onset: FrameSource, apex: FrameSource, bit_depth: int | None = None) -> tuple[Frame, Frame]:
    """Read two frames that are compared: of the same size, and by the same range of values.

    Args:
        onset: see `read_frame`.
        apex: likewise.
        bit_depth: see `read_frame`.

    Raises:
        FrameError: one cannot be read, their sizes differ, or both are almost black.
    """
    if isinstance(apex, (str, os.PathLike, bytes)):
        with beside(partial(_read_raw, apex)) as other:
            raw = [_read_raw(onset), other()]
    else:
        raw = [_read_raw(onset), _read_raw(apex)]  # both may be read from one open file
    refuse_black(raw)
    first, second = _frames(raw, [onset, apex], bit_depth)
    check_pair(first, second)
    return first, second


def read_clip(sources: Iterable[FrameSource], bit_depth: int | None = None) -> Iterator[Frame]:
    """Read the frames of a clip, all by the same range of values, one after the other.

    Frames are held back only until the values of one of them determine the bit depth.

    Args:
        sources: frames in order, see `read_frame`.
        bit_depth: see `read_frame`.

    Raises:
        FrameError: no frames are given, one cannot be read, or none determines the bit depth.
    """
    if not isinstance(sources, Iterable) or isinstance(sources, (str, bytes, bytearray, memoryview, IOBase)):
        raise FrameError(
            f"A clip cannot be read from {type(sources).__name__}; give the path of a video or of a folder of frames, "
            "or frames in order. Write bytes, or the content of an open file, to a file first."
        )
    check_bit_depth(bit_depth)
    waiting: list[tuple[RawFrame, FrameSource]] = []
    for source in sources:
        raw = _read_raw(source)
        waiting.append((raw, source))
        if bit_depth is None and raw.clear_16:
            bit_depth = 16
        if bit_depth is None and waiting[0][0].wide:
            continue
        yield from _frames([one for one, _ in waiting], [given for _, given in waiting], bit_depth)
        waiting = []
    if waiting:
        yield from _frames([one for one, _ in waiting], [given for _, given in waiting], bit_depth)


def clip_depths(sources: Iterable[FrameSource]) -> Iterator[int | None]:
    """The bit depth by which all frames of a clip must be read, as soon as a frame determines it; None for 8 bits.

    Args:
        sources: frames in order; read only until one of them determines it.

    Raises:
        FrameError: a frame cannot be read, or none determines the bit depth.
    """
    waiting: list[RawFrame] = []
    for source in sources:
        raw = _read_raw(source)
        if raw.clear_16:
            yield 16
            return
        if not raw.wide and not waiting:
            yield None
            return
        waiting.append(raw)
    together(waiting)
    yield 16


def _read_raw(source: FrameSource) -> RawFrame:
    """The numbers of a frame, (H, W, 3), and their range if the file states it."""
    if isinstance(source, Frame):
        pixels: Any = source.pixels
        refuse_type(f"pixels of frame {source.source}", pixels, np.ndarray, "an array (H, W, 3) uint8", FrameError)
        return _checked(pixels, source.source, done=pixels.dtype == np.uint8)
    if isinstance(source, np.ndarray):
        return _checked(source, "array")
    if isinstance(source, (str, os.PathLike)):
        path = as_path(source, "A frame")
        data = picture_bytes(path, FRAME)
        return _checked(_decode(data, path), str(path), stated_white(data))
    if (array := picture_array(source)) is not None:
        return _checked(*array)
    if (encoded := encoded_picture(source)) is not None:
        data, name = encoded
        return _checked(_decode(data, Path(name)), name, stated_white(data))
    raise FrameError(
        f"A frame cannot be read from {type(source).__name__}; give an image file, its bytes, an RGB array or tensor, "
        "or a picture of Pillow."
    )


def _frames(raw: Sequence[RawFrame], sources: Sequence[FrameSource], bit_depth: int | None) -> list[Frame]:
    pixels = together(raw, bit_depth)
    return [
        dataclasses.replace(source, pixels=found) if isinstance(source, Frame) else Frame(found, one.source)
        for found, source, one in zip(pixels, sources, raw, strict=True)
    ]


def check_pair(onset: Frame, apex: Frame) -> None:
    """Check that two frames can be compared pixel by pixel.

    Raises:
        FrameError: their sizes differ.
    """
    if onset.size != apex.size:
        (oh, ow), (ah, aw) = onset.size, apex.size
        raise FrameError(
            f"Onset {onset.source} is {ow}x{oh} px, but apex {apex.source} is {aw}x{ah} px; "
            "give two frames of one video, at the same size."
        )


def frame_file(source: FrameSource | None) -> str | None:
    """The file that a frame was or will be read from; None for pictures in memory and frames of video files."""
    if isinstance(source, Frame):
        return source.source if os.path.isfile(source.source) else None
    return str(source) if isinstance(source, (str, os.PathLike)) else None


def to_gray(frame: Frame) -> ByteArray:
    """Luma of a frame (ITU-R BT.601 weights, as OpenCV): (H, W) uint8.

    Raises:
        FrameError: this is not a `Frame`, or its pixels are not (H, W, 3) uint8.
    """
    cv2 = load_opencv()
    return np.asarray(cv2.cvtColor(byte_pixels(frame), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def byte_pixels(frame: Frame) -> ByteArray:
    """The pixels of a frame, (H, W, 3) uint8, in an order of memory that OpenCV reads.

    Raises:
        FrameError: this is not a `Frame`, or its pixels have another shape or type; `read_frame` converts them.
    """
    refuse_type("frame", frame, Frame, "what read_frame returns", FrameError)
    pixels: Any = frame.pixels
    refuse_masked(pixels, f"Frame {frame.source} has", FrameError)
    shape: tuple[int, ...] = getattr(pixels, "shape", ())
    kind = getattr(pixels, "dtype", type(pixels).__name__)
    if not isinstance(pixels, np.ndarray) or len(shape) != 3 or shape[2] != 3 or 0 in shape or kind != np.uint8:
        raise FrameError(
            f"Frame {frame.source} has pixels of shape {tuple(shape)}, type {kind}; give (H, W, 3) uint8: "
            "read_frame(pixels) converts other arrays."
        )
    return np.ascontiguousarray(pixels)


def _decode(data: bytes, path: Path) -> np.ndarray[Any, Any]:
    """The pixels of an image file, in RGB."""
    cv2 = load_opencv()
    pixels = decode_picture(data, path, FRAME)
    _refuse_flow_image(pixels, path)
    if pixels.dtype in _FAST:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    return np.ascontiguousarray(pixels[..., ::-1])


def _refuse_flow_image(pixels: np.ndarray[Any, Any], path: Path) -> None:
    """Refuse a published flow image, in which no face can be found and whose flow would be meaningless."""
    if pixels.shape != (TEMPLATE_SIZE, TEMPLATE_SIZE, 3):
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.corrcoef(pixels.reshape(-1, 3).T.astype(np.float64))
    if np.isnan(alike).all() or np.nanmin(alike) >= _COLORS_ALIKE:
        return
    use = how(
        "htnet train --data or htnet loso --data, with a manifest", f"htnet.Predictor().flow_image({str(path)!r})"
    )
    raise FrameError(
        f"{path} is a flow image ({TEMPLATE_SIZE}x{TEMPLATE_SIZE} px, its colors are motion), not a frame of a face. "
        f"Give frames of the video. To use flow images: {use}"
    )


def _checked(pixels: np.ndarray[Any, Any], source: str, white: int | None = None, done: bool = False) -> RawFrame:
    """Check the type and shape of an array and convert it to (H, W, 3) in the machine's byte order."""
    if pixels.dtype.kind not in "uif":
        raise FrameError(f"Frame {source} has type {pixels.dtype}; give uint8, uint16 or float in 0..1.")
    refuse_masked(pixels, f"Frame {source} has", FrameError)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise FrameError(f"Frame {source} has shape {pixels.shape}; give (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).")
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise FrameError(f"Frame {source} is {width}x{height} px; give one with at least {MIN_SIDE} px on each side.")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    pixels = np.asarray(pixels[..., :3], dtype=pixels.dtype.newbyteorder("="))
    return RawFrame(np.ascontiguousarray(pixels), source, white, done)
