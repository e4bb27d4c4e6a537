"""Annotation sheets: any header row, any spelling of it, numbers however they are kept."""

import sys

import openpyxl
import pytest

from htnet.core.errors import ManifestError, MissingExtraError
from htnet.data.datasets.sheets import find_sheet, read_sheet
from tests.data import official
from tests.data.workbooks import old_workbook

NEEDED = ["subject", "onset", "apex"]
ROWS = [{"Subject": 6.0, "Filename": "a ", "OnsetFrame": "46.0", "ApexFrame": "/"},
        {"Subject": "006", "Filename": "b", "OnsetFrame": 7, "ApexFrame": 9.0}]  # fmt: skip
COLUMNS = ["Subject", None, "Filename", "OnsetFrame", "ApexFrame"]
NOTES = [["Notes"], [], ["Subject", "who it is"], ["Subject", "Filename", "no onset here"]]


def cells(rows, *names):
    return [tuple(row.text[name] for name in names) for row in rows]


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
@pytest.mark.parametrize("above", [[], NOTES])
@pytest.mark.parametrize(
    "columns",
    [
        COLUMNS,
        ["subject ", None, "FILENAME", "Onset Frame", "apex_frame"],
        ["Sub", None, "Fold_Name", "Onset", "ApexF"],
    ],
)
def test_header_is_found_and_cells_are_plain(tmp_path, suffix, above, columns):
    renamed = [{new: row.get(old) for old, new in zip(COLUMNS, columns, strict=True)} for row in ROWS]
    path = official.sheet(tmp_path / f"s{suffix}", columns, [renamed[0], {}, renamed[1]], above)
    found = read_sheet(path, NEEDED)
    assert cells(found, "subject", "filename", "onset", "apex", "offset") == [
        ("6", "a", "46", "/", ""),
        ("006", "b", "7", "9", ""),
    ]
    assert [(row.number("onset"), row.number("apex")) for row in found] == [(46, None), (7, 9)]
    assert found[0].where.endswith(f"row {len(above) + 2}")


@pytest.mark.parametrize(("mark", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-8"), (",", "utf-8-sig")])
def test_csv_separators(tmp_path, mark, encoding):
    path = tmp_path / "s.csv"
    path.write_bytes(f"Subject{mark}Filename{mark}Onset{mark}Apex\r\n1{mark}ä{mark}2{mark}3\r\n".encode(encoding))
    assert cells(read_sheet(path, NEEDED), "subject", "filename", "onset", "apex") == [("1", "ä", "2", "3")]


def test_the_sheet_with_the_header_counts(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["read me"])
    for cells_ in (["Subject", "Filename", "Onset", "Apex"], [1, "a", 2, 3]):
        (book["label"] if "label" in book else book.create_sheet("label")).append(cells_)
    book.save(tmp_path / "s.xlsx")
    (row,) = read_sheet(tmp_path / "s.xlsx", NEEDED)
    assert row.where == f"{tmp_path / 's.xlsx'}, sheet 'label', row 2"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("s.ods", b"", "not an .xlsx, .xls or .csv file. Open it in a spreadsheet program and save it"),
        ("s.xls", b"", "cannot be read as an .xls workbook"),
        ("s.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "cannot be read as an .xls workbook"),
        ("s.xlsx", b"no zip", "is not an .xlsx workbook, despite its name"),
        ("s.xlsx", b"PK\x03\x04", "cannot be read as a workbook: it is damaged"),
        ("s.csv", b"\xff\xff", "not UTF-8"),
        ("s.csv", b"Subject,Filename,Onset\n1,a,2\n", r"row 1: no column for apex \(named 'apexframe' or"),
        ("s.csv", b"Who,Clip,Begin\n1,a,2\n", "none of its first 40 rows names the columns filename, subject"),
        ("s.csv", b"Subject,Filename,Onset,Apex\n", "contains no rows"),
        ("s.csv", b"Subject,Filename,Onset,Apex\n1,,2,3\n", "row 2 has no file name"),
    ],
)
def test_bad_sheets(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=says):
        read_sheet(tmp_path / name, NEEDED)
    with pytest.raises(ManifestError, match="does not exist"):
        read_sheet(tmp_path / "none.csv", NEEDED)


@pytest.mark.parametrize(("suffix", "module"), [(".xlsx", "openpyxl"), (".xls", "xlrd")])
def test_without_its_library_the_extra_is_named(tmp_path, monkeypatch, suffix, module):
    path = official.sheet(tmp_path / "s.xlsx", COLUMNS, ROWS)
    if suffix == ".xls":
        path = tmp_path / "s.xls"
        path.write_bytes(old_workbook([COLUMNS, [1, None, "a", 2, 3]]))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[datasets\]'"):
        read_sheet(path, NEEDED)


def test_a_workbook_is_known_by_its_content(tmp_path):
    """People rename .xlsx to .xls, and the other way round."""
    official.sheet(tmp_path / "s.xlsx", COLUMNS, ROWS).rename(tmp_path / "s.xls")
    assert cells(read_sheet(tmp_path / "s.xls", NEEDED), "subject", "filename") == [("6", "a"), ("006", "b")]


def test_a_folder_given_as_sheet_is_called_a_folder(tmp_path):
    with pytest.raises(ManifestError, match="is a folder. Give the annotation sheet itself"):
        read_sheet(tmp_path, NEEDED)


def test_sheet_is_found_in_the_root_or_above(tmp_path):
    root = tmp_path / "data" / "Cropped"
    root.mkdir(parents=True)
    with pytest.raises(ManifestError, match=r"contains the annotation sheet of X \(code\*, .xlsx, .xls or .csv\)"):
        find_sheet(root, ["code*"], "X")
    above, within = root.parent / "CODE-1.csv", root / "code-2.XLSX"
    for file in (above, root / "~$code-2.xlsx", root / "code.txt"):
        file.touch()
    assert find_sheet(root, ["code*"], "X") == above
    within.touch()
    assert find_sheet(root, ["code*"], "X") == within
    (root / "code-3.csv").touch()
    with pytest.raises(ManifestError, match=r"2 annotation sheets of X \(code-2.XLSX, code-3.csv\). Give annotation"):
        find_sheet(root, ["code*"], "X")
