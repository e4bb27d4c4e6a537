"""Properties of picture files read without decoding them: number of pictures, size, and whether they are complete."""

from __future__ import annotations

import re
import struct
import zlib

from htnet.preprocess.avif import avif_frames, is_avif

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _EXTRA = 254, 255, 256, 257, 338
# Values of the tag ExtraSamples: alpha that the colors are multiplied by already, and alpha that they are not.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# In JPEG data 0xFF is followed by 0x00 (a stuffed byte) or D0..D7 (a restart) unless a marker starts.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_PNM_SIZE = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+([0-9]{1,9})(?:\s|#[^\n]*\n)+([0-9]{1,9})\s")
#: Bytes of a PGM or PPM file in which its header ends.
PNM_HEAD = 4096


def picture_count(data: bytes) -> int:
    """Pages of a TIFF file (BigTIFF too), frames of an animated PNG, WebP, GIF or AVIF; 1 for all others and if broken.

    Copies at a lower resolution and masks, which TIFF 6.0 marks (NewSubfileType), do not count.
    """
    try:
        if data[:4] in _TIFF:
            return max(1, _tiff_pages(data))
        if data.startswith(_PNG):
            return max(1, _png_frames(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return max(1, _webp_frames(data))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return max(1, _gif_frames(data))
        if is_avif(data):
            return max(1, avif_frames(data))
    except (struct.error, IndexError):
        return 1
    return 1


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a picture file states, px; None if broken, and for formats whose size only OpenCV checks.

    Supported are PNG, JPEG, BMP, WebP, GIF, TIFF (its first page), PBM, PGM and PPM.
    """
    try:
        if data.startswith(_PNG):
            return _two(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
        if data.startswith(b"BM"):
            old = struct.unpack_from("<I", data, 14)[0] == 12
            width, height = _two("<HH" if old else "<ii", data, 18)
            return abs(width), abs(height)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return _two("<HH", data, 6)
        if data[:4] in _TIFF:
            return _tiff_size(data)
        if found := _PNM_SIZE.match(data[:PNM_HEAD]):
            return int(found[1]), int(found[2])
    except (struct.error, IndexError):
        return None
    return None


def _two(form: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, data, at)
    return int(first), int(second)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        mark = data[at + 1]
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            height, width = _two(">HH", data, at + 5)
            return width, height
        at += 1 if mark == 0xFF else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = _two("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff_start(data: bytes) -> tuple[str, bool, int]:
    """Byte order, whether it is a BigTIFF, and the place of the first directory."""
    order, big = ("<" if data[:2] == b"II" else ">"), 43 in data[2:4]
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    return order, big, at


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order, big, at = _tiff_start(data)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    head, entry, value = (8, 20, 12) if big else (2, 12, 8)
    found = {}
    for place in range(at + head, min(at + head + entries * entry, len(data)), entry):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in (_WIDTH, _HEIGHT):
            (found[tag],) = struct.unpack_from(order + {3: "H", 4: "I"}.get(kind, "Q"), data, place + value)
    return (found[_WIDTH], found[_HEIGHT]) if len(found) == 2 else None


def plain_alpha(data: bytes) -> bytes:
    """The file such that its colors are decoded as they are stored; only some TIFF files are changed.

    libtiff, and OpenCV with it, multiplies colors by an alpha channel that is marked as unassociated, so that
    transparent pixels turn black. The mark of the first page is changed to that of associated alpha.
    """
    if data[:4] not in _TIFF:
        return data
    try:
        order, big, at = _tiff_start(data)
        (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
        head, entry, form = (8, 20, "Q") if big else (2, 12, "I")
        for place in range(at + head, min(at + head + entries * entry, len(data)), entry):
            tag, _, count = struct.unpack_from(order + "HH" + form, data, place)
            if tag != _EXTRA:
                continue
            value = place + 4 + struct.calcsize(form)
            if 2 * count > struct.calcsize(form):
                (value,) = struct.unpack_from(order + form, data, value)
            if struct.unpack_from(order + "H", data, value)[0] == _UNASSOCIATED:
                return data[:value] + struct.pack(order + "H", _ASSOCIATED) + data[value + 2 :]
    except struct.error:
        return data
    return data


def _tiff_pages(data: bytes) -> int:
    order, big, at = _tiff_start(data)
    offset, number, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    pages, seen = 0, set()
    while at and at not in seen:
        seen.add(at)
        (entries,) = struct.unpack_from(order + number, data, at)
        first = at + struct.calcsize(number)
        pages += not _is_copy(data, order, first, min(entries, 2), entry)
        (at,) = struct.unpack_from(order + offset, data, first + entries * entry)
    return pages


def _is_copy(data: bytes, order: str, at: int, entries: int, size: int) -> bool:
    """Whether a page is a reduced copy or a mask. Entries are sorted by tag, and the two relevant ones come first."""
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
    """The number in the chunk acTL, which precedes the pixels."""
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


def file_damage(data: bytes) -> str:
    """What is wrong with the file's structure; empty when nothing is, or when the format is unknown."""
    if data.startswith(_PNG):
        return _png_damage(data)
    if data.startswith(b"\xff\xd8"):
        return "" if _jpeg_is_whole(data) else "a cut off JPEG file (no end marker)"
    declared = 0
    if data.startswith(b"BM") and len(data) >= 6:
        declared = struct.unpack_from("<I", data, 2)[0]
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        declared = struct.unpack_from("<I", data, 4)[0] + 8
    return f"cut off ({len(data)} of {declared} bytes)" if len(data) < declared else ""


def _png_damage(data: bytes) -> str:
    """Walk the chunks up to IEND; check the CRC of the critical ones (upper-case first letter)."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind[:1].isupper() and zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            return f"a damaged PNG file (wrong checksum in chunk {kind.decode('latin-1')})"
        if kind == b"IEND":
            return ""
        at = end
    return "a cut off PNG file (no IEND chunk)"


def _jpeg_is_whole(data: bytes) -> bool:
    """Walk the segments to the end marker; an EXIF thumbnail's own end marker does not count."""
    at = 2
    while found := _JPEG_MARKER.search(data, at):
        marker = found.group(1)[0]
        at = found.end()
        if marker == 0xD9:
            return True
        if marker != 0x01 and at + 2 <= len(data):  # all but TEM carry their length
            at += struct.unpack_from(">H", data, at)[0]
    return False
