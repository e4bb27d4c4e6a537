"""CSV files of people's own making, and messages about many samples."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from htnet.errors import ManifestError, did_you_mean

#: How many offenders a message lists before it only counts them.
_LISTED = 5


def read_table(path: Path, required: Sequence[str] = ()) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a CSV file with a header.

    Args:
        path: the file.
        required: columns that must be there.

    Returns:
        The columns, and each row's line number and values by column.

    Raises:
        ManifestError: it cannot be read, is not UTF-8, has no rows, lacks a column, or has a ragged row.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            found = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        raise ManifestError(f"{path} does not exist. Check the path.") from None
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read as a CSV file: {error}.") from error
    if not found:
        raise ManifestError(f"{path} holds no samples. It needs a header and one row for each sample.")
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ManifestError(f"{path}, line 1: column {twice[0]!r} occurs more than once. Keep one.")
    for name in required:
        if name not in columns:
            raise ManifestError(f"{path}, line 1: there is no column {name!r}. {did_you_mean(name, columns)}")
    for line, row in found:
        if len(row) != len(columns):
            raise ManifestError(
                f"{path}, line {line}: {len(row)} values for {len(columns)} columns. Quote values that hold commas."
            )
    return columns, [(line, dict(zip(columns, row, strict=True))) for line, row in found]


def cell_of(line: int, column: int) -> str:
    """What spreadsheet programs call the cell: ``cell H12`` for line 12 and column 7, counted from 0."""
    letters = ""
    while column >= 0:
        letters, column = chr(ord("A") + column % 26) + letters, column // 26 - 1
    return f"cell {letters}{line}"


def listed(names: Sequence[str]) -> str:
    """Text such as "3 samples ('a', 'b', 'c')", shortened when there are many."""
    shown = ", ".join(repr(n) for n in names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    return f"{len(names)} sample{'s' if len(names) > 1 else ''} ({shown})"


def refuse_missing(missing: Sequence[str], source: str, cure: str) -> None:
    """Raise an error that counts missing files and lists the first few."""
    if missing:
        shown = "\n  ".join(missing[:_LISTED]) + ("\n  ..." if len(missing) > _LISTED else "")
        raise ManifestError(f"{source}: {len(missing)} file(s) do not exist. {cure}\n  {shown}")
