#!/usr/bin/env bash
# Onset and duration of facial EMG are measured by a double threshold (Bonato et al. 1998): so many samples in a window must be above the
# threshold. myonset 1.1.2's detector_dbl_th, documented as the "onsets and offsets" of a signal above it, returns the beginning of the
# first window of which more than half is above and the end of the first of which less than half is. So the onset is half a window before the
# signal begins, and the offset half a window after it ends: with the window of 20 ms by default, a burst of 200 ms that begins at once is
# 220 ms long and begins 10 ms early, and with one of 100 ms it is 300 ms long and begins 50 ms early. detector_var, a single threshold, is right.
# detector_var is documented to rectify the signal "before detection" and to smooth it by a moving average. It smooths first. EMG is as often
# below zero as above, so the average is near 0: a burst of 100 Hz and 200 ms is found in two pieces of 8 ms, at its ends, with an average over 10 ms.
# Expected were the burst as it was made, within a few samples, and for the average the same as for the rectified signal. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The signals are made here. The module is loaded without the package's windows (PyQt5).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps myonset==1.1.2 numpy==2.2.6
cat > "$work/burst.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

myonset = types.ModuleType("myonset")  # the package, without what it imports
myonset.__path__ = importlib.util.find_spec("myonset").submodule_search_locations
sys.modules["myonset"] = myonset
from myonset.emgtools import detector_dbl_th, detector_var

RATE, BEGIN, END = 1000, 1500, 1700  # samples of 1 ms
print("myonset", version("myonset"))
times = np.arange(-1, 2, 1 / RATE)
rng = np.random.default_rng(0)
rest = rng.uniform(-1, 1, len(times))  # never above the threshold
strong = rest.copy()
strong[BEGIN:END] = rng.choice([-50.0, 50.0], END - BEGIN)
single = detector_var(strong, times, sf=RATE).tolist()
print(f"single threshold: expected {[[BEGIN, END]]}, seen {single}")
seen = {}
for window in (0.02, 0.05, 0.1):
    ((onset, offset),) = seen[window] = detector_dbl_th(strong, times, sf=RATE, window_size=window).tolist()
    print(f"double threshold, window of {window * 1000:.0f} ms: expected {BEGIN} to {END}, seen {onset} to {offset}")

wave = 0.1 * rest
wave[BEGIN:END] += 2 * np.sin(2 * np.pi * 100 * times[BEGIN:END])
smoothed = {}
for name, signal in (("rectified by hand", np.abs(wave)), ("as it is", wave)):
    bursts = smoothed[name] = detector_var(signal, times, th=8, sf=RATE, moving_avg_size=10).tolist()
    print(f"average over 10 ms, {name}: expected about {[[BEGIN, END]]}, seen {bursts}")
same = single == [[BEGIN, END]]
for window, ((onset, offset),) in seen.items():
    half = window * RATE / 2
    same = same and 0 <= BEGIN - half - onset + 1 <= 2 and 0 <= offset - END - half <= 2
((onset, offset),) = smoothed["rectified by hand"]
same = same and abs(onset - BEGIN) <= 6 and abs(offset - END) <= 6
found = sum(offset - onset for onset, offset in smoothed["as it is"])
sys.exit(0 if same and found < 30 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/burst.py"
