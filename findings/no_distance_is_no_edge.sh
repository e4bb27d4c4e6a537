#!/usr/bin/env bash
# Graphs of facial regions take the lengths of shortest paths between them (Isomap's, and MHSSA's manifold distances). Two
# regions that look alike, as both eyes at rest do, have the distance 0. SciPy 1.17.1's floyd_warshall, and shortest_path by
# any method, read a 0 of a dense matrix as "no edge": the two alike regions are 1.6 apart by way of a third one, the
# farthest of all, and with no third region infinitely far. Expected was 0. Distances below 1e-8 count as 0 too, so that
# rounding decides: 1e-7 is right. csgraph_from_dense(null_value=inf) before it cures it.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import sys

import numpy as np
import scipy
from scipy.sparse.csgraph import csgraph_from_dense, floyd_warshall, shortest_path

print("SciPy", scipy.__version__)
names = ("left eye", "right eye", "mouth")


def distances(eyes):
    return np.array([[0, eyes, 0.8], [eyes, 0, 0.8], [0.8, 0.8, 0]])


zero, tiny, small = (floyd_warshall(distances(eyes)) for eyes in (0.0, 1e-9, 1e-7))
cured = floyd_warshall(csgraph_from_dense(distances(0.0), null_value=np.inf))
print(f"{names[0]} to {names[1]}: expected 0, 1e-9 and 1e-7; seen {zero[0, 1]:g}, {tiny[0, 1]:g} and {small[0, 1]:g}")
print(f"0 by way of csgraph_from_dense: seen {cured[0, 1]:g}")
ways = {method: float(shortest_path(distances(0.0), method=method)[0, 1]) for method in ("FW", "D", "BF", "J")}
alone = float(floyd_warshall(distances(0.0)[:2, :2])[0, 1])
print(f"by each method of shortest_path: {ways}; without the mouth: {alone}")
same = zero[0, 1] == tiny[0, 1] == 1.6 and small[0, 1] == 1e-7 and cured[0, 1] == 0
same = same and set(ways.values()) == {1.6} and np.isinf(alone)
sys.exit(0 if same else "the behavior has changed")
PYTHON
