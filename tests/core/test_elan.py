"""Files of ELAN, opened again by another library."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from htnet.core.elan import write_elan
from htnet.core.facs import UnitPrediction
from htnet.errors import InputError, OverwriteError
from htnet.types import Event

UNITS = (UnitPrediction(12, 0.9, 0.2), UnitPrediction(1, 0.8, 0.7), UnitPrediction(4, 0.1, 0.1))
EVENTS = (
    Event("macro", 50, 60, 90, 2.0, 2.4, 3.6, 0.9, "positive"),
    Event("micro", 10, 12, 20, 0.4, 0.48, 0.8, 0.8, "surprise", action_units=UNITS),
    Event("blink", 15, None, 19, 0.6, None, 0.76, 0.5),
    Event("blink", 100, None, 104, 4.0, None, 4.16),
)


def opened(path):
    elan = pytest.importorskip("pympi", reason="part of the extra dev")
    found = elan.Eaf(str(path))
    return found, {name: found.get_annotation_data_for_tier(name) for name in found.get_tier_names()}


def test_another_library_reads_what_was_written(tmp_path):
    path = tmp_path / "a.eaf"
    write_elan(path, EVENTS, tmp_path / "videos" / "my video é.mp4")
    found, tiers = opened(path)
    assert tiers == {
        "micro": [(400, 800, "surprise 0.80")],
        "macro": [(2000, 3600, "positive 0.90")],
        "blink": [(600, 760, "0.50"), (4000, 4160, "blink")],
        "head": [],
        "speech": [],
        "AU1 subject_left": [(400, 800, "0.80")],
        "AU1 subject_right": [(400, 800, "0.70")],
        "AU12 subject_left": [(400, 800, "0.90")],
    }
    (media,) = found.get_linked_files()
    assert media["RELATIVE_MEDIA_URL"] == "./videos/my video é.mp4"
    assert media["MEDIA_URL"] == f"file://{tmp_path}/videos/my video é.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


def test_the_offset_of_a_video_whose_sound_begins_first(tmp_path):
    for start, expected in ((0.0, None), (0.0004, None), (0.8, "800"), (0.0213, "21")):
        write_elan(tmp_path / "a.eaf", EVENTS, tmp_path / "a.mp4", media_start=start, overwrite=True)
        media = ElementTree.parse(tmp_path / "a.eaf").find("HEADER/MEDIA_DESCRIPTOR")
        assert media.get("TIME_ORIGIN") == expected
        assert opened(tmp_path / "a.eaf")[1]["macro"] == [(2000, 3600, "positive 0.90")]
    for wrong in (-0.1, float("nan"), "1"):
        with pytest.raises(InputError, match="media_start is"):
            write_elan(tmp_path / "b.eaf", EVENTS, media_start=wrong)


def test_a_folder_of_frames_gets_no_link(tmp_path):
    (tmp_path / "frames").mkdir()
    write_elan(tmp_path / "a.eaf", EVENTS, tmp_path / "frames")
    assert ElementTree.parse(tmp_path / "a.eaf").find("HEADER/MEDIA_DESCRIPTOR") is None


def test_slots_are_sorted_and_no_two_annotations_share_one(tmp_path):
    path = tmp_path / "a.eaf"
    write_elan(path, [*EVENTS, *(Event("head", 40 * k, None, 40 * k + 30) for k in range(9))], fps=25)
    root = ElementTree.parse(path).getroot()
    assert [child.tag for child in root] == [
        "HEADER", "TIME_ORDER", *["TIER"] * 8, "LINGUISTIC_TYPE", *["CONSTRAINT"] * 4
    ]  # fmt: skip
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    marks = list(root.iter("ALIGNABLE_ANNOTATION"))
    used = [mark.get(f"TIME_SLOT_REF{k}") for mark in marks for k in (1, 2)]
    assert sorted(used) == sorted(slots)
    assert len({mark.get("ANNOTATION_ID") for mark in marks}) == len(marks)
    assert all(slots[mark.get("TIME_SLOT_REF1")] < slots[mark.get("TIME_SLOT_REF2")] for mark in marks)
    assert root.find("HEADER/PROPERTY").text == str(len(marks))
    types = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} == types


def test_events_that_overlap_are_in_tiers_of_their_own(tmp_path):
    path = tmp_path / "a.eaf"
    spans = [(0, 100), (10, 20), (20, 30), (15, 40), (100, 120)]
    write_elan(path, [Event("macro", a, None, b) for a, b in spans], fps=10)
    _, tiers = opened(path)
    rows = {name: [(a, b) for a, b, _ in marks] for name, marks in tiers.items() if name.startswith("macro")}
    assert rows == {
        "macro": [(0, 10000), (10000, 12000)],
        "macro #2": [(1000, 2000), (2000, 3000)],
        "macro #3": [(1500, 4000)],
    }


def test_faces_have_tiers_of_their_own(tmp_path):
    path = tmp_path / "a.eaf"
    write_elan(path, [Event("blink", 0, None, 5, track=1), Event("blink", 2, None, 6, track=2)], fps=10)
    _, tiers = opened(path)
    assert {name: len(marks) for name, marks in tiers.items() if "blink" in name} == {
        "blink (face 1)": 1, "blink (face 2)": 1
    }  # fmt: skip
    people = [tier.get("PARTICIPANT") for tier in ElementTree.parse(path).iter("TIER")]
    assert people == ["face 1"] * 5 + ["face 2"] * 5


def test_whole_milliseconds(tmp_path):
    path = tmp_path / "a.eaf"
    write_elan(path, [Event("micro", np.int64(1), None, np.int64(5)), Event("micro", 9, None, 9)], fps=29.97)
    _, tiers = opened(path)
    assert [mark[:2] for mark in tiers["micro"]] == [(33, 167), (300, 301)]


def test_signs_that_xml_cannot_hold(tmp_path):
    path = tmp_path / "a.eaf"
    write_elan(path, [Event("micro", 1, None, 5, label="a\x00<b>&")], fps=10)
    _, tiers = opened(path)
    assert tiers["micro"][0][2] == "a\ufffd<b>&"
    if sys.platform != "win32":
        with pytest.raises(InputError, match="contains characters that an ELAN file cannot"):
            write_elan(tmp_path / "b.eaf", [], tmp_path / "a\x07.mp4")


def test_times_must_be_known_and_nothing_is_overwritten(tmp_path):
    path = tmp_path / "a.eaf"
    with pytest.raises(InputError, match=r"event at frame 3 has no time, .*fps"):
        write_elan(path, [Event("micro", 3, None, 5)])
    with pytest.raises(InputError, match="begins at -0.3 s, before the recording"):
        write_elan(path, [Event("micro", 3, None, 5, -0.3, None, 0.2)])
    assert not path.exists()
    write_elan(path, [])
    assert opened(path)[1] == {name: [] for name in ("micro", "macro", "blink", "head", "speech")}
    with pytest.raises(OverwriteError):
        write_elan(path, [])
    write_elan(path, EVENTS, overwrite=True)


def test_what_pympi_writes_is_out_of_order(tmp_path):
    """Why htnet writes the file itself."""
    elan = pytest.importorskip("pympi", reason="part of the extra dev")
    file = elan.Eaf()
    file.add_tier("micro")
    file.add_annotation("micro", 500, 600)
    file.add_annotation("micro", 100, 200)
    with pytest.raises(Exception, match="Timeslots|integer|int"):
        file.add_annotation("micro", 1.5, 2.5)
    file.to_file(str(tmp_path / "a.eaf"))
    values = [int(slot.get("TIME_VALUE")) for slot in ElementTree.parse(tmp_path / "a.eaf").iter("TIME_SLOT")]
    assert values != sorted(values)
