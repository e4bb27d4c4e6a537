#!/usr/bin/env bash
# TV-L1's flow of one and the same pair of faces depends on the type that holds its gray levels. The weights of TV-L1 are
# for one range, and each library brings a picture to it by its type, not by its values:
# - scikit-image 0.26.0, optical_flow_tvl1, a brow raised by 1 px: 0.94 px for 8 bits, but 0.33 px for the same frames as
#   10-bit camera data in uint16 (it divides by 65535), 0.59 px for 12 bits, and 4.3 px for floats from 0 to 255.
# - opencv-contrib 4.12.0.88, DualTVL1: floats are multiplied by 255, so that floats from 0 to 255 give a flow that
#   follows noise: 0.2 px where nothing moved, in place of 0.004 px.
# scikit-image's other method, optical_flow_ilk, gives 0.96 px for all of them. No word is said by any. High-speed cameras
# give 10 and 12 bits, and means over frames are floats; scale to 0..1 (scikit-image) or to 8 bits first.
# Exits 0 if it is so, 1 if it has changed. The face is NASA's portrait in scikit-image; its brow is moved by a warp.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-contrib-python-headless==4.12.0.88 numpy==2.2.6 \
    scikit-image==0.26.0 scipy==1.17.1
cat > "$work/brow.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import skimage
from skimage.data import astronaut
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

face = cv2.cvtColor(astronaut()[20:244, 110:334], cv2.COLOR_RGB2GRAY)
y, x = np.mgrid[0:224, 0:224].astype(np.float32)
brow = np.exp(-0.5 * (((x - 150) / 30) ** 2 + ((y - 70) / 18) ** 2)).astype(np.float32)
raised = cv2.remap(face, x, y + brow, cv2.INTER_CUBIC)
inside, still = brow > 0.6, brow < 0.01
print("scikit-image", skimage.__version__, "OpenCV", cv2.__version__)


def kinds(image):
    return {
        "8 bits": image,
        "10 bits in uint16": image.astype(np.uint16) * 4,
        "12 bits in uint16": image.astype(np.uint16) * 16,
        "floats 0..1": image / np.float32(255),
        "floats 0..255": image.astype(np.float32),
    }


def height(v):
    return float(-v[inside].mean() / brow[inside].mean())


tvl1, ilk, contrib = {}, {}, {}
for (name, onset), apex in zip(kinds(face).items(), kinds(raised).values()):
    tvl1[name] = height(optical_flow_tvl1(onset, apex)[0])
    ilk[name] = height(optical_flow_ilk(onset, apex)[0])
    print(f"scikit-image, {name}: expected 1 px, TV-L1 {tvl1[name]:.2f} px, iterative Lucas-Kanade {ilk[name]:.2f} px")
    if "uint16" not in name:
        flow = cv2.optflow.DualTVL1OpticalFlow_create().calc(onset, apex, None)
        contrib[name] = float(np.linalg.norm(flow, axis=2)[still].mean())
        print(f"opencv-contrib, {name}: {height(flow[..., 1]):.2f} px, and {contrib[name]:.3f} px where nothing moved")
same = (
    abs(tvl1["8 bits"] - 1) < 0.1
    and abs(tvl1["floats 0..1"] - 1) < 0.1
    and tvl1["10 bits in uint16"] < 0.5
    and tvl1["12 bits in uint16"] < 0.75
    and tvl1["floats 0..255"] > 3
    and all(abs(value - 1) < 0.1 for value in ilk.values())
    and contrib["floats 0..255"] > 10 * contrib["8 bits"]
    and contrib["floats 0..1"] < 2 * contrib["8 bits"]
)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/brow.py"
