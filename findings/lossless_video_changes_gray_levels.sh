#!/usr/bin/env bash
# High-speed cameras are monochrome, and their frames are kept without loss. Two ways to write them change the levels:
# - PyAV 18.1.0, libx264 with pix_fmt="gray" and qp=0 (lossless): the levels are stored as they are, but the stream does not
#   say that its range is full. PyAV and OpenCV 5.0.0.93 read it as 16..235 and stretch: 0 to 16 are all black, 235 to 255
#   all white, what lies between is off by up to 20 levels. color_range=2 (JPEG) on the codec context cures it, and
#   libx265, FFV1 and imageio-ffmpeg's libx264 are right without.
# - OpenCV 5.0.0.93, VideoWriter with fourcc Y800 or GREY (uncompressed gray) and color frames (the default isColor=True):
#   it stores 16..235, and reads that as 0..255: 14 % less contrast and no black. With isColor=False it is exact.
# Flow and thresholds in gray levels change with the file, and a folder of the same frames as PNG does not agree with it.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile av==18.1.0 opencv-python-headless==5.0.0.93 numpy==2.4.6
cat > "$work/ramp.py" <<'PYTHON'
import pathlib
import sys

import av
import cv2
import numpy as np

folder = pathlib.Path(sys.argv[1])
ramp = np.arange(256, dtype=np.uint8)[None].repeat(64, 0)
print("PyAV", av.__version__, "OpenCV", cv2.__version__)


def by_pyav(name, codec, options, full_range=False):
    file = str(folder / f"{name}.mkv")
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=200, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 64, "gray"
        frame = av.VideoFrame.from_ndarray(ramp, format="gray")
        if full_range:
            stream.codec_context.color_range = frame.color_range = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def by_opencv(fourcc, color):
    file = str(folder / f"{fourcc}{color}.avi")
    writer = cv2.VideoWriter(file, cv2.VideoWriter_fourcc(*fourcc), 200, (256, 64), color)
    writer.write(cv2.merge([ramp] * 3) if color else ramp)
    writer.release()
    return file


def error(file):
    with av.open(file) as container:
        levels = next(container.decode(video=0)).to_ndarray(format="gray")[32].astype(int)
    again = cv2.VideoCapture(file).read()[1][32, :, 1].astype(int)
    return max(abs(levels - ramp[32])), max(abs(again - ramp[32]))


seen = {}
for name, file in {
    "PyAV, libx264 gray, qp 0": by_pyav("x264", "libx264", {"qp": "0"}),
    "the same, color_range 2": by_pyav("full", "libx264", {"qp": "0"}, full_range=True),
    "PyAV, ffv1 gray": by_pyav("ffv1", "ffv1", {}),
    "OpenCV, Y800, color frames": by_opencv("Y800", True),
    "OpenCV, Y800, isColor=False": by_opencv("Y800", False),
}.items():
    seen[name] = [int(value) for value in error(file)]
    print(f"{name}: expected largest error 0, seen {seen[name][0]} by PyAV and {seen[name][1]} by OpenCV")
same = list(seen.values()) == [[20, 20], [0, 0], [0, 0], [21, 21], [0, 0]]
sys.exit(0 if same else "the behavior has changed")
PYTHON
OPENCV_FFMPEG_LOGLEVEL=-8 "$work/venv/bin/python" "$work/ramp.py" "$work"
