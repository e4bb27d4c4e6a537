"""How many pictures an image file holds. A frame is one picture."""

from __future__ import annotations

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_SUBFILE, _OLD_SUBFILE = 254, 255


def picture_count(data: bytes) -> int:
    """Pages of a TIFF file (BigTIFF too), frames of an animated PNG, WebP or GIF file; 1 for all others and if broken.

    Copies at a lower resolution and masks, which TIFF 6.0 marks (NewSubfileType), do not count.
    """
    try:
        if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return max(1, _tiff_pages(data))
        if data.startswith(_PNG):
            return max(1, _png_frames(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return max(1, _webp_frames(data))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return max(1, _gif_frames(data))
    except (struct.error, IndexError):
        return 1
    return 1


def _tiff_pages(data: bytes) -> int:
    order, big = ("<" if data[:2] == b"II" else ">"), 43 in data[2:4]
    offset, number, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    pages, seen = 0, set()
    while at and at not in seen:
        seen.add(at)
        (entries,) = struct.unpack_from(order + number, data, at)
        first = at + struct.calcsize(number)
        pages += not _is_copy(data, order, first, min(entries, 2), entry)
        (at,) = struct.unpack_from(order + offset, data, first + entries * entry)
    return pages


def _is_copy(data: bytes, order: str, at: int, entries: int, size: int) -> bool:
    """Entries are sorted by tag, so that these two, the smallest, are among the first."""
    for place in range(at, at + entries * size, size):
        (tag,) = struct.unpack_from(order + "H", data, place)
        if tag == _SUBFILE:
            (flags,) = struct.unpack_from(order + "I", data, place + size - (8 if size == 20 else 4))
            return bool(flags & 0b101)  # reduced, mask
        if tag == _OLD_SUBFILE:
            (kind,) = struct.unpack_from(order + "H", data, place + size - (8 if size == 20 else 4))
            return bool(kind == 2)
    return False


def _png_frames(data: bytes) -> int:
    """The number in the chunk acTL, which stands before the pixels."""
    at = len(_PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"acTL":
            return int(struct.unpack_from(">I", data, at + 8)[0])
        if kind in (b"IDAT", b"IEND"):
            return 1
        at += 12 + length


def _webp_frames(data: bytes) -> int:
    at, frames = 12, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        at += 8 + length + length % 2
    return frames


def _gif_frames(data: bytes) -> int:
    at = 13 + _gif_table(data[10])
    frames = 0
    while data[at] != 0x3B:
        if data[at] == 0x2C:  # a picture: its place and size, its own colors, the size of codes
            frames += 1
            at += 11 + _gif_table(data[at + 9])
        else:  # an extension and its label
            at += 2
        while data[at]:  # blocks of up to 255 bytes
            at += 1 + data[at]
        at += 1
    return frames


def _gif_table(flags: int) -> int:
    """Bytes of a table of colors."""
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0
