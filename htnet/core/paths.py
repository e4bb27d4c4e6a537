"""Paths that users give.

Whether something is there is asked of ``os.path``: ``Path.exists`` and its kin raise errors of Python for a name that
is too long, or in a folder that this user may not look into.
"""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from htnet.core.errors import InputError


def as_path(path: str | PathLike[str], what: str = "The path") -> Path:
    """A path that a user gave, looked at before anything else is done with it.

    Args:
        path: what was given.
        what: the name of the argument, for messages.

    Raises:
        InputError: it is no path, or holds a character that no name of a file can hold.
    """
    text = os.fspath(path) if isinstance(path, (str, PathLike)) else path
    if not isinstance(text, str):
        got = "None" if path is None else f"of type {type(path).__name__}"
        raise InputError(f"{what} is {got}, not a path; give the name of a file or folder as text or a Path.")
    if not text:
        raise InputError(f"{what} is empty; give the name of a file or folder ('.' is the working folder).")
    if "\0" in text:
        raise InputError(f"{what} is {text!r}; names of files cannot hold the NUL character. Check the path.")
    return Path(path)


def real_path(path: str | PathLike[str], what: str = "The path") -> str:
    """Where a path leads, links followed; the same text for the same file.

    Raises:
        InputError: it is no path, see `as_path`.
    """
    return os.path.normcase(os.path.realpath(as_path(path, what)))
