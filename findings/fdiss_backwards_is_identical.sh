#!/usr/bin/env bash
# How people look at a face (left eye, right eye, mouth) is compared by the order of their fixations, the scanpath. fdiss 0.1.0 says
# that its score of two scanpaths "equals 1 iff the scanpaths are identical". It matches each fixation with the nearest one of the other
# path, at whatever time: the same path backwards has 1, as has a shuffled one, and one that comes back to the eyes ten times and sees the
# mouth once. One in the same order, with 10 px of noise, is less similar. Expected was 1 for the path itself alone.
# Nothing is said; the order has to be compared by other means.
# Exits 0 if it is so, 1 if it has changed. The fixations are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps fdiss==0.1.0 numpy==2.2.6
cat > "$work/order.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from fdiss import FDISS

print("fdiss", version("fdiss"))
rng = np.random.default_rng(0)
path = np.array([[220, 200], [380, 200], [300, 270], [300, 350], [260, 120], [340, 120]], dtype=float)
radius = FDISS.compute_foveal_radius(45.0)
others = {
    "itself": path,
    "backwards": path[::-1],
    "shuffled": path[rng.permutation(len(path))],
    "eyes ten times": np.concatenate([np.tile(path[:2], (10, 1)), path[2:]]),
    "same order, 10 px of noise": path + rng.normal(0, 10, path.shape),
}
seen = {name: round(float(FDISS().evaluate(path, other, radius)["fdiss"]), 3) for name, other in others.items()}
for name, other in others.items():
    same = other.shape == path.shape and np.array_equal(other, path)
    print(f"{name}: expected {'1' if same else 'less than 1'}, seen {seen[name]}")
noisy = seen.pop("same order, 10 px of noise")
sys.exit(0 if set(seen.values()) == {1.0} and noisy < 0.9 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/order.py"
