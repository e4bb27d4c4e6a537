"""The sides of `benchmarks.flow_bars`, and how its bars are counted."""

import sys

import numpy as np
import pytest

from benchmarks.flow_bars import KINDS, _bars, _times_as_fast, _turns
from benchmarks.flow_sides import Side
from benchmarks.measure import ROOT
from htnet.core.native import numba_obstacle


def test_sides_take_turns_and_the_first_round_does_not_count():
    asked = []

    def told(name, wall):
        asked.append(name)
        return {"wall": wall * (100 if len(asked) <= 2 else 1), "cpu": wall / 2}

    ms = _turns({"a": lambda: told("a", 3.0), "b": lambda: told("b", 6.0)}, rounds=2)
    assert asked == ["b", "a", "a", "b", "b", "a"]
    assert ms == {"a": {"wall": 3.0, "cpu": 1.5}, "b": {"wall": 6.0, "cpu": 3.0}}
    assert _times_as_fast(ms, "a", "b") == {"wall": 2.0, "cpu": 2.0}


def parts(fast=9.0, error=0.5):
    ratio = {"wall": fast, "cpu": fast}
    kind = {
        "times_as_fast_as": {"opencv": ratio, "earlier": ratio},
        "mean_end_point_error_px": {"htnet": error, "opencv": 1.0, "earlier": 0.5},
    }
    warm = {"points given": {"times_as_fast": ratio, "ms": {"htnet": {"wall": 10.0}}}}
    return {
        "one_pair": {str(length): kind for length, _ in KINDS},
        "batch": {"threads": 2, "times_as_fast": {"wall": 1.9}},
        "prepare": {"times_as_fast": ratio},
        "predict": warm,
        "fresh_process": {"import torch": {"wall": 100.0}, "first answer": {"wall": 141.0}},
    }


def test_bars_are_met_and_missed_kind_by_kind():
    met = {row["what"]: row["met"] for row in _bars(parts())}
    assert met["one pair, 0.5 px, times as fast as opencv"]
    assert not met["one pair, 3 px, times as fast as opencv"]  # 12 times are wanted there
    assert met["one pair, 3 px, times as fast as earlier"]
    assert met["batch, 2 cores, times as fast as one"]
    (first,) = (value for what, value in met.items() if what.startswith("first answer"))
    assert not first  # 141 ms, where 1.3 x 100 + 10 are allowed
    worse = {row["what"]: row["met"] for row in _bars(parts(error=0.6))}
    assert not worse["one pair, 1 px, error as a share of that of earlier"]


@pytest.mark.slow
@pytest.mark.skipif(bool(numba_obstacle()), reason=f"needs htnet[fast]: {numba_obstacle()}")
def test_a_side_computes_in_its_own_process():
    frames = np.random.default_rng(3).integers(0, 256, (2, 20, 20), dtype=np.uint8)
    side = Side("htnet", sys.executable, ROOT)
    try:
        side.load(frames, frames[:, :, ::-1])
        assert side.flows().shape == (2, 2, 20, 20)
        for word in ("singly", "batch"):
            assert set(side.ask(word)) == {"wall", "cpu"}
        assert side.ask("version")["backend"] == "numba"
    finally:
        side.close()
