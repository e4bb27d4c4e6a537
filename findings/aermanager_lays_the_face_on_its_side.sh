#!/usr/bin/env bash
# Event cameras (DAVIS346, 346 x 260 pixels; DVS128) record faces as AEDAT files. aermanager 0.3.0 reads version 2.0 of them by the parsers
# "mini346" and "DVS128", and both exchange x and y: by iniVation's description x is in bits 12 to 21 and y in bits 22 to 30 (DVS128: 1 to 7 and
# 8 to 14). Its own functions for frames, crops and hot pixels count x along the width, as its parser of AEDAT 4 does, and the shape
# is given as 260 rows and 346 columns. So the face lies on its side in frames of the right shape, and what is right of
# column 259 is not in them: of a brow from column 40 to 305 there is a vertical line with 221 of its 266 events. A raised
# brow is a motion to the left. Nothing is said. Expected were x and y as aerpy 0.4 reads the same file.
# Exits 0 if it is so, 1 if it has changed. The files are written here by the published layout. Without the reader of AEDAT 4 (dv).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps aermanager==0.3.0 aerpy==0.4 numpy==2.2.6
cat > "$work/brow.py" <<'PYTHON'
import pathlib
import struct
import sys
from importlib.metadata import version
from unittest.mock import MagicMock

sys.modules["dv"] = MagicMock()
import aer
import numpy as np
from aermanager.aerparser import load_events_from_file
from aermanager.preprocess import accumulate_frames

folder = pathlib.Path(sys.argv[1])
HEAD = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n#End Of ASCII Header\r\n"


def write(name, x, y, address):
    events = b"".join(struct.pack(">II", address(a, b), 1000 + k) for k, (a, b) in enumerate(zip(x.tolist(), y.tolist())))
    (folder / name).write_bytes(HEAD + events)
    return str(folder / name)


print("aermanager", version("aermanager"), "aerpy", version("aerpy"))
x = np.arange(40, 306)
y = np.full(x.shape, 60)
davis = write("davis.aedat", x, y, lambda a, b: b << 22 | a << 12 | 1 << 11)
shape, events = load_events_from_file(davis, parser="mini346")
peer = aer.AEData(davis)
assert np.array_equal(peer.xpos, x) and np.array_equal(peer.ypos, y)
print(f"DAVIS346, shape {shape}, brow from x 40 to 305 at y 60: aerpy x {peer.xpos.min()} to {peer.xpos.max()}, y {peer.ypos[0]}; ", end="")
print(f"seen x {events['x'].min()} to {events['x'].max()}, y {events['y'].min()} to {events['y'].max()}")
(frame,) = accumulate_frames([events], range(shape[0] + 1), range(shape[1] + 1)).sum(axis=1)
rows, columns = np.nonzero(frame)
print(f"frame {frame.shape}: expected 266 events in row 60, seen {frame.sum():.0f} in rows {rows.min()} to {rows.max()}, column {columns.min()}")
small = write("dvs.aedat", x[:60], y[:60], lambda a, b: b << 8 | a << 1 | 1)
_, dvs = load_events_from_file(small, parser="DVS128")
print(f"DVS128, from x 40 to 99 at y 60: seen x {dvs['x'].min()} to {dvs['x'].max()}, y {dvs['y'].min()} to {dvs['y'].max()}")
same = shape == (260, 346) and np.array_equal(events["x"], y) and np.array_equal(events["y"], x)
same = same and frame.sum() == 221 and set(columns.tolist()) == {60} and (rows.min(), rows.max()) == (40, 259)
sys.exit(0 if same and np.array_equal(dvs["x"], y[:60]) and np.array_equal(dvs["y"], x[:60]) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/brow.py" "$work"
