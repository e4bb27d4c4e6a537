"""Messages about many samples, and `htnet.core.csv_files.read_table` for the readers of data sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from htnet.core.csv_files import read_table as read_table
from htnet.core.errors import ManifestError

#: How many offenders a message lists before it only counts them.
_LISTED = 5


def cell_of(line: int, column: int) -> str:
    """What spreadsheet programs call the cell: ``cell H12`` for line 12 and column 7, counted from 0."""
    letters = ""
    while column >= 0:
        letters, column = chr(ord("A") + column % 26) + letters, column // 26 - 1
    return f"cell {letters}{line}"


def counted(count: int, what: str) -> str:
    """Text such as "1 sample" and "3 samples"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def people_counted(count: int) -> str:
    """Text such as "1 person" and "3 people"."""
    return f"{count} {'person' if count == 1 else 'people'}"


def listed(names: Sequence[str]) -> str:
    """Text such as "3 samples ('a', 'b', 'c')", shortened when there are many."""
    shown = ", ".join(repr(n) for n in names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return f"{counted(len(names), 'sample')} ({shown})"


def as_there(folder: Path, text: str) -> str:
    """A path that a table names, relative to ``folder``: with "/" where it is written as on Windows.

    Backslashes are turned where the file or folder exists so and not as written.
    """
    if "\\" in text and os.sep == "/" and not os.path.exists(folder / text):
        turned = text.replace("\\", "/")
        return turned if os.path.exists(folder / turned) else text
    return text


def refuse_missing(missing: Sequence[str], source: str, cure: str) -> None:
    """Raise an error that counts missing files and lists the first few."""
    if missing:
        shown = "\n  ".join(missing[:_LISTED]) + ("\n  ..." if len(missing) > _LISTED else "")
        if os.sep == "/" and any("\\" in name for name in missing):
            cure += " Paths with backslashes are those of Windows: write / in their place, and no drive letter."
        raise ManifestError(f"{source}: {len(missing)} file(s) do not exist. {cure}\n  {shown}")
