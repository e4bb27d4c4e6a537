import numpy as np
import pytest

from htnet.data import (
    REGION_UNITS,
    ActionUnit,
    active_regions,
    au_cooccurrence,
    parse_action_units,
    read_action_units,
    read_composite,
)
from htnet.errors import InputError, ManifestError
from tests.support.paths import COMPOSITE, needs_shared

AU = ActionUnit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4+7+L10", [[AU(4)], [AU(7)], [AU(10, "left")]]),
        ("R6A+R12", [[AU(6, "right", "A")], [AU(12, "right")]]),
        ("(R6 or R12)+R15", [[AU(6, "right"), AU(12, "right")], [AU(15, "right")]]),
        ("(R6 or R12) + R15", [[AU(6, "right"), AU(12, "right")], [AU(15, "right")]]),
        ("ref(7B)+43", [[AU(7, None, "B")], [AU(43)]]),
        ("7B+ ref(43)", [[AU(7, None, "B")], [AU(43)]]),
        ("5B+24", [[AU(5, None, "B")], [AU(24)]]),
        ("R14A or 17A or 24A", [[AU(14, "right", "A"), AU(17, None, "A"), AU(24, None, "A")]]),
        ("10A/B", [[AU(10, None, "AB")]]),
        ("A/L12", [[AU(12)]]),  # asymmetric or left: the side is not told
        ("A9E+ref(10)", [[AU(9, None, "E")], [AU(10)]]),
        ("T23", [[AU(23)]]),
        ("R14+17+soft focus", [[AU(14, "right")], [AU(17)]]),
        ("12+15 ", [[AU(12)], [AU(15)]]),
        ("ref((L1 or R2))", [[AU(1, "left"), AU(2, "right")]]),
        ("", []),
        ("  ", []),
    ],
)
def test_parsing(text, expected):
    assert [list(term) for term in parse_action_units(text)] == expected


@pytest.mark.parametrize(
    "text", ["4+", "4,7", "X4", "4F", "(4+7", "4)+7", "4 7", "123", "4 or", "ref 7", "(4+7) or 9", "+", "()", "4++7"]
)
def test_what_is_no_unit_is_refused(text):
    with pytest.raises(InputError, match="action units"):
        parse_action_units(text)


def test_sides_are_the_subjects():
    names = list(REGION_UNITS)

    def moved(text):
        return [name for name, moves in zip(names, active_regions(text), strict=True) if moves]

    assert moved("L1") == ["right_brow"]  # the subject's left is the image's right
    assert moved("R1+L7") == ["left_brow", "right_eye"]
    assert moved("4+6") == ["left_brow", "right_brow", "left_eye", "right_eye"]
    assert moved("L10") == ["outer_lip"]
    assert moved("A1") == ["left_brow", "right_brow"]
    assert moved("9 or 25") == ["nose", "outer_lip"]
    assert moved("12+17") == []


def test_cooccurrence_by_hand():
    """Five annotations; counts: brows 3 left, 2 right; eyes 2 each; nose 1; lip 2."""
    texts = ["4+7+L10", "R1+9", "1+2", "5B+24", "25"]
    table = [  # left brow, right brow, left eye, right eye, nose, lip
        [1, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert np.array_equal([active_regions(text) for text in texts], np.array(table, dtype=bool))
    expected = [
        [1, 2 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3],
        [1, 1, 1 / 2, 1 / 2, 0, 1 / 2],
        [1 / 2, 1 / 2, 1, 1, 0, 1 / 2],
        [1 / 2, 1 / 2, 1, 1, 0, 1 / 2],
        [1, 0, 0, 0, 1, 0],
        [1 / 2, 1 / 2, 1 / 2, 1 / 2, 0, 1],
    ]
    np.testing.assert_allclose(au_cooccurrence(texts), expected)


def test_regions_that_never_move_have_rows_of_zeros():
    found = au_cooccurrence(["12", "R9"])
    assert found[4].tolist() == [0, 0, 0, 0, 1, 0]
    assert found.sum() == 1
    assert np.array_equal(au_cooccurrence([]), np.zeros((6, 6)))


def test_sheets(tmp_path):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("sub,filename_o,Action Units\n006,006_1_2,4+7\n007,x,L12 + 61\n")
    assert read_action_units(sheet) == {"006_006_1_2": "4+7", "007_x": "L12 + 61"}
    with pytest.raises(ManifestError, match="'AU'"):
        read_action_units(sheet, column="AU")
    sheet.write_text("sub,filename_o,Action Units\n006,006_1_2,4-7\n")
    with pytest.raises(InputError, match="'006_006_1_2'.*'4-7'"):
        read_action_units(sheet)


@needs_shared
@pytest.mark.parametrize(("name", "dataset", "count"), [("casme", "casme2", 145), ("samm", "samm", 133)])
def test_real_sheets(name, dataset, count):
    found = read_action_units(COMPOSITE / f"{name}_class2_for_optical_flow.csv")
    assert len(found) == count
    assert set(found) == {s.sample for s in read_composite(COMPOSITE) if s.dataset == dataset}
    matrix = au_cooccurrence(found.values())
    assert np.array_equal(np.diag(matrix), np.ones(6))
    assert matrix.min() >= 0
    assert matrix.max() <= 1
