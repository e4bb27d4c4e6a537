#!/usr/bin/env bash
# A BVH file holds the movements of a head, its jaw and its brows in centimeters, and they are wanted in meters. bvhtoolbox 0.1.3's
# bvh2csv and write_joint_positions have a scale, the "scale factor for root position and offset values", to "switch from centimeters to meters".
# The scaled position of a joint is the one that the next joint is added to, and the sum is scaled again. So the position of the root
# is multiplied once in the root, twice in the neck, three times in the head, four times in the brow. With a scale of 0.01 a brow at 168 cm is
# 8 cm above the floor, and the head is below the neck. A body that rises by 20 cm leaves the brow where it is.
# The table of the skeleton that is written beside it (write_joint_hierarchy) has each offset scaled once.
# Expected were the positions without a scale, times the scale. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The package needs NumPy before 1.24, and so Python before 3.12. The file is made here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation bvhtoolbox==0.1.3 bvh==0.3 \
    transforms3d==0.4.2 numpy==1.23.5
cat > "$work/scale.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from bvhtoolbox import BvhTree
from bvhtoolbox.convert.bvh2csv import write_joint_positions

JOINTS = {"neck": 50, "head": 10, "brow": 8}  # each is that much above the one before
ROTATION = "CHANNELS 3 Zrotation Xrotation Yrotation"
lines = ["HIERARCHY", "ROOT hips", "{", "OFFSET 0 0 0", "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"]
for name, height in JOINTS.items():
    lines += [f"JOINT {name}", "{", f"OFFSET 0 {height} 0", ROTATION]
lines += ["End Site", "{", "OFFSET 0 1 0", "}"] + ["}"] * (len(JOINTS) + 1)
lines += ["MOTION", "Frames: 2", "Frame Time: 0.01"]
lines += [f"0 {height} 0" + " 0" * (3 + 3 * len(JOINTS)) for height in (100, 120)]


def heights(scale):
    path = f"{sys.argv[1]}/positions.csv"
    assert write_joint_positions(BvhTree("\n".join(lines) + "\n"), path, scale=scale)
    with open(path) as file:
        names = file.readline().strip().split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return {name[:-2]: table[:, column] for column, name in enumerate(names) if name.endswith(".y")}


print("bvhtoolbox", version("bvhtoolbox"))
centimeters, meters = heights(1.0), heights(0.01)
for name in ("hips", *JOINTS):
    expected, seen = centimeters[name] * 0.01, meters[name]
    print(f"height of the {name} in two frames: expected {expected.round(5).tolist()} m, seen {seen.tolist()} m")
by_level, total = [], np.array([100.0, 120.0]) * 0.01
for height in (0, *JOINTS.values()):
    total = total if height == 0 else (total + height) * 0.01
    by_level.append(total)
same = centimeters["brow"].tolist() == [168, 188] and meters["hips"].tolist() == [1.0, 1.2]
same = same and all(np.allclose(meters[name], level, atol=1e-5) for name, level in zip(("hips", *JOINTS), by_level, strict=True))
sys.exit(0 if same and meters["brow"].max() < 0.1 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore::UserWarning "$work/scale.py" "$work"
