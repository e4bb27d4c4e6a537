import json
from dataclasses import replace

import numpy as np
import pytest

from htnet.core.facs import UnitPrediction
from htnet.errors import InputError
from htnet.types import EVENT_KINDS, Event

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
