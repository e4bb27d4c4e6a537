"""Reader of annotation sheets (``.xlsx``, ``.xls`` or ``.csv``) as rows of text; lines above the header are skipped."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from fnmatch import fnmatch
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from htnet.core.csv_files import SEPARATORS, read_csv_text, told_separator
from htnet.core.errors import LimitError, ManifestError, cause, refuse_short_memory
from htnet.core.limits import check_archive, limited_rows, read_file
from htnet.core.optional import require
from htnet.data.facs_cells import AS_TEXT, keep_readable
from htnet.data.tables import cell_of

#: Names of each column in the data sets' sheets, with only their letters and digits.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "subject": ("subject", "subid", "sub"),
    "filename": ("filename", "foldname", "sample"),
    "onset": ("onsetframe", "onset", "onsetf"),
    "apex": ("apexframe", "apex", "apexf", "apexf1"),
    "offset": ("offsetframe", "offset", "offsetf"),
    "emotion": ("estimatedemotion", "emotion"),
    "action_units": ("actionunits", "aus", "au", "actionunit", "aulabel", "aulabels", "facs"),
}
#: Content of cells, in lowercase, that means that no frame is annotated.
_LEFT_OPEN = frozenset({"", "/", "\\", "-", "\u2013", "\u2014", "?", "none", "null", "nan", "n/a", "na", "-1"})
SUFFIXES = (".xlsx", ".xls", ".csv")
#: Number of rows at the top in which the header is searched.
_HEADER_WITHIN = 40


@dataclass(frozen=True)
class Table:
    """The cells of one sheet.

    Attributes:
        label: the file and, for a workbook, the sheet, for messages.
        rows: the cells as text.
        spoiled: (row, column), counted from 0, of each cell that a spreadsheet program has converted to something other
            than text or an integer, with the message for the user.
        numbers: (row, column) of each cell that contains an integer instead of text.
    """

    label: str
    rows: Sequence[Sequence[str]]
    spoiled: Mapping[tuple[int, int], str] = field(default_factory=dict)
    numbers: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class SheetRow:
    """One row of a sheet.

    Attributes:
        where: file and row, for messages.
        text: the cells by the names of `ALIASES`; "" if there is none.
        label: the file and, for a workbook, the sheet.
        cells: name of each cell in spreadsheet programs ("cell H12").
        spoiled: as in `Table`, by column name.
        numbers: column names of the cells that contain integers instead of text.
    """

    where: str
    text: Mapping[str, str]
    label: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)
    spoiled: Mapping[str, str] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()

    def action_units(self, sample: str) -> tuple[str, tuple[str, ...]]:
        """The annotated action units of this row and notes on them for the user; see `keep_readable`."""
        place = f"{self.label}, {self.cells.get('action_units', self.where)}"
        return keep_readable(self.text["action_units"], place, sample, self.spoiled.get("action_units", ""))

    @property
    def doubtful_units(self) -> str:
        """The cell of the action units if it contains a multiple of ten: "2E+1" also becomes 20 in a spreadsheet."""
        text = self.text["action_units"]
        tens = "action_units" in self.numbers and text.endswith("0") and "action_units" not in self.spoiled
        return f"{self.cells['action_units']} ({text})" if tens else ""

    def number(self, column: str) -> int | None:
        """The integer in a column; None if the cell does not contain one ("", "/", ...)."""
        return int(self.text[column]) if re.fullmatch(r"[0-9]+", self.text[column]) else None

    def not_read(self, column: str, sample: str) -> tuple[str, ...]:
        """Note for the user on a frame cell that is neither a number nor marked as empty: one sentence or none."""
        text = self.text[column]
        if text.casefold() in _LEFT_OPEN or self.number(column) is not None:
            return ()
        place = f"{self.label}, {self.cells.get(column, self.where)}"
        return (
            f"{place}: the {column} frame of sample {sample!r} is {text!r}, which is not a frame number, and "
            "counts as not annotated. Correct the cell if it should be a number.",
        )

    def onset_fault(self, required: bool) -> str:
        """The fault of the onset frame, because of which the row gives no sample; "" if there is none.

        Args:
            required: whether the onset must be annotated. If False, an empty cell means the first frame of the clip.
        """
        text = self.text["onset"]
        if self.number("onset") is not None or (not required and text.casefold() in _LEFT_OPEN):
            return ""
        place = self.cells.get("onset", self.where)
        return f"no onset: {place} is {text!r}, which is not a frame number" if text else f"no onset: {place} is empty"


def find_sheets(root: Path, patterns: Sequence[str]) -> list[Path]:
    """The sheets in ``root``, otherwise those in its parent folder, whose names match one of ``patterns``.

    A subfolder whose name contains "annotation", as in CAS(ME)^3, is searched together with its parent folder.
    """
    for place in (root, root.absolute().parent):
        inside = sorted(place.iterdir()) if os.path.isdir(place) else []
        noted = [folder for folder in inside if "annotation" in folder.name.casefold() and os.path.isdir(folder)]
        found = [file for folder in (place, *noted) for file in _matching(folder, patterns)]
        if found:
            return found
    return []


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [
        file
        for file in sorted(folder.iterdir() if os.path.isdir(folder) else ())
        if any(fnmatch(file.name.casefold(), pattern) for pattern in patterns)
        and file.suffix.lower() in SUFFIXES
        and not file.name.startswith(("~", "."))
    ]


def find_sheet(root: Path, patterns: Sequence[str], what: str) -> Path:
    """The only sheet in ``root``, otherwise in its parent folder, whose name matches one of ``patterns``.

    Raises:
        ManifestError: there is no such sheet, or more than one.
    """
    found = find_sheets(root, patterns)
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise ManifestError(
            f"{found[0].parent} contains {len(found)} annotation sheets of {what} ({names}). Give annotation."
        )
    if not found:
        raise no_sheet(root, patterns, what)
    return found[0]


def no_sheet(root: Path, patterns: Sequence[str], what: str) -> ManifestError:
    """The error if `find_sheets` finds no sheet."""
    return ManifestError(
        f"Neither {root} nor the folder above contains the annotation sheet of {what} ({' or '.join(patterns)}, "
        ".xlsx, .xls or .csv). Give its path as annotation."
    )


def read_sheet(path: Path, required: Sequence[str], aliases: Mapping[str, Sequence[str]] = ALIASES) -> list[SheetRow]:
    """Read an annotation sheet.

    The header is the first row that names all ``required`` columns, in any order; case, blanks and underscores are
    ignored. Text above it and columns of other names are ignored. In a workbook, the first sheet with such a row is
    used. Integers stored as floats ("6.0") are converted back. Rows without file name are ignored if another required
    cell is empty too.

    Args:
        path: ``.xlsx`` or ``.xls`` (need the extra "datasets") or ``.csv`` in UTF-8, separated by commas,
            semicolons or tabs.
        required: names in ``aliases`` of required columns; "filename" is always required.
        aliases: the names that each column may have, with only their letters and digits.

    Raises:
        ManifestError: the file cannot be read, has no such header or no rows, or a row lacks its file name.
        MissingExtraError: openpyxl or xlrd is needed but not installed.
    """
    needed = ["filename", *(name for name in required if name != "filename")]
    for table in read_tables(path):
        found = _header(table.rows, needed, aliases)
        if found is not None:
            return _rows(table, *found, needed, aliases)
    raise ManifestError(_no_header(path, needed, aliases))


def _no_header(path: Path, needed: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> str:
    """The message for a file without header; if a row has at least half of the columns, it states the missing ones."""
    rows = [
        (len(set(needed) & set(_places(row, aliases))), table.label, index)
        for table in read_tables(path)
        for index, row in enumerate(table.rows[:_HEADER_WITHIN])
    ]
    known, label, index = max(rows, key=lambda row: row[0], default=(0, "", 0))
    if 2 * known < len(needed) or known < 2:
        names = ", ".join(aliases[name][0] for name in needed)
        return (
            f"{path} has no header: none of its first {_HEADER_WITHIN} rows names the columns {names}. Restore the "
            "row of column names."
        )
    row = next(table.rows[index] for table in read_tables(path) if table.label == label and len(table.rows) > index)
    lacks = [name for name in needed if name not in _places(row, aliases)]
    called = "; ".join(f"{name} (named {' or '.join(map(repr, aliases[name]))})" for name in lacks)
    there = ", ".join(repr(cell) for cell in row if cell)
    return (
        f"{label}, row {index + 1}: no column for {called}. The row names {there}. Correct the name; case, blanks "
        "and punctuation are ignored."
    )


def read_tables(path: Path) -> list[Table]:
    """The sheets of a workbook; for a CSV file, one table for each possible separator.

    Raises:
        ManifestError: the file cannot be read.
        MissingExtraError: openpyxl or xlrd is needed but not installed.
    """
    if os.path.isdir(path):
        raise ManifestError(f"{path} is a folder. Give the annotation sheet itself, an .xlsx, .xls or .csv file.")
    if not os.path.isfile(path):
        raise ManifestError(f"The annotation sheet {path} does not exist. Check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ManifestError(
            f"{path} is not an .xlsx, .xls or .csv file. Open it in a spreadsheet program and save it in that format."
        )
    try:
        content = read_file(path)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    # The kind is detected from the content, because the name may be wrong.
    if content.startswith(b"PK"):
        check_archive(path)
        return _workbook(path, BytesIO(content))
    if content.startswith(b"\xd0\xcf\x11\xe0") or suffix == ".xls":
        return _old_workbook(path, content)
    if suffix == ".xlsx":
        raise ManifestError(f"{path} is not an .xlsx workbook, despite its name. Save it as .xlsx again.")
    return csv_tables(path)


def _workbook(path: Path, content: BytesIO) -> list[Table]:
    openpyxl = require("openpyxl", "datasets", f"Reading {path.name}")
    try:
        # Loaded twice: for the values, and for the formulas behind them.
        book, formulas = (openpyxl.load_workbook(content, read_only=True, data_only=values) for values in (True, False))
        try:
            tables = []
            for sheet, behind in zip(book.worksheets, formulas.worksheets, strict=True):
                for one in (sheet, behind):
                    one.reset_dimensions()  # some programs write a wrong range, which would drop rows
                within = limited_rows(sheet.rows, path), limited_rows(behind.rows, path)
                rows = [[(cell.value, str(cell.number_format or "")) for cell in row] for row in within[0]]
                typed = [[cell.value for cell in row] for row in within[1]]
                tables.append(_table(f"{path}, sheet {sheet.title!r}", rows, typed))
            return tables
        finally:
            book.close()
            formulas.close()
    except LimitError:
        raise
    except Exception as error:  # openpyxl passes on any error that a damaged file causes
        refuse_short_memory(error, path)
        raise ManifestError(f"{path} cannot be read as a workbook: it is damaged. Save it as .xlsx again.") from error


def _old_workbook(path: Path, content: bytes) -> list[Table]:
    xlrd = require("xlrd", "datasets", f"Reading {path.name}")
    try:
        with xlrd.open_workbook(file_contents=content, formatting_info=True, logfile=StringIO()) as book:
            tables = []
            for sheet in book.sheets():
                rows = [[_old_cell(xlrd, book, cell) for cell in sheet.row(row)] for row in range(sheet.nrows)]
                tables.append(_table(f"{path}, sheet {sheet.name!r}", rows))
            return tables
    except Exception as error:  # xlrd passes on any error that a damaged file causes
        raise ManifestError(
            f"{path} cannot be read as an .xls workbook: it is damaged or protected by a password. Open it in a "
            "spreadsheet program and save it as .xlsx."
        ) from error


def _old_cell(xlrd: Any, book: Any, cell: Any) -> tuple[Any, str]:
    """Value and number format of an xlrd cell."""
    if cell.ctype == xlrd.XL_CELL_DATE:
        return xlrd.xldate_as_datetime(cell.value, book.datemode), ""
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#N/A"), ""
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value), ""
    number_format = book.format_map.get(book.xf_list[cell.xf_index].format_key) if cell.xf_index is not None else None
    return cell.value, number_format.format_str if number_format is not None else ""


def csv_tables(path: Path) -> list[Table]:
    """A CSV file, parsed once for each possible separator.

    Raises:
        ManifestError: the file cannot be read.
    """
    text = read_csv_text(path)
    tables = []
    told = told_separator(path, text)
    # The separator is not detected in the first row, because there may be text above the header.
    for mark in SEPARATORS if told is None else (told,):
        try:
            raw = list(limited_rows(csv.reader(StringIO(text, newline=""), delimiter=mark), path))
        except csv.Error as error:
            raise ManifestError(f"{path} cannot be read as a CSV file: {cause(error)}.") from error
        if told is not None:
            raw[0] = []
        # An action unit that a program wrote as "20.0" may have been "2E+1".
        spoiled = {
            (i, j): f"It is {cell.strip()}, a number that a program wrote. {AS_TEXT}."
            for i, row in enumerate(raw)
            for j, cell in enumerate(row)
            if re.fullmatch(r"[0-9]+0\.0+", cell.strip())
        }
        tables.append(Table(str(path), [[_text(cell) for cell in row] for row in raw], spoiled))
    return tables


def _table(
    label: str, rows: Sequence[Sequence[tuple[Any, str]]], typed: Sequence[Sequence[Any]] | None = None
) -> Table:
    """A table from the values and number formats of a workbook's cells, and from their formulas."""
    spoiled, numbers = {}, set()
    for i, row in enumerate(rows):
        for j, (value, number_format) in enumerate(row):
            behind = typed[i][j] if typed is not None and i < len(typed) and j < len(typed[i]) else None
            if problem := _problem(value, number_format, behind):
                spoiled[i, j] = problem
            elif isinstance(value, (int, float)):
                numbers.add((i, j))
    return Table(label, [[_text(value) for value, _ in row] for row in rows], spoiled, frozenset(numbers))


def _problem(value: Any, number_format: str, typed: Any) -> str:
    """Message on a text cell that a spreadsheet program has converted; "" if it is still text or an integer."""
    if isinstance(typed, str) and typed.startswith("="):
        return f"It contains the formula {typed[:40]!r}. {AS_TEXT}."
    if isinstance(value, bool):
        return f"It contains the logical value {value}. {AS_TEXT}."
    if isinstance(value, (date, time, timedelta)):
        return f"It contains a date or time ({value}). {AS_TEXT}."
    if isinstance(value, (int, float)):
        scientific = "E+" in number_format.upper() or "E-" in number_format.upper()
        if scientific or not float(value).is_integer() or abs(value) > 99:
            return f"It contains the number {value:g}, perhaps converted from text such as 2E+1 or 4E+12. {AS_TEXT}."
    return ""


def _text(cell: Any) -> str:
    """A cell as text; "6.0" and 6.0 become "6"."""
    text = "" if cell is None else str(cell).strip()
    return re.sub(r"^([0-9]+)\.0+$", r"\1", text)


def _header(
    table: Sequence[Sequence[str]], needed: Sequence[str], aliases: Mapping[str, Sequence[str]]
) -> tuple[int, dict[str, int]] | None:
    """Index of the header row and the index of each known column; None if there is no header."""
    for index, row in enumerate(table[:_HEADER_WITHIN]):
        places = _places(row, aliases)
        if set(needed) <= set(places):
            return index, places
    return None


def _places(row: Sequence[str], aliases: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Index of each known column that a row names."""
    plain = [_plain(cell) for cell in row]
    return {
        name: next(plain.index(alias) for alias in spellings if alias in plain)
        for name, spellings in aliases.items()
        if not set(spellings).isdisjoint(plain)
    }


def _plain(cell: str) -> str:
    return re.sub(r"[^a-z0-9]", "", cell.casefold())


def _refuse_twice(table: Table, header: int, places: Mapping[str, int]) -> None:
    """Refuse two columns with the same name and different content."""
    head = table.rows[header]
    for name, place in places.items():
        for other in range(place + 1, len(head)):
            if _plain(head[other]) != _plain(head[place]):
                continue
            for index, row in enumerate(table.rows[header + 1 :], header + 2):
                one, two = (row[at] if at < len(row) else "" for at in (place, other))
                if one != two:
                    raise ManifestError(
                        f"{table.label}: the columns in {cell_of(header + 1, place)} and {cell_of(header + 1, other)} "
                        f"are both named {head[place]!r} and differ: {cell_of(index, place)} is {one!r}, "
                        f"{cell_of(index, other)} is {two!r}. Rename the one that is not the {name} column."
                    )


def _rows(
    table: Table, header: int, places: Mapping[str, int], needed: Sequence[str], aliases: Mapping[str, Sequence[str]]
) -> list[SheetRow]:
    _refuse_twice(table, header, places)
    rows = []
    for index in range(header + 1, len(table.rows)):
        found = sheet_row(table, index, places, aliases)
        if found.text["filename"]:
            rows.append(found)
        elif all(found.text[name] for name in needed if name != "filename"):
            raise ManifestError(f"{found.where} has no file name. Fill it in or delete the row.")
    if not rows:
        raise ManifestError(f"{table.label} contains no rows below its header.")
    return rows


def sheet_row(table: Table, index: int, places: Mapping[str, int], names: Iterable[str]) -> SheetRow:
    """One row of a table; ``places`` states the index of each column, counted from 0."""
    cells = table.rows[index]
    there = {name: place for name, place in places.items() if place < len(cells)}
    return SheetRow(
        where=f"{table.label}, row {index + 1}",
        text={name: cells[there[name]] if name in there else "" for name in names},
        label=table.label,
        cells={name: cell_of(index + 1, place) for name, place in places.items()},
        spoiled={name: table.spoiled[index, place] for name, place in there.items() if (index, place) in table.spoiled},
        numbers=frozenset(name for name, place in there.items() if (index, place) in table.numbers),
    )
