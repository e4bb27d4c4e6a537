#!/usr/bin/env bash
# Event cameras are simulated from videos of faces. A pixel of such a camera keeps the brightness of its last event, and sends the next as soon as
# it has changed by the threshold since then, however slowly. eventify-dvs 0.2.0 ("matching how a real DVS sensor fires once per crossing") compares
# each frame with the one before it, and forgets what was below the threshold. So the events depend on the rate of frames: a cheek that
# brightens by a half within 0.2 s, as in a smile, sends 5 events a pixel at 25 frames a second, and none at 50, 100 or 200, at which
# micro-expressions are recorded. interp=3, "sub-frames" between each two frames for finer times, takes the 5 events of 25 frames a second
# away as well. Expected were 8 at each rate: the change of the logarithm (0.40) over the threshold (0.05). Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The face is a picture of one brightness, without noise.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
  eventify-dvs==0.2.0 numpy==2.2.6 opencv-python-headless==4.12.0.88 h5py==3.15.1
cat > "$work/events.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from eventify.dvs import frame_to_event_tuples, interpolate_frames

THRESHOLD, SECONDS, SIDE = 0.05, 0.2, 8


def cheek(rate):  # brightness grows from 100 to 150 gray levels, floats, so that nothing is rounded
    return [np.full((SIDE, SIDE), 100 + 50 * k / (rate * SECONDS), np.float32) for k in range(round(rate * SECONDS) + 1)]


def per_pixel(frames):
    pairs = zip(frames[:-1], frames[1:], strict=True)
    return sum(len(frame_to_event_tuples(a, b, 0, 1000, c_thresh=THRESHOLD)) for a, b in pairs) / SIDE**2


def camera(frames):  # keeps the brightness of the last event
    level, events = np.log(frames[0][0, 0] + 1), 0
    for frame in frames[1:]:
        steps = int((np.log(frame[0, 0] + 1) - level) / THRESHOLD)
        level, events = level + steps * THRESHOLD, events + steps
    return events


print("eventify-dvs", version("eventify-dvs"))
seen, true = {}, {}
for rate in (25, 50, 100, 200):
    seen[rate], true[rate] = per_pixel(cheek(rate)), camera(cheek(rate))
    print(f"{rate} frames a second: expected {true[rate]} events a pixel, seen {seen[rate]:g}")
frames = cheek(25)
finer = [frame for a, b in zip(frames[:-1], frames[1:], strict=True) for frame in interpolate_frames(a, b, 3)[:-1]] + frames[-1:]
before, after = per_pixel(frames), per_pixel(finer)
print(f"25 frames a second: {before:g}, with three frames between each two {after:g}")
same = list(seen.values()) == [5, 0, 0, 0] and list(true.values()) == [8] * 4 and (before, after) == (5, 0)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/events.py"
