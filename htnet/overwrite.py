"""Nothing that exists is overwritten unless the user asks for it: the one place that checks this."""

from __future__ import annotations

import os
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from htnet.errors import InputError, OverwriteError

StrPath = str | PathLike[str]


def check_outputs(*files: StrPath | None, overwrite: bool = False, inputs: Iterable[StrPath | None] = ()) -> None:
    """Refuse to write files over others; call it before any work is done.

    Args:
        files: where files are to be written; None is skipped.
        overwrite: the user asked for what is there to be replaced.
        inputs: files that are read. These are never written over, whatever ``overwrite`` says.

    Raises:
        OverwriteError: a file is there already and ``overwrite`` is False; the message names it.
        InputError: a place is a folder, is read as well, or is given for two outputs.
    """
    read = {_real(path): path for path in inputs if path is not None}
    taken: dict[str, StrPath] = {}
    for file in files:
        if file is None or _is_stream(file):
            continue
        place = _real(file)
        if place in read:
            raise InputError(f"{file} is read by this very call and would be written over. Choose another name.")
        if place in taken:
            raise InputError(f"{taken[place]} and {file} are one file, given for two outputs. Choose two names.")
        taken[place] = file
        if os.path.isdir(file):
            raise InputError(f"{file} is a folder. Give the name of a file to write.")
        if not overwrite and os.path.exists(file):
            raise OverwriteError(_exists(str(file)))


def check_folder(folder: StrPath, files: Iterable[str], *, overwrite: bool = False) -> None:
    """Refuse to write files of these names into a folder that has one of them; what else lies there is left alone.

    Args:
        folder: where the files are to be written; it need not exist.
        files: their names.
        overwrite: the user asked for what is there to be replaced.

    Raises:
        OverwriteError: one of the files is there already and ``overwrite`` is False; the message names it.
        InputError: the folder is a file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise InputError(f"{folder} is a file. Give a folder to write into.")
    if overwrite:
        return
    found = [name for name in files if os.path.lexists(folder / name)]
    if found:
        more = f" (and {', '.join(found[1:])} beside it)" if len(found) > 1 else ""
        raise OverwriteError(_exists(str(folder / found[0]), more))


def _exists(what: str, more: str = "") -> str:
    return (
        f"{what} exists already{more} and would be overwritten. Choose another name, or ask for it: --overwrite "
        "(in Python overwrite=True)."
    )


def _is_stream(file: StrPath) -> bool:
    """Whether it is /dev/stdout or the like, where nothing is lost."""
    return str(file).startswith("/dev/")


def _real(path: StrPath) -> str:
    return os.path.normcase(os.path.realpath(path))
