#!/usr/bin/env bash
# BVH files hold the movements of a head and body that were recorded beside a face. bvh 0.3 takes a line for a line when its end comes. A file whose
# last line has no line break behind it, as "\n".join() writes it and the format allows, loses its last frame: nframes says 4, and
# frames and frames_joint_channels have 3. A file with a single frame, the neutral pose to which others are compared, has none.
# With the line break all are there. np.loadtxt of the same lines has all frames either way.
# Expected were the frames that are in the file and that nframes counts. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The files are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation bvh==0.3 numpy==2.2.6
cat > "$work/nod.py" <<'PYTHON'
import io
import sys
from importlib.metadata import version

import numpy as np
from bvh import Bvh

HIERARCHY = [
    "HIERARCHY",
    "ROOT neck",
    "{",
    "  OFFSET 0.0 0.0 0.0",
    "  CHANNELS 3 Zrotation Xrotation Yrotation",
    "  End Site",
    "  {",
    "    OFFSET 0.0 10.0 0.0",
    "  }",
    "}",
    "MOTION",
]


def read(angles, end):
    lines = [f"0.0 {angle:.1f} 0.0" for angle in angles]
    file = Bvh("\n".join([*HIERARCHY, f"Frames: {len(angles)}", "Frame Time: 0.008333", *lines]) + end)
    table = np.loadtxt(io.StringIO("\n".join(lines) + end), ndmin=2)
    nods = [angle for (angle,) in file.frames_joint_channels("neck", ["Xrotation"])]
    return file.nframes, nods, table[:, 1].tolist()


print("bvh", version("bvh"))
seen = {}
for angles in ([0.0, 4.0, 9.0, 15.0], [0.0]):
    for end, name in (("\n", "with"), ("", "without")):
        counted, nods, table = seen[len(angles), name] = read(angles, end)
        print(f"{name} a line break at the end: expected {angles}, seen {nods} and nframes {counted}; np.loadtxt {table}")
same = all(
    counted == count and table == [0.0, 4.0, 9.0, 15.0][:count] and nods == (table if name == "with" else table[:-1])
    for (count, name), (counted, nods, table) in seen.items()
)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/nod.py"
