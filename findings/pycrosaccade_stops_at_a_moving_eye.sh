#!/usr/bin/env bash
# Microsaccades are found in each trial as stretches faster than a threshold. pycrosaccade 0.5.0 leaves the trial at the first stretch that has
# begun where the search begins: at the first sample, or at the end of the pause of 100 samples after a microsaccade. So a trial that is cut
# from a recording while the eye moves has none at all, and a trial with a second movement just at the end of that pause
# has only those before it. The same trace with 50 ms of a still eye in front has all of them.
# Its "peak velocity (degr. visual angle per second)", drawn as "degree/s" by ms_diagnostics, is degrees a sample: 0.05 for a movement of
# 50 degrees a second at 1000 Hz, and twice that for the same movement at 500 Hz.
# Expected were the microsaccades that are there, and degrees a second. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The gaze is drawn: slow drift, and movements of 1 degree in 20 ms.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pycrosaccade==0.5.0 datamatrix==1.0.20 numpy==1.26.4 \
  scipy==1.15.3 matplotlib==3.10.8 contourpy==1.3.3 cycler==0.12.1 fonttools==4.61.1 kiwisolver==1.4.9 packaging==25.0 pillow==12.0.0 \
  pyparsing==3.2.5 python-dateutil==2.9.0.post0 six==1.17.0 psutil==7.1.3 prettytable==3.16.0 wcwidth==0.2.14 openpyxl==3.1.5 \
  et-xmlfile==2.0.0 json-tricks==3.17.3 tomlkit==0.13.3
cat > "$work/gaze.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from datamatrix import DataMatrix, SeriesColumn
from pycrosaccade import microsaccades

PIXELS, LENGTH = 34.6, 0.02  # pixels a degree; seconds that a movement of 1 degree lasts


def gaze(starts, rate):  # horizontal gaze in pixels, of 2 s
    seconds = np.arange(2 * rate) / rate
    moved = sum(np.clip((seconds - start) / LENGTH, 0, 1) for start in starts)
    return PIXELS * (moved + 0.5 * seconds)  # drift of half a degree a second


def found(x, rate):
    trial = DataMatrix(length=1)
    for name, values in {"x": x, "y": np.zeros(len(x)), "t": np.arange(len(x)) * 1000 / rate}.items():
        trial[f"{name}trace_face"] = SeriesColumn(depth=len(x))
        trial[f"{name}trace_face"][0] = values
    microsaccades(trial, pix2degree=1 / PIXELS, sampfreq=rate)
    starts, peaks = np.asarray(trial["saccstlist_face"])[0], np.asarray(trial["saccpvlist_face"])[0]
    return [round(float(start) / rate, 1) for start in starts], float(np.max(peaks)) if len(peaks) else None


print("pycrosaccade", version("pycrosaccade"))
rest, peak = found(gaze((0.4, 0.9, 1.4), 1000), 1000)
_, peak_500 = found(gaze((0.4, 0.9, 1.4), 500), 500)
begun = gaze((-0.01, 0.4, 0.9, 1.4), 1000)
cut, _ = found(begun, 1000)
front, _ = found(np.concatenate([np.full(50, begun[0]), begun]), 1000)
pause, _ = found(gaze((0.4, 0.515, 0.9, 1.4), 1000), 1000)
print("eye at rest first: expected movements at [0.4, 0.9, 1.4] s, seen", rest)
print("eye moving first:  expected movements at [0.4, 0.9, 1.4] s, seen", cut, "- with 50 ms of a still eye in front", front)
print("a movement at the end of the pause: expected at [0.4, 0.9, 1.4] s at least, seen", pause)
print(f"peak velocity: expected 50 degrees a second at 1000 and at 500 Hz, seen {peak:.3f} and {peak_500:.3f}")
same = rest == [0.4, 0.9, 1.4] and cut == [] and {0.4, 0.9, 1.4} <= set(front) and pause == [0.4] and peak < 0.06 and abs(peak_500 - 2 * peak) < 0.01
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=agg "$work/venv/bin/python" -W ignore "$work/gaze.py"
