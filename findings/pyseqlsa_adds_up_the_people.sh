#!/usr/bin/env bash
# Which action follows which in a face is asked by lag sequential analysis: transitions are counted and each count is compared with
# chance (adjusted residuals, significant above 1.96). pyseqlsa 0.1.3's LSA has fit(sequences), but a second fit adds its counts to those of
# the first. Fitted to one person after another, the residuals of each are those of all people so far. Here one person goes from AU6 to
# AU12, the next from AU1 to AU4 and never from AU6 to AU12: -0.22 alone, but 5.83 after the first person. Fitted to the same
# sequences twice, all residuals are larger by the square root of two, so that what was not significant becomes so.
# Expected was the result of the sequences handed to fit. Nothing is said; a new LSA for each call gives it.
# Exits 0 if it is so, 1 if it has changed. The sequences are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyseqlsa==0.1.3 numpy==2.2.6 pandas==2.3.3 \
    python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/people.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyseqlsa import LSA

UNITS = ["AU1", "AU4", "AU6", "AU12"]


def by_formula(sequence):
    counts = np.zeros((4, 4))
    for before, after in zip(sequence, sequence[1:]):
        counts[UNITS.index(before), UNITS.index(after)] += 1
    rows, columns, total = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True), counts.sum()
    chance = rows * columns / total
    return (counts - chance) / np.sqrt(chance * (1 - rows / total) * (1 - columns / total))


print("pyseqlsa", version("pyseqlsa"))
one = ["AU6", "AU12"] * 10 + ["AU1", "AU4", "AU6"]
two = ["AU1", "AU4"] * 10 + ["AU12", "AU6", "AU1"]
analysis, fresh = LSA(UNITS), LSA(UNITS)
analysis.fit([one], output=False)
analysis.fit([two], output=False)
fresh.fit([two], output=False)
expected = by_formula(two)[2, 3]
seen = float(analysis.Z[2, 3]), float(fresh.Z[2, 3])
print(f"the second person, AU6 to AU12: expected {expected:.2f}, seen {seen[0]:.2f} after the first person, {seen[1]:.2f} by a new LSA")
weak = "AU1 AU4 AU1 AU4 AU6 AU12 AU4 AU1 AU12 AU6 AU12 AU4 AU1 AU6".split()
twice = LSA(UNITS)
twice.fit([weak], output=False)
once = twice.Z.copy()
twice.fit([weak], output=False)
ratio = np.nanmedian(twice.Z / once)
print(f"the same sequence twice: expected the same residuals, seen {ratio:.3f} times as large", end="; ")
print(f"above 1.96: {int((once > 1.96).sum())}, then {int((twice.Z > 1.96).sum())}")
same = abs(seen[1] - expected) < 0.001 and expected < 0 and seen[0] > 4 and abs(ratio - np.sqrt(2)) < 0.01
sys.exit(0 if same and (twice.Z > 1.96).sum() > (once > 1.96).sum() else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/people.py"
