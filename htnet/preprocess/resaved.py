"""Detection of two image files that are one frame, saved once more as JPEG.

Their mean difference does not show this: a JPEG differs from its frame by 1 to 3 gray levels in the mean, a true
micro-expression from its onset by 0.1 to 1. But saving one frame in the same way as the other reproduces the other, to
within a few levels in every pixel, while a motion of 0.2 px differs by 10 levels and more in some pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from htnet.core.types import Frame
from htnet.preprocess.frames import FrameSource, frame_file
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.picture_reader import FRAME, decode_picture

#: Largest difference of two savings of one frame in any pixel, gray levels.
_ALIKE = 3
#: Frames that differ more than this in the mean are not examined.
_FAR = 6.0
#: Bytes at the beginning of a file that are searched for its tables.
_HEAD = 1 << 16
#: Chroma subsampling: the value in a JPEG header to OpenCV's constant.
_SAMPLING = {0x11: 0x111111, 0x21: 0x211111, 0x22: 0x221111}


@dataclass(frozen=True)
class _Saved:
    """The settings with which a JPEG was saved."""

    table: bytes
    sampling: int | None


def saved_again(onset: FrameSource, apex: FrameSource, first: Frame, second: Frame) -> bool:
    """Whether two files show one frame, where one file was saved from the other as JPEG.

    Args:
        onset: the onset as given; only files are examined.
        apex: the apex as given.
        first: the onset after reading.
        second: the apex after reading.
    """
    files = frame_file(onset), frame_file(apex)
    if first.pixels.shape != second.pixels.shape or None in files:
        return False
    if np.abs(first.pixels.astype(np.int16) - second.pixels).mean() > _FAR:
        return False
    return _is_saving(files[1], second, first) or _is_saving(files[0], first, second)


def _is_saving(file: Any, frame: Frame, of: Frame) -> bool:
    """Whether a file is the JPEG that results from saving another frame in the same way."""
    saved = _how_saved(file)
    quality = None if saved is None else _qualities().get(saved.table)
    if saved is None or quality is None:
        return False
    cv2 = load_opencv()
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if saved.sampling in _SAMPLING:
        how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING[saved.sampling]]
    again = decode_picture(cv2.imencode(".jpg", of.pixels[..., ::-1], how)[1].tobytes(), of.source, FRAME)[..., ::-1]
    return bool(np.abs(again.astype(np.int16) - frame.pixels).max() <= _ALIKE)


def _how_saved(file: Any) -> _Saved | None:
    """The settings in the header of a JPEG; None for other files."""
    try:
        with open(file, "rb") as opened:
            return _parse(opened.read(_HEAD))
    except OSError:
        return None


def _parse(head: bytes) -> _Saved | None:
    """The quantization table of brightness and the sampling in the header of a JPEG; None if there is none."""
    if not head.startswith(b"\xff\xd8"):
        return None
    at, table, sampling = 2, b"", None
    while at + 4 <= len(head) and head[at] == 0xFF and head[at + 1] != 0xDA:
        kind, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        part = head[at + 4 : at + 2 + length]
        if kind == 0xDB and part[:1] == b"\0":  # 8-bit table 0
            table = part[1:65]
        elif kind in (0xC0, 0xC1, 0xC2) and len(part) >= 9 and part[5] == 3:
            sampling = part[7]
        at += 2 + length
    return _Saved(table, sampling) if len(table) == 64 else None


@cache
def _qualities() -> Mapping[bytes, int]:
    """The quality that belongs to each table in OpenCV, and in all programs that use the usual tables."""
    cv2 = load_opencv()
    gray = np.zeros((8, 8), np.uint8)
    found: dict[bytes, int] = {}
    for quality in range(100, 0, -1):
        saved = _parse(cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
        if saved is not None:
            found.setdefault(saved.table, quality)
    return found
