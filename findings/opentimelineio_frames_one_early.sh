#!/usr/bin/env bash
# Onset, apex and offset pass between annotation tools and video editors as times. opentimelineio 0.18.1 is the usual library for
# that, and RationalTime.to_frames gives the frame number. It cuts off what stands behind the point, so a time a hair before
# a frame is the frame before:
# - from_seconds(k / rate, rate): at 200 frames a second frame 29 is 28, and 137 of frames 0 to 1999 are one early.
# - Milliseconds, as ELAN keeps times: at 30 frames a second a third of all frames are one early; frame 1 (33 ms) is frame 0.
# - Its own time strings (to_time_string, then from_time_string): at 25 frames a second 239 of 2000 frames are one early.
# Expected was frame k each time. Nothing is said. round(time.value) in place of time.to_frames() gives it.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opentimelineio==0.18.1
cat > "$work/frames.py" <<'PYTHON'
import sys
from importlib.metadata import version

from opentimelineio.opentime import RationalTime, from_seconds, from_time_string

WAYS = {
    ("seconds", 200): lambda k: from_seconds(k / 200, 200),
    ("milliseconds", 30): lambda k: RationalTime(round(1000 * k / 30), 1000).rescaled_to(30),
    ("time string", 25): lambda k: from_time_string(RationalTime(k, 25).to_time_string(), 25),
}
print("opentimelineio", version("opentimelineio"))
seen = {}
for (way, rate), time_of in WAYS.items():
    times = {k: time_of(k) for k in range(2000)}
    early = [k for k, time in times.items() if time.to_frames() == k - 1]
    right = sum(time.to_frames() == k for k, time in times.items())
    rounded = all(round(time.value) == k for k, time in times.items())
    seen[way] = (len(early), early[0], right + len(early), rounded)
    print(f"{way}, {rate} frames a second: expected no frame of 2000 early, seen {len(early)}: {early[:4]} ...")
    first = times[early[0]]
    print(f"  frame {early[0]}: value {first.value!r}, to_frames {first.to_frames()}; round(value) right for all: {rounded}")
sys.exit(0 if all(n > 100 and total == 2000 and rounded for n, _, total, rounded in seen.values()) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/frames.py"
