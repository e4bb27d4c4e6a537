#!/usr/bin/env bash
# Facial actions are coded in Praat's TextGrid files, one tier an action unit, and a clip is cut out of a long coding. praatio 6.2.2's
# Textgrid.crop with rebaseToZero=True is documented to subtract the start of the crop from all times. With mode="lax", which keeps an
# action that is only partly inside, it subtracts the start of the first action from a tier whose first action began before the crop, and
# the start of the crop from each other tier and from all points. Cut from 2 to 4 s, AU4 from 1.7 to 2.4 s is moved 0.3 s less than
# AU12 from 2.5 to 3.0 s: they followed each other by 0.1 s, and overlap by 0.2 s after it. The apex of AU4, which lay 0.4 s after its
# onset, lies 0.1 s after it. Expected was one shift for all tiers. The file is valid, and nothing is said. mode="truncated" moves all
# alike, as does "lax" with rebaseToZero=False.
# IntervalTier.mergeLabels, which puts the labels of a second tier (the side, the intensity) into the first, is documented with an example in
# which an interval without a label in the second tier stays as "bar()". It is dropped: of three actions, one of them without a coded
# intensity, two are left.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps praatio==6.2.2 typing-extensions==4.15.0
cat > "$work/crop.py" <<'PYTHON'
import sys
from importlib.metadata import version

from praatio.textgrid import IntervalTier, PointTier, Textgrid

ACTIONS = {"AU4": (1.7, 2.4), "AU12": (2.5, 3.0)}
CUT = (2.0, 4.0)


def times(grid):
    found = {tier.name: [round(t, 3) for t in tier.entries[0][:2]] for tier in grid.tiers if isinstance(tier, IntervalTier)}
    return found, [round(point.time, 3) for point in grid.getTier("apex").entries]


print("praatio", version("praatio"))
coding = Textgrid(0, 10)
for unit, (onset, offset) in ACTIONS.items():
    coding.addTier(IntervalTier(unit, [(onset, offset, unit)], 0, 10))
coding.addTier(PointTier("apex", [(2.1, "AU4"), (2.7, "AU12")], 0, 10))
seen = {}
for mode, rebase in (("lax", True), ("truncated", True), ("lax", False)):
    actions, apexes = times(coding.crop(*CUT, mode, rebase))
    shift = round(2.4 - actions["AU4"][1], 3), round(3.0 - actions["AU12"][1], 3), round(2.1 - apexes[0], 3)
    gap = round(actions["AU12"][0] - actions["AU4"][1], 3)
    seen[mode, rebase] = *shift, gap
    print(f"{mode}, rebaseToZero={rebase}: AU4, AU12, apex moved by {shift} s; from AU4 to AU12: expected 0.1 s, seen {gap} s")

units = IntervalTier("AU", [(1, 2, "AU4"), (3, 4, "AU6"), (5, 6, "AU12")], 0, 10)
grades = IntervalTier("intensity", [(1, 2, "B"), (5, 6, "D")], 0, 10)
merged = [entry.label for entry in units.mergeLabels(grades).entries]
print(f"units with intensities: expected AU4(B), AU6(), AU12(D), seen {merged}")
same = seen[("lax", True)] == (1.7, 2.0, 2.0, -0.2) and seen[("truncated", True)] == (2.0, 2.0, 2.0, 0.1)
same = same and seen[("lax", False)] == (0.0, 0.0, 0.0, 0.1) and merged == ["AU4(B)", "AU12(D)"]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/crop.py"
