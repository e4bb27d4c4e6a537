#!/usr/bin/env bash
# Events of a face are augmented for training. tonic 1.7.0's transforms for that are not what they are documented as:
# - SpatialJitter, Gaussian noise with the mean at the event's pixel, moves the face by half a pixel to the left and up, since the sum is cut to
#   whole pixels and not rounded: 10000 events at pixel 20 have the mean 19.5. With var_x = var_y = 0.0001, which rounds to no noise at all,
#   half of the events move by a whole pixel.
# - DropEventByArea with area_ratio=(0.1, 0.2), documented as a box whose size is "randomly chosen in [min, max)" of the sensor, draws from 0.2
#   to 1. Of the sensor's width a fifth to nearly all goes, 0.6 on the mean in place of 0.15: of a face most.
# - DropEventByTime draws its window between 0 and the last time, not between the first and the last. Of a recording whose clock does not
#   begin at 0, as cameras' clocks do not, nothing is dropped: 0 of 10000 events in 50 calls, where 20 % each were asked for.
# - RandomFlipPolarity, documented as the "probability of flipping individual event polarities", flips all events or none.
# Nothing is said. Exits 0 if it is so, 1 if it has changed. Its transforms are loaded without the readers of data sets and their
# dependencies.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tonic==1.7.0 numpy==2.3.5 typing-extensions==4.15.0
cat > "$work/augment.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

tonic = types.ModuleType("tonic")  # the package, without what it imports
tonic.__path__ = importlib.util.find_spec("tonic").submodule_search_locations
sys.modules["tonic"] = tonic
from tonic.io import events_struct
from tonic.transforms import DropEventByArea, DropEventByTime, RandomFlipPolarity, SpatialJitter

EVENTS, SIDE, CALLS = 10000, 100, 50
SENSOR = (SIDE, SIDE, 2)
print("tonic", version("tonic"))
np.random.seed(0)


def events(x, y, first=0):
    made = np.zeros(EVENTS, events_struct)
    made["x"], made["y"], made["t"] = x, y, first + np.arange(EVENTS) * 100
    return made


point = events(20, 10)
means = {}
for variance in (1.0, 0.0001):
    moved = SpatialJitter(sensor_size=SENSOR, var_x=variance, var_y=variance)(point)
    means[variance] = float(moved["x"].mean() - 20), float(moved["y"].mean() - 10)
    print(f"SpatialJitter of variance {variance}: mean shift: expected (0, 0) px, seen ({means[variance][0]:.2f}, {means[variance][1]:.2f}) px")

everywhere = events(np.arange(EVENTS) % SIDE, np.arange(EVENTS) // SIDE)  # one event a pixel
drop = DropEventByArea(sensor_size=SENSOR, area_ratio=(0.1, 0.2))
sides = np.sqrt([1 - len(drop(everywhere)) / EVENTS for _ in range(CALLS)])
print(f"DropEventByArea, side of the box: expected 0.1 to 0.2, seen {sides.min():.2f} to {sides.max():.2f}, mean {sides.mean():.2f}")

kept = {}
for first in (0, 10**9):
    kept[first] = np.mean([len(DropEventByTime(duration_ratio=0.2)(events(20, 10, first))) for _ in range(CALLS)]) / EVENTS
    print(f"DropEventByTime of a recording of 1 s from {first} us on: expected 0.80 kept, seen {kept[first]:.2f}")

flipped = [int(RandomFlipPolarity(p=0.3)(point)["p"].sum()) for _ in range(CALLS)]
print(f"RandomFlipPolarity(p=0.3), flipped of {EVENTS}: expected about 3000 each time, seen {sorted(set(flipped))}")
same = all(abs(shift + 0.5) < 0.05 for pair in means.values() for shift in pair) and 0.19 <= sides.min() < sides.max() < 1
same = same and sides.mean() > 0.5 and abs(kept[0] - 0.8) < 0.01 and kept[10**9] == 1 and set(flipped) == {0, EVENTS}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/augment.py"
