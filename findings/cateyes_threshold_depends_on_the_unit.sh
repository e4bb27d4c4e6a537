#!/usr/bin/env bash
# Gaze is recorded beside the face and divided into fixations and saccades. cateyes 0.0.5:
# - mad_velocity_thresh finds the threshold of classify_velocity by the median absolute deviation of the samples below the last threshold, step by
#   step, until the threshold falls by 1 or less. Its documentation allows any unit a second, but the 1 is a unit a sample: in degrees at
#   1000 Hz it is 1000 degrees/s, so that the first step is the last. The same gaze has thresholds of 26 degrees/s when it is given in
#   degrees and of 11 when it is given in minutes of arc, and 6805 or 7995 samples, of 8000 that move slowly, are saccades. Until it
#   falls by less than 1 degree/s (the rule of Nystrom and Holmqvist 2010), it is 9.5.
# - classify_dispersion lets a fixation grow as long as the dispersion is at most the threshold, "maximally allowed [...] in order to be counted
#   as a Fixation", and keeps the sample that broke it. With a threshold of 1 degree, a fixation whose eye jumps by 10 degrees
#   is 10 degrees wide and a sample (at 60 Hz 17 ms) too long. Salvucci and Goldberg (2000) leave this sample out.
# Expected were one threshold for one gaze, and fixations that are not wider than allowed. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The gaze is made here. nslr_hmm and remodnav, other classifiers that the module imports, are
# empty stand-ins.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps cateyes==0.0.5 numpy==2.2.6
cat > "$work/gaze.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

cateyes = types.ModuleType("cateyes")  # the package, without what it imports
cateyes.__path__ = importlib.util.find_spec("cateyes").submodule_search_locations
sys.modules.update({"cateyes": cateyes, "nslr_hmm": types.ModuleType("nslr_hmm"), "remodnav": types.ModuleType("remodnav")})
for number, name in enumerate(("FIXATION", "SACCADE", "SMOOTH_PURSUIT", "PSO")):
    setattr(sys.modules["nslr_hmm"], name, number)
sys.modules["remodnav.clf"] = types.ModuleType("remodnav.clf")
sys.modules["remodnav.clf"].EyegazeClassifier = None
from cateyes.classification import classify_dispersion, classify_velocity, mad_velocity_thresh

RATE, SAMPLES, START = 1000, 20000, 200.0
print("cateyes", version("cateyes"))
rng = np.random.default_rng(0)
slow = np.arange(SAMPLES) % 500 < 200
steps = np.abs(rng.normal(0, 0.004, SAMPLES))
steps[slow] = rng.uniform(0.01, 0.12, slow.sum())
x = np.cumsum(steps * np.where(np.arange(SAMPLES) // 500 % 2, 1, -1))
y = np.zeros(SAMPLES)


def by_degrees(speeds):
    limits = [START]
    while len(limits) < 2 or limits[-2] - limits[-1] > 1:
        below = speeds[speeds < limits[-1]]
        limits.append(float(np.median(below) + 3 * 1.48 * np.median(np.abs(below - np.median(below)))))
    return limits[-1]


expected = by_degrees(np.abs(np.diff(x)) * RATE)
seen = {}
for unit, factor in (("degrees", 1), ("minutes of arc", 60)):
    threshold, path = mad_velocity_thresh(x * factor, y, RATE, th_0=START * factor, return_past_threshs=True)
    saccades = int((classify_velocity(x * factor, y, RATE, threshold)[1] == "Saccade").sum())
    seen[unit] = threshold / factor, len(path) - 1, saccades
    print(f"in {unit}: expected {expected:.1f} degrees/s, seen {seen[unit][0]:.1f} in step {len(path) - 1}, {saccades} samples of saccades")

widths = {}
for name, between in (("at once", []), ("in three samples", [3.0, 6.0, 9.0])):
    jump = np.array([0.0] * 60 + between + [10.0] * 60)
    segments, classes = classify_dispersion(jump, np.zeros(len(jump)), 60, 1.0, 0.1)
    first = (segments == segments[0]) & (classes == "Fixation")
    widths[name] = float(np.ptp(jump[first])), int(first.sum())
    print(f"jump {name}: first fixation expected at most 1 degree wide and 60 samples long, seen {widths[name][0]:.0f} and {widths[name][1]}")
same = seen["degrees"][1] == 1 and seen["degrees"][0] > 2 * expected and seen["minutes of arc"][0] < 1.3 * expected
same = same and seen["minutes of arc"][2] - seen["degrees"][2] > 1000
sys.exit(0 if same and widths == {"at once": (10.0, 61), "in three samples": (3.0, 61)} else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/gaze.py"
