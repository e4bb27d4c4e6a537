"""Limits on the size of input files, and readers that check them before they allocate memory.

Each limit has a default. An environment variable overrides it and is read on every check.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from os import PathLike
from typing import IO, Any, TypeVar

from htnet.core.errors import LimitError
from htnet.core.paths import as_path

Row = TypeVar("Row")


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        variable: environment variable that sets the limit.
        default: the limit if the variable is not set.
        unit: unit of the limit, for messages.
    """

    variable: str
    default: int
    unit: str

    def value(self) -> int:
        """The current limit.

        Raises:
            LimitError: the variable is not a positive integer.
        """
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < 1:
            raise LimitError(f"{self.variable} is {text!r:.40}; give a positive integer, or leave it unset.")
        return int(text)

    def check(self, found: int, what: str | PathLike[str]) -> None:
        """Check that ``found`` is not above the limit.

        Raises:
            LimitError: it is; the message names ``what`` and the variable.
        """
        if found > (most := self.value()):
            raise LimitError(
                f"{what} has {found} {self.unit}, more than the limit of {most}. If this is correct, raise the limit: "
                f"set the environment variable {self.variable}."
            )


PICTURE_PIXELS = Limit("HTNET_MAX_PICTURE_PIXELS", 150_000_000, "pixels")
VIDEO_FRAMES = Limit("HTNET_MAX_VIDEO_FRAMES", 20_000_000, "frames or more")
HEADER_BYTES = Limit("HTNET_MAX_SAFETENSORS_HEADER_BYTES", 16 << 20, "bytes in its header")
TABLE_ROWS = Limit("HTNET_MAX_TABLE_ROWS", 1_000_000, "rows or more")
NESTING = Limit("HTNET_MAX_NESTING", 100, "levels of lists and objects or more")
FILE_BYTES = Limit("HTNET_MAX_FILE_BYTES", 1 << 30, "bytes or more")
LIMITS = (PICTURE_PIXELS, VIDEO_FRAMES, HEADER_BYTES, TABLE_ROWS, NESTING, FILE_BYTES)

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET = re.compile(r"[^\[\]{}]+")


def read_file(path: str | PathLike[str]) -> bytes:
    """Read a whole file.

    Raises:
        LimitError: the file is larger than `FILE_BYTES`.
        OSError: the file cannot be read, or is a device, which may never end.
    """
    most = FILE_BYTES.value()
    with open(as_path(path), "rb") as file:
        size = _size_of(file, path)
        FILE_BYTES.check(size, path)
        content = file.read(most + 1) if size == 0 else file.read()
    FILE_BYTES.check(len(content), path)
    return content


def sha256_of(path: str | PathLike[str]) -> str:
    """SHA-256 of a file of any size, in hexadecimal.

    Raises:
        OSError: the file cannot be read, or is a device, which may never end.
    """
    digest = hashlib.sha256()
    with open(as_path(path), "rb") as file:
        _size_of(file, path)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _size_of(file: IO[bytes], path: str | PathLike[str]) -> int:
    """Size of an open file in bytes; 0 for a pipe. Devices are refused."""
    state = os.fstat(file.fileno())
    if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
        raise OSError(errno.EINVAL, "A device, not a file", os.fspath(path))
    return state.st_size


def read_json(path: str | PathLike[str]) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        LimitError: the file is too large or too deeply nested.
        OSError, ValueError: the file cannot be read, or is not JSON.
    """
    return parse_json(read_file(path).decode("utf-8"), str(path))


def parse_json(text: str | bytes, what: str = "The JSON text") -> Any:
    """Parse a JSON text.

    Args:
        text: the text, or its bytes in UTF-8.
        what: where it comes from, for messages.

    Raises:
        LimitError: the text is nested more deeply than `NESTING`.
        ValueError: the text is not JSON, or an object has a key twice, of which Python would keep the last one.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    most = NESTING.value()
    if text.count("[") + text.count("{") > most:
        steps = (1 if mark in "[{" else -1 for mark in _BRACKET.sub("", _STRING.sub("", text)))
        NESTING.check(max(accumulate(steps), default=0), what)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise LimitError(f"{what} is nested too deeply.") from None


class RepeatedKeyError(json.JSONDecodeError):
    """An object of a JSON text has a key twice; its text enters messages through `htnet.core.errors.cause`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"an object has the key {key!r} twice, of which only one can be meant", key, 0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose keys must differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedKeyError(twice)
    return found


def limited_rows(rows: Iterable[Row], what: str | PathLike[str]) -> Iterator[Row]:
    """Yield the rows of a table, at most `TABLE_ROWS`.

    Raises:
        LimitError: there are more rows.
    """
    most = TABLE_ROWS.value()
    for number, row in enumerate(rows, 1):
        if number > most:
            TABLE_ROWS.check(number, what)
        yield row


def check_safetensors(path: str | PathLike[str]) -> None:
    """Refuse a safetensors file whose header is too long; other faults are left to its reader.

    Raises:
        LimitError: the header is longer than `HEADER_BYTES`.
        OSError: the file cannot be read.
    """
    with open(as_path(path), "rb") as file:
        start, size = file.read(8), os.fstat(file.fileno()).st_size
    if len(start) == 8 and (header := struct.unpack("<Q", start)[0]) <= size - 8:  # otherwise it is not safetensors
        HEADER_BYTES.check(header, path)


def check_archive(path: str | PathLike[str]) -> None:
    """Refuse a ZIP archive (.npz, .xlsx) that is too large when unpacked; other faults are left to its reader.

    Raises:
        LimitError: its unpacked files together are larger than `FILE_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return
    FILE_BYTES.check(size, f"{as_path(path, 'path')}, unpacked,")
