#!/usr/bin/env bash
# Faces are aligned so that eyes, nose and mouth lie at the same pixels in each clip. simple-face-alignment 0.0.2 takes five points and the
# box of a face. It first resizes what is in the box to 96 x 112 pixels, whatever its shape, and then turns and scales the result evenly,
# which cannot undo an uneven resize. Points that are a moved and scaled copy of the standard ones, so that all five can be met exactly, lie
# beside them by up to 2.4 px if the box is square, as most detectors' boxes nearly are, and by 6 px if it is wide: the eyes are nearer
# together and the face is narrower. One face in the same frame, with boxes of two detectors, gives two faces, and a box that breathes from
# frame to frame makes the face do so. And the standard points are those for a picture 96 pixels wide, but the picture that is returned
# ("standard size (112x112)") is 112 wide, with the face 8 px left of its middle, so that a mirrored face does not match. Expected were the
# standard points for each box. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The face is five spots.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation \
  simple-face-alignment==0.0.2 numpy==2.2.6 opencv-python-headless==4.12.0.88
cat > "$work/align.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from simple_face_alignment import align_face
from simple_face_alignment.face_aligned import STANDARD_FACIAL_POINTS

NAMES = ["right eye", "left eye", "nose", "right corner", "left corner"]
POINTS = STANDARD_FACIAL_POINTS * 2 + [150, 120]  # twice as large, elsewhere: all five can be met
rows, columns = np.mgrid[:480, :640]


def spots_found(box):  # each spot is in a picture of its own, so that its place can be measured
    found = []
    for x, y in POINTS:
        picture = 200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 5.0**2))
        aligned = align_face(np.rint(picture).astype(np.uint8), POINTS.tolist(), box).astype(float)
        y, x = np.mgrid[: aligned.shape[0], : aligned.shape[1]]
        found.append([(aligned * x).sum() / aligned.sum(), (aligned * y).sum() / aligned.sum()])
    return np.array(found), aligned.shape


print("simple-face-alignment", version("simple-face-alignment"))
boxes = {"96 to 112": [150, 120, 342, 344], "square": [134, 120, 358, 344], "wide": [110, 140, 380, 340]}
off, same = {}, True
for name, box in boxes.items():
    places, shape = spots_found(box)
    off[name] = np.linalg.norm(places - STANDARD_FACIAL_POINTS, axis=1)
    eyes = places[1, 0] - places[0, 0]
    print(f"box {name}: picture {shape}, points beside the standard ones by {off[name].round(1).tolist()} px; eyes {eyes:.1f} px apart,"
          f" {np.linalg.norm(places[1] - places[0]) / np.linalg.norm(places[3:].mean(0) - places[:2].mean(0)):.2f} of the way to the mouth; middle {places.mean(0).round(1)}")
    middle = places[:, 0].mean()
    same = same and shape == (112, 112) and abs(middle - 48) < 1
off = {name: float(value.max()) for name, value in off.items()}
sys.exit(0 if same and off["96 to 112"] < 1 and 2 < off["square"] < 3 and 5 < off["wide"] < 7 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/align.py"
