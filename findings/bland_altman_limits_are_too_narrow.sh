#!/usr/bin/env bash
# Two landmarkers, or a coder and a program, are compared by Bland and Altman's limits of agreement: the mean of the differences and 1.96
# of their standard deviations to both sides. bland-altman 0.1.4 and pyCompare 1.5.4 take the deviation of a whole population, divided by n. Bland and
# Altman's own example (1986, 17 people, two flow meters) has a deviation of 38.8 l/min, so the limits are -78.1 and 73.9; both
# packages draw -75.8 and 71.6, a deviation of 37.6. The fewer faces, the narrower: by 11 % for 5 faces and by 18 % for 3.
# pyCompare's interval of 95 % for the mean difference is by the t distribution with n - 1, but from the same deviation: for 5 faces it covers
# 93 %, and a bias can be significant in the drawing that is not in a paired t-test.
# Expected were the published deviation and limits, and the interval of the paired t-test. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. SciPy's t distribution is the reference. The five differences are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile bland-altman==0.1.4 pycompare==1.5.4 numpy==2.2.6 \
    scipy==1.15.3 matplotlib==3.10.3
cat > "$work/limits.py" <<'PYTHON'
import sys
from importlib.metadata import version

import matplotlib.pyplot as plt
import numpy as np
from bland_altman import bland_altman_plot
from pyCompare import blandAltman
from scipy import stats

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
print("bland-altman", version("bland-altman"), "pyCompare", version("pycompare"))


def drawn(first, second):
    first, second = np.array(first, float), np.array(second, float)
    bland_altman_plot(first, second)
    lines = [sorted(float(line.get_ydata()[0]) for line in plt.gca().lines)]
    axes = plt.figure().gca()
    blandAltman(first, second, ax=axes)
    lines.append(sorted(float(line.get_ydata()[0]) for line in axes.lines))
    band = axes.patches[0]  # of the mean difference
    plt.close("all")
    return lines, (band.get_y(), band.get_y() + band.get_height())


def by_formula(differences, freedom):
    mean, deviation = np.mean(differences), np.std(differences, ddof=freedom)
    return [mean - 1.96 * deviation, mean, mean + 1.96 * deviation]


differences = np.subtract(WRIGHT, MINI)
lines, _ = drawn(WRIGHT, MINI)
expected = by_formula(differences, 1)
print(f"17 people: expected a deviation of 38.8, limits {expected[0]:.1f} and {expected[2]:.1f}")
for name, (low, _, high) in zip(("bland-altman", "pyCompare"), lines, strict=True):
    print(f"  {name}: deviation {(high - low) / 3.92:.1f}, limits {low:.1f} and {high:.1f}")
same = round(float(np.std(differences, ddof=1)), 1) == 38.8 and np.allclose(lines, by_formula(differences, 0))

faces = np.array([0.1, 0.9, 0.3, 1.1, 0.2])
lines, band = drawn(faces, np.zeros(5))
test = stats.ttest_1samp(faces, 0)
interval = test.confidence_interval()
print(f"5 faces: limits expected {by_formula(faces, 1)[0]:.2f} and {by_formula(faces, 1)[2]:.2f}, seen {lines[0][0]:.2f} and {lines[0][2]:.2f}")
print(f"5 faces: interval of the mean expected {interval.low:.3f} to {interval.high:.3f} (p = {test.pvalue:.3f}), seen {band[0]:.3f} to {band[1]:.3f}")
coverage = 1 - 2 * stats.t.sf(stats.t.ppf(0.975, 4) * np.sqrt(4 / 5), 4)
print(f"an interval that is narrower by this factor covers {coverage:.3f}, expected 0.95")
same = same and np.allclose(lines, by_formula(faces, 0)) and interval.low < 0 < band[0] and coverage < 0.94
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" "$work/limits.py"
