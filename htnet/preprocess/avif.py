"""Properties of AVIF files that OpenCV does not apply or check: the orientation, and the number of pictures.

An AVIF file is a tree of boxes (ISO/IEC 14496-12). The orientation of a still picture is stored in the properties
``irot`` and ``imir`` of its primary item (ISO/IEC 23008-12); these count, and the EXIF orientation does not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

_KINDS = (b"avif", b"avis")
# Number of bytes in which brands are looked for; files have fewer than ten.
_LONGEST_BRANDS = 1024


def is_avif(data: bytes) -> bool:
    """Whether the bytes begin like those of an AVIF file: it is one of the brands, not always the first."""
    if data[4:8] != b"ftyp":
        return False
    (size,) = struct.unpack_from(">I", data)
    brands = data[8:12], *(data[at : at + 4] for at in range(16, min(size, len(data), _LONGEST_BRANDS), 4))
    return any(brand in _KINDS for brand in brands)


def avif_frames(data: bytes) -> int:
    """Number of frames of an AVIF image sequence; 1 for a still picture.

    Raises:
        struct.error: the file is broken.
    """
    for track in _found(data, 0, len(data), (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")):
        return int(struct.unpack_from(">I", data, track[0] + 8)[0])  # after version and flags, and the sample size
    return 1


def oriented(pixels: np.ndarray[Any, Any], data: bytes) -> np.ndarray[Any, Any]:
    """Decoded pixels (H, W, ...), rotated and mirrored as the file says; unchanged if it says nothing or is broken."""
    try:
        steps = list(_orientation(data))
    except (struct.error, IndexError):
        return pixels
    for kind, value in steps:
        # irot counts quarter turns counterclockwise, as np.rot90 does; imir 0 exchanges top and bottom.
        pixels = np.rot90(pixels, value & 3) if kind == b"irot" else np.flip(pixels, value & 1)
    return np.ascontiguousarray(pixels)


def _orientation(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The properties ``irot`` and ``imir`` of the primary item, in the order in which they are applied."""
    for start, end in _found(data, 0, len(data), (b"meta",)):
        start += 4  # version and flags
        primary = None
        for place, _ in _found(data, start, end, (b"pitm",)):
            primary = struct.unpack_from(">H" if data[place] == 0 else ">I", data, place + 4)[0]
        for place, stop in _found(data, start, end, (b"iprp",)):
            properties = [
                (kind, data[at]) for first, last in _found(data, place, stop, (b"ipco",))
                for kind, at, _ in _boxes(data, first, last)
            ]  # fmt: skip
            for at, _ in _found(data, place, stop, (b"ipma",)):
                for number in _associated(data, at, primary):
                    if 0 < number <= len(properties) and properties[number - 1][0] in (b"irot", b"imir"):
                        yield properties[number - 1]


def _associated(data: bytes, at: int, item: int | None) -> Iterator[int]:
    """The numbers, from 1, of an item's properties, from the box ``ipma`` whose content begins at ``at``."""
    version, wide = data[at], data[at + 3] & 1
    (items,) = struct.unpack_from(">I", data, at + 4)
    at += 8
    for _ in range(items):
        (name,) = struct.unpack_from(">I" if version else ">H", data, at)
        at += 4 if version else 2
        count, at = data[at], at + 1
        for _ in range(count):
            (number,) = struct.unpack_from(">H" if wide else ">B", data, at)
            at += 2 if wide else 1
            if name == item:
                yield number & (0x7FFF if wide else 0x7F)  # the first bit says whether readers must know it


def _found(data: bytes, start: int, end: int, names: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Begin and end of the content of each box that lies at a path of names."""
    for kind, first, last in _boxes(data, start, end):
        if kind == names[0]:
            if len(names) == 1:
                yield first, last
            else:
                yield from _found(data, first, last, names[1:])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name of each box, and begin and end of its content."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        stop = end if size == 0 else start + size
        if stop < start + head or stop > end:
            return
        yield kind, start + head, stop
        start = stop
