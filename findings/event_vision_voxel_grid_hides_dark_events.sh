#!/usr/bin/env bash
# Events of an event camera are (y, x, t, p), with p = 1 where the skin gets brighter and p = 0 where it gets darker. event-vision-library 0.0.6
# makes pictures of them: Histogram, TimeMap and VoxelGrid. Each is right by itself, but
# - VoxelGrid writes p = -1 for p = 0 into the caller's array. Histogram, asked afterwards for the same events, subtracts those with p = 0,
#   finds none, and gives a picture without any darker pixel: the lower edge of a brow that goes up is gone.
# - TimeMap starts with "last event at time 0" for each pixel. In a clip whose times start at 0, pixels that never had an event look like those that
#   had one at the start. The same clip 10 s later in the recording gives another picture, in which they are 0.
# Expected was the same picture whatever was drawn before, and wherever the clock starts. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The events are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps event-vision-library==0.0.6 numpy==1.26.4
cat > "$work/pictures.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from evlib.representation import Histogram, TimeMap, VoxelGrid

SHAPE = (4, 10)  # row 1: upper edge of the brow, brighter; row 2: lower edge, darker; rows 0 and 3: nothing
columns, times = np.arange(10), np.linspace(0, 0.1, 10)
upper = np.stack([np.full(10, 1), columns, times, np.ones(10)], axis=1)
lower = np.stack([np.full(10, 2), columns, times, np.zeros(10)], axis=1)
events = np.concatenate([upper, lower])[np.argsort(np.tile(times, 2), kind="stable")]

print("event-vision-library", version("event-vision-library"))
before = Histogram(SHAPE)(events).sum(axis=1).tolist()
VoxelGrid(SHAPE, 5)(events)
after = Histogram(SHAPE)(events).sum(axis=1).tolist()
print(f"events a row, brighter minus darker: expected {before}, after VoxelGrid too; seen after VoxelGrid {after}")
still = []
for start in (0.0, 10.0):
    moved = events + np.array([0, 0, start, 0])
    picture = TimeMap(SHAPE, 10.0)(moved)
    still.append(float(picture[0].max()))
    print(f"times from {start:g} s: expected 0 for pixels without events, seen {still[-1]:.2f}; first event {picture[1, 0]:.2f}, last {picture[1, 9]:.2f}")
same = before == [0, 10, -10, 0] and after == [0, 10, 0, 0] and abs(still[0] - np.exp(-1)) < 1e-9 and still[1] < 1e-9
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/pictures.py"
