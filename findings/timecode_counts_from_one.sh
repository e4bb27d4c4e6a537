#!/usr/bin/env bash
# Coders give onset and apex as SMPTE time codes (a deck's, or an editor's for frame-wise coding). The package timecode
# 1.5.1 has two numbers for one: `frames`, the attribute that its README shows, is 1 for 00:00:00:00, and `frame_number` is
# 0. Frames of a video read by any library count from 0, so an onset by `frames` is the frame after; `float` is late by
# one frame too (0.04 s for the first frame at 25 a second). And at 29.97 the code is read as drop-frame though it is
# written with colons, which is the form of non-drop codes: after ten minutes that is 18 frames, more than a
# micro-expression lasts.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile timecode==1.5.1
"$work/venv/bin/python" - <<'PYTHON'
import sys

import timecode
from timecode import Timecode

print("timecode", timecode.__version__)
first = Timecode("25", "00:00:00:00")
print(f"first frame: expected 0 and 0.0 s; seen frames {first.frames}, frame_number {first.frame_number}, {first.float} s")
written, forced = "00:10:00:00", Timecode("29.97", "00:10:00:00", force_non_drop_frame=True)
code = Timecode("29.97", written)
print(f"{written} at 29.97: expected frame {10 * 60 * 30}; seen {code.frame_number} (told as {code}), forced {forced.frame_number}")
same = (first.frames, first.frame_number, round(first.float, 9)) == (1, 0, 0.04)
same = same and (code.frame_number, forced.frame_number) == (18000 - 18, 18000)
sys.exit(0 if same else "the behavior has changed")
PYTHON
