"""Filters that know a micro-expression: `benchmarks.recordings_told`."""

import numpy as np
import pytest

from benchmarks.recordings_augment import draw_patterns
from benchmarks.recordings_told import Told, answers, rests
from htnet.recordings import FEATURES
from htnet.recordings.grid import RATE
from tests.support.seeds import next_rng

NAME = "drawn"


class Track:
    """A face that is measured for a minute: noise, and a micro-expression if one is given."""

    def __init__(self, rng, event=None):
        self.truth, self.segments = 0, np.array([[0, 1799]])
        self.times = np.arange(1800) / RATE
        self.features = rng.normal(0, 0.1, (1800, len(FEATURES))).astype(np.float32)
        if event is not None:
            self.features += event.features(self.times - event.start)


class Item:
    def __init__(self, track, event):
        self.name, self.tracks = NAME, [track]
        self.about = {"truth": {"events": [{"kind": "micro", "track": 0, "start": event.start, "end": event.end}]}}


def event(peak, start=20.0):
    return Told((NAME, 0), start, start + 0.4, peak, "none", draw_patterns(1, seed=3), (0.2, 0.1), 0.15)


@pytest.mark.parametrize("peak", [0.3, 1.0])
def test_the_filter_answers_at_its_event_as_loudly_as_foretold(peak):
    told = event(peak)
    found, strength, null, minutes = answers(told, list(rests(Item(Track(next_rng(), told), told))))
    assert found == pytest.approx(strength, abs=4)
    assert 0.9 < minutes < 1
    assert max(null) < 6 < found


def test_it_is_silent_where_the_event_is_not():
    told = event(1.0)
    found, _, null, _ = answers(told, list(rests(Item(Track(next_rng()), told))))
    assert found < max(null) + 1


def test_an_event_outside_of_the_stretch_has_no_answer():
    known = event(1.0)
    stretches = list(rests(Item(Track(next_rng(), known), known)))
    assert answers(event(1.0, start=59.8), stretches) is None
