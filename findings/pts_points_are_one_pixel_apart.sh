#!/usr/bin/env bash
# Landmarks of 300-W and of the sets marked after it are .pts files, in which the upper left pixel is (1, 1). menpo 0.11.1
# takes 1 off when it reads them (and adds it when it writes). OpenCV's loadFacePoints (opencv-contrib 4.12.0.88), which
# Facemark's training reads them with, does not, unless told offset=-1. One and the same file so gives points that are one
# pixel apart, right and down; menpo's are (y, x) besides. On a face of 28 px one pixel is a 28th of it, and a network
# trained by one reader is measured by the other with an error that no training removes.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/menpo"
"$work/menpo/bin/pip" install --quiet --disable-pip-version-check --no-compile menpo==0.11.1 numpy==2.4.6
python3 -m venv "$work/opencv"
"$work/opencv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-contrib-python-headless==4.12.0.88 numpy==2.2.6
cat > "$work/face.pts" <<'POINTS'
version: 1
n_points: 3
{
1.000 1.000
80.500 92.250
144.000 91.000
}
POINTS
"$work/menpo/bin/python" -W ignore - "$work" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import menpo.io
import numpy as np

folder = pathlib.Path(sys.argv[1])
(points,) = menpo.io.import_landmark_file(folder / "face.pts").values()
np.save(folder / "menpo.npy", points.points[:, ::-1])  # (y, x) to (x, y)
print("menpo", version("menpo"), points.points[:, ::-1].tolist())
PYTHON
"$work/opencv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys

import cv2
import numpy as np

folder = pathlib.Path(sys.argv[1])
by_menpo = np.load(folder / "menpo.npy")
read, told = (
    np.asarray(cv2.face.loadFacePoints(str(folder / "face.pts"), None, offset)[1]).reshape(-1, 2) for offset in (0.0, -1.0)
)
print("OpenCV", cv2.__version__, read.tolist())
print(f"first point: expected (0, 0) by both; menpo {by_menpo[0]}, OpenCV {read[0]}, told offset=-1 {told[0]}")
same = np.array_equal(read - by_menpo, np.ones((3, 2))) and np.array_equal(told, by_menpo)
sys.exit(0 if same and (by_menpo[0] == 0).all() else "the behavior has changed")
PYTHON
