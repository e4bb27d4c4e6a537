"""Expressions in long recordings."""

import re

import pytest

from htnet.core.errors import ManifestError
from htnet.core.official import LONG_SETS
from htnet.data import (
    RECORDINGS,
    Interval,
    parse_annotation,
    read_annotated_recordings,
    read_dataset,
    read_intervals,
)
from htnet.metrics import evaluate_spotting
from htnet.types import Event
from tests.data import official

SAMM_LV = [("006_1_1", 566, 648, 743, "Macro", "4(B/C)+7B"), ("006_1_2", 3562, 3588, 3632, "Micro - 1/2", "4+7"),
           ("010_1_3", 89, -1, 209, "Macro", "7A"), ("011_6_10", 0, 3323, 4123, "Macro", "6C+12E"),
           ("037_4_1", 1488, 1529, 1577, "Micro - 1/2", "24"),
           ("037_4_1", 1487, 1542, 1605, "Macro", "Chewing")]  # fmt: skip
SQUARE = [(1, "disgust1_1", 11, 14, 18, "negative"), (1, "anger1_1", 11, 24, 90, "Negative", "macro"),
          (2, "happy1_3", 40, 44, 0, "positive", "macro"), (2, "happy1_4", 70, 0, 80, "others", "macro"),
          (2, "happy1_12", 340, 345, 344, "surprise", "macro"),
          (2, "happy1_13", 440, 445, 344, "surprise", "macro")]  # fmt: skip
PART_C = [(1, 1, 373, 380, "4,7", "negative"), (1, 2, 500, 509, "12", "positive"), (31, 1, 5, 9, "?", "surprise")]
PART_A = [("spNO.1", "a", 40, 46, 52, "4+7", "Micro-expression", 3),
          ("spNO.1", "A", 100, 130, 190, "12", "Macro-expression", 1),
          ("spNO.216", "d", 3647, 2668, 2694, "4", "Micro-expression", 2),
          ("spNO.216", "e", 0, 5, 9, "4", "Micro-expression", 2)]  # fmt: skip
BUILDERS = {
    "casme3a": (official.casme3a, PART_A),
    "samm_lv": (official.samm_lv, SAMM_LV),
    "casme_sq": (official.casme_sq, SQUARE),
    "casme3c": (official.casme3c, PART_C),
}


def spans(found):
    return [(i.recording, i.subject, i.kind, i.onset, i.apex, i.offset, i.label, i.action_units) for i in found]


def test_samm_long_videos(tmp_path):
    official.samm_lv(tmp_path, SAMM_LV)
    found = read_intervals("samm_lv", tmp_path)
    assert spans(found) == [
        ("006_1", "006", "macro", 566, 648, 743, "", "4(B/C)+7B"),
        ("006_1", "006", "micro", 3562, 3588, 3632, "", "4+7"),
        ("010_1", "010", "macro", 89, None, 209, "", "7A"),
        ("037_4", "037", "micro", 1488, 1529, 1577, "", "24"),
        ("037_4", "037", "macro", 1487, 1542, 1605, "", ""),
    ]
    assert found.excluded == (("011_6_10", "onset 0, but frames are counted from 1"),)
    assert list(found.recordings) == ["006_1", "010_1", "011_6", "037_4"]
    assert found.recordings["006_1"] == tmp_path / "SAMM_longvideos" / "006_1"
    assert len(found.of("037_4")) == 2
    assert re.search("cell I16: the action units of sample '037_4_1' are left out", found.notes[0])
    assert re.search("has 2 micro- and 4 macro-expressions, but .* published with 159 and 343", found.notes[1])
    assert "1 expressions are left out: 011_6_10 (onset 0" in found.notes[2]


@pytest.mark.parametrize("naming", [True, False])
def test_casme_sq(tmp_path, naming):
    official.casme_sq(tmp_path, SQUARE, naming=naming)
    found = read_intervals("casme_sq", tmp_path)
    assert spans(found) == [
        ("s15/0101", "s15", "micro", 11, 14, 18, "negative", "4+7"),
        ("s15/0401", "s15", "macro", 11, 24, 90, "negative", "4+7"),
        ("s16/0502", "s16", "macro", 40, 44, None, "positive", "4+7"),
        ("s16/0502", "s16", "macro", 70, None, 80, "others", "4+7"),
        ("s16/0502", "s16", "macro", 340, 345, 344, "surprise", "4+7"),
    ]
    assert found.excluded == (("happy1_13", "offset 344 before the onset 440"),)
    assert "the apex 345 of happy1_12 (s16/0502) is outside 340 to 344" in found.notes[0]
    assert list(found.recordings) == ["s15/0101", "s15/0401", "s16/0502"]


def test_casme3_part_c(tmp_path):
    official.casme3c(tmp_path, PART_C)
    found = read_intervals("casme3c", tmp_path)
    assert spans(found) == [
        ("01", "01", "micro", 373, None, 380, "negative", "4,7"),
        ("01", "01", "micro", 500, None, 509, "positive", "12"),
        ("31", "31", "micro", 5, None, 9, "surprise", ""),
    ]
    assert {folder.name for folder in found.recordings.values()} == {"color"}
    assert "states no kinds: according to the median length of its rows they are micro-expressions" in found.notes[0]
    assert len(parse_annotation(found.intervals[0].action_units).units) == 2


def test_casme3_part_a_of_one_sheet(tmp_path):
    official.casme3a(tmp_path, PART_A)
    found = read_intervals("casme3a", tmp_path)
    assert spans(found) == [
        ("spNO.1/a", "spNO.1", "micro", 40, 46, 52, "", "4+7"),
        ("spNO.1/a", "spNO.1", "macro", 100, 130, 190, "", "12"),
        ("spNO.216/d", "spNO.216", "micro", 2647, 2668, 2694, "", "4"),
    ]
    assert found.excluded == (("e", "onset 0, but frames are counted from 1"),)
    assert list(found.recordings) == ["spNO.1/a", "spNO.216/d", "spNO.216/e"]
    assert {folder.name for folder in found.recordings.values()} == {"color"}
    assert "onset 2647 instead of 3647" in found.notes[0]


def test_casme3_part_a_of_a_sheet_for_each_kind(tmp_path):
    micro = [("spNO.1", "a", 40 + k, 46, 52, "4+7", 3, "disgust") for k in range(2)]
    macro = [("spNO.1", "b", 100 + k, 130, 190, "happy") for k in range(2)]
    official.casme3a(tmp_path, micro, "cas(me)3_part_A_ME_label_JpgIndex_v2.csv", official.PART_A_MICRO)
    official.casme3a(tmp_path, macro, "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.csv", official.PART_A_MACRO)
    found = read_intervals("casme3a", tmp_path)
    assert [(i.recording, i.kind, i.onset, i.label) for i in found] == [
        ("spNO.1/a", "micro", 40, "disgust"), ("spNO.1/a", "micro", 41, "disgust"),
        ("spNO.1/b", "macro", 100, "happy"), ("spNO.1/b", "macro", 101, "happy"),
    ]  # fmt: skip
    # The sheet of both kinds comes first; emotions are taken from the others.
    both = [(*row[:6], "Micro-expression", 3) for row in micro] + [("spNO.1", "c", 1, 2, 60, "", "Macro-expression", 1)]
    official.casme3a(tmp_path, both)
    found = read_intervals("casme3a", tmp_path)
    assert [(i.recording, i.kind, i.label) for i in found] == [
        ("spNO.1/a", "micro", "disgust"), ("spNO.1/a", "micro", "disgust"), ("spNO.1/c", "macro", ""),
    ]  # fmt: skip
    official.casme3a(tmp_path, both, "CAS(ME)3_part_A_v1.csv")
    with pytest.raises(ManifestError, match=r"several sheets of macro-expressions .*Give one as annotation"):
        read_intervals("casme3a", tmp_path)
    assert len(read_intervals("casme3a", tmp_path, annotation=tmp_path / "annotation/CAS(ME)3_part_A_v1.csv")) == 3


def test_recordings_to_score(tmp_path):
    official.casme_sq(tmp_path, SQUARE)
    found = read_annotated_recordings("casme_sq", tmp_path)
    by_name = {recording.name: recording for recording in found.recordings}
    third = by_name["s16/0502"]
    assert [(e.kind, e.onset, e.apex, e.offset, e.label) for e in third.events] == [
        ("macro", 70, None, 80, "others"), ("macro", 340, None, 344, "surprise"),
    ]  # fmt: skip
    assert [(u.number, u.subject_left, u.subject_right) for u in third.events[0].action_units] == [
        (4, 1.0, 1.0), (7, 1.0, 1.0),
    ]  # fmt: skip
    assert (third.subject, third.fps, third.dataset) == ("s16", 30.0, "casme_sq")
    assert third.numbers[:2] == (40, 42)
    assert third.frames == len(third.numbers)
    assert "happy1_3 (s16/0502) has no offset and is not scored." in found.notes
    assert by_name.keys() == {"s15/0101", "s15/0401", "s16/0502"}


def test_recordings_without_expressions_are_scored_too(tmp_path):
    official.samm_lv(tmp_path, SAMM_LV)
    official.frames(tmp_path / "SAMM_longvideos" / "099_2", "099_2_{:04d}.jpg", [1, 2, 3])
    found = {r.name: r for r in read_annotated_recordings("samm_lv", tmp_path).recordings}
    assert (found["099_2"].events, found["099_2"].subject, found["099_2"].fps) == ((), "099", 200.0)
    assert found["099_2"].minutes == pytest.approx(3 / 200 / 60)
    scores = evaluate_spotting(found.values(), {"099_2": [Event("micro", 1, 2, 3)]})
    assert (scores.micro.counts.fp, scores.micro.counts.fn, scores.macro.counts.fn) == (1, 2, 3)
    assert scores.micro.false_per_minute == pytest.approx(1 / scores.minutes)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_without_frames_are_named(tmp_path, name):
    make, rows = BUILDERS[name]
    sheet = make(tmp_path, rows)
    whole = read_intervals(name, tmp_path)
    lost = whole.intervals[0].recording
    whole.recordings[lost].rename(tmp_path / "elsewhere")
    found = read_intervals(name, tmp_path, annotation=sheet)
    assert found.intervals == whole.intervals
    assert found.missing == (lost,)
    assert found.source == str(sheet)
    with pytest.raises(ManifestError, match="does not exist"):
        read_intervals(name, tmp_path / "nowhere" / "at" / "all")


def test_names_and_impossible_intervals(tmp_path):
    with pytest.raises(ManifestError, match=r"no reader of recordings for 'sam_lv'. Did you mean 'samm_lv'"):
        read_intervals("sam_lv", tmp_path)
    with pytest.raises(ManifestError, match="read them with htnet.data.read_intervals"):
        read_dataset("samm_lv", tmp_path)
    with pytest.raises(ManifestError, match="ends at frame 4, before its onset 5"):
        Interval("r", "s", "micro", 5, None, 4)
    with pytest.raises(ManifestError, match="'big'. Known: micro, macro"):
        Interval("r", "s", "big", 5)


def test_rows_that_are_none_of_casme_sq(tmp_path):
    sheet = tmp_path / "CAS(ME)^2code_final.csv"
    row = "1,anger1_1,557,572,608,4+10,negative,macro-expression,anger\n"
    (tmp_path / "rawpic/s15/15_0401girlcrashing").mkdir(parents=True)
    for text, says in (
        (row + row + "1,anger1_2,1,2,3,4,negative,,x\n", "row 3 does not contain participant"),
        ("a,b\n", "has no rows of participant"),
        (row.replace("anger1_1", "joy9_1"), "participant 1 or stimulus 'joy9' is unknown"),
        (row.replace("1,anger", "99,anger"), "participant 99 or stimulus"),
    ):
        sheet.write_text(text)
        with pytest.raises(ManifestError, match=says):
            read_intervals("casme_sq", tmp_path)
    sheet.write_text("participant,expression,onset,apex,offset,AUs,emotion,kind,self\n" + row)
    assert len(read_intervals("casme_sq", tmp_path)) == 1


def test_sets_of_clips_and_of_recordings_are_told_apart():
    assert set(LONG_SETS) == set(RECORDINGS)
    for name, key in (
        ("samm_lv", "samm_lv"),
        ("SAMM-LV", "samm_lv"),
        ("SAMM Long Videos", "samm_lv"),
        ("casme3c", "casme3c"),
        ("CASME3A", "casme3a"),
        ("CAS(ME)^3 part C", "casme3c"),
    ):
        with pytest.raises(ManifestError, match=rf"set of long recordings.*--dataset {key}, .*'{key}'"):
            read_dataset(name, "root")
    with pytest.raises(ManifestError, match="'casme3'"):
        read_dataset("casme3a", "root")
    for name, key in (("samm", "samm"), ("SAMM", "samm"), ("smic", "smic"), ("CASME2", "casme2")):
        with pytest.raises(ManifestError, match=rf"clips of one expression each.*read_dataset\('{key}'"):
            read_intervals(name, "root")
    # As in papers: these are two sets.
    for name, meant in (
        ("CASME2", "casme2"),
        ("CASME II", "casme2"),
        ("CAS(ME)^2", "casme_sq"),
        ("CAS(ME)2", "casme_sq"),
    ):
        with pytest.raises(ManifestError, match=rf"Did you mean '{meant}'"):
            read_dataset(name, "root")
