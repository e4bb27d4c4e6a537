"""Read and write CSV files.

Files may have been written by hand, by a script, or by a spreadsheet program in any locale.

Columns are separated by commas, semicolons or tabs. The separator is detected in the first row; a first row that
contains two of them outside quotes is refused. A file must be UTF-8, with or without a byte order mark, or UTF-16 with
one; other encodings cannot be told apart and are refused. Numbers may have decimal commas if no number of the table has
a decimal point.

Spreadsheet programs evaluate a cell that begins with one of ``= + - @`` or a tab as a formula, and names of files and
samples may come from untrusted sources. The writer therefore puts an apostrophe in front of such a text (OWASP ASVS
5.0, 1.2.10) unless it is a number, and the reader removes it again, so that values are read back as they were.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TextIO

from htnet.core.errors import HtnetError, LimitError, ManifestError, cause, did_you_mean
from htnet.core.limits import limited_rows, read_file
from htnet.core.paths import as_path

#: Column separators and their names in messages.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: Number of bytes that `first_rows` reads.
_BEGINNING = 1 << 16
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: First bytes of other kinds of files that users give instead of CSV files, and what these are.
_NO_TEXT = (
    (b"PK\x03\x04", "a spreadsheet (.xlsx) or another packed file"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a spreadsheet (.xls)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"MATLAB ", "a MATLAB file"),
    (b"%PDF", "a PDF file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
)
#: Errors of formulas, as spreadsheet programs save them in the user's language: "#N/A" ("#N/D", "#NV"), "#REF!",
#: "#NAME?", "#DIV/0!", in Spanish "#\u00a1REF!" and "#\u00bfNOMBRE?"; LibreOffice has numbers too: "Err:502". All are
#: in capitals: "#Take!" is a name.
_FORMULA_ERROR = re.compile(r"#([^\W\d_]/[^\W\d_]!?|NV|[\u00a1\u00bf]?[^\W\d_]+(/0)?[!?])|Err:[0-9]{3}")
#: Texts that programs write for a missing value.
_MISSING = frozenset({"nan", "na", "n/a", "n.a.", "<na>", "nat", "null", "?"})
#: First line that names the separator, as Excel writes and reads it.
_SEP_LINE = re.compile(r"\A\"?sep=(.)\"?\r?\n", re.IGNORECASE)

#: Start of a text that a spreadsheet program would evaluate, possibly after apostrophes.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]")

Row = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class CsvTable:
    """The table in a CSV file.

    Attributes:
        path: the file.
        columns: names in the header, without surrounding blanks.
        rows: line number and cells (by column) of each row that is not blank.
        separator: column separator, one of `SEPARATORS`.
        error: type of the error that is raised for a cell that is not a number.
    """

    path: Path
    columns: list[str]
    rows: list[Row]
    separator: str
    error: type[HtnetError] = ManifestError

    def numbers(self, columns: Sequence[str]) -> list[list[float | None]]:
        """The numbers in some columns, row by row; None for an empty cell.

        Raises:
            HtnetError: of the type ``error``: a cell is not a number, or decimal commas and points are mixed.
        """
        self.check_marks(columns)
        return [[self._number(line, column, row[column]) for column in columns] for line, row in self.rows]

    def check_marks(self, columns: Sequence[str]) -> None:
        """Refuse decimal commas and decimal points in the same table.

        Raises:
            HtnetError: of the type ``error``: cells of ``columns`` contain both.
        """
        marks: dict[str, str] = {}
        for line, row in self.rows:
            for column in columns:
                for mark in set(row[column]) & {",", "."}:
                    marks.setdefault(mark, f"line {line} has {row[column].strip()!r}")
        if len(marks) > 1:
            raise self.error(
                f"{self.path} has decimal commas and decimal points: {marks[',']}, {marks['.']}. Use the same decimal "
                "mark in all numbers."
            )

    def _number(self, line: int, column: str, cell: str) -> float | None:
        if not cell.strip():
            return None
        try:
            if "_" in cell:  # Python reads 1_0 as 10
                raise ValueError
            return float(cell.replace(",", "."))
        except ValueError:
            raise self.error(
                f"{self.path}, line {line}: {column} is {cell.strip()!r}, which is not a number. Write digits and one "
                "decimal mark."
            ) from None


class CsvWriter:
    """`csv.writer` that keeps spreadsheet programs from evaluating cells as formulas; it writes every CSV file."""

    def __init__(self, file: TextIO, lineterminator: str = "\n") -> None:
        """Write into a file that was opened with ``newline=""``.

        Args:
            file: the file.
            lineterminator: what ends a row.
        """
        self._writer = csv.writer(file, lineterminator=lineterminator)

    def writerow(self, cells: Iterable[object]) -> None:
        """Write one row."""
        self._writer.writerow([guarded(cell) for cell in cells])

    def writerows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write several rows."""
        for row in rows:
            self.writerow(row)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """The text of a CSV file.

    Args:
        columns: names of the columns.
        rows: cells by column; cells of other columns are left out, and missing cells are written as empty.
    """
    text = io.StringIO(newline="")
    writer = CsvWriter(text)
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    return text.getvalue()


def guarded(cell: object) -> object:
    """The cell to write: a text that a spreadsheet program would evaluate gets an apostrophe in front."""
    if cell is None or isinstance(cell, Real) or _FORMULA.match(text := str(cell)) is None:
        return cell
    with suppress(ValueError):
        float(text)
        return cell
    return f"'{text}"


def _bare(cell: str) -> str:
    """Inverse of `guarded`: remove the apostrophe that it added; any other cell is unchanged."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) is not None else cell


def formula_error(cell: str) -> bool:
    """Whether a cell is the error of a formula, such as "#REF!", as spreadsheet programs save it."""
    text = cell.strip()
    return _FORMULA_ERROR.fullmatch(text) is not None and (text.startswith("Err:") or text == text.upper())


def no_value(cell: str) -> str:
    """Why a text cannot be the name of a class or an emotion: it means a missing value; "" if it is a name.

    The text "none" is a name: it may be a class of its own.
    """
    if formula_error(cell):
        return "is the error of a formula in the spreadsheet"
    return "is what programs write for a missing value" if cell.strip().casefold() in _MISSING else ""


def open_table(path: Path, required: Sequence[str] = (), error: type[HtnetError] = ManifestError) -> CsvTable:
    """Read a CSV file with a header.

    Trailing columns without name and values, which spreadsheet programs may write, are ignored.

    Args:
        path: the file.
        required: columns that the file must have.
        error: type of the error to raise.

    Raises:
        HtnetError: of the type ``error``: the file cannot be read, is not UTF-8, has no rows, lacks a column, or has
            a ragged row, or its separator cannot be determined.
    """
    path = as_path(path, "path")
    separator, found = _read(path, error)
    header, rows = (found[0], found[1:]) if found else ((1, []), [])
    if not rows:
        raise error(f"{path} contains no samples. It needs a header and one row for each sample.")
    line, columns = header[0], [name.strip() for name in header[1]]
    for at, row in rows:
        if len(row) != len(columns):
            raise error(
                f"{path}, line {at}: {len(row)} values for {len(columns)} columns separated by "
                f"{SEPARATORS[separator]}. Quote values that contain {SEPARATORS[separator]}."
            )
    while columns and not columns[-1] and not any(row[len(columns) - 1].strip() for _, row in rows):
        columns.pop()
    if (unnamed := [str(at) for at, name in enumerate(columns, 1) if not name])[1:]:
        raise error(
            f"{path}, line {line}: columns {', '.join(unnamed[:-1])} and {unnamed[-1]} have no name. Name them or "
            "delete them. If the line is a title or a merged heading above the header, delete the line."
        )
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise error(f"{path}, line {line}: column {twice[0]!r} occurs more than once. Keep one.")
    for name in required:
        if name not in columns:
            raise error(f"{path}, line {line}: there is no column {name!r}. {did_you_mean(name, columns)}")
    return CsvTable(path, columns, [(at, dict(zip(columns, row, strict=False))) for at, row in rows], separator, error)


def read_table(path: Path, required: Sequence[str] = ()) -> tuple[list[str], list[Row]]:
    """Columns and rows of the table that `open_table` reads.

    Raises:
        ManifestError: as `open_table` does.
    """
    table = open_table(path, required)
    return table.columns, table.rows


def read_rows(path: Path, error: type[HtnetError] = ManifestError) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that need not have a header: line number and cells of each row that is not blank.

    Raises:
        HtnetError: of the type ``error``: the file cannot be read, is not UTF-8, or its separator cannot be determined.
    """
    return _read(as_path(path, "path"), error)[1]


def first_rows(path: Path) -> list[list[str]]:
    """The header of a CSV file and its first row that is not blank, to detect the kind of table.

    Nothing is raised: a file that cannot be read, for example because it is not UTF-8, is reported later by its reader.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_BEGINNING)
    except OSError:
        return []
    text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig", errors="replace").lstrip("\ufeff")
    if "\0" in text:  # UTF-16 without byte order mark, or UTF-32
        return []
    try:
        separator, passed = separator_of(path, text)
    except ManifestError:
        separator, passed = max(SEPARATORS, key=text.split("\n", 1)[0].count), 0
    found: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    with suppress(csv.Error):
        for row in reader:
            if reader.line_num > passed and any(map(str.strip, row)):
                found.append(row)
            if len(found) == 2:
                break
    return found


def read_csv_text(path: Path, error: type[HtnetError] = ManifestError) -> str:
    """The text of a CSV file with its own line ends, without a byte order mark.

    Raises:
        HtnetError: of the type ``error``: the file cannot be read, or is neither UTF-8 nor UTF-16 with a byte order
            mark.
    """
    cure = "Save it as UTF-8 (in Excel: CSV UTF-8)."
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise error(f"{path} does not exist. Check the path.") from None
    except LimitError:
        raise
    except (OSError, ValueError) as found:
        raise error(f"{path} cannot be read as a CSV file ({cause(found)}). Check its path and permissions.") from found
    if (kind := next((name for sign, name in _NO_TEXT if data.startswith(sign)), None)) is not None:
        save = "Save its table as CSV UTF-8." if "spreadsheet" in kind else "Give a CSV file, which is text."
        raise error(f"{path} is {kind}, not a CSV file. {save}")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as found:
        raise error(f"{path} is {cause(found)}. {cure}") from None
    if "\0" in text:
        raise error(f"{path} is not text: it contains zero bytes. {cure}")
    return text.lstrip("\ufeff")  # programs that add a byte order mark may do so twice


def separator_of(path: Path, text: str, error: type[HtnetError] = ManifestError) -> tuple[str, int]:
    """The column separator of a CSV file, and the number of leading lines that only name it (0 or 1).

    Args:
        path: the file, for messages.
        text: content of the file.
        error: type of the error to raise.

    Raises:
        HtnetError: of the type ``error``: the first row has two kinds of separators outside quotes, or the line
            "sep=..." names something else than a separator.
    """
    told = told_separator(path, text, error)
    if told is not None:
        return told, 1
    bare = re.sub(r'"[^"]*"', "", text).lstrip("\r\n ")
    first = re.split(r"[\r\n]", bare, maxsplit=1)[0]
    marks = [mark for mark in SEPARATORS if mark in first]
    if len(marks) > 1:
        raise error(
            f"{path}, line 1 contains {_named(marks, 'and')}, so the column separator is ambiguous: "
            f"{first.strip()[:100]!r}. Use one of them, and quote names that contain another."
        )
    return (marks or [","])[0], 0


def told_separator(path: Path, text: str, error: type[HtnetError] = ManifestError) -> str | None:
    """The separator in a first line such as "sep=;"; None if there is no such line.

    Raises:
        HtnetError: of the type ``error``: the separator is not one of `SEPARATORS`.
    """
    told = _SEP_LINE.match(text)
    if told is None:
        return None
    if told[1] not in SEPARATORS:
        raise error(f"{path}, line 1: the separator is {told[1]!r}. Use {_named(SEPARATORS)}.")
    return told[1]


def _read(path: Path, error: type[HtnetError]) -> tuple[str, list[tuple[int, list[str]]]]:
    text = read_csv_text(path, error)
    separator, passed = separator_of(path, text, error)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [
            (reader.line_num, list(map(_bare, row))) for row in limited_rows(reader, path) if any(map(str.strip, row))
        ]
    except csv.Error:
        raise error(
            f"{path} cannot be read as a CSV file: in the row that ends in line {reader.line_num} a quote is not "
            f"closed, text follows a closing quote, or a cell has more than {csv.field_size_limit()} characters. "
            "Double a quote inside quotes."
        ) from None
    return separator, [row for row in rows if row[0] > passed]


def _named(marks: Iterable[str], word: str = "or") -> str:
    return f" {word} ".join(SEPARATORS[mark] for mark in marks)
