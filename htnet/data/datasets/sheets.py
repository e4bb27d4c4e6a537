"""Annotation sheets (``.xlsx`` or ``.csv``) as rows of text, whatever stands above their header."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from htnet.errors import ManifestError
from htnet.optional import require

#: How each column is called in the data sets' sheets, in letters and digits only.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "subid", "sub"),
    "filename": ("filename", "foldname", "sample"),
    "onset": ("onsetframe", "onset", "onsetf"),
    "apex": ("apexframe", "apex", "apexf"),
    "offset": ("offsetframe", "offset", "offsetf"),
    "emotion": ("estimatedemotion", "emotion"),
    "action_units": ("actionunits", "aus", "au"),
}
SUFFIXES = (".xlsx", ".csv")
#: A header further down than this is not looked for.
_HEADER_WITHIN = 40


@dataclass(frozen=True)
class SheetRow:
    """One row of a sheet.

    Attributes:
        where: file and row, for messages.
        text: the cells by the names of `ALIASES`; "" where there is none.
    """

    where: str
    text: Mapping[str, str]

    def number(self, column: str) -> int | None:
        """The whole number in a column, None if the cell holds none ("", "/", ...)."""
        return int(self.text[column]) if re.fullmatch(r"[0-9]+", self.text[column]) else None

    def needed(self, column: str) -> int:
        """The whole number in a column.

        Raises:
            ManifestError: the cell holds none.
        """
        found = self.number(column)
        if found is None:
            raise ManifestError(f"{self.where}: the {column} frame is {self.text[column]!r}, no number. Correct it.")
        return found


def find_sheet(root: Path, patterns: Sequence[str], what: str) -> Path:
    """The one sheet in ``root``, or else in the folder above, whose name matches one of ``patterns``.

    Raises:
        ManifestError: there is none, or more than one.
    """
    for folder in (root, root.absolute().parent):
        found = [
            file
            for file in sorted(folder.iterdir() if folder.is_dir() else ())
            if any(fnmatch(file.name.casefold(), pattern) for pattern in patterns)
            and file.suffix.lower() in (*SUFFIXES, ".xls")
            and not file.name.startswith(("~", "."))
        ]
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise ManifestError(f"{folder} holds {len(found)} annotation sheets of {what} ({names}). Give annotation.")
        if found:
            return found[0]
    raise ManifestError(
        f"Neither {root} nor the folder above holds the annotation sheet of {what} ({' or '.join(patterns)}, "
        ".xlsx or .csv). Give its path as annotation."
    )


def read_sheet(path: Path, required: Sequence[str]) -> list[SheetRow]:
    """Read an annotation sheet.

    The header is the first row that names all ``required`` columns, in any order, spelling of capitals,
    blanks and underscores; text above it and columns of other names are passed over. In a workbook the
    first sheet with such a row counts. Whole numbers kept as floats ("6.0") come out whole. Rows without
    file name are passed over if the other required cells are empty too.

    Args:
        path: ``.xlsx`` (needs openpyxl: the extra "datasets") or ``.csv`` in UTF-8, separated by commas,
            semicolons or tabs.
        required: names in `ALIASES` that must be there; "filename" is always required.

    Raises:
        ManifestError: the file cannot be read, has no such header or no rows, or a row lacks its file name.
        MissingExtraError: openpyxl is not installed.
    """
    if not path.is_file():
        raise ManifestError(f"The annotation sheet {path} does not exist. Check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ManifestError(f"{path} is no .xlsx or .csv file. Open it in a spreadsheet program and save it as one.")
    needed = ["filename", *(name for name in required if name != "filename")]
    for label, table in _workbook(path) if suffix == ".xlsx" else _variants(path):
        found = _header(table, needed)
        if found is not None:
            return _rows(table, *found, label, needed)
    names = ", ".join(ALIASES[name][0] for name in needed)
    raise ManifestError(
        f"{path} has no header: none of its first {_HEADER_WITHIN} rows names the columns {names}. Restore the "
        "row of column names."
    )


def _workbook(path: Path) -> list[tuple[str, list[list[str]]]]:
    """(label, cells) of each sheet."""
    openpyxl = require("openpyxl", "datasets", f"Reading {path.name}")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                sheet.reset_dimensions()  # some programs write a wrong extent, which would cut rows off
            return [
                (f"{path}, sheet {sheet.title!r}", [[_text(cell) for cell in row] for row in sheet.values])
                for sheet in book.worksheets
            ]
        finally:
            book.close()
    except Exception as error:  # openpyxl lets whatever a damaged file causes through
        raise ManifestError(f"{path} cannot be read as a workbook ({error}). Save it as .xlsx again.") from error


def _variants(path: Path) -> list[tuple[str, list[list[str]]]]:
    """(label, cells) of a CSV file, once for each separator it may have."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = file.read().splitlines(keepends=True)
        return [
            (str(path), [[_text(cell) for cell in row] for row in csv.reader(lines, delimiter=mark)])
            for mark in (",", ";", "\t")
        ]
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    except (OSError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read as a CSV file: {error}.") from error


def _text(cell: Any) -> str:
    """A cell as text; "6.0" and 6.0 as "6"."""
    text = "" if cell is None else str(cell).strip()
    return re.sub(r"^([0-9]+)\.0+$", r"\1", text)


def _header(table: Sequence[Sequence[str]], needed: Sequence[str]) -> tuple[int, dict[str, int]] | None:
    """Index of the header row and the place of each known column, None if there is no header."""
    for index, row in enumerate(table[:_HEADER_WITHIN]):
        plain = [re.sub(r"[^a-z0-9]", "", cell.casefold()) for cell in row]
        places = {
            name: next(plain.index(alias) for alias in aliases if alias in plain)
            for name, aliases in ALIASES.items()
            if not set(aliases).isdisjoint(plain)
        }
        if set(needed) <= set(places):
            return index, places
    return None


def _rows(
    table: Sequence[Sequence[str]], header: int, places: Mapping[str, int], label: str, needed: Sequence[str]
) -> list[SheetRow]:
    rows = []
    for line, cells in enumerate(table[header + 1 :], header + 2):
        text = {name: cells[places[name]] if name in places and places[name] < len(cells) else "" for name in ALIASES}
        where = f"{label}, row {line}"
        if text["filename"]:
            rows.append(SheetRow(where, text))
        elif all(text[name] for name in needed if name != "filename"):
            raise ManifestError(f"{where} has no file name. Fill it in or delete the row.")
    if not rows:
        raise ManifestError(f"{label} holds no rows below its header.")
    return rows
