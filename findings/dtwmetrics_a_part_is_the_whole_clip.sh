#!/usr/bin/env bash
# A template of an expression is looked for in a longer clip by subsequence dynamic time warping (Müller 2007, which it names): the way may begin
# at any frame of the clip, ends at the frame where the last row of the accumulated cost is least, and is followed back from there to the first
# row. dtwmetrics 0.1.2's dtwm has sequence="sub" for that ("match whole sequence or only sub-sequence"). The accumulated cost is that of
# the definition, and least where the template ends. The path is followed from the clip's last frame all the same, and goes on, when the
# first row is reached, to the clip's first frame. So the path always is the whole clip, wherever the template is.
# - A smile cut out of frames 20 to 40 of 100 frames is on frames 0 to 100, in 101 steps; of frames 60 to 80 too. The least cost is 0.
# - Frame 100 (and line 21 of a template of 21) do not exist: a path ends one beyond the end, also for whole clips, and what is before it
#   (99, 20) is left out.
# Step pattern "symmetric_p1" leaves the first frames out: two courses that differ in the first frame alone, by 5, have the distance 0.
# Expected were frames 20 to 40 and 60 to 80, and a distance of 5. Nothing is said. Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps dtwmetrics==0.1.2 numpy==2.2.6 scipy==1.15.3
cat > "$work/part.py" <<'PYTHON'
import logging
import sys
from importlib.metadata import version

import numpy as np
from dtwmetrics.dtwmetrics import DTWMetrics

logging.raiseExceptions = False  # it logs each path in a format of numbers
print("dtwmetrics", version("dtwmetrics"))


def defined(template, clip):
    """Frames of the clip that the template lies on, from the definition: first and last."""
    cost = np.abs(template[:, None] - clip)
    total = np.empty_like(cost)
    total[0] = cost[0]
    for row in range(1, len(template)):
        total[row, 0] = total[row - 1, 0] + cost[row, 0]
        for frame in range(1, len(clip)):
            total[row, frame] = cost[row, frame] + min(total[row - 1, frame], total[row, frame - 1], total[row - 1, frame - 1])
    row, frame = len(template) - 1, int(total[-1].argmin())
    last = frame
    while row:
        ways = [(row - 1, frame - 1), (row - 1, frame), (row, frame - 1)]
        row, frame = min((way for way in ways if min(way) >= 0), key=lambda way: total[way])
    return frame, last, total


frames = np.arange(100.0)
measure = DTWMetrics()
same = True
for apex in (30, 70):
    clip = np.exp(-((frames - apex) ** 2) / (2 * 4.0**2))
    clip += 0.001 * frames  # no two frames are equal
    template = clip[apex - 10 : apex + 11]
    first, last, total = defined(template, clip)
    _, accumulated, path, _ = measure.dtwm(template, clip, sequence="sub")
    seen = int(path[:, 0].min()), int(path[:, 0].max())
    print(f"template of frames {apex - 10} to {apex + 10}: expected {first} to {last}, seen {seen[0]} to {seen[1]} in {len(path)} steps", end="; ")
    print(f"least accumulated cost {accumulated[-1].min():.3f} at frame {accumulated[-1].argmin()}")
    same = same and (first, last) == (apex - 10, apex + 10) and seen == (0, 100) and np.allclose(accumulated, total)
    same = same and path[-1].tolist() == [100, 21] and not (path[:, 0] == 99).any()
other = clip.copy()
other[0] += 5
distance = {pattern: measure.dtwm(clip, other, step_pattern=pattern)[1][-1, -1] for pattern in ("symmetric_p0", "symmetric_p1")}
print(f"two courses that differ by 5 in frame 0: distance expected 5, seen {distance['symmetric_p1']:.2f} by symmetric_p1", end=", ")
print(f"{distance['symmetric_p0']:.2f} by symmetric_p0")
sys.exit(0 if same and distance["symmetric_p1"] == 0 and abs(distance["symmetric_p0"] - 5) < 1e-9 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/part.py"
