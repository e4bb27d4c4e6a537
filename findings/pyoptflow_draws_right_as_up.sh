#!/usr/bin/env bash
# Flow is looked at as arrows on the face. pyoptflow 1.5.0's HornSchunck returns U and V, U along the columns (to the right) and V along the rows
# (downward). Its compareGraphs(u, v, image), which its programs draw with, takes V for the length of an arrow to the right and U for
# that upward, and shows the image upside down (origin="lower"). A face that moves to the right has arrows that point up, one that is lowered has
# arrows to the right: a raised corner of the lips looks like one that is pulled aside.
# Expected were arrows along the motion: dx = U and, on an axis whose rows count in the direction of V, dy = V. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The images are made here: a spot that moves by half a pixel.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pyoptflow==1.5.0 numpy==2.2.6 scipy==1.15.3 matplotlib==3.10.3
cat > "$work/arrows.py" <<'PYTHON'
import sys
from importlib.metadata import version

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from pyoptflow import HornSchunck
from pyoptflow.plots import compareGraphs

print("pyoptflow", version("pyoptflow"))
rows, columns = np.mgrid[:60, :80]
drawn = []
plain = Axes.arrow


def arrow(axes, x, y, dx, dy, **options):
    drawn.append((x, y, dx, dy))
    return plain(axes, x, y, dx, dy, **options)


Axes.arrow = arrow


def spot(right, down):
    return 100 * np.exp(-((columns - 40 - right) ** 2 + (rows - 30 - down) ** 2) / 200)


seen, upside_down = {}, []
for name, motion in (("to the right", (0.5, 0.0)), ("downward", (0.0, 0.5))):
    u, v = HornSchunck(spot(0, 0), spot(*motion), alpha=1.0, Niter=100)
    drawn.clear()
    compareGraphs(u, v, spot(*motion), scale=1)
    upside_down.append(not plt.gca().yaxis_inverted())  # row 0 is at the bottom
    near = [(dx, dy) for x, y, dx, dy in drawn if abs(x - 40) <= 10 and abs(y - 30) <= 10]
    flow = float(u[20:41, 30:51].mean()), float(v[20:41, 30:51].mean())
    seen[name] = flow, tuple(float(value) for value in np.mean(near, axis=0))
    print(f"spot moves {name}: flow ({flow[0]:.2f}, {flow[1]:.2f}), mean arrow expected the same, seen ({seen[name][1][0]:.2f}, {seen[name][1][1]:.2f})")
    plt.close("all")
(right, right_arrow), (down, down_arrow) = seen.values()
same = right[0] > 0.2 > 0.05 > abs(right[1]) and down[1] > 0.2 > 0.05 > abs(down[0]) and all(upside_down)
same = same and right_arrow[1] > 0.2 > 0.05 > abs(right_arrow[0]) and down_arrow[0] > 0.2 > 0.05 > abs(down_arrow[1])
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" "$work/arrows.py"
