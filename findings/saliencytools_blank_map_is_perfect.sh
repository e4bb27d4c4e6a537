#!/usr/bin/env bash
# Where a network looks is shown by maps (Grad-CAM), and maps are compared: does the network look at the brow for anger? Two of the
# distances of saliencytools 0.35 do not tell:
# - auc_judd, "0 means perfect recovery, 0.5 is chance level", counts ties as right. A map that is 0 everywhere, which Grad-CAM gives where
#   its ReLU leaves nothing, is perfect: 0.0 against any reference. One that is lit at the wrong place, the other
#   brow or the corner of the mouth, and 0 elsewhere, has 0.08, nearly perfect. Expected were 0.5 and 0.54, ties counted one half.
# - emd, "particularly useful for comparing saliency maps with spatial distributions of importance", compares how often each gray level
#   occurs. Maps on the left and on the right brow, or at the mouth, are at distance 0, and so is a map whose pixels are shuffled. The same place
#   with a wider spot is at 9.1. Expected was a distance that grows with the way between them.
# Exits 0 if it is so, 1 if it has changed. The maps are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6 scipy==1.16.3 scikit-image==0.26.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps saliencytools==0.35
cat > "$work/maps.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from saliencytools.maskcompare import auc_judd, emd

SIDE = 56
rows, columns = np.mgrid[:SIDE, :SIDE]


def auc(inside, outside):  # ties count one half
    pairs = inside[:, None] - outside[None]
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


def spot(row, column, width=4.0):
    place = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
    return np.where(place > 0.1, place, 0.0)


print("saliencytools", version("saliencytools"))
brow = spot(16, 16)
fixated = brow >= brow.mean()
maps = {
    "the map itself": brow,
    "0 everywhere": np.zeros((SIDE, SIDE)),
    "other brow": brow[:, ::-1],
    "corner of the mouth": spot(42, 38),
    "pixels shuffled": np.random.default_rng(0).permutation(brow.ravel()).reshape(SIDE, SIDE),
}
seen, true, moved = {}, {}, {}
for name, other in maps.items():
    seen[name] = round(float(auc_judd(other, brow)), 3)
    true[name] = round(1 - auc(other[fixated], other[~fixated]), 3)
    moved[name] = round(float(emd(other, brow)), 3)
    print(f"{name}: auc_judd expected {true[name]}, seen {seen[name]}; emd {moved[name]}")
print("a wider map at the same place: emd", round(float(emd(spot(16, 16, 6.0), brow)), 3))
same = seen["0 everywhere"] == 0.0 and true["0 everywhere"] == 0.5 and seen["corner of the mouth"] < 0.1 < 0.5 < true["corner of the mouth"]
same = same and moved["other brow"] == moved["pixels shuffled"] == 0.0 and emd(spot(16, 16, 6.0), brow) > 0.1
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/maps.py"
