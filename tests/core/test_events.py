import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from htnet.core.facs import UnitPrediction
from htnet.data import read_events, read_recordings
from htnet.errors import InputError
from htnet.export import write_elan, write_megc, write_recordings
from htnet.metrics import evaluate_spotting, recognize
from htnet.types import EVENT_KINDS, Event, Recording

FULL = Event(
    "micro", 30, 36, 42, 1.0, 1.2, 1.4, 0.75, "surprise", {"negative": 0.1, "surprise": 0.9},
    (UnitPrediction(1, 0.9, 0.2),), 2,
)  # fmt: skip


def test_an_event_survives_json():
    assert Event.from_dict(json.loads(json.dumps(FULL.to_dict()))) == FULL
    least = Event("blink", 3, None, 3)
    assert Event.from_dict(json.loads(json.dumps(least.to_dict()))) == least
    assert Event.from_dict({"kind": "blink", "onset_frame": 3, "offset_frame": 3}) == least


def test_both_ends_belong_to_an_event():
    assert FULL.frames == 13
    assert Event("head", 5, 5, 5).frames == 1


def test_numbers_of_numpy_become_whole_numbers():
    event = Event("macro", np.int64(1), np.int32(2), np.uint8(3))
    assert (type(event.onset), type(event.apex), type(event.offset)) == (int, int, int)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("mico", 1, 2, 3), "Did you mean 'micro'"),
        (("micro", 1.0, 2, 3), "onset of an event is 1.0"),
        (("micro", True, 2, 3), "onset of an event is True"),
        (("micro", 1, 2, None), "offset of an event is None"),
        (("micro", -1, None, 3), "onset of an event is -1; give a whole number, 0 or more"),
        (("micro", -5, -3, -1), "onset of an event is -5"),
        (("micro", 4, None, 3), "ends at frame 3, before its onset 4"),
        (("micro", 1, 4, 3), "apex 4 of an event lies outside 1 to 3"),
        (("micro", 1, 2, 3, 0.2, 0.1), "out of order"),
        (("micro", 1, 2, 3, float("nan")), "start of an event is nan; give a number"),
        (("micro", 1, 2, 3, None, None, None, 1.5), "confidence of an event is 1.5"),
    ],
)
def test_impossible_events_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Event(*values)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ([], "event 4 is"),
        ({"kind": "micro", "onset_frame": 1}, "event 4 lacks offset_frame"),
        ({"kind": "micro", "onset_frame": 5, "offset_frame": 1}, "event 4: An event ends at frame 1"),
        ({"kind": "micro", "onset_frame": 1, "offset_frame": 2, "probabilities": [1]}, "event 4: probabilities"),
        ({"kind": "micro", "onset_frame": 1, "offset_frame": 2, "action_units": [{"unit": 1}]}, "An action unit is"),
        ({"kind": "micro", "onset_frame": 1, "offset_frame": 2, "track": "a"}, "track of an event is 'a'"),
    ],
)
def test_entries_that_are_no_events_are_named(entry, message):
    with pytest.raises(InputError, match=message):
        Event.from_dict(entry, "event 4")


def test_kinds():
    assert EVENT_KINDS == ("micro", "macro", "blink", "head", "speech")


def test_units_are_named_where_an_expression_is():
    unsure = UnitPrediction(4, 0.3, 0.1)
    event = replace(FULL, action_units=(*FULL.action_units, unsure))
    assert event.shown_units == FULL.action_units
    assert replace(event, label="no expression").shown_units == ()


EVENT = Event("micro", 10, 12, 20)
#: What people give instead of several events, and the cure.
NOT_EVENTS = [
    (EVENT, "list of htnet.types.Event"),
    (None, "is None"),
    ("events.csv", "of type str"),
    ({"anna": [EVENT]}, "of type dict"),
    (Recording("anna", (EVENT,)), "its attribute 'events'"),
    ([(10, 20)], r"\[0\] is of type tuple; give htnet.types.Event\("),
    ([EVENT, EVENT.to_dict()], r"\[1\] is of type dict; give htnet.types.Event.from_dict"),
]


@pytest.mark.parametrize(("events", "message"), NOT_EVENTS)
def test_what_is_not_events_is_refused_wherever_events_are_taken(events, message, tmp_path):
    takers = [
        lambda: Recording("anna", events),
        lambda: write_elan(tmp_path / "a.eaf", events, fps=30),
        lambda: write_megc(tmp_path / "a.csv", {"anna": events}),
        lambda: evaluate_spotting([Recording("anna", (EVENT,))], {"anna": events}),
    ]
    for take in takers:
        with pytest.raises(InputError, match=message):
            take()
    assert not list(tmp_path.iterdir())


def test_events_by_name_must_be_a_mapping(tmp_path):
    recordings = [Recording("anna", (EVENT,), fps=30, frames=300)]
    table = tmp_path / "second_coder.csv"
    write_recordings(table, recordings)
    for given, cure in (
        (recordings, "recording.name: recording.events"),
        (None, "recording.name: recording.events"),
        (str(table), "recording.name: recording.events"),
        (read_recordings(table), "recording.name: recording.events"),
        (read_events(table), "its method 'of'"),
    ):
        with pytest.raises(InputError, match=cure):
            evaluate_spotting(recordings, given)
        with pytest.raises(InputError, match=cure):
            write_megc(tmp_path / "megc.csv", given)
    assert evaluate_spotting(recordings, read_events(table).of(recordings)).micro.counts.f1 == 1


def test_what_is_not_recordings_is_refused(tmp_path):
    recording = Recording("anna", (EVENT,))
    table = tmp_path / "coder.csv"
    write_recordings(table, [recording])
    for given, cure in (
        (recording, "list of htnet.types.Recording"),
        (None, "is None"),
        ({"anna": [EVENT]}, "of type dict"),
        (table, r"read_recordings\(path\).recordings"),
        (str(table), r"read_recordings\(path\).recordings"),
        (read_recordings(table), "its attribute 'recordings'"),
        ([EVENT], r"\[0\] is of type Event; give htnet.types.Recording"),
    ):
        with pytest.raises(InputError, match=cure):
            evaluate_spotting(given, {"anna": [EVENT]})
        with pytest.raises(InputError, match=cure):
            write_recordings(tmp_path / "again.csv", given)


def test_the_fields_of_a_recording():
    assert Recording("anna", [EVENT], "anna.mp4").events == (EVENT,)
    assert Recording("anna", [EVENT], "anna.mp4").path == Path("anna.mp4")
    for fields in ({"name": 3}, {"name": "anna", "subject": 3}, {"name": "anna", "dataset": np.int64(3)}):
        with pytest.raises(InputError, match="give its name as a string"):
            Recording(**fields)
    with pytest.raises(InputError, match="from frame 10 to 20, counted from 0, but only 20 frames"):
        Recording("anna", (EVENT,), frames=20)
    Recording("anna", (EVENT,), frames=21)
    Recording("anna", (EVENT,), frames=5, numbers=(10, 12, 14, 16, 20))  # numbers of the files


def test_a_prediction_after_the_end_of_the_recording_is_refused():
    short = Recording("anna", (Event("micro", 1, None, 3),), fps=30, frames=15)
    with pytest.raises(InputError, match="The prediction for 'anna' has an event that lasts from frame 10 to 20"):
        evaluate_spotting([short], {"anna": [EVENT]})
    # In milliseconds, predictions may have been made at another frame rate, and have more frames.
    faster = Event("micro", 10, None, 20, 0.033, None, 0.1)
    assert evaluate_spotting([short], {"anna": [faster]}, unit="ms").micro.counts.tp == 1


@pytest.mark.parametrize("fps", ["30", 0, -30, float("nan"), True])
def test_a_frame_rate_that_is_none_is_refused_by_name(fps, tmp_path):
    with pytest.raises(InputError, match="fps is"):
        write_elan(tmp_path / "a.eaf", [EVENT], fps=fps)


@pytest.mark.parametrize("first", ["1", 0.5, -1, None])
def test_the_number_of_the_first_frame_is_checked(first, tmp_path):
    with pytest.raises(InputError, match="first_frame is"):
        write_megc(tmp_path / "a.csv", {"anna": [EVENT]}, first_frame=first)


@pytest.mark.parametrize("pairs", ["ab", ["ab"], [("a",)], [("a", "b", "c")], [("a", 1)], {"a": "b"}, None])
def test_what_is_not_pairs_of_emotions_is_refused(pairs):
    with pytest.raises(InputError, match=r"pairs(\[0\])? is"):
        recognize(pairs, ["a", "b"])
