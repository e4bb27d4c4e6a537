#!/usr/bin/env bash
# Markers on the face, and EMG beside them, are recorded as .c3d files. The format stores both either as floating point numbers or, with a
# positive scale in the header, as 16-bit integers with a sign. pupyC3D 0.1.3 reads the integers without a sign, so that each negative number
# is 65536 too large. Of four markers around the middle of the face those on the side with negative coordinates are 65 m away and those
# below it 65 m high: -30 mm is 65506 mm. Of a muscle's EMG each negative value is just below 65536: the rectified
# signal has a mean of 30587 in place of 63. The positive half is right, and so is all of a file with floating point numbers. Nothing is said.
# Expected were the numbers that c3d 0.6.0, which wrote the file, reads.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pupyC3D==0.1.3 c3d==0.6.0 numpy==2.2.6
cat > "$work/markers.py" <<'PYTHON'
import pathlib
import sys
from importlib.metadata import version

import c3d
import numpy as np
from pupyC3D import C3DFile

path = pathlib.Path(sys.argv[1]) / "face.c3d"
MARKERS = ["brow_left", "brow_right", "mouth_left", "mouth_right"]
HOME = np.array([[-30, 0, 40], [30, 0, 40], [-25, 0, -35], [25, 0, -35]], dtype=float)  # mm
MUSCLE = np.rint(100 * np.sin(np.arange(60)))


def read_by_both(scale):
    writer = c3d.Writer(point_rate=100, analog_rate=100, point_scale=scale)
    writer.set_point_labels(MARKERS)
    writer.set_analog_labels(["zygomaticus"])
    writer.set_analog_scales([1.0])
    writer.set_analog_offsets([0])
    writer.set_analog_general_scale(1.0)
    for value in MUSCLE:
        points = np.zeros((len(MARKERS), 5), dtype=np.float32)
        points[:, :3] = HOME
        writer.add_frames([(points, np.array([[value]], dtype=np.float32))])
    with open(path, "wb") as file:
        writer.write(file)
    with open(path, "rb") as file:
        frames = [(points[:, :3].copy(), float(analog[0, 0])) for _, points, analog in c3d.Reader(file).read_frames()]
    found = C3DFile(str(path))
    points = np.stack([found.data["POINTS"][name][0, :3] for name in MARKERS])
    return frames[0][0], np.array([value for _, value in frames]), points, found.data["ANALOGS"]["zygomaticus"][:, 0]


print("pupyC3D", version("pupyC3D"), "c3d", version("c3d"))
same = True
for name, scale in (("integers", 1.0), ("floating point", -1.0)):
    points, muscle, seen, emg = read_by_both(scale)
    assert np.array_equal(points, HOME) and np.array_equal(muscle, MUSCLE)
    for k, marker in enumerate(MARKERS):
        print(f"{name}, {marker}: expected {points[k].tolist()}, seen {seen[k].tolist()}")
    print(f"{name}, EMG: expected a mean of {np.abs(muscle).mean():.0f}, seen {np.abs(emg).mean():.0f}; highest {muscle.max():.0f}, {emg.max():.0f}")
    shift = 65536 if name == "integers" else 0
    same = same and np.array_equal(seen, np.where(points < 0, points + shift, points))
    same = same and np.array_equal(emg, np.where(muscle < 0, muscle + shift, muscle))
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/markers.py" "$work"
