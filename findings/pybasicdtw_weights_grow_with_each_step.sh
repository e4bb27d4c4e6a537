#!/usr/bin/env bash
# Two courses of an action unit are compared by dynamic time warping. With three equal steps a diagonal is cheaper than a corner, so that its weight is
# set to 2 (Sakoe and Chiba 1978): D(i, j) is the least of D(i - 1, j - 1) + 2 c, D(i - 1, j) + c and D(i, j - 1) + c. pybasicdtw 0.1.0 has
# stepPattern and stepWeights for that ("customisable step pattern and weights"). It multiplies what has been accumulated so far by the
# weight, and adds the local cost as it is. So each diagonal doubles the whole past, after the choice of the step was made without weights.
# - Two smiles of 60 frames, one 6 frames later, have a distance of 0.029 with weights 2, 1, 1. It says 4.7e14. With 1.5, 1, 1: 0.026 and 1.2e7.
# - The way back follows these numbers: the path that WarpingPath returns costs 6.1, where the best one costs 0.022.
# With weights of 1, its default, distance and path are right. Expected was the definition. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The smiles are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pybasicdtw==0.1.0 numpy==1.26.4
cat > "$work/warp.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pybasicdtw import DTW, Helper

print("pybasicdtw", version("pybasicdtw"))
STEPS = ((1, 1), (1, 0), (0, 1))


def defined(cost, weights):
    """The least weighted cost, and what the cells of its path cost without weights."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    came = {}
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            ways = [total[row - up, column - left] + weight * cost[row - 1, column - 1] for (up, left), weight in zip(STEPS, weights)]
            total[row, column] = min(ways)
            came[row, column] = STEPS[int(np.argmin(ways))]
    place, plain = (rows, columns), 0.0
    while place != (0, 0):
        plain += cost[place[0] - 1, place[1] - 1]
        place = (place[0] - came[place][0], place[1] - came[place][1])
    return total[-1, -1], plain


frames = np.arange(60.0)
first, later = (np.exp(-((frames - apex) ** 2) / (2 * 4.0**2)) for apex in (20, 26))
later = later + 0.02
cost = (first[:, None] - later) ** 2
same = True
for weights, distance, way in (((1, 1, 1), 0.0218, 0.0218), ((2, 1, 1), 4.7e14, 6.12), ((1.5, 1, 1), 1.2e7, 3.5)):
    right, plain = defined(cost, weights)
    made = DTW(Helper.InputFormat(first), Helper.InputFormat(later), stepPattern=np.array(STEPS), stepWeights=np.array(weights))
    seen, (path, along) = made.accumulatedCost[-1, -1], made.WarpingPath()
    print(f"weights {weights}: distance expected {right:.3g}, seen {seen:.3g}; cost of the path expected {plain:.3g}, seen {along:.3g}")
    same = same and abs(seen / distance - 1) < 0.05 and abs(along / way - 1) < 0.05 and right < 0.03 and plain < 0.03
    same = same and np.allclose(made.localCost, cost)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/warp.py"
