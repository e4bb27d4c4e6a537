#!/usr/bin/env bash
# How far a head moved is measured by phase correlation of the onset with each later frame. OpenCV 4.12.0.88's and 5.0.0.93's phaseCorrelate,
# given a window, as is usual (createHanningWindow), multiplies the window into the two pictures it was given, not into copies, if their
# size suits its Fourier transform (120, 128, 192, 240, 256, 480 and 512 px). At other sizes (112, 224) it pads them, and works on the
# padded copies. So at 120 x 120 px the onset is windowed once more at each call, and one and the same shift by 1 px between two still
# pictures, measured ten times, is 1.30, 1.01, 0.90 and so on: a motion that is not there. Both pictures are black toward their
# edges after it, for whatever is done with them next: optical flow, features, a figure. Expected were the same number ten times, and
# two sources ("source floating point array") as they were. Nothing is said. Hand over copies (onset.copy(), frame.copy()).
# Exits 0 if it is so, 1 if it has changed. The picture is random texture, as fine as skin.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps numpy==2.2.6
cat > "$work/still.py" <<'PYTHON'
import sys

import cv2
import numpy as np

same = True
for side in (120, 112):
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.normal(0, 1, (side, side + 1)).astype(np.float32), (0, 0), 2)
    first = 128 + 40 * texture / texture.std()
    onset, later = first[:, 1:].copy(), first[:, :-1].copy()  # later is moved right by 1 px
    window = cv2.createHanningWindow((side, side), cv2.CV_32F)
    kept = onset.copy()
    moved = [round(cv2.phaseCorrelate(onset, later.copy(), window)[0][0], 2) for _ in range(10)]
    copies = {round(cv2.phaseCorrelate(kept.copy(), later.copy(), window)[0][0], 2) for _ in range(10)}
    corner = float(onset[:10, :10].mean()), float(kept[:10, :10].mean())
    print(f"OpenCV {cv2.__version__}, {side} px: one shift measured ten times: seen {moved}, of copies {sorted(copies)}")
    print(f"    mean of the onset's corner: before {corner[1]:.1f}, after {corner[0]:.1f}")
    if side == 120:
        same = same and moved[0] - moved[-1] > 0.05 and len(set(moved)) > 3 and corner[0] < 1 < 50 < corner[1] and copies == {moved[0]}
    else:
        same = same and set(moved) == copies and len(copies) == 1 and corner[0] == corner[1]
sys.exit(0 if same else "the behavior has changed")
PYTHON
for opencv in 4.12.0.88 5.0.0.93; do
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps "opencv-python-headless==$opencv"
  "$work/venv/bin/python" "$work/still.py"
done
