#!/usr/bin/env bash
# Optical flow of a face is drawn in colors, direction as hue. Where it is unknown (beside the face, behind a hand) programs write NaN or, by
# Middlebury's format, a number above 1e9. flowiz 2.4.0 draws both as no motion, white, but:
# - all vectors are divided by the longest of the frame, but at least by -1, and of -1 and NaN Python's max keeps -1. So one NaN divides all by -1:
#   each is drawn in the color of the opposite direction, motion to the right in dark cyan, which is left, in place of red. The
#   lengths are no longer shares of the longest: a flow of a tenth as large is nearly white, and in the mode UV, in which no motion is 128, its
#   motion to the right is 89 and not 255.
# - an unknown vector is set to 0 in the array of the caller too, so that a mean or an error computed after drawing takes it for skin at rest.
# Expected were the same colors for the pixels that are known, and the flow as it was handed over. Nothing is said (in the mode UV NumPy warns of
# the cast).
# Exits 0 if it is so, 1 if it has changed. The flow is made here. Only the drawing is installed, not the program's window (eel).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps flowiz==2.4.0 numpy==2.2.6 pillow==12.0.0 tqdm==4.67.1
cat > "$work/directions.py" <<'PYTHON'
import sys
from importlib.metadata import version

import flowiz
import numpy as np

DIRECTIONS = {"right": (3.0, 0.0), "down": (0.0, 3.0), "left": (-3.0, 0.0), "up": (0.0, -3.0)}
print("flowiz", version("flowiz"))


def flow(last):
    made = np.zeros((1, 5, 2), np.float32)
    made[0, :4] = list(DIRECTIONS.values())
    made[0, 4] = last
    return made


known, lost = (flowiz.convert_from_flow(flow(last))[0] for last in (0, np.nan))
for column, name in enumerate(DIRECTIONS):
    print(f"motion {name}: color expected {known[column].tolist()}, seen with one NaN beside it {lost[column].tolist()}")
names = list(DIRECTIONS)
nearest = {}
for name in names:
    apart = known[:4].astype(float) / 255 - lost[names.index(name)] / 255 / 0.75  # colors of vectors longer than 1 are darkened
    nearest[name] = names[int(np.abs(apart).sum(1).argmin())]
print("drawn as:", nearest)
horizontal = [int(flowiz.convert_from_flow(flow(last) / 10, "UV")[0, 0, 0]) for last in (0, np.nan)]
print(f"a tenth of the motion to the right, mode UV: expected {horizontal[0]}, seen {horizontal[1]}; no motion is 128")
small = flowiz.convert_from_flow(flow(np.nan) / 10)[0, 0]
print(f"a tenth of the motion to the right: expected {known[0].tolist()}, seen {small.tolist()}")
unknown = flow(2e9)
flowiz.convert_from_flow(unknown)
print(f"unknown vector after drawing: expected {[2e9, 2e9]}, seen {unknown[0, 4].tolist()}")
same = nearest == {"right": "left", "left": "right", "down": "up", "up": "down"}
same = same and horizontal[0] == 255 and horizontal[1] == 89 and small.min() > 150 and unknown[0, 4].tolist() == [0, 0]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore::RuntimeWarning "$work/directions.py"
