#!/usr/bin/env bash
# The color of skin carries the pulse, and gray levels of a face are made of its colors. Phones and HD cameras store video by the color
# matrix of BT.709 and say so in the file; older cameras, and most programs when they shrink a video, by that of BT.601. OpenCV 4.12.0.88's
# VideoCapture does not look at what the file says and reads all of them by BT.601. Skin of (200, 120, 90) in a file by BT.709 is
# (192, 113, 92), its gray level 134 in place of 140; the same skin in a file by BT.601 is right. So recordings of one person by two
# cameras, or one recording and its small copy, have two colors of skin, 7 levels apart in red and green. PyAV 18.1.0 reads both
# rightly, and OpenCV 5.0.0.93 does too, so that one and the same program has other colors after an update. Nothing is said. Expected was
# the color that was stored.
# Exits 0 if it is so, 1 if it has changed. The frames are flat, made here by the formulas of both standards, in limited range.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps av==18.1.0 numpy==2.2.6
for opencv in 4.12.0.88 5.0.0.93; do
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --target "$work/$opencv" "opencv-python-headless==$opencv"
done
cat > "$work/write.py" <<'PYTHON'
import sys
from fractions import Fraction

import av

SKIN = (200, 120, 90)
STANDARDS = {"BT.709": (1, 0.2126, 0.0722), "BT.601": (6, 0.299, 0.114)}  # the file's code, the weights of red and blue
WIDTH, HEIGHT = 1280, 720
for name, (code, of_red, of_blue) in STANDARDS.items():
    red, green, blue = (level / 255 for level in SKIN)
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    chroma = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    levels = round(16 + 219 * luma), *(round(128 + 224 * value) for value in chroma)
    with av.open(f"{sys.argv[1]}/{name}.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = code
        codec.color_range = 1
        for number in range(5):
            frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
            for plane, level in zip(frame.planes, levels, strict=True):
                plane.update(bytes([level]) * plane.buffer_size)
            frame.pts, frame.time_base, frame.colorspace, frame.color_range = number, Fraction(1, 25), code, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(f"{sys.argv[1]}/{name}.mp4") as container:
        frame = next(container.decode(video=0))
        seen = frame.to_ndarray(format="rgb24")[300, 300].tolist()
        print(f"{name} (the file says {int(frame.colorspace)}): PyAV {av.__version__} reads {seen}")
        if int(frame.colorspace) != code or max(abs(a - b) for a, b in zip(seen, SKIN, strict=True)) > 2:
            sys.exit("the behavior has changed")
PYTHON
cat > "$work/read.py" <<'PYTHON'
import sys

import cv2

SKIN = (200, 120, 90)
right = {}
for name in ("BT.709", "BT.601"):
    found, picture = cv2.VideoCapture(f"{sys.argv[1]}/{name}.mp4").read()
    seen = picture[300, 300][::-1].tolist()
    gray = int(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[300, 300])
    right[name] = max(abs(a - b) for a, b in zip(seen, SKIN, strict=True)) <= 2
    print(f"{name}: OpenCV {cv2.__version__}: expected about {SKIN}, seen {seen}, gray {gray}")
    if not right[name] and not (seen[0] <= 193 and seen[1] <= 114 and gray <= 135):
        sys.exit("the behavior has changed")
sys.exit(0 if right["BT.601"] and right["BT.709"] == (sys.argv[2] == "5.0.0.93") else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/write.py" "$work"
for opencv in 4.12.0.88 5.0.0.93; do
  PYTHONPATH="$work/$opencv" "$work/venv/bin/python" "$work/read.py" "$work" "$opencv"
done
