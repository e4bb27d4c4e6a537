#!/usr/bin/env bash
# Markers on the face (palsy, speech) go from cameras to OpenSim and its relatives as .trc files: one line a frame, three cells a
# marker, and the cells of a marker that is lost in a frame are empty. trc-data-reader 0.4.1 writes them so (save), but its load
# splits lines at any run of white space, so that empty cells are no cells: each marker after the lost one moves up by one. Of four
# markers with the second lost for 20 frames, the second gets the coordinates of the third, the third those of the fourth, and
# the fourth is missing. Expected was what was saved: one marker without coordinates, three with their own. Nothing
# is said, with verbose=True either. The file comes from c3d 0.6.0's .c3d file by the reader's own import_from.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile trc-data-reader==0.4.1 c3d==0.6.0 numpy==2.2.6
cat > "$work/gap.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import c3d
import numpy as np
from trc import TRCData

folder = pathlib.Path(sys.argv[1])
MARKERS = ["brow_left", "brow_right", "mouth_left", "mouth_right"]
HOME = np.array([[-30, 0, 40], [30, 0, 40], [-25, 0, -35], [25, 0, -35]], dtype=float)  # mm
FRAMES, LOST = 60, range(20, 40)

writer = c3d.Writer(point_rate=100, analog_rate=0)
writer.set_point_labels(MARKERS)
for frame in range(FRAMES):
    points = np.zeros((4, 5), dtype=np.float32)
    points[:, :3] = HOME
    if frame in LOST:
        points[1, :4] = 0, 0, 0, -1
    writer.add_frames([(points, np.array([[]]))])
with open(folder / "face.c3d", "wb") as file:
    writer.write(file)

imported = TRCData()
imported.import_from(folder / "face.c3d")
imported.save(folder / "face.trc")
read = TRCData()
read.load(folder / "face.trc", verbose=True)
print("trc-data-reader", version("trc-data-reader"), "c3d", version("c3d"))
columns = next(line for line in (folder / "face.trc").read_text().splitlines() if line.startswith("31\t")).split("\t")
print("line of frame 31 in the file:", columns)
seen = {name: np.array(read[name]) for name in MARKERS}
wrong = {}
for k, name in enumerate(MARKERS):
    expected = HOME[k].tolist() if k != 1 else [np.nan] * 3
    inside = seen[name][LOST.start : LOST.stop]
    print(f"{name} in the gap: expected {expected}, seen {inside[0].tolist()}")
    wrong[name] = not np.array_equal(inside, np.tile(expected, (len(LOST), 1)), equal_nan=True)
shifted = all(np.array_equal(seen[MARKERS[k]][LOST.start], HOME[k + 1]) for k in (1, 2))
outside = all(np.array_equal(seen[name][: LOST.start], np.tile(HOME[k], (LOST.start, 1))) for k, name in enumerate(MARKERS))
same = shifted and outside and columns[5:8] == ["", "", ""] and np.isnan(seen["mouth_right"][LOST.start]).all()
sys.exit(0 if same and list(wrong.values()) == [False, True, True, True] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/gap.py" "$work"
