#!/usr/bin/env bash
# OpenCV's Farneback flow (5.0.0.93 and 4.10.0.84) shrinks with the contrast of the picture: a shift of 1 px is seen whole at a standard
# deviation of 50 grey levels, by half at 8 and hardly at all at 3, because a constant is added to the determinant it divides by.
# Onsets and apexes of micro-expressions are searched by the size of this flow, so that a dim or hazy face seems to rest.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 4.10.0.84 5.0.0.93; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet "numpy<2.3" "opencv-python-headless==$version"
  "$work/$version/bin/python" - <<'PY'
import sys

import cv2
import numpy as np

rng = np.random.default_rng(0)
texture = cv2.GaussianBlur(rng.standard_normal((480, 484)), (0, 0), 16)
texture /= texture.std()
seen = {}
for contrast in (50, 20, 8, 3):
    frames = []
    for shift in (0, 4):  # a quarter of the size: 1 px
        part = texture[:, 4 - shift : 484 - shift]
        small = cv2.resize(part, (120, 120), interpolation=cv2.INTER_AREA)
        frames.append(np.rint(120 + small * contrast).clip(0, 255).astype(np.uint8))
    flow = cv2.calcOpticalFlowFarneback(*frames, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    seen[contrast] = float(flow[16:-16, 16:-16, 0].mean())
print("OpenCV", cv2.__version__)
print("expected: 1.00 px at every contrast, up to the rounding of grey levels")
print("seen:    ", ", ".join(f"{value:.2f} px at {contrast}" for contrast, value in seen.items()))
sys.exit(0 if seen[50] > 0.9 and seen[8] < 0.75 and seen[3] < 0.3 else 1)
PY
done
