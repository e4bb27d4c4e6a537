"""Limits on what a file may ask for, and the readers that check them before memory is spent.

Each has a default and is set by an environment variable, read whenever it is checked.
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
        variable: environment variable that sets it.
        default: its value without the variable.
        unit: what is counted.
    """

    variable: str
    default: int
    unit: str

    def value(self) -> int:
        """The limit now.

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
        """Refuse more than the limit.

        Raises:
            LimitError: ``found`` is more; the message names ``what`` and the variable.
        """
        if found > (most := self.value()):
            raise LimitError(
                f"{what} has {found} {self.unit}, more than the limit of {most}. If that is right, raise it: set the "
                f"environment variable {self.variable}."
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
    """The content of a file that is read as a whole.

    Raises:
        LimitError: it is larger than `FILE_BYTES`.
        OSError: it cannot be read, or is a device, which may never end.
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
        OSError: it cannot be read, or is a device, which may never end.
    """
    digest = hashlib.sha256()
    with open(as_path(path), "rb") as file:
        _size_of(file, path)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _size_of(file: IO[bytes], path: str | PathLike[str]) -> int:
    """Bytes of an open file; 0 for a pipe. Refuses a device."""
    state = os.fstat(file.fileno())
    if stat.S_ISCHR(state.st_mode) or stat.S_ISBLK(state.st_mode):
        raise OSError(errno.EINVAL, "A device, not a file", os.fspath(path))
    return state.st_size


def read_json(path: str | PathLike[str]) -> Any:
    """The content of a JSON file, in UTF-8.

    Raises:
        LimitError: it is too large or too deeply nested.
        OSError, ValueError: it cannot be read, or is not JSON.
    """
    return parse_json(read_file(path).decode("utf-8"), str(path))


def parse_json(text: str | bytes, what: str = "The JSON text") -> Any:
    """What a JSON text holds.

    Args:
        text: the text, or its bytes in UTF-8.
        what: where it comes from, for messages.

    Raises:
        LimitError: it is nested more deeply than `NESTING`.
        ValueError: it is not JSON.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    most = NESTING.value()
    if text.count("[") + text.count("{") > most:
        steps = (1 if mark in "[{" else -1 for mark in _BRACKET.sub("", _STRING.sub("", text)))
        NESTING.check(max(accumulate(steps), default=0), what)
    try:
        return json.loads(text)
    except RecursionError:
        raise LimitError(f"{what} is nested too deeply.") from None


def limited_rows(rows: Iterable[Row], what: str | PathLike[str]) -> Iterator[Row]:
    """Rows of a table, up to `TABLE_ROWS`.

    Raises:
        LimitError: there are more.
    """
    most = TABLE_ROWS.value()
    for number, row in enumerate(rows, 1):
        if number > most:
            TABLE_ROWS.check(number, what)
        yield row


def check_safetensors(path: str | PathLike[str]) -> None:
    """Refuse a safetensors file whose header is too long; any other fault is left to its reader.

    Raises:
        LimitError: it is longer than `HEADER_BYTES`.
        OSError: the file cannot be read.
    """
    with open(as_path(path), "rb") as file:
        start, size = file.read(8), os.fstat(file.fileno()).st_size
    if len(start) == 8 and (header := struct.unpack("<Q", start)[0]) <= size - 8:  # else it is no such file
        HEADER_BYTES.check(header, path)


def check_archive(path: str | PathLike[str]) -> None:
    """Refuse a ZIP archive (.npz, .xlsx) whose files would unpack to too much; other faults are left to its reader.

    Raises:
        LimitError: they have more bytes than `FILE_BYTES` together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return
    FILE_BYTES.check(size, f"{as_path(path, 'path')}, unpacked,")
