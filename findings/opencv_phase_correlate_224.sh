#!/usr/bin/env bash
# OpenCV's phaseCorrelate (5.0.0.93, 4.12.0.88 and 4.10.0.84), used to measure how far a head moved between two frames,
# says that two identical faces of 224 x 224 px differ by (0.5, 0.5) px, and adds that half pixel to every shift. It pads
# pictures to a size that suits its Fourier transform; where that size is odd (224 px become 225) it counts from a center
# that lies between two pixels: 73 to 75, 81, 121 to 125, 129 to 135, 217 to 225, 241 to 243 px. At other sizes, 192 px
# for one, the answer is 0. Half a pixel is as large as a micro-expression, and 224 px is the usual size of a face.
# Exits 0 if it is so, 1 if it has changed. The face is NASA's portrait in scikit-image.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/shift.py" <<'PYTHON'
import sys

import cv2
import numpy as np

face = np.load(sys.argv[1])
print("OpenCV", cv2.__version__)
seen = {}
for size in (192, 224):
    window = cv2.createHanningWindow((size, size), cv2.CV_64F)
    for shift in (0, 2):
        onset = face[20 : 20 + size, 110 : 110 + size].astype(np.float64)
        apex = face[20 : 20 + size, 110 - shift : 110 - shift + size].astype(np.float64)
        (x, y), _ = cv2.phaseCorrelate(onset, apex, window)
        seen[size, shift] = x, y
        print(f"{size} px: expected ({shift:.2f}, 0.00) px, seen ({x:.2f}, {y:.2f})")
right = all(abs(seen[192, s][0] - s) < 0.1 and abs(seen[192, s][1]) < 0.1 for s in (0, 2))
half = all(abs(seen[224, s][0] - s - 0.5) < 0.1 and abs(seen[224, s][1] - 0.5) < 0.1 for s in (0, 2))
sys.exit(0 if right and half else "the behavior has changed")
PYTHON
python3 -m venv "$work/face"
"$work/face/bin/pip" install --quiet --disable-pip-version-check --no-compile scikit-image==0.26.0 numpy==2.4.6
"$work/face/bin/python" -c "
import sys, numpy as np, skimage.color, skimage.data
np.save(sys.argv[1], np.rint(255 * skimage.color.rgb2gray(skimage.data.astronaut())).astype(np.uint8))" "$work/face.npy"
for pair in 4.10.0.84:1.26.4 4.12.0.88:2.2.6 5.0.0.93:2.4.6; do
  version=${pair%%:*}
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet --disable-pip-version-check --no-compile "numpy==${pair##*:}" "opencv-python-headless==$version"
  "$work/$version/bin/python" "$work/shift.py" "$work/face.npy"
done
