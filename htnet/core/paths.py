"""Checks of paths that users give.

Existence is tested with ``os.path``: ``Path.exists`` and similar methods raise an `OSError` for a name that is too
long, or in a folder that the user has no permission to search.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from htnet.core.errors import InputError


def as_path(path: str | PathLike[str], what: str = "The path") -> Path:
    """Check a path that a user gave; call this before the path is used.

    Args:
        path: the path.
        what: the name of the argument, for messages.

    Raises:
        InputError: the value is not a path, is empty, or contains a NUL character.
    """
    text = os.fspath(path) if isinstance(path, (str, PathLike)) else path
    if not isinstance(text, str):
        got = "None" if path is None else f"of type {type(path).__name__}"
        raise InputError(f"{what} is {got}, not a path; give the name of a file or folder as text or a Path.")
    if not text:
        raise InputError(f"{what} is empty; give the name of a file or folder ('.' is the working folder).")
    if "\0" in text:
        raise InputError(f"{what} is {text!r}; file names cannot contain the NUL character. Check the path.")
    return Path(path)


def real_path(path: str | PathLike[str], what: str = "The path") -> str:
    """The canonical path, with symbolic links resolved; the same text for the same file.

    Raises:
        InputError: the value is not a path, see `as_path`.
    """
    return os.path.normcase(os.path.realpath(as_path(path, what)))
