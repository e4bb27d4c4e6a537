"""What holds for every reader of an official layout, and for a manifest of one's own."""

import csv
import dataclasses
import re
from datetime import datetime

import cv2
import numpy as np
import openpyxl
import pytest

from htnet.data import DATASETS, Sample, open_data, read_casme3, read_dataset, read_manifest
from htnet.data.datasets.assemble import Annotated
from htnet.prepare import prepare, read_report
from htnet.preprocess import TemplateLandmarks
from tests.data import official, test_layouts
from tests.data.test_datasets import BUILDERS
from tests.data.workbooks import old_workbook
from tests.support.pairs import QUICK

UNITS = ("actionunits", "aus", "au")
#: Every way of reading samples with action units: the readers, the edited CSV of CAS(ME)^3 and one's own manifest.
READERS = (*DATASETS, "casme3 edited", "manifest")


def plain(text):
    return "".join(filter(str.isalnum, str(text or "").casefold()))


def build(folder, name, units, suffix=".csv"):
    """A data set whose first taken sample has ``units`` for its action units; what reads it, and the cell."""
    if name == "casme3 edited":
        folder.mkdir(exist_ok=True)
        sheet, read = test_layouts.casme3(folder, test_layouts.FRAMES[:2]), lambda: read_casme3(None, folder)
        lines = sheet.read_text().splitlines()
        sheet.write_text("\n".join([f"AU,{lines[0]}", *(f"4,{line}" for line in lines[1:])]))
    elif name == "manifest":
        official.frames(folder, "{}.jpg", [1, 2])
        sheet, read = folder / "own.csv", lambda: read_manifest(folder / "own.csv")
        official.sheet(
            sheet,
            ["sample", "subject", "label", "onset", "apex", "action_units"],
            [{"sample": n, "subject": n, "label": "positive", "onset": "1.jpg", "apex": "2.jpg", "action_units": "4"}
             for n in "ab"],
        )  # fmt: skip
    else:
        make, rows = BUILDERS[name]
        make(folder, rows)
        sheet = None if name == "smic" else next(folder.glob("*.xlsx"))
        if sheet is None:
            columns = ["Filename", "ApexFrame", "OffsetFrame", "Action Units"]
            cells = [dict(zip(columns, (clip, 1205, 1207, "4"), strict=True)) for clip in rows]
            sheet = official.sheet(folder / "smic.xlsx", columns, cells)
        book = openpyxl.load_workbook(sheet)
        table = [list(row) for row in book.active.values]
        sheet = sheet.with_suffix(suffix) if suffix != ".xlsx" else sheet
        for old in folder.glob("*.xlsx"):
            old.unlink()
        if suffix == ".csv":
            with sheet.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(table)
        elif suffix == ".xls":
            sheet.write_bytes(old_workbook(table))
        else:
            book.save(sheet)
        given = {"annotation": sheet} if name == "smic" else {}
        read = lambda: read_dataset(name, folder, **given)  # noqa: E731
    cell = put(sheet, units)
    return read, cell


def put(sheet, units):
    """Write into the action units of the first row below the header; returns the cell's name."""
    if sheet.suffix == ".csv":
        with sheet.open(encoding="utf-8", newline="") as file:
            table = list(csv.reader(file))
    else:
        book = openpyxl.load_workbook(sheet) if sheet.suffix == ".xlsx" else None
        table = [list(row) for row in book.active.values] if book else None
    if table is None:
        return None
    header = next(i for i, row in enumerate(table) if len([c for c in row if c]) > 3)
    columns = [plain(cell) for cell in table[header]]
    column = next(columns.index(name) for name in UNITS if name in columns)
    cell = f"{chr(ord('A') + column)}{header + 2}"
    if sheet.suffix == ".csv":
        table[header + 1][column] = units
        with sheet.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    else:
        value, shown = units if isinstance(units, tuple) else (units, "General")
        book.active[cell] = value
        book.active[cell].number_format = shown
        book.save(sheet)
    return cell


@pytest.mark.parametrize("name", DATASETS)
def test_every_reader_fills_every_field(tmp_path, name):
    read, _ = build(tmp_path, name, "4+7")
    found = read()
    filled = set(vars(Sample("x"))) - {"flow", "landmarks", "image", "split", "motion", "apex_source"}
    for sample in found:
        empty = {field for field in filled if not getattr(sample, field)}
        assert not empty, f"{name} leaves {empty} empty in {sample.sample}"
        assert sample.dataset == name
        assert (sample.clip / sample.clip_first).is_file()
        assert (sample.clip / sample.clip_last).is_file()
    assert found.samples[0].action_units == "4+7"


def test_a_reader_cannot_forget_a_field():
    assert all(field.default is dataclasses.MISSING for field in dataclasses.fields(Annotated))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_keeps_every_spelling_and_none(tmp_path, name):
    read, _ = build(tmp_path, name, "12L; 4R, AD31 + M57+AU12+4(k)")
    found = read()
    assert (found.samples[0].action_units, found.notes) == ("12L; 4R, AD31 + M57+AU12+4(k)", ())
    sheet = next(file for file in tmp_path.iterdir() if file.suffix == ".csv")
    for text, kept in (("none", "none"), ("?", ""), ("null", ""), ("", "")):
        put(sheet, text)
        found = read()
        assert (found.samples[0].action_units, found.notes) == (kept, ()), text
        assert found.samples[1].action_units


@pytest.mark.parametrize("name", READERS)
def test_one_bad_cell_is_listed_and_ends_nothing(tmp_path, name):
    read, cell = build(tmp_path / "data", name, "4+60")
    sheet = next(file for file in (tmp_path / "data").iterdir() if file.suffix == ".csv")
    for text in ("2.00E+01", "Chewing", "20.0", "4+60"):
        put(sheet, text)
        found = read()
        first, *others = found.samples
        assert first.action_units == ""
        assert all(sample.action_units for sample in others)
        (note,) = found.notes
        assert f"cell {cell}: the action units of sample {first.sample!r} are left out. " in note
    for sample in found:  # the builders' frames are noise, and all the same
        for i, file in enumerate((sample.onset, sample.apex)):
            noise = np.random.default_rng(i).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(file), noise)
    prepare(found, tmp_path / "out", QUICK, TemplateLandmarks())
    report = read_report(tmp_path / "out")
    assert note in report.notes
    assert note in report.text()
    again = {s.sample: s.action_units for s in open_data(tmp_path / "out")}
    assert again == {s.sample: s.action_units for s in found}


WORKBOOKS = [name for name in DATASETS if name != "smic"]


#: What a workbook can hold where units were typed: value, number format, and what is said of it.
SPOILED = (
    (20, "0.00E+00", r"the number 20, perhaps made of text such as 2E\+1"),
    (4e12, "General", r"the number 4e\+12, perhaps"),
    (4.7, "General", r"the number 4\.7, perhaps"),
    ("=4+7", "General", r"the formula '=4\+7'"),
    (True, "General", "the truth value True"),
    (datetime(2026, 4, 7), "mm-dd-yy", "a date or time"),
    (60, "General", "60, and FACS has no such code"),
)


@pytest.mark.parametrize("name", WORKBOOKS)
def test_what_a_workbook_made_of_a_cell_is_listed_with_the_cure(tmp_path, name):
    read, cell = build(tmp_path, name, "4", ".xlsx")
    for value, shown, says in SPOILED:
        put(next(tmp_path.glob("*.xlsx")), (value, shown))
        found = read()
        (note,) = found.notes
        assert re.search(f"cell {cell}: the action units of sample .* are left out.*{says}", note), note
        assert "as text" in note or value == 60
        assert [bool(s.action_units) for s in found][:2] == [False, True]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_whole_numbers_in_a_workbook_are_units(tmp_path, name):
    read, _ = build(tmp_path, name, (12, "General"), ".xlsx")
    found = read()
    assert (found.samples[0].action_units, found.notes) == ("12", ())
    cell = put(next(tmp_path.glob("*.xlsx")), (20, "General"))
    found = read()
    assert found.samples[0].action_units == "20"
    assert f"cell {cell} (20) hold action units as numbers" in found.notes[0]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_old_workbooks_are_read_alike(tmp_path, name):
    read, _ = build(tmp_path / "new", name, "4+7", ".xlsx")
    old, _ = build(tmp_path / "old", name, "4+7", ".xls")
    known, found = read(), old()
    assert [dataclasses.replace(s, onset=None, apex=None, clip=None) for s in found][1:] == [
        dataclasses.replace(s, onset=None, apex=None, clip=None) for s in known
    ][1:]
