"""Readers of tables: annotation sheets of data sets, tables of palsy grades, and tables of the challenges."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.trust.reader import File, Reader
from htnet.core.hints import door_of
from htnet.core.megc import FORMS, write_megc
from htnet.data import open_data, read_action_units, read_dataset, read_events, read_intervals, read_recordings
from htnet.data.datasets.keep import names_to_keep
from htnet.data.datasets.sheets import read_sheet
from htnet.palsy import read_palsy
from htnet.types import Event
from tests.data import official
from tests.data.workbooks import old_workbook
from tests.palsy.faces import write_ck_plus

_SHEET = """Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Action Units,Estimated Emotion
1,EP02_01f,46,59,86,4+L10,disgust
1,EP03_02,134,157,213,12,happiness
2,EP04_03,52,72,80,R1+2,surprise
"""
_CLIPS = {name: getattr(official, name) for name in ("casme2", "samm", "mmew", "casme", "casme3", "dfme")}
_RECORDINGS = {
    "samm_lv": (official.samm_lv, [("006_1_1", 5, 7, 9, "Macro", "4(B/C)+7B"), ("010_1_3", 8, -1, 20, "Macro", "7A")]),
    "casme_sq": (official.casme_sq, [(1, "disgust1_1", 11, 14, 18, "negative"), (2, "happy1_3", 40, 44, 0, "others")]),
    "casme3c": (official.casme3c, [(1, 1, 37, 38, "4,7", "negative"), (31, 1, 5, 9, "?", "surprise")]),
    "casme3a": (official.casme3a, [("spNO.1", "a", 4, 6, 9, "4+7", "Micro-expression", 3)]),
}
_ROWS = (".csv", "htnet.core.csv_files:CsvTable"), (".xlsx", "openpyxl:load_workbook")
_LISTS = ("htnet.core.csv_files:_read",)
_EDITED = ("Subject", "Filename", "Onset", "Apex", "Offset", "AU", "imagename_onset", "imagename_apex")
_EDITED += ("imagename_apex_offset", "label_for_3", "label_for_7", "emotion")


def table_readers(folder: Path) -> tuple[Reader, ...]:
    """All of them; their samples are made in a folder."""
    beyond = tuple(place for _, place in _ROWS)
    sets, beside = _sets(folder / "sets")
    recordings, beside_recordings = _recordings(folder / "intervals")
    palsy, beside_palsy = _palsy(folder / "palsy")
    table = ("htnet.data.datasets.sheets:Table",)
    parts = {"samm": read_dataset("samm", folder / "sets" / "samm")}
    lists = {"names.csv": "sample\n006_1_2\n007_3_1\n", "bare.csv": "samm,006,006_1_2,0\nsamm,7,007_3_1,1\n"}

    headless = ("headless.csv", _SHEET.split("\n", 1)[1].encode(), "csv")

    def sheet(path: Path, out: Path) -> object:
        return read_sheet(path, ("subject", "filename"))

    def dataset(path: Path, out: Path) -> object:
        name = path.parent.name
        door_of(path)
        if name == "composite":
            read_action_units(path)
        if name in ("composite", "edited"):
            return open_data(path.parent)
        return read_dataset(name, path.parent, annotation=None if name == "casme3" else path)

    def names(path: Path, out: Path) -> object:
        return names_to_keep(path, parts)

    def intervals(path: Path, out: Path) -> object:
        root = path.parents[1] if path.parent.name == "annotation" else path.parent
        return read_intervals(root.name, root, annotation=path)

    def grades(path: Path, out: Path) -> object:
        root = next((parent for parent in path.parents if parent.name == "ck"), None)
        if root is None:
            return read_palsy(path, classes=6)
        return read_palsy(root, classes=6, grade_map=root / ("emotions.csv" if path.suffix == ".txt" else path.name))

    def challenge(path: Path, out: Path) -> object:
        read_events(path)
        return read_recordings(path)

    return (
        Reader("sheet, CSV", (("sheet.csv", _SHEET.encode(), "csv"), headless), sheet, table, refused=(headless[0],)),
        Reader("sheet, xlsx", (("sheet.xlsx", _workbook(), "zip"),), sheet, ("openpyxl:load_workbook",)),
        Reader("sheet, xls", (("sheet.xls", _old(), "biff"),), sheet, ("xlrd:open_workbook",)),
        Reader("data set", tuple(sets), dataset, (*beyond, *table), beside),
        Reader("list of samples", tuple((name, text.encode(), "csv") for name, text in lists.items()), names, _LISTS),
        Reader("data set of recordings", tuple(recordings), intervals, (*beyond, *table), beside_recordings),
        Reader("palsy table", tuple(palsy), grades, ("htnet.core.csv_files:CsvTable",), beside_palsy),
        Reader("challenge table", tuple(_challenge(folder)), challenge, ("htnet.core.csv_files:_read",)),
    )


def _workbook() -> bytes:
    import openpyxl

    book, file = openpyxl.Workbook(), io.BytesIO()
    for line in _SHEET.splitlines():
        book.active.append([int(cell) if cell.isdigit() else cell for cell in line.split(",")])
    book.save(file)
    return file.getvalue()


def _old() -> bytes:
    rows = [[float(cell) if cell.isdigit() else cell for cell in line.split(",")] for line in _SHEET.splitlines()]
    return old_workbook(rows)


def _content(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _sets(folder: Path) -> tuple[list[File], dict[str, bytes]]:
    rows = [(1, "EP02_01f", 4, 6, 8, "disgust"), (2, "EP03_02", 3, 5, 9, "happiness"), (2, "EP04", 3, 5, 9, "surprise")]
    named = {
        "casme3": [("spNO.1", "b", 5, 6, 9, "disgust"), ("spNO.2", "L", 5, 6, 9, "others")],
        "mmew": [(1, "S01-01-001", 1, 5, 9, "happiness"), (12, "S12-07-010", 1, 3, 4, "anger")],
        "samm": [(6, "006_1_2", 4, 6, 8, "Anger"), (7, "007_3_1", 3, 5, 9, "Happiness")],
    }
    sheets = {name: build(folder / name, named.get(name, rows)) for name, build in _CLIPS.items()}
    as_csv = folder / "casme2csv" / "casme2.csv"
    official.casme2(folder / "casme2csv", rows, file="casme2.csv")
    (folder / "casme2" / "casme2.csv").write_bytes(as_csv.read_bytes())
    shutil.rmtree(folder / "casme2csv")
    sheets["casme2, CSV"] = folder / "casme2" / "casme2.csv"
    # Of two sheets one is chosen by its content; a frame in PNG may be a depth map.
    official.casme3(folder / "casme3", named["casme3"], file="cas(me)3_part_A_ME_label_JpgIndex_v2.csv")
    official.frames(folder / "casme3" / "spNo.1" / "b" / "color", "{}.png", (1,))
    for number in (1, 2):
        official.frames(folder / "edited" / f"spNO.{number}" / "a" / "color", "{}.jpg", (3, 5, 9))
    lines = [
        (f"spNO.{n}", "a", 3, 5, 9, "4+7", *(f"spNO.{n}/a/color/{k}.jpg" for k in (3, 5, 9)), n - 1, n, "happy")
        for n in (1, 2)
    ]
    sheets["edited"] = official.sheet(folder / "edited" / "part_A_edited.csv", _EDITED, _dicts(_EDITED, lines))
    official.smic(folder / "smic", ["s1_ne_01", "s1_po_01", "s2_sur_01"])
    columns = ("Subject", "Filename", "OnsetF", "OffsetF")
    lines = [(1, "s1_ne_01", 1203, 1207), (1, "s1_po_01", 1203, 1207), (2, "s2_sur_01", 1203, 1207)]
    sheets["smic"] = official.sheet(folder / "smic" / "smic.csv", columns, _dicts(columns, lines))
    columns = ("dataset", "sub", "filename_o", "label", "Action Units")
    images = folder / "composite" / "STSNet_whole_norm_u_v_os"
    official.frames(images, "s{}_a .png", (1, 2, 3))
    lines = [(name, f"s{n}", "a", n - 1, "4+7") for n, name in enumerate(("casme2", "samm", "smic"), 1)]
    path = folder / "composite" / "combined_3_class2_for_optical_flow.csv"
    sheets["composite"] = official.sheet(path, columns, _dicts(columns, lines))
    return _samples(folder, sheets.values()), dict(_content(folder))


def _dicts(columns: Iterable[str], lines: Iterable[tuple[object, ...]]) -> list[dict[str, object]]:
    return [dict(zip(columns, line, strict=True)) for line in lines]


def _recordings(folder: Path) -> tuple[list[File], dict[str, bytes]]:
    sheets = [build(folder / name, rows) for name, (build, rows) in _RECORDINGS.items()]
    return _samples(folder, sheets), dict(_content(folder))


def _samples(folder: Path, sheets: Iterable[Path]) -> list[File]:
    kinds = {".csv": "csv", ".xlsx": "zip"}
    return [(path.relative_to(folder).as_posix(), path.read_bytes(), kinds[path.suffix]) for path in sheets]


def _palsy(folder: Path) -> tuple[list[File], dict[str, bytes]]:
    write_ck_plus(folder / "ck", {"S001/001": (2, 3), "S002/001": (2, 7)})
    official.frames(folder, "P{}_0.png", (1, 2))
    texts = {
        "faces.csv": "image_path,grade,patient,split\nP1_0.png,I,P1,train\nP2_0.png,VI,P2,test\n",
        "ck/sequences.csv": "sequence,grade\nS001/001,I\nS002/001,IV\n",
        "ck/emotions.csv": "emotion,grade\n3,I\n7,IV\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    emotion = next((folder / "ck" / "Emotion").rglob("*.txt")).relative_to(folder).as_posix()
    samples = [(name, text.encode(), "csv") for name, text in texts.items()]
    return [*samples, (emotion, (folder / emotion).read_bytes(), "text")], dict(_content(folder))


def _challenge(folder: Path) -> Iterator[File]:
    events = {
        "s15/0401": [Event("macro", 99, 120, 189), Event("micro", 9, 12, 18, label="surprise")],
        "s16/0502": [Event("micro", 30, None, 36, label="disgust")],
    }
    for form in FORMS:
        path = folder / f"{form}.csv"
        write_megc(path, events, form=form)
        yield path.name, path.read_bytes(), "csv"
