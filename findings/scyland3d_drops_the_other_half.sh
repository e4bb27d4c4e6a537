#!/usr/bin/env bash
# 3D landmarks of faces are placed by Landmark Editor, which writes .pts files (S000 x y z). scyland3d 1.0.19 (module Scyland3D) makes a
# table of them for statistics (pts2csv), and removes "duplicates", points that are in the file twice. But it takes two points that share
# two coordinates of three for one. The left and the right eye of a face that is symmetric about x = 0 share y and z. Of a symmetric
# template with 10 landmarks, 5 are left: the whole other half is gone, and the points after them move up, so that x3 to z3 of the table
# is no longer the third landmark but the fifth. The same face turned by a degree keeps its 10. Expected was each landmark at its
# number. The number of points is only compared between files, and it is the same for all symmetric faces. It says "successfully generated".
# Exits 0 if it is so, 1 if it has changed. The points are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps scyland3d==1.0.19 numpy==2.2.6
cat > "$work/faces.py" <<'PYTHON'
import contextlib
import csv
import io
import os
import pathlib
import sys
from importlib.metadata import version

import numpy as np
from Scyland3D import Scyland3D as scyland3d

folder = pathlib.Path(sys.argv[1])
os.chdir(folder)
half = np.array([[45.2, 30.1, 12.5], [17.3, 29.4, 18.2], [38.7, 48.6, 15.1], [25.9, -31.8, 21.4], [60.3, -8.9, -20.7]])
symmetric = np.stack((half, half * (-1, 1, 1)), 1).reshape(-1, 3)
turn = np.radians(1)
turned = symmetric @ np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])


def table(name, points):
    place = folder / name
    place.mkdir()
    lines = [f"S{number:03d}  " + "  ".join(f"{value:.4f}" for value in point) for number, point in enumerate(points)]
    (place / "face_one.pts").write_text("\n".join(["Version 1.0", str(len(points)), *lines, ""]))
    with contextlib.redirect_stdout(io.StringIO()):
        scyland3d.pts2csv(str(place), outdir=str(place))
    with open(place / "landmarks.csv", newline="") as stream:
        row = next(csv.DictReader(stream))
    number = sum(key.startswith("x") for key in row)
    return np.array([[float(row[f"{axis}{k}"]) for axis in "xyz"] for k in range(1, number + 1)])


print("scyland3d", version("scyland3d"))
seen = {}
for name, points in (("symmetric", symmetric), ("turned", turned)):
    found = table(name, points)
    numbers = [int(np.abs(points - point).sum(axis=1).argmin()) + 1 for point in found]
    seen[name] = numbers
    print(f"{name}: expected landmarks 1 to {len(points)}, seen {len(found)}: {numbers}")
same = seen["symmetric"] == [1, 3, 5, 7, 9] and seen["turned"] == list(range(1, 11))
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/faces.py" "$work"
