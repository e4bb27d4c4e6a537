"""What holds for every reader of an official layout, and for a manifest of one's own."""

import csv
import dataclasses
import re
import shutil
from datetime import datetime

import cv2
import numpy as np
import openpyxl
import pytest

from htnet.core.errors import ManifestError
from htnet.data import DATASETS, Sample, merge_composite, open_data, read_casme3, read_dataset, read_manifest
from htnet.data.datasets.assemble import Annotated
from htnet.data.prepare import prepare, read_report
from htnet.preprocess import TemplateLandmarks
from tests.data import official, test_layouts
from tests.data.test_datasets import BUILDERS
from tests.data.workbooks import old_workbook
from tests.support.pairs import QUICK

UNITS = ("actionunits", "aus", "au")
#: Every way of reading samples with action units: the readers, the edited CSV of CAS(ME)^3 and one's own manifest.
WORKBOOKS = [name for name in DATASETS if name != "smic"]
READERS = (*DATASETS, "casme3 edited", "manifest")


def about_units(found):
    """The notes on action units; those on the size of a published set are another matter."""
    return tuple(note for note in found.notes if "action units" in note)


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
    column = next((columns.index(name) for name in UNITS if name in columns), None)
    if column is None:  # the sheet of CAS(ME)^2 has no header
        header, column = -1, 5
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
    assert (found.samples[0].action_units, about_units(found)) == ("12L; 4R, AD31 + M57+AU12+4(k)", ())
    sheet = next(file for file in tmp_path.iterdir() if file.suffix == ".csv")
    for text, kept in (("none", "none"), ("?", ""), ("null", ""), ("", "")):
        put(sheet, text)
        found = read()
        assert (found.samples[0].action_units, about_units(found)) == (kept, ()), text
        assert found.samples[1].action_units


@pytest.mark.parametrize("name", [name for name in WORKBOOKS if name != "casme_sq"])
def test_a_sheet_without_action_units_is_noted(tmp_path, name):
    """A column of another name must not be lost in silence."""
    read, _ = build(tmp_path, name, "4")
    sheet = next(file for file in tmp_path.iterdir() if file.suffix == ".csv")
    sheet.write_text(re.sub(r"\b(Action Units|AUs|AU)(?=,|$)", "units", sheet.read_text(), flags=re.MULTILINE))
    found = read()
    assert not any(sample.action_units for sample in found)
    assert any("no action units were read. Their column must have one of these names: actionunits, aus, au" in note
               for note in found.notes)  # fmt: skip


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
        (note,) = about_units(found)
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


#: What a workbook can hold where units were typed: value, number format, and what is said of it.
SPOILED = (
    (20, "0.00E+00", r"the number 20, perhaps converted from text such as 2E\+1"),
    (4e12, "General", r"the number 4e\+12, perhaps"),
    (4.7, "General", r"the number 4\.7, perhaps"),
    ("=4+7", "General", r"the formula '=4\+7'"),
    (True, "General", "the logical value True"),
    (datetime(2026, 4, 7), "mm-dd-yy", "a date or time"),
    (60, "General", "60, and FACS has no such code"),
)


@pytest.mark.parametrize("name", WORKBOOKS)
def test_what_a_workbook_made_of_a_cell_is_listed_with_the_cure(tmp_path, name):
    read, cell = build(tmp_path, name, "4", ".xlsx")
    for value, shown, says in SPOILED:
        put(next(tmp_path.glob("*.xlsx")), (value, shown))
        found = read()
        (note,) = about_units(found)
        assert re.search(f"cell {cell}: the action units of sample .* are left out.*{says}", note), note
        assert "as text" in note or value == 60
        assert [bool(s.action_units) for s in found][:2] == [False, True]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_whole_numbers_in_a_workbook_are_units(tmp_path, name):
    read, _ = build(tmp_path, name, (12, "General"), ".xlsx")
    found = read()
    assert (found.samples[0].action_units, about_units(found)) == ("12", ())
    cell = put(next(tmp_path.glob("*.xlsx")), (20, "General"))
    found = read()
    assert found.samples[0].action_units == "20"
    assert f"cell {cell} (20) contain action units as numbers" in about_units(found)[0]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_old_workbooks_are_read_alike(tmp_path, name):
    read, _ = build(tmp_path / "new", name, "4+7", ".xlsx")
    old, _ = build(tmp_path / "old", name, "4+7", ".xls")
    known, found = read(), old()
    assert [dataclasses.replace(s, onset=None, apex=None, clip=None) for s in found][1:] == [
        dataclasses.replace(s, onset=None, apex=None, clip=None) for s in known
    ][1:]


@pytest.mark.parametrize("name", DATASETS)
def test_one_clip_that_cannot_be_read_is_listed_and_the_rest_is_read(tmp_path, name):
    """A frame that is a folder, two files of one number, and a frame that is no image."""
    read, _ = build(tmp_path / "data", name, "4")
    whole = read()
    first, second = whole.samples[:2]
    other = first.apex.with_name("again_" + first.apex.name)
    other.write_bytes(first.apex.read_bytes())
    options = {"annotation": next((tmp_path / "data").glob("*.csv"))} if name == "smic" else {}
    found = read_dataset(name, tmp_path / "data", missing="skip", **options)
    shared = {s.sample for s in whole if s.clip == first.clip}
    assert {s.sample for s in whole} - {s.sample for s in found} == shared
    assert set(found.skipped) == shared
    assert any(f"Sample {first.sample!r} is left out. " in note and "Remove one" in note for note in found.notes)
    other.unlink()
    for i, sample in enumerate(whole):
        for j, file in enumerate((sample.onset, sample.apex)):
            noise = np.random.default_rng((i, j)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(file), noise)
    second.apex.write_bytes(b"no image")
    prepare(whole, tmp_path / "out", QUICK, TemplateLandmarks(), on_error=lambda sample, error: None)
    report = read_report(tmp_path / "out")
    broken = {s.sample for s in whole if second.apex in (s.onset, s.apex)}
    assert set(report.failed) == broken
    assert report.prepared == len(whole) - len(broken)
    assert str(second.apex) in report.failed[second.sample]
    second.apex.unlink()
    second.apex.mkdir()
    found = read_dataset(name, tmp_path / "data", missing="skip", **options)
    assert first.sample in {s.sample for s in found}
    assert second.apex not in {file for s in found for file in (s.onset, s.apex)}


@pytest.mark.parametrize("kind", ["manifest", "casme3 edited"])
def test_paths_of_windows_are_turned_or_named(tmp_path, kind):
    frames = tmp_path / "a" / "b"
    official.frames(frames, "{}.jpg", [1, 2])
    one, two = "a\\b\\1.jpg", "a\\b\\2.jpg"
    sheet = tmp_path / "x_edited.csv"

    def read(onset):
        if kind == "manifest":
            sheet.write_text(f"sample,onset,apex,clip\ns,{onset},{two},a\\b\n")
            return read_manifest(sheet)
        sheet.write_text(f"{test_layouts.HEADER}\nspNO.1,b,1,2,disgust,4,0,{two},{onset}\n")
        return read_casme3(sheet, tmp_path)

    (sample,) = read(one)
    assert sample.onset == frames / "1.jpg"
    if kind == "manifest":
        assert sample.clip == frames
    with pytest.raises(ManifestError, match="do not exist.*Backslashes .* write / instead"):
        read("D:\\a\\9.jpg")


def casme3_sheets(folder):
    """The official sheet of 860 rows, an older copy, a sheet of macro-expressions and a list of errors."""
    rows = [("spNO.1", "b", 166, 175, 179, "disgust"), ("spNO.1", "j", 28, 33, 49, "happy")]
    official.casme3(folder, rows, file="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx")
    more = [dict(zip(official.CASME3, (f"spNO.{i}", "a", 5, 9, 12, "4", "III", "others", None), strict=True))
            for i in range(300, 1158)]  # fmt: skip
    whole = [dict(zip(official.CASME3, (*row[:5], "4", "III", row[5], None), strict=True)) for row in rows] + more
    official.sheet(folder / "cas(me)3_part_A_zz.xlsx", official.CASME3, whole)
    official.sheet(folder / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", official.CASME3, whole[:700])
    macro = [{**row, "Offset": row["Onset"] + 60} for row in whole]
    official.sheet(folder / "cas(me)3_part_A_ME_looks_so.xlsx", official.CASME3, macro)
    official.sheet(folder / "cas(me)3_part_A_MaE_label.xlsx", ["sub", "seq", "onset"], [{"sub": "spNO.1"}])


@pytest.mark.slow
def test_the_sheet_of_casme3_is_chosen_by_its_content(tmp_path):
    casme3_sheets(tmp_path)
    found = read_dataset("casme3", tmp_path, missing="skip")
    assert [s.sample for s in found] == ["spNO.1_b_175", "spNO.1_j_33"]
    note = found.notes[0]
    assert "cas(me)3_part_A_zz.xlsx, 860 rows, selected by its content" in note
    assert "ME_looks_so.xlsx lists macro-expressions" in note
    assert "MaE_label.xlsx does not have the columns of micro-expressions" in note
    assert "JpgIndex_v2.xlsx has 700 rows" in note
    (tmp_path / "cas(me)3_part_A_zz.xlsx").unlink()
    assert "JpgIndex_v2.xlsx, 700 rows" in read_dataset("casme3", tmp_path, missing="skip").notes[0]
    with pytest.raises(ManifestError, match="lists macro-expressions"):
        read_dataset("casme3", tmp_path, annotation=tmp_path / "cas(me)3_part_A_ME_looks_so.xlsx")


def test_casme3_with_both_types_in_one_sheet(tmp_path):
    official.casme3(tmp_path, BUILDERS["casme3"][1])
    sheet = next(tmp_path.glob("*.xlsx"))
    table = [list(row) for row in openpyxl.load_workbook(sheet).active.values]
    sheet.unlink()
    for row, kind in zip(
        table, ["Expression type", "Micro-expression", "Macro-expression", "micro", "micro"], strict=True
    ):
        row[-1] = kind
    (tmp_path / "CAS(ME)3_part_A_v2.xls").write_bytes(old_workbook(table))
    found = read_dataset("casme3", tmp_path)
    assert [s.sample for s in found] == ["spNO.1_b_175", "spNO.1_j_105"]
    assert "1 macro-expressions are ignored" in found.notes[0]


@pytest.mark.parametrize("clips", [True, False])
def test_depth_maps_of_casme3_are_refused(tmp_path, clips):
    root = tmp_path / "Part_A_ME_clip"
    official.casme3(root / "frame", BUILDERS["casme3"][1], clips)
    sheet = next((root / "frame").glob("*.xlsx"))
    shutil.copytree(root / "frame", root / "depth")
    if clips:  # frames and depth maps lie beside each other
        found = read_dataset("casme3", root, annotation=sheet)
        assert {s.onset.parents[1].name for s in found} == {"frame"}
    with pytest.raises(
        ManifestError, match=r"depth contains depth maps, which show no face\. Give the folder of the frames"
    ):
        read_dataset("casme3", root / "depth", annotation=sheet)
    shutil.rmtree(root / "frame", ignore_errors=not clips)
    if clips:
        sheet = next((root / "depth").glob("*.xlsx"))
        with pytest.raises(ManifestError, match="depth maps"):
            read_dataset("casme3", root, annotation=sheet)
    renamed = (root / "depth").rename(root / "frames")
    for file in renamed.rglob("*.jpg"):
        cv2.imwrite(str(file.with_suffix(".png")), np.full((8, 8), 900, np.uint16))
        file.unlink()
    with pytest.raises(ManifestError, match="is a depth map"):
        read_dataset("casme3", renamed)


def test_smic_without_apex_column(tmp_path):
    official.smic(tmp_path, ["s1_ne_01", "s1_po_01"])
    sheet = tmp_path / "smic.csv"
    sheet.write_text(
        "Subject,Filename,OnsetF,OffsetF,Emotion\n1,s1_ne_01,1204,1206,negative\n1,s1_po_01,1203,1207,positive\n"
    )
    found = read_dataset("smic", tmp_path, annotation=sheet)
    assert [(s.onset.name, s.apex.name, s.clip_last) for s in found] == [
        ("reg_image001204.bmp", "reg_image001205.bmp", "reg_image001206.bmp"),
        ("reg_image001203.bmp", "reg_image001205.bmp", "reg_image001207.bmp"),
    ]
    assert found.middle_apex == tuple(s.sample for s in found)


@pytest.mark.parametrize("mark", [",", ";"])
def test_the_list_without_header_is_kept(tmp_path, mark):
    """As people's copies have it: SAMM's subjects without leading zeros."""
    parts = {}
    for name in ("casme2", "samm", "smic"):
        make, rows = BUILDERS[name]
        make(tmp_path / name, rows)
        parts[name] = read_dataset(name, tmp_path / name)
    keep = tmp_path / "combined_3class_gt.csv"
    lines = [("casme2", "sub01", "EP02_01f", 1), ("samm", 6, "006_1_2", 0), ("samm", 37, "037_3_3", 2),
             ("smic", "s01", "s01_ne_01", 0), ("smic", "s11", "s11_sur_02", 2)]  # fmt: skip
    keep.write_text("".join(mark.join(map(str, line)) + "\n" for line in lines))
    found = merge_composite(**parts, keep=keep)
    assert [s.sample for s in found] == [
        *("sub01_EP02_01f", "s01_s01_ne_01", "s11_s11_sur_02", "006_006_1_2", "037_037_3_3")
    ]
    assert not any("otherwise" in note for note in found.notes)
    keep.write_text(keep.read_text().replace(f"006_1_2{mark}0", f"006_1_2{mark}1"))
    assert any("labels 1 samples differently: 006_006_1_2 (positive there, negative here)" in note
               for note in merge_composite(**parts, keep=keep).notes)  # fmt: skip
    keep.write_text(f"samm{mark}9{mark}009_9_9{mark}0\n")
    with pytest.raises(ManifestError, match=r"'9_009_9_9'.*in keep are in none"):
        merge_composite(**parts, keep=keep)
    keep.write_text(f"samm{mark}6{mark}006_1_2{mark}0\nsamn{mark}6{mark}006_1_3{mark}0\n")
    with pytest.raises(ManifestError, match="row 2: 'samn, 6, 006_1_3, 0' is not a data set"):
        merge_composite(**parts, keep=keep)


WITH_HEADER = [name for name in WORKBOOKS if name != "casme_sq"]


class Cells:
    """The workbook of a data set, to be changed."""

    def __init__(self, folder):
        self.path = next(folder.glob("*.xlsx"))
        self.book = openpyxl.load_workbook(self.path)
        self.page = self.book.active
        rows = list(self.page.values)
        self.header = next((i for i, row in enumerate(rows, 1) if {"onset", "apex"} <= set(map(self.kind, row))), 0)
        self.columns = [self.kind(cell) for cell in rows[self.header - 1]] if self.header else list(official.SQUARE)

    @staticmethod
    def kind(cell):
        name = plain(cell)
        return next((kind for kind in ("onset", "apex", "offset") if name.startswith(kind)), name)

    def cell(self, kind, row=1):
        return self.page.cell(self.header + row, self.columns.index(kind) + 1)

    def save(self):
        self.book.save(self.path)


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_row_without_onset_is_listed_and_the_rest_is_read(tmp_path, name):
    read, _ = build(tmp_path, name, None, ".xlsx")
    before = read()
    cells, lost = Cells(tmp_path), before.samples[0]
    for written in ("/", None, "12a", "?"):
        cells.cell("onset").value = written
        cells.save()
        found = read()
        assert [s.sample for s in found] == [s.sample for s in before if s is not lost]
        (reason,) = [reason for sample, reason in found.excluded if sample == lost.sample]
        what = "is empty" if written is None else f"is {written!r}, which is not a frame number"
        assert f"(no onset: cell {cells.cell('onset').coordinate} {what})" in reason


@pytest.mark.parametrize("name", WITH_HEADER)
def test_two_columns_of_one_name_that_differ_are_refused(tmp_path, name):
    read, _ = build(tmp_path, name, None, ".xlsx")
    before = read()
    cells = Cells(tmp_path)
    last = len(cells.columns) + 1
    for kind in ("onset", "apex", "filename", "emotion"):
        kind = kind if kind in cells.columns else {"filename": "foldname", "emotion": "estimatedemotion"}[kind]
        for row in range(cells.page.max_row - cells.header + 1):
            cells.page.cell(cells.header + row, last).value = cells.cell(kind, row).value
        cells.page.cell(cells.header, last).value = f" {cells.cell(kind, 0).value.upper()} "
        cells.save()
        assert read() == before, "a copy of a column says the same"
        cells.page.cell(cells.header + 1, last).value = "99"
        cells.save()
        with pytest.raises(ManifestError) as caught:
            read()
        said = str(caught.value)
        assert f"{cells.cell(kind).coordinate} is {str(cells.cell(kind).value)!r}" in said
        assert f"{cells.page.cell(cells.header + 1, last).coordinate} is '99'. Rename the one" in said


@pytest.mark.parametrize("name", WITH_HEADER)
def test_a_renamed_column_is_named(tmp_path, name):
    read, _ = build(tmp_path, name, None, ".xlsx")
    cells = Cells(tmp_path)
    for kind in ("onset", "apex", "offset"):
        called = cells.cell(kind, 0).value
        cells.cell(kind, 0).value = "Peak"
        cells.save()
        with pytest.raises(ManifestError, match=rf"row {cells.header}: no column for {kind} \(named .*'Peak'"):
            read()
        cells.cell(kind, 0).value = called


@pytest.mark.parametrize("name", WITH_HEADER)
def test_a_header_in_capitals_and_with_blanks_is_the_header(tmp_path, name):
    read, _ = build(tmp_path, name, "4+7", ".xlsx")
    before = read()
    cells = Cells(tmp_path)
    for cell in cells.page[cells.header]:
        cell.value = cell.value and f" {' '.join(cell.value.upper())}\u00a0"
    cells.save()
    assert read() == before
