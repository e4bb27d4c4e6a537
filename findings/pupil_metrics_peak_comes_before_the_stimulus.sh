#!/usr/bin/env bash
# The pupil widens some time after a face is shown, and pupil-metrics 0.0.1 gives the latency of the peak in a window, the "time between
# critical point in task (such as stimulus onset) and peak dilation". It looks for the peak within the window, where positions are
# counted from its start, and subtracts the start once more: a peak 40 samples after a stimulus at sample 100 comes at -60, before it. The
# later in the recording the same reaction is, the earlier it seems: for a stimulus at 200 it is -160. Only a window from 0 is right.
# The size of the peak leaves out samples without a value (blinks, NaN); the latency takes the first such sample for
# the peak. With a blink 10 samples after the stimulus peak_pupil_size still gives the peak, and peak_latency -90, that of the blink.
# Expected was 40 in each case. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The pupil is drawn here. pandas, which the module imports and does not use, is an empty stand-in.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pupil-metrics==0.0.1 numpy==2.2.6
cat > "$work/peak.py" <<'PYTHON'
import sys
import types
from importlib.metadata import version

import numpy as np

sys.modules["pandas"] = types.ModuleType("pandas")
import pupil_metrics

print("pupil-metrics", version("pupil-metrics"))
AFTER, LENGTH = 40, 100


def recorded(onset, blink=None):
    samples = np.arange(400)
    pupil = 3 + np.exp(-(((samples - onset - AFTER) / 8) ** 2))
    if blink is not None:
        pupil[onset + blink : onset + blink + 5] = np.nan
    return pupil


seen = {}
for onset, blink in ((0, None), (100, None), (200, None), (100, 10)):
    pupil = recorded(onset, blink)
    latency = int(pupil_metrics.peak_latency(pupil, onset, onset + LENGTH)[0])
    size = float(pupil_metrics.peak_pupil_size(pupil, onset, onset + LENGTH)[0])
    seen[onset, blink] = latency, size
    print(f"stimulus at {onset}, blink after {blink}: latency expected {AFTER}, seen {latency}; size of the peak {size}")
latencies = [latency for latency, _ in seen.values()]
same = latencies == [40, -60, -160, -90] and all(size == 4.0 for _, size in seen.values())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/peak.py"
