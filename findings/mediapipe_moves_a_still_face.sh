#!/usr/bin/env bash
# MediaPipe 0.10.14's FaceMesh is for videos by default (static_image_mode=False): it looks for the face near the points of
# the frame before. One still picture, given thirty times, is a face that moves: by 1.2 px on the mean of all points from
# the first frame to the second (the face is 188 px wide), by 0.5 px to the third, and by more than 0.1 px a frame up to
# the seventh; single points by up to 2.8 px. A curve of landmarks thus begins with a movement of all muscles, after each
# cut and wherever the face was lost, which is as large as a micro-expression. With static_image_mode=True the points of
# one picture are equal to the last bit.
# Exits 0 if it is so, 1 if it has changed. The face is NASA's portrait in scikit-image, which ships with it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# Without its dependencies: it asks for a build of OpenCV, and for others that this model does not need.
"$work/venv/bin/pip" install --quiet --no-deps mediapipe==0.10.14
"$work/venv/bin/pip" install --quiet opencv-python-headless==4.11.0.86 numpy==1.26.4 scikit-image==0.24.0 \
    matplotlib==3.9.4 absl-py==2.1.0 attrs==24.2.0 flatbuffers==24.3.25 protobuf==4.25.5
cat > "$work/still.py" <<'PYTHON'
import sys
from importlib.metadata import version

import cv2
import mediapipe as mp
import numpy as np
from skimage.data import astronaut

face = cv2.resize(astronaut()[0:320, 60:380], (640, 640), interpolation=cv2.INTER_CUBIC)


def points(found):
    return 640 * np.array([(p.x, p.y) for p in found.multi_face_landmarks[0].landmark])


print("mediapipe", version("mediapipe"))
moves = {}
for still in (False, True):
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=still) as mesh:
        track = np.stack([points(mesh.process(face)) for _ in range(30)])
    moves[still] = np.linalg.norm(np.diff(track, axis=0), axis=2)
    means = " ".join(f"{value:.2f}" for value in moves[still].mean(axis=1)[:8])
    width = np.ptp(track[0, :, 0])
    print(f"static_image_mode={still}: face {width:.0f} px wide; expected 0 px from frame to frame, seen {means} ... px")
same = moves[False].mean(axis=1)[0] > 0.5 and (moves[False].mean(axis=1)[:4] > 0.1).all() and moves[False].max() > 1
sys.exit(0 if same and moves[True].max() == 0 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/still.py" 2> "$work/log" || { code=$?; tail -5 "$work/log"; exit "$code"; }
