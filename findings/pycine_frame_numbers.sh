#!/usr/bin/env bash
# Phantom high-speed cameras write .cine files. Their frames are numbered from the trigger: the first of a file is often
# negative, and coders note onset and apex by these numbers, as the camera's software shows them. One file of ten frames, -4
# to 5, with 100 + k as the level of frame k, by three readers:
# - pycine 0.3.2, read_frames(start_frame_cine=k), which is documented as that number: frame k - 1; for the first frame the
#   last one of the file; for 0, the trigger, the first one of the file. start_frame=0 and start_frame=1 are one frame.
# - cine-handler 0.1.1: the right frame, but upside down: rows are stored from the bottom up, and it does not turn them.
# - pims 0.7, by index, as stored, is right in both.
# An apex that is one frame beside, or in a file that begins before the trigger anywhere, is not seen in the pictures.
# Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of the format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==1.26.4 pycine==0.3.2 pims==0.7 cine-handler==0.1.1
cat > "$work/read.py" <<'PYTHON'
import struct
import sys
from importlib.metadata import version

import numpy as np
import pims
from cine_reader import Cine
from pycine.raw import read_frames

FIRST, COUNT, HEIGHT, WIDTH = -4, 10, 6, 8
path = sys.argv[1]
frames = np.stack([np.full((HEIGHT, WIDTH), 100 + FIRST + k) for k in range(COUNT)])
frames[:, 0] += 1000  # the top row is brighter
size, setup = 2 * HEIGHT * WIDTH, bytearray(12432)
fields = ((140, "2s", b"ST"), (142, "H", len(setup)), (768, "I", 200), (800, "I", 800), (896, "I", 12), (5736, "i", 4095))
for offset, kind, value in fields:  # mark, length, frames a second, version of the software, bits, white level
    struct.pack_into("<" + kind, setup, offset, value)
ticks = [1_700_000_000 * 2**32 + k * 2**32 // 200 for k in range(COUNT)]
blocks = struct.pack(f"<IHH{COUNT}Q", 8 + 8 * COUNT, 1002, 1, *ticks)
blocks += struct.pack(f"<IHH{COUNT}I", 8 + 4 * COUNT, 1003, 0, *[2**22] * COUNT)
table = 84 + len(setup) + len(blocks)
head = struct.pack("<2sHHHiIiIIIIQ", b"CI", 44, 0, 1, FIRST, COUNT, FIRST, COUNT, 44, 84, table, ticks[-FIRST])
head += struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 16, 0, size, 0, 0, 0, 0)
offsets = struct.pack(f"<{COUNT}q", *(table + 8 * COUNT + k * (8 + size) for k in range(COUNT)))
images = b"".join(struct.pack("<II", 8, size) + frame[::-1].astype("<u2").tobytes() for frame in frames)
with open(path, "wb") as file:
    file.write(head + setup + blocks + offsets + images)


def number(image):
    return int(np.min(image)) - 100


def by_pycine(**start):
    return number(next(read_frames(path, count=1, **start)[0]))


print("pycine", version("pycine"), "cine-handler", version("cine-handler"), "pims", version("pims"))
seen = {}
for k in (-4, -3, 0, 1, 5):
    seen[k] = by_pycine(start_frame_cine=k)
    print(f"start_frame_cine={k}: expected frame {k}, seen frame {seen[k]}")
starts = [by_pycine(start_frame=k) for k in (0, 1, 2)]
print(f"start_frame=0, 1, 2: expected frames -4, -3, -2, seen {starts}")
handler, sequence = Cine(path), pims.Cine(path)
handler.load_frame(0)
pictures = {"cine-handler": handler.pixel_array, "pims": np.asarray(sequence[0 - FIRST])}
bright = {name: int(image.max(axis=1).argmax()) for name, image in pictures.items()}
for name, image in pictures.items():
    print(f"{name}: expected frame 0 with its bright row 0, seen frame {number(image)} with its bright row {bright[name]}")
same = seen == {-4: 5, -3: -4, 0: -4, 1: 0, 5: 4} and starts == [-4, -4, -3]
same = same and bright == {"cine-handler": HEIGHT - 1, "pims": 0} and all(number(i) == 0 for i in pictures.values())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/read.py" "$work/face.cine"
