"""Readers of CSV files, for tests/core/test_csv_files.py."""

from htnet.core.errors import ManifestError
from htnet.palsy import read_palsy
from tests.palsy.faces import write_ck_plus


def palsy_table(path):
    for name in ("P1_0.png", "P2_0.png"):
        (path.parent / name).touch()
    return read_palsy(path, classes=6)


def grade_map(path):
    write_ck_plus(path.parent, {"S001/001": (2, None), "S002/001": (2, None)})
    return read_palsy(path.parent, classes=6, grade_map=path)


#: name: (rows, reader, error it raises, file name)
READERS = {
    "palsy table": (
        lambda: [["image_path", "grade", "patient"], ["P1_0.png", "I", "P1"], ["P2_0.png", "VI", "P2"]],
        palsy_table, ManifestError, "faces.csv",
    ),
    "grade map": (
        lambda: [["sequence", "grade"], ["S001/001", "I"], ["S002/001", "IV"]], grade_map, ManifestError, "g.csv",
    ),
}  # fmt: skip
#: Header and row of a table that a door must know, and its kind.
TABLES = {"grades": (["image_path", "grade"], ["a.png", "1"])}
