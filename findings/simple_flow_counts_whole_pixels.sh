#!/usr/bin/env bash
# SimpleFlow (Tao et al. 2012) of opencv-contrib 4.12.0.88's module optflow sees no micro-expression: calcOpticalFlowSF gives
# a brow raise of 1.0 px as 1.00 px, but one of 0.3 px as 0.00 px and one of 0.45 px as 0.01 px: it counts whole pixels, and
# says nothing. Expected was the fraction, since its result is float32, as by the module's
# other methods (DeepFlow, PCAFlow, RLOF and DualTVL1 give 0.29 to 0.33 px).
# Exits 0 if it is so, 1 if it has changed. The face is NASA's portrait in scikit-image; its brow is moved by a warp.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-contrib-python-headless==4.12.0.88 numpy==2.2.6 \
    scikit-image==0.25.2 scipy==1.15.3
cat > "$work/brow.py" <<'PYTHON'
import sys

import cv2
import numpy as np
from skimage.data import astronaut

cv2.setNumThreads(1)
color = cv2.cvtColor(astronaut()[20:244, 110:334], cv2.COLOR_RGB2BGR)
y, x = np.mgrid[0:224, 0:224].astype(np.float32)
brow = np.exp(-0.5 * (((x - 150) / 30) ** 2 + ((y - 70) / 18) ** 2)).astype(np.float32)
inside = brow > 0.6
module = cv2.optflow
gray_methods = {
    "DeepFlow": module.createOptFlow_DeepFlow(),
    "PCAFlow": module.createOptFlow_PCAFlow(),
    "DualTVL1": module.DualTVL1OpticalFlow_create(),
}


def height(flow):
    return float(-flow[..., 1][inside].mean() / brow[inside].mean())


print("opencv-contrib", cv2.__version__)
simple, others = {}, []
for raised_by in (0.3, 0.45, 1.0):
    apex = cv2.remap(color, x, y + raised_by * brow, cv2.INTER_CUBIC)
    simple[raised_by] = height(module.calcOpticalFlowSF(color, apex, 3, 2, 4))
    line = f"SimpleFlow {simple[raised_by]:.2f} px"
    if raised_by == 0.3:
        pair = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in (color, apex)]
        found = {name: height(method.calc(*pair, None)) for name, method in gray_methods.items()}
        found["RLOF"] = height(module.calcOpticalFlowDenseRLOF(color, apex, None))
        others = list(found.values())
        line += "".join(f", {name} {value:.2f} px" for name, value in found.items())
    print(f"brow raised by {raised_by} px: seen by {line}")
same = simple[0.3] < 0.02 and simple[0.45] < 0.1 and abs(simple[1.0] - 1) < 0.1
sys.exit(0 if same and all(abs(value - 0.3) < 0.05 for value in others) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/brow.py"
