#!/usr/bin/env bash
# Gaze on a face is divided into fixations, and two that lie close in time and space are merged: Tobii's rule is less than 75 ms and 0.5 degrees,
# "e.g. 0.5 degrees between fixation centers". tobii-ivt-filter 1.0.0 has merge_weighting for the "averaged fixation position during merge":
# "uniform", and "sample_count", the mean by numbers of samples, as Tobii's own filter has it. With "sample_count" it takes that mean of both
# fixations for the center of the first one, before it measures the angle between the two. So the angle shrinks by the second fixation's share
# of the samples: two fixations of 0.5 s are merged up to 1.0 degrees, and 0.1 s before 0.5 s up to 3.0 degrees, which is from one eye of a
# face to the other at a distance of 1.2 m. The same two in the other order, 0.5 s before 0.1 s, are merged up to 0.6 degrees only.
# Between 0.6 and 3 degrees one fixation of 0.64 s is left of two with a saccade between them, if the saccade is slower than the limit, or
# has no velocity in the table; the count of merged pairs says so in any case.
# Expected was one limit, 0.5 degrees, whatever the weights and in both orders, as "uniform" has it. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The gaze is drawn up, at 120 Hz and 600 mm.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tobii-ivt-filter==1.0.0 numpy==2.2.6 pandas==2.3.3 \
  python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/merge.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from ivt_filter.config import FixationPostConfig
from ivt_filter.postprocessing import merge_adjacent_fixations

FAR, GAP = 600.0, 5


def merged(first, second, angle, weighting):
    """Whether fixations of so many samples, so many degrees apart, become one."""
    way = 2 * FAR * np.tan(np.radians(angle / 2))
    x = np.r_[np.zeros(first), np.linspace(0, way, GAP + 2)[1:-1], np.full(second, way)]
    labels = ["Fixation"] * first + ["Saccade"] * GAP + ["Fixation"] * second
    gaze = pd.DataFrame({"time_ms": np.arange(len(x)) * 1000 / 120, "x": x, "y": 0.0, "z": FAR, "label": labels})
    config = FixationPostConfig(merge_adjacent_fixations=True, max_angle_deg=0.5, max_time_gap_ms=75, merge_weighting=weighting)
    table, counts = merge_adjacent_fixations(gaze, config, "label", "time_ms", "x", "y", "z")
    assert (table["label"] == "Fixation").all() == (counts["merged_pairs"] == 1)
    return counts["merged_pairs"] == 1


def limit(first, second, weighting):
    return max(angle for angle in np.arange(5, 400) / 100 if merged(first, second, angle, weighting))


print("tobii-ivt-filter", version("tobii-ivt-filter"))
seen = {}
for weighting in ("uniform", "sample_count"):
    for first, second in ((60, 60), (12, 60), (60, 12)):
        seen[weighting, first, second] = limit(first, second, weighting)
        print(f"{weighting}, {first} and {second} samples: merged up to 0.5 degrees expected, up to {seen[weighting, first, second]:.2f} seen")
same = all(abs(seen["uniform", *pair] - 0.5) < 0.015 for pair in ((60, 60), (12, 60), (60, 12)))
right = {(60, 60): 1.0, (12, 60): 3.0, (60, 12): 0.6}
sys.exit(0 if same and all(abs(seen["sample_count", *pair] - angle) < 0.02 for pair, angle in right.items()) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/merge.py"
