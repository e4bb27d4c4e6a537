"""The rows of a face: they grow in place, and the end takes no second copy of them."""

import pickle
import tracemalloc

import numpy as np
import pytest

from htnet.recordings import FEATURES
from htnet.recordings.recorder import Recorder, _FeatureRows


def a_recorder(values):
    """A recorder that has these rows, 30 a second, of a face that stands still."""
    recorder = Recorder(0, 0)
    recorder.start()
    still = np.eye(2, 3)
    for row in range(len(values)):
        recorder._add(row, row / 30, still, 1.0, "")
    recorder._solved.add(values)
    return recorder


@pytest.mark.parametrize("size", [1, 64, 1500])
def test_rows_grow_in_parts_of_any_size_and_after_reading_them_from_a_file(rng, monkeypatch, size):
    monkeypatch.setattr("htnet.recordings.recorder._ROOM", 100)
    monkeypatch.setattr("htnet.recordings.recorder._MORE", 10)
    values = rng.normal(size=(4000, len(FEATURES))).astype(np.float32)
    rows = _FeatureRows()
    for at in range(0, len(values), size):
        rows.add(values[at : at + size])
        if at <= 2500 < at + size:
            rows = pickle.loads(pickle.dumps(rows, 5))
    assert len(rows) == 4000
    np.testing.assert_array_equal(rows.copy(3990), values[3990:])
    rows.cut(3000)
    rows.cut(3500)
    rows.add(values[:2])
    np.testing.assert_array_equal(rows.take(), np.concatenate([values[:3000], values[:2]]))
    assert len(rows) == 0


def test_what_was_handed_out_stays_as_it_was(rng):
    values = rng.normal(size=(300, len(FEATURES))).astype(np.float32)
    recorder = a_recorder(values)
    recent = recorder.recent(5.0, (100, 100))
    assert recent is not None
    before = recent.features.copy()
    recorder._solved.add(np.zeros((5000, len(FEATURES)), np.float32))
    recorder._solved.cut(0)
    recorder._solved.add(np.ones((300, len(FEATURES)), np.float32))
    np.testing.assert_array_equal(recent.features, before)
    assert len(recent) == 150


def test_the_end_of_a_long_recording_copies_no_rows():
    values = np.zeros((12_000, len(FEATURES)), np.float32)
    tracemalloc.start()
    try:
        recorder = a_recorder(values)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        track = recorder.finish((100, 100))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert track.features.shape == values.shape
    # Times, places and gaps of 12,000 rows; the rows alone were 9 MB, held three times.
    assert peak < 0.6 * values.nbytes
