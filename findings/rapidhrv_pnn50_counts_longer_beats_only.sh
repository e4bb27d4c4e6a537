#!/usr/bin/env bash
# Heart rate variability is recorded beside the face. pNN50 is the share of adjacent intervals that differ by more than 50 ms (Task Force of the ESC
# and NASPE 1996; Mietus et al. 2002). rapidhrv 0.2.7's pNN50 and pNN20, "proportion of successive differences", count the differences
# with their sign, so an interval that is 100 ms shorter than the one before does not count. Beats that are 750 and 850 ms apart by turns have a pNN50 of
# 0.5, not 1. A heart that gets faster by 60 ms a beat, as it may after a fright, has 0, and one that gets slower by as much has 1.
# The Task Force knows variants that count the longer or the shorter intervals only; rapidhrv does not say that it computes one, and its numbers
# are about half of those of other programs.
# n_required_peaks=3, "minimum number of peaks in a window required", drops a window of three peaks: four are needed.
# Expected were both signs, and three peaks enough. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The beats are made here. The module is loaded without the package's window (dash).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps rapidhrv==0.2.7 numpy==2.3.5 pandas==2.3.3 \
    scipy==1.16.3 scikit-learn==1.7.2 h5py==3.15.1 joblib==1.5.2 threadpoolctl==3.6.0 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 \
    six==1.17.0
cat > "$work/beats.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

rapidhrv = types.ModuleType("rapidhrv")  # the package, without what it imports
rapidhrv.__path__ = importlib.util.find_spec("rapidhrv").submodule_search_locations
sys.modules["rapidhrv"] = rapidhrv
from rapidhrv.analysis import analyze
from rapidhrv.data import Signal

RATE, SECONDS = 1000, 10
print("rapidhrv", version("rapidhrv"))
times = np.arange(RATE * SECONDS) / RATE


def window(intervals):
    beats = 0.3 + np.concatenate([[0], np.cumsum(intervals) / 1000])
    signal = sum(np.exp(-(((times - beat) / 0.02) ** 2)) for beat in beats)
    return analyze(Signal(signal, RATE), window_width=SECONDS).iloc[0]


seen = {}
for name, intervals in {
    "750 and 850 ms by turns": [750, 850] * 5 + [750],
    "faster by 60 ms a beat": np.arange(1100, 500, -60),
    "slower by 60 ms a beat": np.arange(560, 1160, 60),
}.items():
    differences = np.diff(intervals)
    found = window(intervals)
    seen[name] = float(np.mean(np.abs(differences) > 50)), float(found["pNN50"]), float(found["RMSSD"])
    print(f"{name}: pNN50 expected {seen[name][0]:.2f}, seen {seen[name][1]:.2f} (RMSSD {seen[name][2]:.0f} ms)")
beats = {count: float(window([2500.0] * (count - 1))["BPM"]) for count in (3, 4)}
print(f"windows of 3 and of 4 peaks, n_required_peaks 3: expected 24 beats a minute, seen {beats[3]} and {beats[4]}")
turns, faster, slower = (values[1] for values in seen.values())
same = all(values[0] == 1 and values[2] > 55 for values in seen.values()) and abs(turns - 0.5) < 1e-9 and faster == 0 and slower == 1
sys.exit(0 if same and np.isnan(beats[3]) and abs(beats[4] - 24) < 0.1 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/beats.py"
