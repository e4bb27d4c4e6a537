#!/usr/bin/env bash
# Head motion is taken out of a video before flow is computed. vidstab 1.7.4 moves and turns each frame, and its border_size pads the frames so
# that nothing is cut off. Each turn is about the upper left corner of the frame; with a border it is about the corner of the border, while
# the shift that belongs to it stays as it was. So each frame is off by (turn - 1) times the border, and the more it is turned the further.
# A picture that rolls by 2 degrees to each side about its middle, every 20 frames, is still there to 0.3 px without a border (and before:
# only its outer parts move). With border_size=50 its middle runs along the diagonal by 3.5 px in each direction, with 100 by
# 7.4 px, although a border is to change nothing but the size. So the stabilization moves a face that was still in the middle of its roll,
# by many times a micro-expression. Expected was the picture without a border, with one around it. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. What its plots need is replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps vidstab==1.7.4 imutils==0.5.4 progress==1.6.1 \
  numpy==2.2.6 opencv-python-headless==4.12.0.88
cat > "$work/roll.py" <<'PYTHON'
import importlib.abc
import importlib.machinery
import sys
import types
from importlib.metadata import version

import cv2
import numpy as np


class NoPlots(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "matplotlib" else None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, NoPlots())
from vidstab import VidStab

SIDE, FRAMES, WINDOW = 320, 60, 30
random = np.random.default_rng(0)
texture = cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE)).astype(np.float32), (0, 0), 2.5)
texture = np.clip(128 + 40 * texture / texture.std(), 0, 255).astype(np.uint8)
middle = slice(SIDE // 2 - 60, SIDE // 2 + 60)
window = cv2.createHanningWindow((120, 120), cv2.CV_32F)


def rolled(number):
    turn = cv2.getRotationMatrix2D(((SIDE - 1) / 2, (SIDE - 1) / 2), 2 * np.sin(2 * np.pi * number / 20), 1)
    return cv2.cvtColor(cv2.warpAffine(texture, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT), cv2.COLOR_GRAY2BGR)


def stabilized(border):
    stabilizer, frames = VidStab(), []
    for number in range(FRAMES + WINDOW + 1):
        picture = rolled(number) if number < FRAMES else None
        found = stabilizer.stabilize_frame(input_frame=picture, smoothing_window=WINDOW, border_size=border)
        if found is not None and found.any():
            frames.append(found[border : border + SIDE, border : border + SIDE])
    return frames


def motion(frames):
    """How far the middle moves, right and down, over two rolls (px)."""
    patches = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[middle, middle].astype(np.float32) for frame in frames[10:50]]
    return np.ptp([cv2.phaseCorrelate(patches[0].copy(), patch.copy(), window)[0] for patch in patches], axis=0)


print("vidstab", version("vidstab"), "OpenCV", cv2.__version__)
before = motion([rolled(number) for number in range(FRAMES)])
print(f"middle of the picture before: moves by {before[0]:.2f} and {before[1]:.2f} px")
seen = {}
for border in (0, 50, 100):
    seen[border] = motion(stabilized(border))
    print(f"stabilized, border_size={border}: expected below 0.5 px, seen {seen[border][0]:.2f} and {seen[border][1]:.2f} px")
same = before.max() < 0.4 and seen[0].max() < 0.5 and (np.abs(seen[50] - 3.5) < 0.4).all() and (np.abs(seen[100] - 7.4) < 0.6).all()
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/roll.py"
