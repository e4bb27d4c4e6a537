"""Every reader of a CSV file reads what spreadsheet programs of any country write, alike."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htnet.cli import main
from htnet.core.csv_files import csv_text, formula_error, open_table, read_rows, read_table, separator_of
from htnet.core.errors import LandmarkError, ManifestError
from htnet.core.hints import door_of
from htnet.core.schema import OUTPUT_POINTS
from htnet.core.types import POINT_NAMES, Frame
from htnet.data import (
    Manifest,
    Sample,
    merge_composite,
    read_action_units,
    read_casme3,
    read_composite,
    read_events,
    read_manifest,
    read_recordings,
)
from htnet.data.datasets.sheets import read_sheet
from htnet.data.layouts import COMPOSITE_IMAGES, COMPOSITE_LIST, is_casme3
from htnet.evaluation.store import to_csv
from htnet.export import write_megc, write_predictions, write_recordings
from htnet.preprocess import PrecomputedLandmarks
from htnet.preprocess.landmarks.files import read_points_json
from htnet.types import Event, Recording
from tests.support.pairs import invented_casme3, pair_manifest, save
from tests.support.wings import with_wings

FRAME = Frame(np.zeros((64, 64, 3), np.uint8))
POINTS = [[20.25, 20.5], [44.0, 20.5], [32.0, 32.75], [24.0, 44.0], [40.0, 44.125]]
NUMBERS = [str(value) for point in POINTS for value in point]


def manifest_rows():
    yield ["sample", "subject", "label", "flow"]
    yield ["s1", "006", "negative", "flow, first .png"]
    yield ["s2", "007", "positive", "ü;2.png"]


def landmark_rows(names=POINT_NAMES):
    yield ["sample", *(f"{name}_{axis}" for name in names for axis in "xy"), "score"]
    yield ["s1", *NUMBERS, "0.5"]
    yield ["s2", *NUMBERS, ""]


def read_points(path):
    found = [PrecomputedLandmarks(path)(FRAME, name) for name in ("s1", "s2")]
    return [(points.points.tolist(), points.score) for points in found]


def keep_list(path):
    parts = [
        Manifest((Sample(name, dataset, "1", "negative", flow=path),))
        for dataset, name in (("casme2", "a_x"), ("samm", "b_y"), ("smic", "c_z"))
    ]
    return [s.sample for s in merge_composite(*parts, keep=path)]


def casme3(path):
    rows = invented_casme3()
    for row in rows:
        for name in ("imagename_onset", "imagename_apex"):
            frame = path.parent / row[name]
            frame.parent.mkdir(parents=True, exist_ok=True)
            frame.touch()
    return read_casme3(path, path.parent), is_casme3(path)


def casme3_rows():
    rows = invented_casme3()
    yield list(rows[0])
    for row in rows:
        yield list(row.values())


def composite(path):
    for name in ("sub01_a", "s02_b"):
        (path.parent / COMPOSITE_IMAGES).mkdir(exist_ok=True)
        (path.parent / COMPOSITE_IMAGES / f"{name} .png").touch()
    return read_composite(path.parent)


def sheet(path):
    return [dict(row.text) for row in read_sheet(path, ["subject", "onset", "emotion"])]


#: name: (rows, reader, error it raises, file name)
READERS = {
    "manifest": (manifest_rows, lambda path: read_manifest(path, check_files=False), ManifestError, "m.csv"),
    "keep list": (lambda: [["sub", "filename_o"], ["a", "x"], ["c", "z"]], keep_list, ManifestError, "keep.csv"),
    "keep list without header": (
        lambda: [["casme2", "a", "x", "0"], ["smic", "c", "z", "0"]], keep_list, ManifestError, "combined.csv",
    ),
    "landmarks": (landmark_rows, read_points, LandmarkError, "points.csv"),
    "landmarks, qualified": (lambda: landmark_rows(OUTPUT_POINTS), read_points, LandmarkError, "points.csv"),
    "CAS(ME)^3 annotation": (casme3_rows, casme3, ManifestError, "list.csv"),
    "action units": (
        lambda: [["sub", "filename_o", "Action Units"], ["sub01", "EP1", "4+7"], ["sub02", "EP1", "L12"]],
        read_action_units, ManifestError, "au.csv",
    ),
    "composite list": (
        lambda: [["dataset", "sub", "filename_o", "label"], ["casme2", "sub01", "a", "0"], ["samm", "s02", "b", "2"]],
        composite, ManifestError, COMPOSITE_LIST,
    ),
    "annotation sheet": (
        lambda: [["Subject", "Filename", "OnsetFrame", "Estimated Emotion"], ["01", "EP1", "12", "happiness"]],
        sheet, ManifestError, "sheet.csv",
    ),
}  # fmt: skip
READERS = with_wings("csv_files", "READERS", READERS)

#: name: (separator, encoding, line end, line above the header)
WRITINGS = {
    "semicolons": (";", "utf-8", "\n", ""),
    "tabs": ("\t", "utf-8", "\n", ""),
    "commas, byte order mark": (",", "utf-8-sig", "\n", ""),
    "semicolons, byte order mark, CRLF": (";", "utf-8-sig", "\r\n", ""),
    "tabs, UTF-16": ("\t", "utf-16", "\r\n", ""),
    "a line that names the separator": (";", "utf-8", "\r\n", "sep=;\r\n"),
}


def write(path, rows, separator=",", encoding="utf-8", end="\n", above=""):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator, lineterminator=end).writerows(rows)
    path.write_bytes((above + out.getvalue()).encode(encoding))
    return path


def prepared(name, folder):
    """The file to write, after whatever else the reader needs lies beside it."""
    return folder / READERS[name][3]


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("name", READERS)
def test_all_writings_are_read_alike(name, writing, tmp_path):
    rows, read = READERS[name][:2]
    path = prepared(name, tmp_path)
    expected = read(write(path, list(rows())))
    assert expected
    assert read(write(path, list(rows()), *WRITINGS[writing])) == expected


@pytest.mark.parametrize("name", READERS)
def test_other_encodings_are_refused_with_the_cure(name, tmp_path):
    rows, read, error, _ = READERS[name]
    path = write(prepared(name, tmp_path), [*rows(), ["Jürgen"] * len(next(iter(rows())))], encoding="cp1252")
    with pytest.raises(error, match="is not UTF-8.*Save it as UTF-8"):
        read(path)


@pytest.mark.parametrize("name", [name for name in READERS if name != "annotation sheet"])
def test_two_separators_in_the_header_are_refused(name, tmp_path):
    rows, read, error, _ = READERS[name]
    path = write(prepared(name, tmp_path), list(rows()), separator=";")
    path.write_text(path.read_text("utf-8").replace("\n", ",note\n"), "utf-8")
    with pytest.raises(error, match="contains commas and semicolons"):
        read(path)


@pytest.mark.parametrize("separator", [";", "\t", ","])
@pytest.mark.parametrize("names", [POINT_NAMES, OUTPUT_POINTS])
def test_decimal_commas_in_landmarks(names, separator, tmp_path):
    rows = [[cell.replace(".", ",") for cell in row] for row in landmark_rows(names)]
    expected = read_points(write(tmp_path / "point.csv", landmark_rows(names)))
    assert read_points(write(tmp_path / "comma.csv", rows, separator)) == expected
    np.testing.assert_allclose(expected[0][0], POINTS)
    assert [score for _, score in expected] == [0.5, None]


def test_mixed_decimal_marks_are_refused(tmp_path):
    rows = list(landmark_rows())
    rows[2][1] = "20,25"
    with pytest.raises(LandmarkError, match=r"line 3 has '20,25', line 2 has '20\.25'"):
        read_points(write(tmp_path / "p.csv", rows, ";"))
    rows[2][1] = "1.020,25"
    with pytest.raises(LandmarkError, match="decimal commas and decimal points"):
        read_points(write(tmp_path / "p.csv", rows, ";"))


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_line_that_names_the_separator_is_passed_over(mark, tmp_path):
    path = write(tmp_path / "t.csv", [["a,b;c\td", "e"], ["1", "2"]], mark, "utf-8-sig", "\r\n", f"sep={mark}\r\n")
    assert open_table(path).rows == [(3, {"a,b;c\td": "1", "e": "2"})]
    (tmp_path / "t.csv").write_text("sep=|\na|b\n1|2\n")
    with pytest.raises(ManifestError, match=r"the separator is '\|'. Use commas or semicolons or tabs"):
        open_table(path)


def test_names_that_hold_another_separator_are_quoted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"a;b",c\n1,"x;y"\n')
    assert open_table(path).rows == [(2, {"a;b": "1", "c": "x;y"})]
    assert separator_of(path, path.read_text()) == (",", 0)


def test_empty_columns_of_a_spreadsheet_are_passed_over(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b;;\n1;2;;\n;;;\n3;4;;\n")
    table = open_table(path)
    assert (table.columns, table.rows) == (["a", "b"], [(2, {"a": "1", "b": "2"}), (4, {"a": "3", "b": "4"})])
    path.write_text("a;b;;\n1;2;;5\n")
    with pytest.raises(ManifestError, match="line 1: columns 3 and 4 have no name. Name them or delete them"):
        open_table(path)


def test_a_title_above_the_header_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Study 2026;;;\na;b;c;d\n1;2;3;4\n")
    with pytest.raises(ManifestError, match="columns 2, 3 and 4 have no name.*above the header, delete the line"):
        open_table(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "contains no samples"),
        (b"a;b\n", "contains no samples"),
        (b"a;b\n1;2;3\n", "line 2: 3 values for 2 columns separated by semicolons"),
        (b"a;b\n1,2\n", "line 2: 1 values for 2 columns separated by semicolons"),
        (b"a,b\n1,\0\n", "is not text: it contains zero bytes"),
        (b"a,a\n1,2\n", "column 'a' occurs more than once"),
        (b"\xff\xfea", "is not UTF-8"),
        (b"PK\x03\x04\x14\0", "is a spreadsheet .* Save its table as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a spreadsheet .* Save its table as CSV UTF-8"),
        (b"\x93NUMPY\x01\0", "is a NumPy array, not a CSV file"),
        (b"MATLAB 5.0 MAT-file", "is a MATLAB file, not a CSV file"),
        (b"%PDF-1.4\n", "is a PDF file, not a CSV file"),
        (b"\x89PNG\r\n", "is a picture, not a CSV file"),
    ],
)
def test_what_is_no_table_is_named(content, says, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=says) as error:
        open_table(path)
    assert str(error.value).count(str(path)) == 1


def test_a_second_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeff\ufeffsample,label,flow\na,positive,x.png\n", "utf-8")
    assert open_table(path).columns == ["sample", "label", "flow"]
    assert read_manifest(path, check_files=False).samples[0].sample == "a"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32"])
def test_a_table_of_zero_bytes_is_not_taken_for_another_kind(encoding, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sample,label,onset,apex\na,positive,1.png,2.png\n", encoding)
    with pytest.raises(ManifestError, match=r"is not text: it contains zero bytes. Save it as UTF-8"):
        read_manifest(path)


@pytest.mark.parametrize("cell", ["1_0", "1e1_0"])
def test_numbers_have_no_underscores(cell, tmp_path):
    """Python reads 1_0 as 10."""
    path = tmp_path / "t.csv"
    path.write_text(f"a;b\n1;{cell}\n")
    with pytest.raises(ManifestError, match=f"line 2: b is '{cell}', which is not a number"):
        open_table(path).numbers(["b"])
    path.write_text(f"recording,kind,onset,offset,fps\nr,micro,1,9,{cell}\n")
    with pytest.raises(ManifestError, match=f"fps is '{cell}'; give a number"):
        read_recordings(path)


def test_rows_without_header(tmp_path):
    path = write(tmp_path / "t.csv", [["1", "006", "a", "0"], ["", "", "", ""], ["2", "s01", "b", "1"]], ";")
    assert read_rows(path) == [(1, ["1", "006", "a", "0"]), (3, ["2", "s01", "b", "1"])]


def test_points_as_the_json_of_htnet_holds_them(tmp_path):
    path = tmp_path / "points.json"
    named = dict(zip(OUTPUT_POINTS, POINTS, strict=True))
    for content in (named, {"s1": named}, {"s1": POINTS}, dict(zip(POINT_NAMES, POINTS, strict=True))):
        path.write_text(json.dumps(content))
        np.testing.assert_allclose(PrecomputedLandmarks(path)(FRAME, "s1").points, POINTS)
    np.testing.assert_allclose(read_points_json(path).points, POINTS)


#: Header and row of a table that a door must know, and its kind.
TABLES = {
    "manifest": (["sample", "subject", "label", "onset", "apex"], ["a", "1", "0", "o.png", "a.png"]),
    "prepared": (["sample", "subject", "label", "flow"], ["a", "1", "0", "f.png"]),
    "sheet": (["Subject", "Filename", "Onset Frame", "Apex Frame"], ["1", "a", "1", "2"]),
}
TABLES = with_wings("csv_files", "TABLES", TABLES)


@pytest.mark.parametrize("writing", [*WRITINGS, "commas, UTF-16", "semicolons, UTF-16 big-endian"])
@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_known_by_its_header_in_any_writing(kind, writing, tmp_path):
    more = {"commas, UTF-16": (",", "utf-16"), "semicolons, UTF-16 big-endian": (";", "utf-16-be", "\n", "\ufeff")}
    path = write(tmp_path / "t.csv", TABLES[kind], *WRITINGS.get(writing, more.get(writing)))
    door = door_of(path)
    assert door is not None
    assert door.kind == kind


def test_points_in_a_json_of_utf_16(tmp_path):
    path = tmp_path / "points.json"
    path.write_text(json.dumps(POINTS), "utf-16")
    np.testing.assert_allclose(read_points_json(path).points, POINTS)


@pytest.mark.parametrize("separator", ",;\t")
def test_a_manifest_of_utf_16_is_prepared(separator, tmp_path, capsys):
    pair_manifest(tmp_path, 2)
    with (tmp_path / "manifest.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    path = write(tmp_path / "m16.csv", rows, separator, "utf-16", "\r\n")
    words = [
        "prepare",
        "manifest",
        "--root",
        path,
        "--out",
        tmp_path / "out",
        "--landmarks",
        "template",
        "--workers",
        "1",
        "--flow",
        "dis",
    ]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert len(read_manifest(tmp_path / "out" / "manifest.csv")) == 2


#: Texts that a spreadsheet program would run, and how they are written.
FORMULAS = {
    "=1+1": "'=1+1",
    '=HYPERLINK("http://example.org";"a,b")': "'=HYPERLINK",
    "+anna": "'+anna",
    "-anna.mp4": "'-anna.mp4",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t=1",
    "\uff1d1": "'\uff1d1",
    "'=1": "''=1",
    "''-a": "'''-a",
}
#: Texts that are written as they are.
HARMLESS = ("anna", "a=b", "4+L12", "'quoted'", "O'Neil", "-1.5", "+3", "-1e-3", "", " =1")


def test_texts_that_spreadsheets_would_run_come_back_as_they_were(tmp_path):
    names = [*FORMULAS, *HARMLESS]
    path = tmp_path / "a.csv"
    table = csv_text(["name", "=column"], [{"name": name, "=column": "x"} for name in names])
    path.write_text(table, "utf-8", newline="")
    _, rows = read_table(path)
    assert [row["name"] for _, row in rows] == names
    assert list(rows[0][1]) == ["name", "=column"]
    with path.open(encoding="utf-8", newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    for name, cell in zip(names, cells, strict=True):
        assert cell.startswith(FORMULAS.get(name, name))
        assert name in HARMLESS or not cell.startswith(tuple("=+-@\t\uff1d"))


@given(st.lists(st.text("'=+-@\t a1,;\"\n", max_size=6), min_size=1, max_size=4))
def test_any_text_comes_back(names):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(csv_text(["n", "name"], [{"n": "x", "name": name} for name in names]), "utf-8", newline="")
        assert [row["name"] for _, row in read_table(path)[1]] == names


def test_numbers_are_written_as_they_are():
    cells = [-1, -1.5, np.int64(-3), None, Path("-a")]
    found = csv_text(["n", "a"], [{"n": 0, "a": cell} for cell in cells]).splitlines()[1:]
    assert found == ["0,-1", "0,-1.5", "0,-3", "0,", "0,'-a"]


def test_every_table_that_htnet_writes_is_guarded(tmp_path):
    evil = "=cmd|' /C calc'!A0"
    events = (Event("micro", 3, 4, 9, label="@home"),)
    write_recordings(tmp_path / "r.csv", [Recording(evil, events, Path("-r.mp4"), subject="+s", fps=30, frames=20)])
    (again,) = read_recordings(tmp_path / "r.csv").recordings
    assert (again.name, again.path.name, again.subject, again.events[0].label) == (evil, "-r.mp4", "+s", "@home")
    write_megc(tmp_path / "m.csv", {evil: events})
    assert [one.name for one in read_events(tmp_path / "m.csv").found] == [evil]
    image = save(tmp_path / "-f.png", np.zeros((28, 28, 3), np.uint8))
    Manifest((Sample(evil, "own", "@s", flow=image),)).write(tmp_path / "s.csv")
    (sample,) = read_manifest(tmp_path / "s.csv", degenerate="keep")
    assert (sample.sample, sample.subject, sample.flow.name) == (evil, "@s", "-f.png")
    write_predictions(tmp_path / "p.csv", [], ["positive"], [(evil, "-broken")])
    assert read_table(tmp_path / "p.csv")[1][0][1]["sample"] == evil
    (tmp_path / "l.csv").write_text(to_csv(["sample"], [[evil]]), "utf-8", newline="")
    for path in tmp_path.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert any("=cmd" in cell for cell in cells), path.name
        assert not [cell for cell in cells if cell[:1] in tuple("=+-@")], path.name


@pytest.mark.parametrize(
    "cell",
    ["#N/A", "#N/D", "#NV", "#REF!", "#DIV/0!", "#NAME?", " #WERT! ", "#¡VALOR!", "#¿NOMBRE?", "#Н/Д", "Err:502"],
)
def test_errors_of_formulas_in_any_language(cell):
    assert formula_error(cell)


@pytest.mark.parametrize(
    "cell", ["", "#1", "# 3!", "N/A", "NV", "#a", "Err", "Error:502", "a#REF!", "#happy", "#a/bc", "#Take!", "#take?"]
)
def test_texts_that_are_no_errors_of_formulas(cell):
    assert not formula_error(cell)
