#!/usr/bin/env bash
# Recordings of event cameras are cut into bins of equal time for a network. evio 0.1.0's binary_tensor(events, bins) maps the times to 0 to
# bins - 1, as its voxel_grid needs them, and rounds down. So the last bin holds the last event alone, and the other bins are longer
# than they should be: 10 bins of a clip of 0.5 s are nine of 56 ms and an empty one, not ten of 50 ms. Of a brow that
# goes up in the second half of the clip, the part from 0.25 s on lies in bins 4 to 8, not in 5 to 9. With 2 bins, "before" and
# "after" the stimulus, everything is "before"; with 1 bin it is right. The same package's frames() cuts the same events rightly.
# Its text says "Timestamps mapped onto [0, bins)" and "(bins, 2, H, W)", and nothing is said when it runs.
# Exits 0 if it is so, 1 if it has changed. The events are drawn up: each pixel of a row fires once, evenly in time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps evio==0.1.0 numpy==2.2.6
cat > "$work/bins.py" <<'PYTHON'
import sys
from importlib.metadata import version

import evio
import numpy as np

DURATION, PIXELS = 500_000, 1000  # microseconds, one event each half a millisecond
times = np.arange(PIXELS) * (DURATION // PIXELS)
events = evio.from_arrays(np.arange(PIXELS), np.zeros(PIXELS), times, np.ones(PIXELS))
later = events[times >= DURATION // 2]

print("evio", version("evio"))
counts = {}
for bins in (1, 2, 10):
    tensor = evio.binary_tensor(events, bins=bins)
    counts[bins] = tensor.sum(axis=(1, 2, 3)).tolist()
    frames = evio.frames(events, DURATION // bins).sum(axis=(1, 2, 3)).astype(int).tolist()
    print(f"{bins} bins: expected {[PIXELS // bins] * bins} events, by frames() {frames}, by binary_tensor {counts[bins]}")
tensor = evio.binary_tensor(events, bins=10, sensor_size=(PIXELS, 1))
holds = np.flatnonzero(tensor[:, 1, 0, later["x"]].any(axis=1)).tolist()
print("second half of the clip: expected in bins [5, 6, 7, 8, 9], seen in", holds)
same = counts[1] == [PIXELS] and counts[2] == [PIXELS - 1, 1] and counts[10] == [111] * 9 + [1] and holds == [4, 5, 6, 7, 8, 9]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/bins.py"
