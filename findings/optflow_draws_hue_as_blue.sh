#!/usr/bin/env bash
# Optical flow is looked at as color: direction as hue, length as brightness. flowHSV of optflow 0.0.1b1 gives an "HSV visualization (converted to BGR
# color space for display)". It converts and does not keep the result: what it returns is HSV, drawn as BGR: blue for the angle, red for
# the length, no green. Motion to the right is red, as it should be; motion down, left and up is pink to purple in place of green, cyan and violet.
# The saturation is 0 everywhere, so that the conversion, done by hand, gives gray: no direction at all.
# The lengths are spread from the shortest to the longest of the same frame: a face that moves by 3 pixels as a whole is black like one at rest,
# and noise of 0.01 pixels is as bright as a smile of 5.
# Expected were a hue for each direction, and black for no motion only. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The flow is drawn up; matplotlib and scikit-learn, which the package imports and flowHSV does not use,
# are empty stand-ins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps optflow==0.0.1b1 opencv-python-headless==4.12.0.88 \
    numpy==2.2.6 tqdm==4.67.1
mkdir "$work/stand_ins" && cd "$work/stand_ins" && mkdir matplotlib sklearn
touch matplotlib/__init__.py matplotlib/pyplot.py sklearn/__init__.py
echo "PCA = None" > sklearn/decomposition.py
echo "MinMaxScaler = None" > sklearn/preprocessing.py
cat > "$work/colors.py" <<'PYTHON'
import sys
from importlib.metadata import version

import cv2
import numpy as np
from optflow.viz.display_flow import flowHSV

DIRECTIONS = {"right": (5.0, 0.0), "down": (0.0, 5.0), "left": (-5.0, 0.0), "up": (0.0, -5.0)}
print("optflow", version("optflow"))
flow = np.zeros((1, 5, 2), np.float32)  # the last pixel is at rest
for column, motion in enumerate(DIRECTIONS.values()):
    flow[0, column] = motion
drawn = flowHSV(flow)
hsv = np.zeros((1, 5, 3), np.uint8)
hsv[0, :4] = [(hue, 255, 255) for hue in (0, 45, 90, 135)]
hues = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
for column, name in enumerate([*DIRECTIONS, "at rest"]):
    print(f"{name}: expected {hues[0, column].tolist()} (blue, green, red), seen {drawn[0, column].tolist()}")
converted = cv2.cvtColor(drawn, cv2.COLOR_HSV2BGR)
gray = bool((np.ptp(converted, axis=2) == 0).all())
print("converted by hand, all pixels are gray:", gray)
whole = flowHSV(np.full((4, 4, 2), (3.0, 0.0), np.float32)).max()
noise = flowHSV(np.random.default_rng(0).uniform(0, 0.01, (4, 4, 2)).astype(np.float32))[..., 2].max()
print(f"brightest pixel of a face that moves by 3 pixels as a whole: expected above 0, seen {whole}; of noise of 0.01 pixels {noise}")
unconverted = [int(pixel[0]) for pixel in drawn[0, :4]] == [0, 45, 90, 135] and (drawn[0, :4, 1:] == (0, 255)).all()
same = unconverted and gray and whole == 0 and noise == 255 and not drawn[0, 4].any()
sys.exit(0 if same else "the behavior has changed")
PYTHON
PYTHONPATH="$work/stand_ins" "$work/venv/bin/python" "$work/colors.py"
