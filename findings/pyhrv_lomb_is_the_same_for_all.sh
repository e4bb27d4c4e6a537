#!/usr/bin/env bash
# Heart rate is recorded beside the face, and its slow (LF, 0.04 to 0.15 Hz) and fast (HF, 0.15 to 0.4 Hz) variability are compared as LF/HF. Beats
# come at uneven times, for which the periodogram of Lomb and Scargle is made. pyhrv 0.5.0's lomb_psd hands 2 pi / f to scipy's lombscargle as
# "angular frequencies", not 2 pi f, and the times in ms. So the power at each frequency is that of another one, far beyond any heart beat.
# - Beats whose intervals vary at 0.1 Hz alone, 850 ms and 50 up and down, have an LF/HF above 300; at 0.25 Hz alone below 0.01.
#   It says 0.4 for both, and between 0.35 and 0.5 for 0.05, 0.08, 0.12, 0.2 and 0.3 Hz: about 0.11 / 0.25, the widths of the two bands.
# - The frequency with the highest power, of 0.05 to 0.41, is not the one at which they vary for six of seven.
# Expected was the LF/HF of the definition, as its welch_psd has it for the same beats (above 1000 and below 0.01). Nothing is said. rmlhrv 1.0.0 has
# the same line. Exits 0 if it is so, 1 if it has changed. The beats are made up. What it imports for other methods (spectrum, nolds) is
# replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==1.26.4 scipy==1.12.0 pillow==12.0.0 matplotlib==3.10.8
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyhrv==0.5.0 biosppy==2.2.4 six==1.17.0
cat > "$work/lomb.py" <<'PYTHON'
import importlib
import sys
from importlib.metadata import distribution, version
from types import ModuleType

import numpy as np
from scipy.signal import lombscargle

for name in ("spectrum", "nolds"):
    sys.modules[name] = ModuleType(name)
for name in ("biosppy", "biosppy.signals", "pyhrv"):  # the packages, without what they import
    module = ModuleType(name)
    module.__path__ = [str(distribution("pyhrv").locate_file(name.replace(".", "/")))]
    sys.modules[name] = module
sys.modules["biosppy.signals.ecg"] = ModuleType("biosppy.signals.ecg")
sys.modules["biosppy.signals.ecg"].ecg = None
for name in ("biosppy.utils", "pyhrv.utils", "pyhrv.tools"):
    setattr(sys.modules[name.split(".")[0]], name.split(".")[1], importlib.import_module(name))
from pyhrv.frequency_domain import lomb_psd, welch_psd

print("pyhrv", version("pyhrv"))


def beats(frequency):
    intervals, time = [], 0.0
    while time < 300_000:
        intervals.append(850 + 50 * np.sin(2 * np.pi * frequency * time / 1000))
        time += intervals[-1]
    return np.array(intervals)


def defined(intervals):  # in seconds and radians a second, without the mean
    times = np.cumsum(intervals) / 1000
    hertz = np.linspace(0, 0.41, 256)[1:]
    power = lombscargle(times, intervals - intervals.mean(), 2 * np.pi * hertz)
    low, high = (hertz >= 0.04) & (hertz < 0.15), (hertz >= 0.15) & (hertz < 0.4)
    return power[low].sum() / power[high].sum(), hertz[power.argmax()]


ratios, found = {}, 0
same = True
for frequency in (0.05, 0.08, 0.1, 0.12, 0.2, 0.25, 0.3):
    intervals = beats(frequency)
    right, peak = defined(intervals)
    result, hertz, power = lomb_psd(intervals, mode="dev", show=False)
    welch = welch_psd(intervals, mode="dev", show=False)[0]["fft_ratio"]
    ratios[frequency] = result["lomb_ratio"]
    kept = hertz > 0.045
    seen = hertz[kept][power[kept].argmax()]
    found += abs(seen - frequency) < 0.01
    print(f"intervals vary at {frequency} Hz: LF/HF expected {right:.3g} (its welch_psd {welch:.3g}), seen {ratios[frequency]:.2f}", end="; ")
    print(f"highest power at {peak:.2f} Hz expected, {seen:.2f} seen")
    same = same and (right > 100 if frequency < 0.15 else right < 0.01) and abs(peak - frequency) < 0.002 and (welch > 1000 or welch < 0.01)
    same = same and 0.35 < ratios[frequency] < 0.5
sys.exit(0 if same and found <= 2 else "the behavior has changed")
PYTHON
MPLBACKEND=agg "$work/venv/bin/python" -W ignore "$work/lomb.py"
