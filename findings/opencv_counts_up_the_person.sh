#!/usr/bin/env bash
# SAMM names its frames by person and frame: 006_05562.jpg. OpenCV 5.0.0.93's VideoCapture (4.12.0.88's too) reads a folder of
# frames as a video if it is given the first one, as CASME II's reg_img46.jpg; it counts up the first number in the name. So a
# SAMM clip of 38 frames is opened as a video of one frame, the onset; and where two people's frames share a folder, the
# second frame of the "video" is the other person's. CASME II's clip is whole, but ends at a missing frame: 14 of 44.
# isOpened is True, and CAP_PROP_FRAME_COUNT agrees.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==5.0.0.93 numpy==2.4.6
"$work/venv/bin/python" - "$work" 2> "$work/log" <<'PYTHON' || { code=$?; tail -5 "$work/log"; exit "$code"; }
import pathlib
import sys

import cv2
import numpy as np


def clip(name, files):
    """A folder of flat frames; the gray level of a frame is its number in the clip, from 1."""
    folder = pathlib.Path(sys.argv[1]) / name
    folder.mkdir()
    for level, file in enumerate(files, 1):
        cv2.imwrite(str(folder / file), np.full((40, 60, 3), level, np.uint8))
    return str(folder / files[0])


def read(first):
    video = cv2.VideoCapture(first, cv2.CAP_IMAGES)
    levels = []
    while (frame := video.read()[1]) is not None:
        levels.append(int(frame[0, 0, 0]))
    return levels, int(cv2.VideoCapture(first, cv2.CAP_IMAGES).get(cv2.CAP_PROP_FRAME_COUNT))


samm = [f"006_{n:05d}.png" for n in range(5562, 5600)]
clips = {
    "SAMM": samm,
    "SAMM, two people in a folder": [*samm, "007_05562.png"],
    "CASME II": [f"reg_img{n}.png" for n in range(46, 91)],
    "CASME II without frame 60": [f"reg_img{n}.png" for n in range(46, 91) if n != 60],
}
print("OpenCV", cv2.__version__)
seen = {}
for name, files in clips.items():
    seen[name] = read(clip(name, files))
    print(f"{name}: expected {len(files)} frames, seen {seen[name][1]}, read {len(seen[name][0])}, the last is {seen[name][0][-1]}")
expected = {"SAMM": [1], "SAMM, two people in a folder": [1, 39], "CASME II": list(range(1, 46))}
expected["CASME II without frame 60"] = list(range(1, 15))
same = all(seen[name] == (levels, len(levels)) for name, levels in expected.items())
sys.exit(0 if same else "the behavior has changed")
PYTHON
