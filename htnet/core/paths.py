"""Checks of paths that users give.

Existence is tested with ``os.path``: ``Path.exists`` and similar methods raise an `OSError` for a name that is too
long, or in a folder that the user has no permission to search.
"""

from __future__ import annotations

import os
import re
from os import PathLike
from pathlib import Path

from htnet.core.errors import InputError

#: Longest path of Linux, in characters.
_LONGEST = 4096
#: Web addresses, and files written into an address.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://|(?=data:)", re.IGNORECASE)
_CURES = {
    None: "give its bytes: base64.b64decode(text.partition(',')[2])",
    "file": "give the path without file://",
}


def as_path(path: str | PathLike[str], what: str = "The path") -> Path:
    """Check a path that a user gave; call this before the path is used.

    Args:
        path: the path.
        what: the name of the argument, for messages.

    Raises:
        InputError: the value is not a path, is empty, contains a NUL character, or is an address or the content of a
            file.
    """
    text = os.fspath(path) if isinstance(path, (str, PathLike)) else path
    if not isinstance(text, str):
        got = "None" if path is None else f"of type {type(path).__name__}"
        raise InputError(f"{what} is {got}, not a path; give the name of a file or folder as text or a Path.")
    if not text:
        raise InputError(f"{what} is empty; give the name of a file or folder ('.' is the working folder).")
    if "\0" in text:
        raise InputError(f"{what} is {text!r}; file names cannot contain the NUL character. Check the path.")
    if (address := _ADDRESS.match(text)) is not None and not os.path.exists(text):
        raise InputError(
            f"{what} is the address {_short(text)!r}; "
            f"{_CURES.get(address[1] and address[1].lower(), 'download it first')}."
        )
    if len(text) > _LONGEST:
        raise InputError(
            f"{what} is a text of {len(text)} characters ({_short(text)!r}), which is no path. The content of a file "
            "is given as bytes; base64.b64decode(text) decodes base64."
        )
    return Path(path)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def real_path(path: str | PathLike[str], what: str = "The path") -> str:
    """The canonical path, with symbolic links resolved; the same text for the same file.

    Raises:
        InputError: the value is not a path, see `as_path`.
    """
    return os.path.normcase(os.path.realpath(as_path(path, what)))
