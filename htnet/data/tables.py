"""Messages about many samples, and `htnet.core.csv_files.read_table` for the readers of data sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from htnet.core.csv_files import read_table as read_table
from htnet.core.errors import ManifestError
from htnet.core.words import LISTED


def cell_of(line: int, column: int) -> str:
    """Name of a cell in spreadsheet programs: ``cell H12`` for line 12 and column 7, counted from 0."""
    letters = ""
    while column >= 0:
        letters, column = chr(ord("A") + column % 26) + letters, column // 26 - 1
    return f"cell {letters}{line}"


def as_there(folder: Path, text: str) -> str:
    """A path in a table, relative to ``folder``, with Windows separators converted to "/" if necessary.

    Backslashes are converted only if the file or folder exists under the converted path, but not as written.
    """
    if "\\" in text and os.sep == "/" and not os.path.exists(folder / text):
        turned = text.replace("\\", "/")
        return turned if os.path.exists(folder / turned) else text
    return text


def refuse_missing(missing: Sequence[str], source: str, cure: str) -> None:
    """Raise an error that counts missing files and lists the first few."""
    if missing:
        shown = "\n  ".join(missing[:LISTED]) + ("\n  ..." if len(missing) > LISTED else "")
        if os.sep == "/" and any("\\" in name for name in missing):
            cure += " Backslashes are Windows separators: write / instead, and no drive letter."
        raise ManifestError(f"{source}: {len(missing)} file(s) do not exist. {cure}\n  {shown}")
