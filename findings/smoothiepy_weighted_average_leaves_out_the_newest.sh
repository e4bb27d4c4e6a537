#!/usr/bin/env bash
# Gaze and landmarks are smoothed while they come. smoothiepy 0.1.1's WeightedMovingAverageFilter1D is documented as "linearly decreasing from 1
# to 0, applied to the most recent data points"; a weighted average gives the newest sample the largest weight, so that it follows sooner
# than a plain one. The weights 1 to 0 lie on a buffer whose newest sample is last: the oldest has the largest weight, the newest none.
# - A gaze that jumps by 100 px has moved by 0, 2 and 7 px in the first three samples after it, by the filter of ten samples, where the plain
#   average has 10, 20 and 30, and the weights the other way around 18, 35 and 49. Half of the way is reached after 7, 4 and 3 samples.
# - The first sample is the newest and only one: its weight is 0, and 0 is returned. A gaze that stays at x = 640 begins at the edge of
#   the screen and jumps to 640 with the second sample, a saccade or a flick of a landmark that never was.
# - Of a window of two samples the newest is never used: the filter is a delay by one sample.
# Expected were 640 from the first sample on, and a jump that is followed sooner than by the plain average. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The gaze is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps smoothiepy==0.1.1 numpy==2.2.6
cat > "$work/smooth.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from smoothiepy.filter.filter1d import SimpleMovingAverageFilter1D, WeightedMovingAverageFilter1D

SIZE = 10


def run(made, signal):
    return np.array([float(made.next(value)) for value in signal])


def by_newest(signal):
    """The weighted average whose newest sample has the largest weight."""
    weights = np.arange(1, SIZE + 1)
    parts = [signal[max(0, end - SIZE) : end] for end in range(1, len(signal) + 1)]
    return np.array([np.average(part, weights=weights[-len(part) :]) for part in parts])


print("smoothiepy", version("smoothiepy"))
promised = "most recent data points" in WeightedMovingAverageFilter1D.__doc__
jump = np.r_[np.zeros(30), np.full(30, 100.0)]
plain = run(SimpleMovingAverageFilter1D(window_size=SIZE), jump)[30:]
weighted = run(WeightedMovingAverageFilter1D(window_size=SIZE), jump)[30:]
right = by_newest(jump)[30:]
half = {name: int(np.argmax(way >= 49.999)) for name, way in (("right", right), ("plain", plain), ("weighted", weighted))}
print(f"after the jump: expected {right[:3].round()}, seen {weighted[:3].round()}, plain average {plain[:3].round()}")
print(f"samples until half: expected less than {half['plain']} (plain), seen {half['weighted']}; with the newest first {half['right']}")
still = run(WeightedMovingAverageFilter1D(window_size=SIZE), np.full(5, 640.0))
print(f"a gaze that stays at 640: expected {by_newest(np.full(5, 640.0))}, seen {still}")
noise = np.random.default_rng(0).normal(0, 1, 50)
late = run(WeightedMovingAverageFilter1D(window_size=2), noise)
print(f"window of two: seen a delay by one sample: {np.allclose(late[1:], noise[:-1])}")
same = promised and weighted[0] == 0 and 1.5 < weighted[1] < 3 and half["weighted"] > half["plain"] > half["right"]
sys.exit(0 if same and still[0] == 0 and np.allclose(still[1:], 640) and np.allclose(late[1:], noise[:-1]) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/smooth.py"
