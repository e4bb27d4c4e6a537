#!/usr/bin/env bash
# dlib (wheel dlib-bin 20.0.1.post1) learns landmarks from its XML files, in which each point has a name: "00" to "67" in
# iBUG's. It orders the points neither as the file does nor by number, but by name as text. Named "0" to "67", 66 of 68
# points come out of the trained predictor at another place: 0, 1, 10, 11 ... in place of 0, 1, 2, 3. With the usual two
# digits the 106-point set is mixed too: 100 to 105 follow after 10. The predictor draws a right cloud of points; what is cut
# by index (36 to 47 for the eyes, 48 to 67 for the mouth) is another part of the face. imglab's names are as they are
# typed. Names of equal length cure it.
# Exits 0 if it is so, 1 if it has changed. The pictures are noise; the smallest possible predictor repeats the mean shape.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile dlib-bin==20.0.1.post1 numpy==2.4.6 pillow==13.0.0
cat > "$work/order.py" <<'PYTHON'
import os
import sys

import dlib
import numpy as np
from PIL import Image

os.chdir(sys.argv[1])
rng = np.random.default_rng(0)
for k in range(4):
    Image.fromarray(rng.integers(0, 255, (120, 120), dtype=np.uint8)).save(f"{k}.png")


def learned_order(names):
    """Where the trained predictor has the points, by their place in the file."""
    points = [(10 + n % 100, 10 + n // 10) for n in range(len(names))]
    parts = "".join(f"<part name='{name}' x='{x}' y='{y}'/>" for name, (x, y) in zip(names, points))
    box = f"<box top='10' left='10' width='100' height='100'>{parts}</box>"
    images = "".join(f"<image file='{k}.png'>{box}</image>" for k in range(4))
    with open("faces.xml", "w") as file:
        file.write(f"<?xml version='1.0'?><dataset><images>{images}</images></dataset>")
    options = dlib.shape_predictor_training_options()
    options.cascade_depth = options.num_trees_per_cascade_level = options.tree_depth = options.oversampling_amount = 1
    options.feature_pool_size, options.num_test_splits, options.nu = 20, 2, 1e-9
    dlib.train_shape_predictor("faces.xml", "faces.dat", options)
    shape = dlib.shape_predictor("faces.dat")(np.array(Image.open("0.png")), dlib.rectangle(10, 10, 109, 109))
    return [points.index((part.x, part.y)) for part in shape.parts()]


print("dlib", dlib.__version__)
same = True
for what, names in {
    "00 to 67": [f"{n:02d}" for n in range(68)],
    "0 to 67": [str(n) for n in range(68)],
    "00 to 105": [f"{n:02d}" for n in range(106)],
}.items():
    order = learned_order(names)
    print(f"named {what}: expected 0, 1, 2 ..., seen {order[:14]}; {sum(a != b for a, b in enumerate(order))} at another place")
    same = same and order == sorted(range(len(names)), key=lambda n: names[n]) and (order == sorted(order)) == (what == "00 to 67")
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/order.py" "$work"
