#!/usr/bin/env bash
# Where two people talk, gaze and pupils of both are measured. gazetimation 0.2.3's run takes max_num_faces and smooths over eight frames by
# default. It has one buffer for all faces. Two people who sit 400 px apart and do not move get, once it is full, pupils and gaze exactly
# in the middle between them, both the same, where there is no face. With smoothing=False each person is right.
# Of its two other ways to smooth, "linear" and "logarithmic" give the largest weight to the oldest frame of the eight: a gaze that jumps
# by 80 px has moved by 2 px and 0.4 px a frame later (10 px with equal weights), and is late by 4.7 and 6 frames in place of 3.5.
# Expected were the pupils of each person, and the largest weight for the newest frame. The numbers come by the handler, and nothing is said.
# Exits 0 if it is so, 1 if it has changed. MediaPipe's detector and the window are replaced by two drawn faces and none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps gazetimation==0.2.3 numpy==2.2.6 \
    opencv-python-headless==4.12.0.88
cat > "$work/gaze.py" <<'PYTHON'
import contextlib
import io
import sys
import types
from importlib.metadata import version

import cv2
import numpy as np

WIDTH, HEIGHT, FRAMES = 640, 240, 24
POINTS = {4: (0, 0), 152: (0, 60), 263: (-40, -30), 33: (40, -30), 287: (-28, 28), 57: (28, 28), 468: (28, -30), 473: (-28, -30)}


def face(center):
    place = {k: (center[0] + x, center[1] + y) for k, (x, y) in POINTS.items()}
    points = [types.SimpleNamespace(x=place[k][0] / WIDTH, y=place[k][1] / HEIGHT) if k in place else None for k in range(478)]
    return types.SimpleNamespace(landmark=points)


people = [face((120, 100)), face((520, 140))]


class Mesh(contextlib.nullcontext):
    def __init__(self, **settings):
        super().__init__(self)

    def process(self, frame):
        return types.SimpleNamespace(multi_face_landmarks=people)


mesh = types.SimpleNamespace(FaceMesh=Mesh)
sys.modules["mediapipe"] = types.SimpleNamespace(solutions=types.SimpleNamespace(face_mesh=mesh))
cv2.imshow = cv2.destroyAllWindows = lambda *_: None
cv2.waitKey = lambda _: 0
from gazetimation import Gazetimation  # noqa: E402


def pupils(path, **settings):
    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        Gazetimation(visualize=False).run(2, path, handler=lambda row: rows.append(row[1]), **settings)
    return np.round(np.array(rows).reshape(-1, 2, 2)[-1]).astype(int).tolist()


path = sys.argv[1] + "/two.avi"
video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (WIDTH, HEIGHT))
for _ in range(FRAMES):
    video.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
video.release()
print("gazetimation", version("gazetimation"))
apart, mixed = pupils(path, smoothing=False), pupils(path)
print(f"one pupil of two people at rest: expected {apart}, seen {mixed}")
after, late = {}, {}
for weight in ("uniform", "linear", "logarithmic"):
    gaze, curve = Gazetimation(visualize=False), []
    gaze.gaze_data = None
    for number in range(24):
        place = np.array([0.0 if number < 8 else 80.0, 0.0])
        curve.append(float(gaze.smoothing(weight, 8, place, place, place, place)[0][0]))
    after[weight] = round(curve[8], 1)
    late[weight] = round(sum(80 - value for value in curve[8:]) / 80, 1)
    print(f"a jump by 80 px, {weight}: after one frame {after[weight]} px, late by {late[weight]} frames")
same = apart == [[148, 70], [548, 110]] and abs(mixed[0][0] - mixed[1][0]) < 60 and 300 < mixed[0][0] < 400
same = same and after["logarithmic"] < after["linear"] < 0.3 * after["uniform"] and late["linear"] > late["uniform"] + 1
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/gaze.py" "$work"
