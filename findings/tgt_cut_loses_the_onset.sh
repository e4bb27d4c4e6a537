#!/usr/bin/env bash
# Facial actions are coded in Praat's TextGrid files too: intervals for the action, points for onset, apex and offset. tgt 1.5
# (TextGridTools):
# - extract_part leaves out the points at the start and the end of the part, and makes an IntervalTier of a PointTier, its points
#   intervals of no length. Cut from onset to offset, the onset and the offset are gone. Expected were three points.
# - concatenate_textgrids puts the tiers in another order in each run of Python, by the random order of a set, so that tier 0 is another
#   action unit. Expected was the order of the files, as a comment in its code says.
# - The ELAN file (write_to_file with format="eaf") has milliseconds that are cut, not rounded. At 200 frames a second a frame begins
#   at a whole multiple of 5 ms, and 37 of 3999 such times are written 1 ms early, within the frame before.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tgt==1.5 numpy==2.3.5
cat > "$work/order.py" <<'PYTHON'
import tgt

UNITS = ["AU1", "AU2", "AU4", "AU6", "AU12"]


def recording():
    grid = tgt.TextGrid()
    for unit in UNITS:
        grid.add_tier(tgt.IntervalTier(0, 10, unit, [tgt.Interval(2.0, 3.0, unit)]))
    return grid


print(*tgt.util.concatenate_textgrids([recording(), recording()]).get_tier_names())
PYTHON
cat > "$work/marks.py" <<'PYTHON'
import os
import re
import subprocess
import sys
from importlib.metadata import version

import tgt

folder = sys.argv[1]
print("tgt", version("tgt"))
grid = tgt.TextGrid()
grid.add_tier(tgt.IntervalTier(0, 10, "AU12", [tgt.Interval(2.0, 3.0, "AU12")]))
grid.add_tier(tgt.PointTier(0, 10, "phases", [tgt.Point(2.0, "onset"), tgt.Point(2.4, "apex"), tgt.Point(3.0, "offset")]))
part = grid.extract_part(2.0, 3.0, time_from_zero=False).get_tier_by_name("phases")
marks = [(mark.start_time, mark.end_time, mark.text) for mark in part]
print(f"phases from 2.0 to 3.0 s: expected PointTier with onset, apex and offset, seen {type(part).__name__} with {marks}")

orders = set()
for seed in range(6):
    run = subprocess.run([sys.executable, f"{folder}/order.py"], env={**os.environ, "PYTHONHASHSEED": str(seed)}, capture_output=True, text=True)
    orders.add(run.stdout.strip())
print(f"order of tiers in six runs: expected 1, seen {len(orders)}, such as {sorted(orders)[:3]}")

RATE, FRAMES = 200, 3999
frames = tgt.TextGrid()
frames.add_tier(tgt.PointTier(0, 20, "frames", [tgt.Point(frame / RATE, str(frame)) for frame in range(FRAMES)]))
tgt.write_to_file(frames, f"{folder}/frames.eaf", format="eaf")
with open(f"{folder}/frames.eaf") as file:
    text = file.read()
slots = dict(re.findall(r'TIME_SLOT_ID="(\w+)" TIME_VALUE="(\d+)"', text))
written = [int(slots[slot]) for slot in re.findall(r'TIME_SLOT_REF1="(\w+)"', text)]
early = [frame for frame, time in enumerate(written) if time == 5 * frame - 1]
right = [frame for frame, time in enumerate(written) if time == 5 * frame]
print(f"times of {FRAMES} frames that are 1 ms early: expected 0, seen {len(early)}; the first is {written[early[0]]} for {5 * early[0]} ms")
same = marks == [(2.4, 2.4, "apex")] and type(part) is tgt.IntervalTier and 3 <= len(orders) <= 6 and "" not in orders
sys.exit(0 if same and len(early) == 37 and len(early) + len(right) == FRAMES else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/marks.py" "$work"
