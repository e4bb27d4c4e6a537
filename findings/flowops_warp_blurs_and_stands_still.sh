#!/usr/bin/env bash
# Whether a flow is right is seen by warping one frame with it onto the other. flowops 0.1.0 has two ways, and neither is right for the small
# motions of faces:
# - warp_backward takes the nearest pixel. A brow raise of 0.4 px leaves the picture as it is, bit by bit, one of 0.6 px moves it by 1 px.
# - warp_forward, "using k-nearest neighbors for interpolation", takes the mean of the four nearest pixels, with a weight that is still a third
#   at a distance of 1 px. A flow of 0 everywhere does not give the picture back but a blurred one, which differs by 1.6 gray
#   levels on average and is darker by half a gray level, since the mean is cut to whole numbers.
# Expected was interpolation between pixels, and for a flow of 0 the picture itself. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The face is drawn: smooth shapes, moved by formula.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps flowops==0.1.0 numpy==1.26.4 scipy==1.15.3 \
  opencv-python-headless==4.11.0.86 typing-extensions==4.15.0
cat > "$work/warps.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from flowops.warp import warp_backward, warp_forward

SIDE = 96
rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def face(up):  # up: pixels by which everything is raised
    y = rows + up
    return np.rint(127 + 60 * np.sin(columns / 3) * np.sin(y / 3) + 40 * np.cos(y / 7)).astype(np.uint8)


def error(first, second):  # in gray levels, away from the border
    return float(np.abs(first.astype(float) - second)[8:-8, 8:-8].mean())


print("flowops", version("flowops"))
still, zero = face(0.0), np.zeros((SIDE, SIDE), np.float32)
moved = []
for up in (0.4, 0.6):
    raised = face(up)
    backward = warp_backward(raised, (zero, zero - up))  # reads where the face has gone
    forward = warp_forward(still, (zero, zero - up))
    moved.append(np.array_equal(backward[8:-8], raised[8:-8]))
    print(f"raised by {up} px: difference without a warp {error(raised, still):.2f}, after warp_backward {error(backward, still):.2f}, "
          f"after warp_forward {error(forward, raised):.2f}, unchanged by warp_backward: {moved[-1]}")
nothing = warp_forward(still, (zero, zero))
print(f"flow of 0: expected a difference of 0, seen {error(nothing, still):.2f}; contrast {still.std():.1f} becomes {nothing.std():.1f}")
darker = float(still[8:-8, 8:-8].mean() - nothing[8:-8, 8:-8].mean())
print(f"flow of 0: darker by {darker:.2f} gray levels")
same = moved == [True, False] and error(nothing, still) > 1 and 0.4 < darker < 0.6
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/warps.py"
