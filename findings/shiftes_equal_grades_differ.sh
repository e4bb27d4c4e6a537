#!/usr/bin/env bash
# Two groups are compared by intensities of a unit or by grades (House-Brackmann), a few whole numbers. shiftES 1.0.7 gives Wilcox's omega, "-1 to 1
# with 0 indicating no effect". It counts the differences that are below the median difference, and equal ones count for none.
# With grades many differences are equal, and these lower omega whichever group comes first: a group of 100 intensities compared
# with itself has -0.325 ("medium 0.3"). Both omegas of two groups, first
# with second and second with first, are below 0, where each should be the other's opposite. The coarser the scale the larger the
# effect of nothing: for presence at half of the clips it is -0.5 ("large 0.4").
# Expected were 0 for a group and itself, and opposite signs. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The grades are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps shiftES==1.0.7 numpy==2.2.6
cat > "$work/grades.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from shiftES import effectsize

print("shiftES", version("shiftES"))
before = np.repeat([0, 1, 2, 3, 5], [50, 20, 15, 10, 5])
after = np.repeat([0, 1, 2, 3, 5], [48, 20, 16, 10, 6])
presence = np.repeat([0, 1], 50)
fine = np.random.default_rng(0).normal(size=100)
cases = {
    "intensities with themselves": (before, before),
    "presence with itself": (presence, presence),
    "values without ties with themselves": (fine, fine + 1e-9),
    "before, after": (before, after),
    "after, before": (after, before),
}
seen = {name: round(float(effectsize(*pair)), 3) for name, pair in cases.items()}
for name, pair in cases.items():
    differences = np.subtract.outer(*pair)
    middle = np.median(differences)
    lower = np.mean(differences - middle < middle) + np.mean(differences - middle == middle) / 2
    print(f"{name}: expected {2 * lower - 1:.3f}, seen {seen[name]:.3f}")
values = list(seen.values())
same = values[0] < -0.3 and values[1] <= -0.49 and abs(values[2]) < 0.02 and max(values[3:]) < -0.2
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/grades.py"
