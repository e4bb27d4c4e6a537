#!/usr/bin/env bash
# Flow is drawn as a video with one scale for all frames, limited so that one fast motion does not darken the rest.
# flowvid 0.4.1's normalize_video(clamp_pct=0.5) limits what goes right and down; what goes left and up is not limited,
# against its documentation (at most 1). A lowered brow of 1 px gives 1.0, a raised brow of 1 px -2.0, so the same
# movement weighs twice as much upward (AU1, AU2) as downward (AU4), and a head that turns left twice as much as one that
# turns right.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==4.12.0.88 numpy==2.2.6 \
    pillow==12.0.0 matplotlib==3.10.8 imageio==2.38.1 pyyaml==6.0.4
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps flowvid==0.4.1
"$work/venv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import cv2
import flowvid
import numpy as np

folder = pathlib.Path(sys.argv[1]) / "flow"
folder.mkdir()
flow = np.zeros((20, 80, 2), np.float32)
for k, vector in enumerate(((0, 1), (0, -1), (1, 0), (-1, 0))):  # down, up, right, left
    flow[5:15, 5 + 20 * k : 15 + 20 * k] = vector
for number in range(3):
    cv2.writeOpticalFlow(str(folder / f"{number}.flo"), flow)
print("flowvid", version("flowvid"))
seen = {}
for share in (1.0, 0.5):
    scaled = next(iter(flowvid.normalize_video(flowvid.input.flo(str(folder)), clamp_pct=share)))
    seen[share] = [round(float(np.abs(scaled[10, 10 + 20 * k]).max()), 1) for k in range(4)]
    print(f"clamp_pct={share}: 1 px down, up, right and left: expected 1.0 for each, seen {seen[share]}")
sys.exit(0 if seen == {1.0: [1.0] * 4, 0.5: [1.0, 2.0, 1.0, 2.0]} else "the behavior has changed")
PYTHON
