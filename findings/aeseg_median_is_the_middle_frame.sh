#!/usr/bin/env bash
# Curves of a detector (flow, an action unit) are cut into events with onset and offset by tools of sound event detection. aeseg 0.0.18's
# Encoder has several ways:
# - "median_threshold" and "global_median_threshold", "computed using the median", take the value of the frame in the middle of the clip.
#   A brow that rises and falls in frames 91 to 109 of 200 has its apex there, and the apex is the threshold: nothing is found. The same
#   rise in frames 21 to 39, of a clip with the same median, is found whole. Clips of this field are often cut about the apex.
# - "hysteresis" loses one frame each time that an event ends, and counts the first frame twice. Of five equal events in 200 frames
#   the first begins one frame late, and the fifth three frames early; the segments, whose lengths should add up to 200, have 196.
# Expected were frames 91 to 109, as by method "threshold" with the median, and each event where it is.
# Exits 0 if it is so, 1 if it has changed. The curves are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation aeseg==0.0.18 numpy==2.2.6 \
    tqdm==4.67.1
cat > "$work/curves.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from aeseg.Encoder import Encoder

FRAMES = 200
encoder = Encoder(["AU1"], temporal_precision=50, clip_length=1, minimal_segment_step=50)


def curve(*events):
    values = np.full(FRAMES, 0.1)
    for first, last in events:
        values[first : last + 1] += 0.8 * np.sin(np.linspace(0, np.pi, last - first + 3)[1:-1])
    return values


def found(values, method, **settings):
    segments = encoder.encode(values.reshape(1, FRAMES, 1).copy(), method=method, **settings)[0][0]
    ends = np.cumsum([0] + [length for _, length in segments])
    return [(int(a), int(b) - 1) for (value, _), a, b in zip(segments, ends[:-1], ends[1:]) if value == 1], int(ends[-1])


print("aeseg", version("aeseg"))
seen = {}
for event in ((91, 109), (21, 39)):
    values = curve(event)
    right = found(values, "threshold", threshold=float(np.median(values)))[0]
    for method in ("median_threshold", "global_median_threshold"):
        seen[event, method] = found(values, method)[0]
        print(f"{method}: middle frame {values[FRAMES // 2]:.2f}, median {np.median(values):.2f}; expected {right}, seen {seen[event, method]}")
    assert right == [event]
values, onsets, active = curve(*[(k, k + 19) for k in range(10, FRAMES, 40)]), [], False
for frame, value in enumerate(values):
    if not active and value > 0.6:
        onsets.append(frame)
    active = value > 0.6 or (active and value >= 0.4)
events, length = found(values, "hysteresis", low=0.4, high=0.6)
shifts = [first - onset for (first, _), onset in zip(events, onsets)]
print(f"hysteresis: expected onsets {onsets}, seen {[first for first, _ in events]}; lengths add up to {length} of {FRAMES}")
same = all(events == ([] if event[0] == 91 else [event]) for (event, _), events in seen.items())
sys.exit(0 if same and shifts == [1, 0, -1, -2, -3] and length == 196 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/curves.py"
