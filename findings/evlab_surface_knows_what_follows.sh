#!/usr/bin/env bash
# An event camera's time surface tells for each pixel how long ago its last event was, 1 for now and less the older it is. evlab 0.3.0a1 makes
# it for a moment (at_t): "exp(-(at_t - t_last) / tau_us) for the most recent event". It takes the last event of the whole recording,
# whether before or after the moment. At the apex of a brow raise, the pixels that come alive again in the offset have values above
# 1 (28 where the offset comes 100 ms after the apex, infinite after 3 s) instead of those of the onset, and pixels that have not fired
# yet, which the docstring gives 0, are lit. A surface per frame, made to predict what comes, holds it already.
# Expected were values from 0 to 1, those of the recording cut at the moment. Nothing is said. Without at_t it is right.
# Exits 0 if it is so, 1 if it has changed. The events are made here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps evlab==0.3.0a1 numpy==2.2.6
cat > "$work/apex.py" <<'PYTHON'
import sys
from importlib.metadata import version

import evlab
import numpy as np
from evlab.representations import time_surface

print("evlab", version("evlab"))
APEX = 100_000  # us
rows = {"brow": 0, "cheek": 1, "chin": 2}
events = [(0, 0, 80_000), (0, 1, 90_000), (0, 0, 200_000), (0, 2, 150_000)]  # x, y, t: onset of brow and cheek, then offset of the brow
late = [*events, (0, 0, 3_100_000)]


def surface(chosen, **at):
    x, y, t = (np.array(values) for values in zip(*sorted(chosen, key=lambda event: event[2]), strict=True))
    data = evlab.from_arrays(x, y, t, np.ones(len(t), dtype=int), width=4, height=4)
    return {part: round(float(time_surface(data, tau_us=30_000.0, **at)[1, y, 0]), 3) for part, y in rows.items()}


expected = surface([event for event in events if event[2] <= APEX], at_t=APEX)
seen = {"100 ms later": surface(events, at_t=APEX), "3 s later": surface(late, at_t=APEX)}
for name, values in seen.items():
    print(f"surface at the apex, the brow's offset {name}: expected {expected}, seen {values}")
print(f"surface at the end: {surface(events)}")
first, second = seen.values()
same = first["brow"] > 20 and first["cheek"] == expected["cheek"] and first["chin"] > 1 and expected["chin"] == 0
sys.exit(0 if same and second["brow"] > 1e20 and surface(events)["brow"] == 1 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/apex.py"
