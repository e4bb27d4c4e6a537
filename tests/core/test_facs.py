"""Names of action units, against the manual's list written down a second time."""

import pytest

from htnet.core.facs import ACTION_UNIT_NAMES, ACTION_UNITS, UnitPrediction
from htnet.synthesis import ACTION_UNITS as GENERATED

#: Ekman, Friesen and Hager, "Facial Action Coding System", 2002, by the words of each name.
MANUAL = """
1 inner brow raiser / 2 outer brow raiser / 4 brow lowerer / 5 upper lid raiser / 6 cheek raiser / 7 lid tightener /
9 nose wrinkler / 10 upper lip raiser / 12 lip corner puller / 14 dimpler / 15 lip corner depressor / 17 chin raiser /
20 lip stretcher / 24 lip pressor / 25 lips part
"""


def test_units_have_the_names_of_the_manual():
    entries = (entry.split(maxsplit=1) for entry in MANUAL.replace("\n", " ").split("/"))
    assert dict(ACTION_UNIT_NAMES) == {int(number): name.strip() for number, name in entries}
    assert set(ACTION_UNIT_NAMES) <= ACTION_UNITS


def test_what_models_score_has_a_name():
    assert set(GENERATED) <= set(ACTION_UNIT_NAMES)
    assert UnitPrediction(12, 0.9, 0.1).name == "lip corner puller"
    assert UnitPrediction(43, 0.9, 0.1).name == "action unit 43"


@pytest.mark.parametrize(("number", "unit"), [(0, False), (3, False), (19, False), (28, True), (46, True), (47, False)])
def test_codes_that_are_units(number, unit):
    assert (number in ACTION_UNITS) == unit
