#!/usr/bin/env bash
# Landmarks are carried along by optical flow, and those of a close crop lie on its border: the chin in the last row, an ear in the last
# column (points are often clipped to W - 1 and H - 1). oflibnumpy 1.1.1's track gives such points no motion. Between two pixels it
# interpolates, and in the last row and column both neighbors are the same pixel, so that all four weights are 0. Where everything moves by
# 2 px down and right, the chin at row 27 of 28 stays where it is, also its sideways motion is lost, and a point at 26.9 moves by 2. The same
# point given as a whole number (dtype int) moves by 2, and so it does with s_exact_mode=True. First row and column are right, so that a
# face that moves left and right appears to turn. The status that it returns beside says that the point was tracked, where motion is inward.
# Expected was 2 px. Exits 0 if it is so, 1 if it has changed. The flow is made here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps oflibnumpy==1.1.1 numpy==2.2.6 scipy==1.15.3 \
    opencv-python-headless==4.12.0.88
cat > "$work/border.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import oflibnumpy

print("oflibnumpy", version("oflibnumpy"))
points = np.array([[14.0, 14.0], [27.0, 14.0], [14.0, 27.0], [26.9, 14.0], [0.0, 14.0], [14.0, 0.0]])
names = ("middle", "last row", "last column", "a tenth above the last row", "first row", "first column")
ways = {
    "as floats": lambda flow: flow.track(points.copy()),
    "as floats, s_exact_mode": lambda flow: flow.track(points.copy(), s_exact_mode=True),
    "as whole numbers": lambda flow: flow.track(np.delete(points, 3, 0).astype(int)),
}
seen = {}
for move in (2.0, -2.0):
    flow = oflibnumpy.Flow(np.full((28, 28, 2), move, np.float32), "s")
    for way, track in ways.items():
        start = points if way != "as whole numbers" else np.delete(points, 3, 0)
        seen[move, way] = np.round(track(flow) - start, 3)[:, 0].tolist()
    tracked = flow.track(points.copy(), get_valid_status=True)[1].tolist()
    for k, name in enumerate(names):
        print(f"{name}: expected {move}, seen {seen[move, 'as floats'][k]}, in exact mode {seen[move, 'as floats, s_exact_mode'][k]}", end="")
        print(", status", tracked[k])
same = all(seen[move, "as floats"] == [move, 0.0, 0.0, move, move, move] for move in (2.0, -2.0))
same = same and all(set(values) == {move} for (move, way), values in seen.items() if way != "as floats")
sys.exit(0 if same and tracked[1] and tracked[2] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/border.py"
