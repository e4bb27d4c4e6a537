"""Check whether a video file is complete, by the sizes stated in its container.

The frame count in a header does not show this: intact files announce more frames than a player shows (trimmed clips,
dropped frames, longer sound). The sizes of the container's parts do: a file that lost its end is shorter than they
state.

Formats: ISO/IEC 14496-12 (MP4, MOV), Microsoft's AVI RIFF with OpenDML, RFC 9559 (Matroska, WebM), Vision Research's
Cine File Format (Phantom cameras).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Boxes at the top level of an MP4 or MOV file.
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"styp", b"sidx", b"mfra", b"uuid")
_AVI_CHUNK = re.compile(rb"\d\d(dc|db|wb|pc|tx|iv)|ix\d\d|JUNK|LIST|idx1")
_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
# Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock, Void, CRC-32.
_IN_CLUSTER = frozenset((0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF))
_BLOCKS = frozenset((0xA3, 0xA0, 0xAF))
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _STAMP = 0xA3, 0xA0, 0xA1, 0xE7
_INFO, _SCALE, _TRACKS, _TRACK_ENTRY, _OF_TRACK = 0x1549A966, 0x2AD7B1, 0x1654AE6B, 0xAE, (0x83, 0xD7)
# SeekHead, Info, Tracks, Chapters, Cues, Attachments, Tags, Void, CRC-32, Cluster.
_IN_SEGMENT = frozenset(
    (0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1043A770, 0x1C53BB6B, 0x1941A469, 0x1254C367, 0xEC, 0xBF, _CLUSTER)
)

# Signature of a .cine file, and the size of its header.
_CINE = b"CI" + struct.pack("<H", 44)
# Bytes of an AVI file that contain the header of its video; and the byte that follows the start code in an MPEG program
# stream, which has times.
_AVI_HEAD, _PACK = 4096, b"\xba"


def container_kind(path: Path) -> str:
    """The kind of container: "mp4" (also MOV), "avi", "matroska" (also WebM), "cine", or "" for everything else."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"AVI ":
        return "avi"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == _CINE:
        return "cine"
    return "mp4" if head[4:8] in _BOXES else ""


def rate_is_assumed(path: Path) -> bool:
    """Whether a file states neither times nor a rate, so FFmpeg assumes 25 frames per second.

    This is so for streams without a container (H.264, H.265 and MPEG-4 with start codes, concatenated JPEGs, AV1), and
    for AVI files whose rate is 0.
    """
    with path.open("rb") as file:
        head = file.read(_AVI_HEAD)
    if head[:4] == b"RIFF":
        at = head.find(b"vids")
        if at < 0 or at + 28 > len(head):
            return False
        return 0 in struct.unpack_from("<II", head, at + 20) and not any(head[32:36])
    start = head.lstrip(b"\0")
    coded = len(head) - len(start) >= 2 and start[:1] == b"\x01" and start[1:2] != _PACK
    return coded or head.startswith((b"\xff\xd8", b"\x12\x00\x0a"))


def file_flaw(path: Path) -> str:
    """What is wrong with the structure of a video file, e.g. "cut off (900 of 1800 bytes)"; "" if nothing is.

    Only the parts that contain frames count: a lost index at the end costs no frame. Unknown containers give "".
    """
    kind = container_kind(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind == "mp4":
            return _mp4_flaw(file, size)
        if kind == "avi":
            return _avi_flaw(file, size)
        if kind == "cine":
            return _cine_flaw(file, size)
        return _matroska_flaw(file, size) if kind == "matroska" else ""


#: Beginning of the text about a file that ends inside the data of a frame, not between two frames.
CUT_INSIDE = "cut off inside a frame"


def _cut(size: int, whole: int, state: str = "cut off") -> str:
    return f"{state} ({size} of at least {whole} bytes)"


def _mp4_flaw(file: BinaryIO, size: int) -> str:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # to the end of the file, or padding
            return ""
        if at + length > size:
            return _cut(size, at + length) if kind in (b"mdat", b"moov", b"moof") else ""
        at += length
    return ""


def _avi_flaw(file: BinaryIO, size: int) -> str:
    for start, end in _lists_of_frames(file, size):
        at = start
        while at + 8 <= min(end, size):
            file.seek(at)
            name, length = struct.unpack("<4sI", file.read(8))
            if not _AVI_CHUNK.fullmatch(name):
                return f"damaged at byte {at}"
            at += 12 if name == b"LIST" else 8 + length + length % 2
        if end > size:
            return _cut(size, end, CUT_INSIDE if at > size else "cut off")
    return ""


def _cine_flaw(file: BinaryIO, size: int) -> str:
    """Check the last frame in the table of offsets: its annotations, which end in the image's size, and its image."""
    head = file.read(44)
    if len(head) < 44:
        return _cut(size, 44)
    version, count, table = struct.unpack("<6xH12xI8xI8x", head)
    width = 8 if version else 4
    end = table + width * count
    for part in ("table", "notes", "image") if count else ():
        if end > size:
            return _cut(size, end)
        if part == "table":
            place = _number(file, end - width, width)
            end = place + 4
        elif part == "notes":
            end = place + _number(file, place, 4)
        else:
            end += _number(file, max(end - 4, 0), 4)
    return _cut(size, end) if end > size else ""


def _number(file: BinaryIO, at: int, width: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(width), "little")


def _lists_of_frames(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of the chunks inside each list "movi"; long files have several RIFF parts."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        name, length, form = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or not length:  # an interrupted recorder leaves a length of 0
            return
        inner, end = at + 12, at + 8 + length
        while inner + 12 <= min(end, size):
            file.seek(inner)
            name, part, form = struct.unpack("<4sI4s", file.read(12))
            if name == b"LIST" and form == b"movi":
                yield inner + 12, inner + 8 + part
            inner += 8 + part + part % 2
        at = end + end % 2


def _matroska_flaw(file: BinaryIO, size: int) -> str:
    header = _element(file, 0)
    segment = None if header is None or header[2] is None else _element(file, header[2])
    if segment is None or segment[0] != _SEGMENT:
        return ""
    _, at, end = segment
    while at < (size if end is None else min(end, size)):
        found = _element(file, at)
        if found is None:
            return _cut(size, end or at + 1)
        name, inner, after = found
        if name == _CLUSTER:  # its blocks are read one by one, as clusters may have an unknown size
            if after is not None and after > size:
                return _broken_block(file, inner, size) or _cut(size, after)
            at = inner
        elif name not in _IN_CLUSTER and name not in _IN_SEGMENT:
            return f"damaged at byte {at}"
        elif after is None:
            return ""
        elif after > size:  # a file that lost only the index at its end has all its frames
            return _cut(size, after) if name in _BLOCKS else ""
        else:
            at = after
    return _cut(size, end) if end is not None and end > size else ""


def _broken_block(file: BinaryIO, at: int, size: int) -> str:
    """The first place in a cluster that is not a block, before the end of the file."""
    while at < size:
        found = _element(file, at)
        if found is None or found[2] is None:
            return ""
        if found[0] not in _IN_CLUSTER:
            return f"damaged at byte {at}"
        at = found[2]
    return ""


def stored_span(path: Path) -> tuple[int, float, float] | None:
    """Blocks of the video in a Matroska file, and the times of the earliest and the latest of them, s.

    The parser of FFmpeg stops in silence at a block whose header is damaged, although the next ones are whole.

    Returns:
        None for other containers, for files with another number of video tracks than one, and for those whose elements
        do not state their sizes.
    """
    if container_kind(path) != "matroska":
        return None
    size, scale, tracks, stamps, cluster = path.stat().st_size, 1_000_000, set[int](), list[int](), 0
    with path.open("rb") as file:
        header = _element(file, 0)
        segment = None if header is None or header[2] is None else _element(file, header[2])
        at = size if segment is None or segment[0] != _SEGMENT else segment[1]
        while at < size and (found := _element(file, at)) is not None:
            name, inner, end = found
            if name in (_CLUSTER, _BLOCK_GROUP):
                at = inner
                continue
            if end is None or end > size:
                return None
            if name == _INFO:
                scale = next((_number_of(file, *part) for part in _inside(file, inner, end, _SCALE)), scale)
            elif name == _TRACKS:
                tracks = _video_tracks(file, inner, end)
            elif name == _STAMP:
                cluster = _number_of(file, inner, end)
            elif name in (_SIMPLE_BLOCK, _BLOCK):
                file.seek(inner)
                head = file.read(11)
                width = 9 - head[0].bit_length() if head else 9
                if width <= 8 and len(head) >= width + 2:
                    track = int.from_bytes(head[:width], "big") & ((1 << 7 * width) - 1)
                    if track in tracks:
                        stamps.append(cluster + int.from_bytes(head[width : width + 2], "big", signed=True))
            at = end
    if len(tracks) != 1 or not stamps:
        return None
    return len(stamps), min(stamps) * scale / 1e9, max(stamps) * scale / 1e9


def _inside(file: BinaryIO, at: int, end: int, name: int) -> Iterator[tuple[int, int]]:
    """Start and end of the content of every element of that name directly inside another one."""
    while at < end and (found := _element(file, at)) is not None and found[2] is not None:
        if found[0] == name:
            yield found[1], found[2]
        at = found[2]


def _video_tracks(file: BinaryIO, at: int, end: int) -> set[int]:
    """The numbers of the video tracks."""
    numbers = set()
    for entry in _inside(file, at, end, _TRACK_ENTRY):
        kinds, tracks = ([_number_of(file, *part) for part in _inside(file, *entry, name)] for name in _OF_TRACK)
        if kinds == [1]:  # video
            numbers.update(tracks)
    return numbers


def _number_of(file: BinaryIO, at: int, end: int) -> int:
    """An unsigned number of Matroska."""
    file.seek(at)
    return int.from_bytes(file.read(min(end - at, 8)), "big")


def _element(file: BinaryIO, at: int) -> tuple[int, int, int | None] | None:
    """Name, start of the content and end (None if not stated) of the EBML element at an offset; None past the end."""
    file.seek(at, os.SEEK_SET)
    head = file.read(12)
    if not head:
        return None
    name_length = 9 - head[0].bit_length()
    if name_length > 4:
        return 0, at + 1, at + 1
    if len(head) <= name_length:
        return None
    size_length = 9 - head[name_length].bit_length()
    inner = name_length + size_length
    if size_length > 8:
        return 0, at + 1, at + 1
    if len(head) < inner:
        return None
    bits = 7 * size_length
    length = int.from_bytes(head[name_length:inner], "big") & ((1 << bits) - 1)
    end = None if length == (1 << bits) - 1 else at + inner + length
    return int.from_bytes(head[:name_length], "big"), at + inner, end
