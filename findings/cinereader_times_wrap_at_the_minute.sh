#!/usr/bin/env bash
# A Phantom camera stores the time of every frame in the .cine file, and the time from the trigger tells how long an
# expression lasts. cinereader 1.4.3 (read_timestamps, and read_time_from_trigger, which its read returns) keeps only the
# seconds within the minute: of a recording over the full minute, frames before it are 60 s late, after the trigger in place
# of before it, and 60 s lie between two frames that are 50 ms apart. One recording in six is hit if they last 10 s; all
# others are right. pims 0.7 gives the times as they are.
# Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of the format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==1.26.4 numba==0.60.0 pandas==2.3.3 pims==0.7
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps cinereader==1.4.3
cat > "$work/times.py" <<'PYTHON'
import struct
import sys
from importlib.metadata import version

import cinereader
import numpy as np
import pims

COUNT, TRIGGER, STEP = 10, 4, 0.05


def write(path, start):
    """Frames of 8 x 6 px at 20 a second, the first at ``start`` (s since 1970)."""
    size, setup = 2 * 8 * 6, bytearray(12432)
    fields = ((140, "2s", b"ST"), (142, "H", len(setup)), (768, "I", 20), (800, "I", 800), (896, "I", 12), (10388, "f", 1.0))
    for offset, kind, value in fields:  # mark, length, frames a second, version of the software, bits, decimation
        struct.pack_into("<" + kind, setup, offset, value)
    ticks = [round((start + STEP * k) * 2**32) for k in range(COUNT)]
    blocks = struct.pack(f"<IHH{COUNT}Q", 8 + 8 * COUNT, 1002, 1, *ticks)
    blocks += struct.pack(f"<IHH{COUNT}I", 8 + 4 * COUNT, 1003, 0, *[2**22] * COUNT)
    table = 84 + len(setup) + len(blocks)
    head = struct.pack("<2sHHHiIiIIIIQ", b"CI", 44, 0, 1, -TRIGGER, COUNT, -TRIGGER, COUNT, 44, 84, table, ticks[TRIGGER])
    head += struct.pack("<IiiHHIIiiII", 40, 8, 6, 1, 16, 0, size, 0, 0, 0, 0)
    offsets = struct.pack(f"<{COUNT}q", *(table + 8 * COUNT + k * (8 + size) for k in range(COUNT)))
    with open(path, "wb") as file:
        file.write(head + setup + blocks + offsets + COUNT * (struct.pack("<II", 8, size) + bytes(size)))


print("cinereader", version("cinereader"), "pims", version("pims"))
expected = STEP * (np.arange(COUNT) - TRIGGER)
right, first = {}, {}
for name, start in (("within a minute", 1_700_000_040 + 20.0), ("over a full minute", 1_700_000_040 - 0.1)):
    write(sys.argv[1], start)
    sequence = pims.Cine(sys.argv[1])
    by_pims = np.array([sequence.get_time_to_trigger(k) for k in range(COUNT)])
    seconds = cinereader.read_time_from_trigger(cinereader.read_metadata(sys.argv[1]), sys.argv[1]) / 1e6
    right[name] = (np.allclose(by_pims, expected, atol=1e-5), np.allclose(seconds, expected, atol=1e-5))
    first[name] = float(seconds[0])
    print(f"{name}: first frame expected {expected[0]:.2f} s from the trigger, pims {by_pims[0]:.2f} s, cinereader {seconds[0]:.2f} s")
same = right == {"within a minute": (True, True), "over a full minute": (True, False)}
sys.exit(0 if same and abs(first["over a full minute"] - 59.8) < 1e-3 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/times.py" "$work/face.cine"
