#!/usr/bin/env bash
# Motion of a face is described by the mean direction of its optical flow. pyfame 1.0.10's analyse_optical_flow_dense gives a "mean
# angle" for each frame, the arithmetic mean of angles from 0 to 2 pi. What moves to the right has angles just above 0 and just below
# 2 pi, and their mean is pi, which is the left. A texture that moves right by 1 px a frame and one that moves left both get about 180
# degrees (in radians). Down (90) and up (270) come out as expected. Nothing is said; only the "deviation angle" differs (179 degrees
# and 1). Expected was the direction, 0 and 180 degrees: the circular mean, or that of the vectors.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyfame==1.0.10 mediapipe==0.10.21 absl-py==2.3.1 \
  attrs==25.4.0 flatbuffers==25.9.23 protobuf==4.25.8 numpy==1.26.4 opencv-contrib-python-headless==4.11.0.86 scikit-image==0.25.2 \
  lazy-loader==0.4 networkx==3.5 scipy==1.15.3 pandas==2.3.3 pytz==2025.2 tzdata==2025.2 pydantic==2.12.5 pydantic-core==2.41.5 \
  typing-extensions==4.15.0 annotated-types==0.7.0 typing-inspection==0.4.2 tqdm==4.67.1 av==16.1.0 jsonschema==4.25.1 \
  jsonschema-specifications==2025.9.1 referencing==0.37.0 rpds-py==0.28.0 matplotlib==3.10.7 contourpy==1.3.2 cycler==0.12.1 \
  fonttools==4.60.1 kiwisolver==1.4.9 packaging==25.0 pillow==12.0.0 pyparsing==3.2.5 python-dateutil==2.9.0.post0 six==1.17.0
cat > "$work/direction.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

import cv2
import numpy as np
import pandas as pd
from pyfame.analyse import analyse_optical_flow_dense

MOTIONS = {"right": (1, 0), "down": (0, 1), "left": (-1, 0), "up": (0, -1)}
rng = np.random.default_rng(0)
texture = cv2.GaussianBlur(rng.normal(size=(400, 400)), (0, 0), 3)
texture = 128 + 40 * texture / texture.std()
for folder in ("raw", "processed", "analysis"):
    os.makedirs(f"data/{folder}")
for name, (x, y) in MOTIONS.items():
    writer = cv2.VideoWriter(f"data/raw/{name}.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 30, (240, 240))
    for frame in range(12):
        moved = texture[80 - y * frame : 320 - y * frame, 80 - x * frame : 320 - x * frame] + rng.normal(0, 3, (240, 240))
        writer.write(cv2.cvtColor(moved.clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR))
    writer.release()

print("pyfame", version("pyfame"))
names = [f"data/raw/{name}.mp4" for name in MOTIONS]
files = pd.DataFrame({"Absolute Path": [os.path.abspath(name) for name in names], "Relative Path": names})
tables, _ = analyse_optical_flow_dense(files, frame_step=1)
seen, spread = {}, {}
for name, (x, y) in MOTIONS.items():
    true = np.degrees(np.arctan2(y, x)) % 360
    seen[name] = np.degrees(tables[name]["mean angle"].to_numpy())
    spread[name] = float(np.degrees(tables[name]["deviation angle"]).mean())
    size = tables[name]["mean magnitude"].mean()
    print(f"{name}, {size:.2f} px: expected {true:.0f} degrees, seen {seen[name].min():.0f} to {seen[name].max():.0f}, deviation {spread[name]:.0f}")
same = all(abs(np.mean(seen[name]) - true) < 3 for name, true in {"down": 90, "left": 180, "up": 270}.items())
sys.exit(0 if same and abs(np.mean(seen["right"]) - 180) < 15 and spread["right"] > 150 else "the behavior has changed")
PYTHON
cd "$work"
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" -W ignore "$work/direction.py" 2> "$work/bars" || { tail -n 3 "$work/bars" >&2; exit 1; }
