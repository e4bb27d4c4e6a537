"""What annotation sheets write about action units."""

import csv

import pytest

from htnet.core.errors import InputError
from htnet.core.facs import ACTION_UNITS, DESCRIPTORS
from htnet.data import ActionDescriptor, ActionUnit, parse_action_units, parse_annotation
from htnet.data.facs_cells import keep_readable
from tests.support.paths import SHARED, needs_shared

AU, AD = ActionUnit, ActionDescriptor


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
        # MMEW
        ("12L", [[AU(12, "left")]]),
        ("4R+7", [[AU(4, "right")], [AU(7)]]),
        ("20l", [[AU(20, "left")]]),
        ("L12B", [[AU(12, "left", "B")]]),
        ("12LB", [[AU(12, "left", "B")]]),
        ("12bl", [[AU(12, "left", "B")]]),
        ("12 (L)", [[AU(12, "left")]]),
        # 4DME
        ("AU4", [[AU(4)]]),
        ("au12L + AU 04", [[AU(12, "left")], [AU(4)]]),
        ("AU4(k)+AU7", [[AU(4, mark="k")], [AU(7)]]),
        ("(k)", []),
        # SAMM Long Videos, edition 2
        ("4(B/C)+7B", [[AU(4, None, "BC")], [AU(7, None, "B")]]),
        ("12(B/C)+17B+(23/24) ", [[AU(12, None, "BC")], [AU(17, None, "B")], [AU(23), AU(24)]]),
        ("A(4B/C)+5B", [[AU(4, None, "BC")], [AU(5, None, "B")]]),
        ("(L/A)12(B/A)", [[AU(12, None, "BA")]]),
        ("R(12or14)B", [[AU(12, "right", "B"), AU(14, "right", "B")]]),
        ("6C/D+ref(7)12E", [[AU(6, None, "CD")], [AU(7)], [AU(12, None, "E")]]),
        ("9A ref (L12 or L10)", [[AU(9, None, "A")], [AU(12, "left"), AU(10, "left")]]),
        ("12B ?", [[AU(12, None, "B", "?")]]),
        ("4+glare", [[AU(4)]]),
        ("Ref(14)", [[AU(14)]]),
        # CAS(ME)^2 and CAS(ME)^3
        ("4,24,6+12+15", [[AU(4)], [AU(24)], [AU(6)], [AU(12)], [AU(15)]]),
        ("14or23", [[AU(14), AU(23)]]),
        ("1+2+25,24", [[AU(1)], [AU(2)], [AU(25)], [AU(24)]]),
        # other separators and signs
        ("4;7", [[AU(4)], [AU(7)]]),
        ("4 7", [[AU(4)], [AU(7)]]),
        ("12B 14", [[AU(12, None, "B")], [AU(14)]]),
        ("12 B14", [[AU(12)], [AU(14)]]),  # B before a number is the bottom lip
        ("4\nL10", [[AU(4)], [AU(10, "left")]]),
        ("4 and 7 & 9", [[AU(4)], [AU(7)], [AU(9)]]),
        ("\uff14\uff0b\u00a0\uff2c\uff11\uff10", [[AU(4)], [AU(10, "left")]]),  # full-width signs
        ("12A/L14", [[AU(12, None, "A"), AU(14, "left")]]),
        # an intensity E is no exponent
        ("2E+1", [[AU(2, None, "E")], [AU(1)]]),
        ("4e+12", [[AU(4, None, "E")], [AU(12)]]),
        ("43E", [[AU(43, None, "E")]]),
        ("12.0", [[AU(12)]]),
        ("", []),
        ("  ", []),
    ],
)
def test_units(text, expected):
    assert [list(term) for term in parse_action_units(text)] == expected


@pytest.mark.parametrize(
    ("text", "units", "others"),
    [
        ("AD31", [], [[AD(31, "action")]]),
        ("AD38+4", [[AU(4)]], [[AD(38, "action")]]),
        ("ad39", [], [[AD(39, "action")]]),
        ("38", [[AU(38)]], []),
        ("M57+M58", [], [[AD(57, "head")], [AD(58, "head")]]),
        ("M60", [], [[AD(60, "head")]]),
        ("26+ADR30", [[AU(26)]], [[AD(30, "action", "right")]]),
        ("L12 + 61", [[AU(12, "left")]], [[AD(61, "eyes")]]),
        ("7B+56", [[AU(7, None, "B")]], [[AD(56, "head")]]),
        ("24 or 31 or 80", [[AU(24), AU(31)]], [[AD(80, "behavior")]]),
        ("74", [], [[AD(74, "visibility")]]),
        ("(17 or 19)", [[AU(17)]], [[AD(19, "action")]]),
        ("26+((8+25)or(50))", [[AU(26)], [AU(8), AU(25)]], [[AD(50, "action")]]),
    ],
)
def test_descriptors_and_movements_are_kept_apart(text, units, others):
    found = parse_annotation(text)
    assert found.annotated
    assert [list(term) for term in found.units] == units
    assert [list(term) for term in found.descriptors] == others


@pytest.mark.parametrize("text", ["", " ", "?", "-", "/", "NULL", "null", "nan", "N/A", "\u2014"])
def test_not_annotated(text):
    assert not parse_annotation(text).annotated
    assert keep_readable(text, "cell A1", "x") == ("", ())


def test_none_seen_is_not_the_same_as_not_annotated():
    found = parse_annotation("None")
    assert found.annotated
    assert found.units == found.descriptors == ()
    assert keep_readable("None ", "cell A1", "x") == ("None", ())


def test_only_codes_of_facs_pass():
    known = ACTION_UNITS.union(*DESCRIPTORS.values())
    for number in range(100):
        if number in known:
            assert parse_annotation(str(number)).annotated
            assert bool(parse_action_units(str(number))) == (number in ACTION_UNITS)
        else:
            with pytest.raises(InputError, match=rf"has {number}, and FACS has no such code"):
                parse_annotation(str(number))
    assert not known & {0, 3, 59, 60, 99}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *((text, "action units") for text in ("4+", "X4", "4F", "(4+7", "4)+7", "4 or", "ref 7", "+", "()", "4++7")),
        *((text, "action units") for text in ("4-7", "Chewing", "7D+all of the above", "#NAME?", "L12R", "LR12")),
        ("7A/B+L10A/B)+ref(11)", r"from '\)\+REF"),
        ("AD4", "AD4, and FACS has no such code"),
        ("M12", "M12, and FACS has no such code"),
        ("4+60", "60, and FACS has no such code"),
        ("2.00E+01", "a number that a spreadsheet .*as text"),
        ("2E+01", "a number that a spreadsheet"),
        ("4000000000000", "a number that a spreadsheet"),
        ("20.0", "a number that a spreadsheet"),
        ("4.7", "a number that a spreadsheet"),
        ("123", "a number that a spreadsheet"),
        ("2026-04-07 00:00:00", "a date or time"),
        ("(" * 20 + "4" + ")" * 20, "too many nested brackets"),
        ("4+" * 400 + "4", "801 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_and_listed(text, says):
    with pytest.raises(InputError, match=says):
        parse_annotation(text)
    kept, (note,) = keep_readable(text, "sheet.csv, cell H12", "sub01_EP01")
    assert kept == ""
    assert note.startswith("sheet.csv, cell H12: the action units of sample 'sub01_EP01' are left out. ")
    assert len(note) < 450


@needs_shared
@pytest.mark.parametrize(
    ("file", "column", "count"),
    [
        ("composite/casme_class2_for_optical_flow.csv", "Action Units", 145),
        ("composite/samm_class2_for_optical_flow.csv", "Action Units", 133),
        ("casme3/cas(me)3_part_A_edited.csv", "AU", 687),
    ],
)
def test_every_cell_of_the_real_sheets_is_read(file, column, count):
    with (SHARED / "data" / file).open(encoding="utf-8-sig", newline="") as lines:
        cells = [row[column] for row in csv.DictReader(lines)]
    assert len(cells) == count
    assert all(parse_action_units(cell) or parse_annotation(cell).descriptors for cell in cells)
