#!/usr/bin/env bash
# AERzip 1.0.1 is for "AEDAT files compression and decompression", the recordings of event cameras. What loadCompressedFile gives back is not what
# saveCompressedFile was given: the events come sorted by pixel, not by time, and the times count from the first event.
# - Readers of events take them as sorted by time. Handed on to evio 0.1.0, the first 50 ms of a clip, found by binary search, have another
#   number of events than before, and the duration, taken from the first and last event in time_surface, bins and frames, is another.
# - Two cameras on one clock, or two halves of one recording, are no longer on one clock: both begin at 0.
# Neither is in the text of the two functions, and nothing is said when they run. Expected were the events as they were written.
# Exits 0 if it is so, 1 if it has changed. The events are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps AERzip==1.0.1 evio==0.1.0 numpy==1.26.4
cat > "$work/zip.py" <<'PYTHON'
import sys
from importlib.metadata import version

import evio
import numpy as np
from AERzip import loadCompressedFile, saveCompressedFile

WIDTH, HEIGHT, EVENTS, WINDOW = 32, 24, 2000, 50_000  # microseconds
rng = np.random.default_rng(0)


def through(times, addresses, path):
    saveCompressedFile(addresses, times, path, overwrite=True)
    addresses, times = loadCompressedFile(path)
    return times.astype(np.int64), addresses.astype(np.int64)


def opening(times, addresses, start):  # events of the first 50 ms by evio, which searches in sorted times
    events = evio.from_arrays((addresses >> 1) % WIDTH, (addresses >> 1) // WIDTH, times, addresses & 1)
    return len(evio.time_window(events, start, start + WINDOW))


print("AERzip", version("AERzip"), "evio", version("evio"))
left = np.sort(rng.integers(1_000_000, 1_500_000, EVENTS))  # the left camera starts 1 s after the clock, the right one 0.2 s later
right = left + 200_000
pixels = rng.integers(0, WIDTH * HEIGHT * 2, EVENTS)
left_again, pixels_again = through(left, pixels, f"{sys.argv[1]}/left.aerzip")
right_again, _ = through(right, pixels, f"{sys.argv[1]}/right.aerzip")
in_order = bool((np.diff(left_again) >= 0).all())
print("in the order of time: expected True, seen", in_order)
complete = sorted(zip(left - left[0], pixels, strict=True)) == sorted(zip(left_again, pixels_again, strict=True))
print("the same events in another order, from 0 on:", complete)
counts = opening(left, pixels, int(left[0])), opening(left_again, pixels_again, 0)
print(f"events in the first 50 ms by evio: expected {counts[0]}, seen {counts[1]}")
delays = int(right.min() - left.min()), int(right_again.min() - left_again.min())
print(f"microseconds from the left to the right camera: expected {delays[0]}, seen {delays[1]}")
same = not in_order and complete and counts[0] > 150 and abs(counts[1] - counts[0]) > 20 and delays == (200_000, 0)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/zip.py" "$work"
