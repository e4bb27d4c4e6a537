#!/usr/bin/env bash
# How a partner's smile follows with a lag is measured by detrended cross-correlation. detrended_correlation of dcca 0.3.0 divides the lagged
# covariance by the fluctuations of both series, for which it leaves out the first frames, as many as the lag, and then takes as many boxes as
# before: boxes reach past the end of the array by the lag, into whatever lies behind in memory. For a clip that is cut out of a
# recording these are the frames after the clip: a large movement after it brings the coefficient of a partner who follows exactly
# after 30 frames to 0.00. With the frames as they were recorded it is 1.04, more than a correlation can be. Behind an array
# of its own lie other things: a copy of a clip has another coefficient than the clip.
# Lag 0 is right. Expected was a coefficient of the frames given, 1 for an exact follower. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The signals are drawn here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps dcca==0.3.0 numpy==2.2.6
cat > "$work/follow.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from dcca import detrended_correlation

SCALE, LAG, FRAMES = 20, 30, 400
print("dcca", version("dcca"))
rng = np.random.default_rng(0)
source = np.cumsum(rng.normal(size=1200))
leader = source[LAG : LAG + 1000].copy()
follower = source[:1000].copy()  # follower[t + LAG] == leader[t]


def detrended(a, b):
    """The coefficient of two series of equal length, box by box."""
    frames = np.arange(SCALE + 1)
    boxes = []
    for start in range(len(a) - SCALE):
        pair = []
        for series in (a, b):
            box = series[start : start + SCALE + 1]
            pair.append(box - np.polyval(np.polyfit(frames, box, 1), frames))
        boxes.append(pair)
    x, y = np.array(boxes).transpose(1, 0, 2)
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


expected = detrended(leader[: FRAMES - LAG], follower[LAG:FRAMES])
seen = {}
for name, size in (("as recorded", 0), ("after a movement of 100", 100), ("after a movement of 1000", 1000)):
    lead, follow = leader.copy(), follower.copy()
    lead[FRAMES:] += size * (np.arange(1000 - FRAMES) % 7)
    follow[FRAMES:] += size * (np.arange(1000 - FRAMES) % 5)
    seen[name] = float(detrended_correlation(lead[:FRAMES], follow[:FRAMES], SCALE, LAG))
    print(f"clip of {FRAMES} frames, the frames behind it {name}: expected {expected:.3f}, seen {seen[name]:.3f}")
level = detrended_correlation(leader[:FRAMES], follower[:FRAMES], SCALE, 0)
print(f"lag 0: expected {detrended(leader[:FRAMES], follower[:FRAMES]):.3f}, seen {level:.3f}")
print("the clip was the same in all three")
same = abs(expected - 1) < 1e-9 and seen["as recorded"] > 1.01 and seen["after a movement of 1000"] < 0.1
same = same and seen["after a movement of 100"] < 0.5 and abs(level - detrended(leader[:FRAMES], follower[:FRAMES])) < 1e-9
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/follow.py"
