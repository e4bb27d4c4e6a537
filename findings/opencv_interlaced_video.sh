#!/usr/bin/env bash
# OpenCV 5.0.0.93 (pip wheel) reads interlaced H.264, as clinics' camcorders record it, without an error and gives pictures that do not show
# the video: black, the same for every frame. PyAV 18.1.0 and OpenCV 4.10.0.84 read the same file rightly. A face detector then finds no
# face in a healthy recording, and the recording is blamed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/make.py" <<'PY'
import sys

import av
import numpy as np

with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"x264-params": "interlaced=1"})
    stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
    for k in range(12):
        frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 60 + 10 * k, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
levels = [round(float(f.to_ndarray(format="gray").mean())) for f in av.open(sys.argv[1]).decode(video=0)]
print("PyAV", av.__version__, "levels", levels)
sys.exit(0 if all(b > a for a, b in zip(levels, levels[1:])) else 1)
PY
cat >"$work/read.py" <<'PY'
import sys

import cv2

capture = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
levels = []
while True:
    found, pixels = capture.read()
    if not found:
        break
    levels.append(round(float(pixels.mean())))
print("OpenCV", cv2.__version__, "levels", levels)
print("expected: 12 levels that rise from frame to frame")
rising = len(levels) == 12 and all(b > a for a, b in zip(levels, levels[1:]))
sys.exit(0 if rising == (sys.argv[2] == "right") else 1)
PY
python3 -m venv "$work/av" && "$work/av/bin/pip" install --quiet "av==18.1.0" "numpy<2.3"
"$work/av/bin/python" "$work/make.py" "$work/clip.mp4"
for pair in 4.10.0.84:right 5.0.0.93:wrong; do
  version=${pair%%:*}
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet "numpy<2.3" "opencv-python-headless==$version"
  OPENCV_FFMPEG_LOGLEVEL=-8 "$work/$version/bin/python" "$work/read.py" "$work/clip.mp4" "${pair##*:}"
done
