#!/usr/bin/env bash
# Event cameras see a face only while it moves: an expression is a burst of events, and stillness is none. Prophesee's EVT3 files
# hold times in two parts: the low 12 bits (4 ms), and the high ones whenever these change. expelliarmus 1.1.12 writes and
# reads them (Wizard), and neither by the layout:
# - Written (save), the high part rises by one at most, so a longer pause is lost. Two expressions of 0.2 s with 2 s of stillness
#   between them come back as one movement of 0.4 s.
# - Read, a rise of the high part counts twice if the low part fell with it: in a file that is written here by the published layout,
#   as another program may write it, each of the two expressions lasts 0.4 s in place of 0.2 s.
# Expected were the times that went in. Places and polarities are right, times rise, and nothing is said. While events follow
# each other within 4 ms the two faults cancel, and what was saved comes back. Its DAT and EVT2 are right. No camera's
# own file was at hand.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile expelliarmus==1.1.12 numpy==1.26.4
cat > "$work/pause.py" <<'PYTHON'
import pathlib
import struct
import sys
from importlib.metadata import version

import numpy as np
from expelliarmus import Wizard

folder = pathlib.Path(sys.argv[1])
STEP, COUNT, PAUSE = 100, 2000, 2_000_000  # microseconds
burst = STEP * np.arange(COUNT)
times = 1000 + np.concatenate([burst, burst[-1] + PAUSE + burst])
rng = np.random.default_rng(0)
events = np.zeros(len(times), dtype=[("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
events["t"] = times
events["x"], events["y"] = rng.integers(0, 1280, len(times)), rng.integers(0, 720, len(times))
events["p"] = rng.integers(0, 2, len(times))


def by_layout(path):
    words, high = [], None
    for t, x, y, p in events.tolist():
        if t >> 12 != high:
            high = t >> 12
            words.append(0x8000 | high & 0xFFF)
        words += [0x6000 | t & 0xFFF, y, 0x2000 | p << 11 | x]
    path.write_bytes(b"% evt 3.0\n% format EVT3;height=720;width=1280\n% end\n" + struct.pack(f"<{len(words)}H", *words))


def seconds(read):
    return float(read["t"][-1] - read["t"][0]) / 1e6, float(np.diff(read["t"]).max()) / 1e6


print("expelliarmus", version("expelliarmus"))
print(f"{len(events)} events over {seconds(events)[0]:.2f} s, longest pause {seconds(events)[1]:.2f} s")
exact, found = {}, {}
for encoding in ("dat", "evt2", "evt3", "evt3 by the layout"):
    path = folder / f"face.{'dat' if encoding == 'dat' else 'raw'}"
    wizard = Wizard(encoding=encoding[:4])
    by_layout(path) if " " in encoding else wizard.save(fpath=path, arr=events)
    read = Wizard(encoding=encoding[:4]).read(path)
    rest = all(np.array_equal(read[name], events[name]) for name in "xyp")
    exact[encoding] = rest and np.array_equal(read["t"], events["t"])
    length, pause = seconds(read)
    print(f"{encoding}: expected 2.40 s, pause 2.00 s; seen {length:.2f} s, pause {pause:.4f} s; x, y, p right: {rest}")
    first = float(read["t"][COUNT - 1] - read["t"][0]) / 1e6
    print(f"  first expression: expected 0.20 s, seen {first:.2f} s")
    found[encoding] = (rest, round(length, 1), round(pause, 1), round(first, 1), bool((np.diff(read["t"]) >= 0).all()))
    path.unlink()
seen = {"evt3": (True, 0.4, 0.0, 0.2, True), "evt3 by the layout": (True, 2.8, 2.0, 0.4, True)}
same = list(exact.values()) == [True, True, False, False] and all(found[name] == values for name, values in seen.items())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/pause.py" "$work"
