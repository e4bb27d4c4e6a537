"""Conversion of image values to 8 bits: which value is white.

Images of cameras with 10, 12 or 14 bits are usually saved in 16-bit files, whose largest value no pixel approaches. A
reader that treats 65535 as white then gets an almost black face with 17 gray levels instead of 256. No rule can
distinguish such a file from a dark 16-bit picture, so the frame is refused if neither file nor caller states the depth.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htnet.core.errors import FrameError
from htnet.core.fields import one_of, optional
from htnet.core.types import BIT_DEPTHS, ByteArray

_FLOAT_TOLERANCE = 1e-4
_WHITE_16 = 65535
#: 16-bit values that are all below this may also be 14-, 12- or 10-bit values.
CLEAR_16 = 1 << 14
#: A pair whose values are all below this share of white looks black: a wrong conversion has scaled its values down.
BLACK = 1 / 16
_PNM_HEADER = re.compile(rb"P[2356](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)\s")
#: The tag of TIFF files that names their largest value.
_MAX_SAMPLE_VALUE = 281


@dataclass(frozen=True, eq=False)
class RawFrame:
    """A frame with the values of its file or array.

    Attributes:
        pixels: (H, W, 3), integers or floats.
        source: file or description, for messages.
        white: the largest possible value according to the file, None if not stated.
        done: whether the pixels are those of a `Frame`, which are 8-bit already.
    """

    pixels: np.ndarray[Any, Any]
    source: str
    white: int | None = None
    done: bool = False

    @property
    def wide(self) -> bool:
        """Whether type and file leave open which value is white."""
        kind = self.pixels.dtype
        return not self.done and self.white is None and kind != np.uint8 and np.issubdtype(kind, np.integer)

    @property
    def clear_16(self) -> bool:
        """Whether the values must be 16-bit values, because some are too large for 14 bits."""
        return self.wide and self.pixels.dtype == np.uint16 and int(self.pixels.max()) >= CLEAR_16


def check_bit_depth(bit_depth: int | None) -> None:
    """Raise `InputError` unless a bit depth is None or one of `htnet.types.BIT_DEPTHS`."""
    optional(one_of(BIT_DEPTHS)).check("bit_depth", bit_depth)


def stated_white(data: bytes) -> int | None:
    """The largest possible value that an image file states: PGM and PPM files, and TIFF files with that tag.

    A stated value of 65535 is ignored: OpenCV and FFmpeg write it for any 16-bit values, also those of a 12-bit camera.

    PNG's sBIT chunk is ignored too: by the PNG specification (third edition, 11.3.2.6) samples are scaled to the full
    range of the file whatever sBIT says.
    """
    if found := _PNM_HEADER.match(data[:4096]):
        white: int | None = int(found[1])
    else:
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
        white = None if order is None else _tiff_white(data, order)
    return None if white in (0, _WHITE_16) else white


def _tiff_white(data: bytes, order: str) -> int | None:
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        for i in range(count):
            tag, kind, values = struct.unpack_from(order + "HHI", data, at + 2 + 12 * i)
            if tag == _MAX_SAMPLE_VALUE and kind == 3:
                place = at + 10 + 12 * i
                if values > 2:  # one for each channel, stored elsewhere
                    (place,) = struct.unpack_from(order + "I", data, place)
                (white,) = struct.unpack_from(order + "H", data, place)
                return int(white) or None
    except struct.error:
        return None
    return None


def together(frames: Sequence[RawFrame], bit_depth: int | None = None) -> list[ByteArray]:
    """Convert frames that are compared with each other to 8-bit pixels, all by one rule.

    Args:
        frames: the frames of a pair or of a clip, or a single frame.
        bit_depth: bits of the camera's values if files and types do not state them.

    Raises:
        FrameError: 16-bit values of unknown depth, values beyond the stated depth, or a type or range of numbers that
            no picture has.
        InputError: an impossible ``bit_depth``.
    """
    check_bit_depth(bit_depth)
    wide = [frame for frame in frames if frame.wide]
    if wide and bit_depth is None:
        bit_depth = _depth_of(wide)
    return [_to_bytes(frame, bit_depth) for frame in frames]


def refuse_black(frames: Sequence[RawFrame]) -> None:
    """Refuse frames that are almost black, as after a wrong conversion of a wider range to 8 bits or to 0..1.

    Raises:
        FrameError: no value of any frame reaches 1/16 of white, and some are not 0.
    """
    shares = []
    for frame in frames:
        kind, top = frame.pixels.dtype, float(frame.pixels.max())
        if frame.done:  # from a clip, which may be dark for a moment
            return
        if kind == np.uint8:
            shares.append(top / (frame.white or 255))
        elif np.issubdtype(kind, np.floating):
            shares.append(top)
    if len(shares) == len(frames) and 0 < max(shares) < BLACK:
        raise FrameError(
            f"{' and '.join(f.source for f in frames)} {'are' if len(frames) > 1 else 'is'} almost black: the largest "
            f"value is {max(shares):.1%} of white. 12-bit values that were divided by 256 or by 65535 look like "
            "this; convert the original values by their own bit depth."
        )


def _depth_of(wide: Sequence[RawFrame]) -> int:
    """Return 16 if the values of at least one frame must be 16-bit values; refuse all other frames."""
    for frame in wide:
        if frame.pixels.dtype != np.uint16:
            raise FrameError(
                f"Frame {frame.source} has type {frame.pixels.dtype}, which does not say which value is white; give "
                f"uint8, uint16 or float in 0..1, or state the depth: bit_depth={_smallest(int(frame.pixels.max()))} "
                f"(commands: --bit-depth {_smallest(int(frame.pixels.max()))})."
            )
    top = max(int(frame.pixels.max()) for frame in wide)
    if top == 0 or any(frame.clear_16 for frame in wide):
        return 16
    depth = _smallest(top)
    names = (
        f"Frame {wide[0].source} has" if len(wide) == 1 else f"{wide[0].source} and {len(wide) - 1} more frames have"
    )
    raise FrameError(
        f"{names} 16-bit numbers up to {top}: either {depth}-bit values, or a dark 16-bit picture. "
        f"Say which: bit_depth={depth} or bit_depth=16 (commands: --bit-depth {depth})."
    )


def _smallest(top: int) -> int:
    return next((depth for depth in BIT_DEPTHS if top < 1 << depth), BIT_DEPTHS[-1])


def _to_bytes(frame: RawFrame, bit_depth: int | None) -> ByteArray:
    pixels, kind = frame.pixels, frame.pixels.dtype
    if frame.done:
        return pixels
    if np.issubdtype(kind, np.floating):
        return _from_floats(frame)
    if kind == np.uint8 and frame.white in (None, 255):
        if bit_depth not in (None, 8, 16):
            raise FrameError(f"Frame {frame.source} has 8-bit values, so bit_depth={bit_depth} does not fit.")
        return pixels
    if frame.white and bit_depth not in (None, 16) and frame.white != (1 << (bit_depth or 16)) - 1:
        raise FrameError(
            f"Frame {frame.source} states that {frame.white} is white, so bit_depth={bit_depth} does not fit; "
            "leave it out."
        )
    white = frame.white or (1 << (bit_depth or 16)) - 1
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > white:
        said = f"its file says that {white} is white" if frame.white else f"bit_depth={bit_depth or 16} ends at {white}"
        raise FrameError(
            f"Frame {frame.source} contains values {low}..{high}, but {said}. Values that are stored in the upper "
            "bits count as 16-bit values: bit_depth=16."
        )
    # Rounded to the nearest: one step of 8 bits is 257 steps of 16 bits.
    return ((pixels.astype(np.uint32) * 255 + white // 2) // white).astype(np.uint8)


def _from_floats(frame: RawFrame) -> ByteArray:
    pixels = frame.pixels
    bad = int((~np.isfinite(pixels)).sum())
    if bad:
        raise FrameError(f"Frame {frame.source} contains {bad} NaN or infinite values; fill or drop them first.")
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_FLOAT_TOLERANCE or high > 1 + _FLOAT_TOLERANCE:
        raise FrameError(
            f"Frame {frame.source} is float with values {low:g}..{high:g}; give floats in 0..1 "
            "(divide by 255 if they are bytes), or uint8."
        )
    return np.asarray(np.rint(np.clip(pixels.astype(np.float64), 0, 1) * 255).astype(np.uint8))
