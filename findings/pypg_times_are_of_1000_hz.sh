#!/usr/bin/env bash
# The pulse wave is recorded beside the face or read from the skin of a video, and stress is told by the times within a wave: how long it rises (SUT) and
# falls (DT), how wide it is (DW). pypg 0.0.5's features.time and time_cycle take a pandas Series or an array, and the sampling frequency
# "in Hz", and return "features in seconds". For an array they number the samples, and take the numbers for milliseconds
# (unit="ms", "the unit of the index", which an array has not), whatever the frequency is.
# - A wave of 0.8 s that rises for 0.40 s at 100 Hz rises for 0.04 s and falls for 0.039 s. At 30 Hz, a camera's rate, it is 0.012 s.
# - From one wave to the next (CP) it is 0.08 s by this clock, but by the frequency for the last one, 0.8 s. So each recording ends with a wave
#   ten times as long, which is then removed as an outlier.
# Expected were the times by the frequency that was given, as they are for a Series with an index of milliseconds. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The pulse is made up. Its drawing is replaced by an empty module.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pypg==0.0.5 numpy==1.23.5 scipy==1.10.1 pandas==1.5.3 \
  python-dateutil==2.9.0.post0 pytz==2025.2 six==1.17.0
cat > "$work/pulse.py" <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np
import pandas as pd

for name in ("matplotlib", "matplotlib.pyplot"):
    sys.modules[name] = ModuleType(name)
from pypg import features
from pypg.features import time, time_cycle

print("pypg", version("pypg"))
PERIOD = 0.8  # seconds


def pulse(hertz, seconds):
    return 1 - np.cos(2 * np.pi * np.arange(round(seconds * hertz)) / hertz / PERIOD)


same = True
for hertz in (100, 30):
    wave = pulse(hertz, PERIOD)
    right = {"SUT": wave.argmax() / hertz, "DT": (len(wave) - 1 - wave.argmax()) / hertz}
    array = time_cycle(wave.copy(), hertz).loc[0]
    series = time_cycle(pd.Series(wave, index=np.arange(len(wave)) * 1000 / hertz), hertz).loc[0]
    for name in right:
        print(f"{hertz} Hz, {name}: expected {right[name]:.3f} s, seen {array[name]:.3f} s; as a Series in ms {series[name]:.3f} s")
        same = same and abs(array[name] * 1000 / hertz - right[name]) < 0.002 and abs(series[name] - right[name]) < 0.002
recording = time(pulse(100, 12), 100)
print(f"wave to wave: expected {PERIOD} s, seen {sorted(set(recording['CP'].round(3)))} s for {len(recording)} waves")
features._clean_segment_features_of_outliers = lambda table: table
whole = time(pulse(100, 12), 100)["CP"].round(3).tolist()
print(f"before outliers are removed: {whole}")
sys.exit(0 if same and whole[-1] == PERIOD and set(whole[:-1]) == {0.08} and set(recording["CP"].round(3)) == {0.08} else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/pulse.py"
