#!/usr/bin/env bash
# LBP-TOP's papers use "uniform patterns" (u2), 59 bins for 8 neighbors: direction counts. The method "uniform" of
# scikit-image 0.26.0's local_binary_pattern is another one (riu2), with 10 bins: a picture and the same picture upside down
# have one histogram, so a raised and a lowered mouth corner, or an upper and a lower edge, are one to it. Histograms of 59
# bins made of its codes are 0 in 49 of them, and no error tells. u2 is called "nri_uniform" there. mahotas 1.4.19's
# features.lbp has no u2 at all: its 36 bins are for patterns up to rotation, a histogram in place of a picture of codes.
# Exits 0 if it is so, 1 if it has changed. The face is NASA's portrait in scikit-image.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check scikit-image==0.26.0 scipy==1.17.1 mahotas==1.4.19 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import mahotas
import numpy as np
import skimage
from skimage.data import astronaut
from skimage.feature import local_binary_pattern

face = np.ascontiguousarray(astronaut()[20:244, 110:334, 1])
print("scikit-image", skimage.__version__, "mahotas", mahotas.__version__)
used, differ = {}, {}
for method in ("uniform", "nri_uniform"):
    histograms = [
        np.bincount(local_binary_pattern(picture, 8, 1, method).astype(int)[1:-1, 1:-1].ravel(), minlength=59)
        for picture in (face, face[::-1])
    ]
    used[method] = int((histograms[0] > 0).sum())
    differ[method] = int(abs(histograms[0] - histograms[1]).sum())
    print(f"{method}: {used[method]} of 59 bins in use; face and face upside down differ in {differ[method]} counts")
bins = len(mahotas.features.lbp(face, 1, 8))
print("expected: 59 bins of uniform, that tell up from down; seen: 10 that do not, 59 of nri_uniform, mahotas", bins)
same = used == {"uniform": 10, "nri_uniform": 59} and differ["uniform"] == 0 and differ["nri_uniform"] > 1000 and bins == 36
sys.exit(0 if same else "the behavior has changed")
PYTHON
