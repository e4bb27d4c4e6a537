#!/usr/bin/env bash
# Landmarks of clips are brought to one rate before they are compared. pose-format 0.15.0's interpolate(new_fps) spreads the
# new frames evenly from the first to the last old one, but makes as many of them as the clip's frame count times the rates'
# ratio: 12 frames at 30 a second (11 steps, 367 ms) become 80 frames at 200 (79 steps, 395 ms). The result says 200 frames a
# second and has 215: an apex that stood at 200 ms is at 215 ms, all is 8 % longer. The shorter the clip the more: 0.7 % for 4 s,
# 17 % for 6 frames, so clips of one study are stretched by different amounts and short expressions most, and
# times coded on the video (EMG, sound, a coder) no longer fit. Expected was the rate asked for, each frame at its time.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
  pose-format==0.15.0 numpy==2.3.5 scipy==1.16.3 tqdm==4.67.1
cat > "$work/rate.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pose_format.numpy import NumPyPoseBody

print("pose-format", version("pose-format"), "- a brow whose height is 100 px per second of the video, 30 to 200 frames a second")
seen = {}
for frames in (6, 12, 120):
    data = np.zeros((frames, 1, 1, 2), np.float32)
    data[:, 0, 0, 1] = 100 * np.arange(frames) / 30
    body = NumPyPoseBody(30, data, np.ones((frames, 1, 1), np.float32)).interpolate(new_fps=200, kind="linear")
    height = np.asarray(body.data[:, 0, 0, 1])
    speed = float(np.diff(height).mean() * body.fps)
    where = 1000 * float(np.interp(100 * ((frames - 1) // 2) / 30, height, np.arange(len(height)))) / body.fps
    seen[frames] = round(100 / speed - 1, 3)
    true = 1000 * ((frames - 1) // 2) / 30
    print(f"{frames} frames become {len(height)}, said to be {body.fps} a second: middle frame expected at {true:.0f} ms, ", end="")
    print(f"seen at {where:.0f} ms; speed expected 100 px/s, seen {speed:.1f}")
sys.exit(0 if seen == {6: 0.17, 12: 0.077, 120: 0.007} else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/rate.py"
