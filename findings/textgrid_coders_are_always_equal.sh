#!/usr/bin/env bash
# Codings of two people, or a coding and what was read back of it, are compared as Praat's TextGrid files. textgrid 1.6.1 has == for
# Interval, Point, IntervalTier, PointTier and TextGrid, but it looks at times alone, never at labels, and only as far as the shorter of
# the two goes. AU1, AU4, AU12 and AU9, AU15, AU20 at the same times are equal. A file is equal to one with its first annotation alone,
# and to one without tiers. Expected was False for all of them.
# The same comparison is behind remove(time, mark) of a tier: asked to remove "offset" at the time of the apex, it removes the apex.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps textgrid==1.6.1
cat > "$work/coders.py" <<'PYTHON'
import sys
from importlib.metadata import version

import textgrid


def coding(*units):
    grid = textgrid.TextGrid(maxTime=10)
    actions = textgrid.IntervalTier("actions", maxTime=10)
    apexes = textgrid.PointTier("apexes", maxTime=10)
    for start, unit in enumerate(units):
        actions.add(start, start + 0.5, unit)
        apexes.add(start + 0.2, unit)
    grid.append(actions)
    grid.append(apexes)
    return grid


print("textgrid", version("textgrid"))
one = coding("AU1", "AU4", "AU12")
others = {
    "other units": coding("AU9", "AU15", "AU20"),
    "the first unit alone": coding("AU1"),
    "no annotation": coding(),
    "no tier": textgrid.TextGrid(maxTime=10),
}
equal = {name: one == other for name, other in others.items()}
for name, answer in equal.items():
    print(f"AU1, AU4, AU12 equal to {name}: expected False, seen {answer}")
single = one[0][0] == others["other units"][0][0]
print(f"AU1 equal to AU9 at the same time: expected False, seen {single}")
later = coding("AU1", "AU4", "AU12")
later[0][1].maxTime = 1.6
print(f"equal to a coding with one other end: expected False, seen {one == later}")
phases = textgrid.PointTier("phases", maxTime=10)
for time, phase in ((2.0, "onset"), (2.4, "apex"), (3.0, "offset")):
    phases.add(time, phase)
phases.remove(2.4, "offset")
left = [point.mark for point in phases]
print(f'phases after remove(2.4, "offset"): expected an error or all three, seen {left}')
same = all(equal.values()) and single and not one == later and left == ["onset", "offset"]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/coders.py"
