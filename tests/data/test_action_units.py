import numpy as np
import pytest

from htnet.core.errors import ManifestError
from htnet.data import (
    REGION_UNITS,
    Sample,
    active_regions,
    au_cooccurrence,
    read_action_units,
    read_composite,
    training_cooccurrence,
)
from tests.support.paths import COMPOSITE, needs_shared


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
    sheet.write_text("sub,filename_o,Action Units\n006,006_1_2,4+7\n007,x,L12 + 61\n008,y,?\n")
    assert read_action_units(sheet) == {"006_006_1_2": "4+7", "007_x": "L12 + 61", "008_y": ""}
    with pytest.raises(ManifestError, match="'AU'"):
        read_action_units(sheet, column="AU")
    sheet.write_text("sub,filename_o,Action Units\n006,006_1_2,4-7\n007,x,12\n")
    with pytest.warns(UserWarning, match=r"sheet.csv, cell C2: .*'006_006_1_2' are left out.*'4-7'"):
        assert read_action_units(sheet) == {"006_006_1_2": "", "007_x": "12"}


def test_samples_whose_units_cannot_be_read_are_left_out_of_the_count():
    samples = [Sample(name, action_units=text) for name, text in (("a", "4+60"), ("b", "AU1+AU9"), ("c", "?"))]
    with pytest.warns(UserWarning, match="'a' are left out"):
        assert np.array_equal(training_cooccurrence(samples), au_cooccurrence(["1+9"]))
    with pytest.warns(UserWarning, match="'a'"), pytest.raises(ManifestError, match="No training sample"):
        training_cooccurrence(samples[:1])


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
