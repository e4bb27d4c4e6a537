#!/usr/bin/env bash
# Facial markers (palsy, speech) are recorded as .c3d files. One and the same file, written by c3d 0.6.0, by two readers:
# - c3d's Reader.read_frames counts its frames from 1, as the file's header says; ezc3d 1.7.2 tells the header's first frame as 0 and
#   the last as one less. An onset by one is the frame after by the other.
# - A recording of more than 65535 frames (5.5 minutes at 200 a second): c3d reads its 70000 frames, ezc3d 70005. The five at the
#   end are not in the recording: it counts what fits into the file, and takes the padding of the last block for frames.
#   In them every marker stands at the origin as a valid one, a jump of the whole face.
# Exits 0 if it is so, 1 if it has changed. The markers are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile c3d==0.6.0 ezc3d==1.7.2 numpy==2.2.6
cat > "$work/markers.py" <<'PYTHON'
import os
import sys
import warnings
from importlib.metadata import version

import c3d
import ezc3d
import numpy as np

warnings.simplefilter("ignore")
PATH = os.path.join(os.path.dirname(__file__), "face.c3d")
print("c3d", version("c3d"), "ezc3d", version("ezc3d"))
seen = {}
for count in (100, 70000):
    writer, frames = c3d.Writer(point_rate=200), []
    for number in range(count):
        points = np.zeros((3, 5), np.float32)
        points[:, 0] = 10 + number % 7
        frames.append((points, np.zeros((0, 0), np.float32)))
    writer.add_frames(frames)
    writer.set_point_labels(["brow", "eye", "lip"])
    with open(PATH, "wb") as file:
        writer.write(file)
    with open(PATH, "rb") as file:
        numbers = [number for number, _, _ in c3d.Reader(file).read_frames()]
    other = ezc3d.c3d(PATH)
    header, data = other["header"]["points"], other["data"]["points"]
    seen[count] = (numbers[0], len(numbers), header["first_frame"], data.shape[2], data[0, 0, -1])
    print(
        f"{count} frames: c3d counts from {numbers[0]} and reads {len(numbers)}; ezc3d from {header['first_frame']} and reads "
        f"{data.shape[2]}, the last with the brow at x = {data[0, 0, -1]:g}"
    )
same = seen[100][:4] == (1, 100, 0, 100) and seen[70000][:4] == (1, 70000, 0, 70005) and seen[70000][4] == 0
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/markers.py"
