#!/usr/bin/env bash
# "evio convert recording.dat out.bin" brings a recording of an event camera into the 5 bytes an event of N-MNIST, which have one byte each for x and y.
# evio 0.1.0 refuses times that do not fit, "rejected rather than silently truncated", but not pixels: x and y are written modulo 256.
# Of a camera with 640 x 480 pixels the face is folded: the left eye at x = 200 and the right one at x = 456 are one, a brow at y = 300
# is at y = 44, and the file is read again as one of a camera of 256 x 256. The number of events, times and polarities are right.
# Expected was what happens with a time that does not fit: an error. Nothing is said, and the exit status is 0.
# Exits 0 if it is so, 1 if it has changed. The events are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps evio==0.1.0 numpy==2.2.6
cat > "$work/fold.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import evio
from evio.cli import main
from evio.formats import prophesee

folder = sys.argv[1]
places = {"left eye": (200, 200), "right eye": (456, 200), "brow": (200, 300)}
x, y = zip(*places.values(), strict=True)
prophesee.write(f"{folder}/face.dat", evio.from_arrays(x, y, [0, 1000, 2000], [1, 0, 1]), 640, 480)
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    status = main(["convert", f"{folder}/face.dat", f"{folder}/face.bin"])
print("evio", version("evio"), "says:", said.getvalue().strip().replace(folder, ""), "status", status)
before, after = evio.read(f"{folder}/face.dat"), evio.read(f"{folder}/face.bin")
seen = {name: (int(event["x"]), int(event["y"])) for name, event in zip(places, after, strict=True)}
for name, place in places.items():
    print(f"{name}: expected {place} or an error, seen {seen[name]}")
kept = before["t"].tolist() == after["t"].tolist() and before["p"].tolist() == after["p"].tolist()
evio.write(f"{folder}/late.dat", evio.from_arrays([1], [1], [9_000_000], [1]))
with contextlib.redirect_stderr(said):
    late = main(["convert", f"{folder}/late.dat", f"{folder}/late.bin"])
print("times and polarities kept:", kept, "- status for a time of 9 s, which does not fit either:", late)
same = status == 0 and kept and late == 1 and seen == {"left eye": (200, 200), "right eye": (200, 200), "brow": (200, 44)}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/fold.py" "$work"
