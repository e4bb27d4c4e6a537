#!/usr/bin/env bash
# The items of a grading scale of facial palsy, or the coders of an intensity, are tested for consistency by Cronbach's alpha, and faces
# with a missing item are left out (nan_policy="listwise", "remove the entire rows"). cronbach_alpha of pingouin 0.7.0, and alpha of
# cronbach 0.6.0, its fork, count the faces before they drop any. Alpha is right, but its interval is that of all faces: of 100 faces of
# which 15 are complete, 0.80 to 0.89, where the same 15 faces alone give 0.68 to 0.94. In 1000 drawn studies with 15 complete faces of
# 100, the 95 % interval contains the true alpha 54 % of the time, and 94 % of the time if the rows are dropped before. Expected was the
# same interval by both ways. The number of faces is not in the result, so it can't be seen. Without missing values it is right.
# Exits 0 if it is so, 1 if it has changed. The grades are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pingouin==0.7.0 numpy==2.2.6 scipy==1.15.3 pandas==2.3.3 \
    scikit-learn==1.7.2
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps cronbach==0.6.0
cat > "$work/alpha.py" <<'PYTHON'
import sys
from importlib.metadata import version

import cronbach
import numpy as np
import pandas as pd
import pingouin

FACES, COMPLETE, ITEMS, STUDIES = 100, 15, 5, 1000
TRUE = ITEMS / (ITEMS - 1) * (1 - ITEMS * 2 / (ITEMS * 2 + ITEMS * (ITEMS - 1)))  # variances 2, covariances 1


def study(rng):
    grades = pd.DataFrame(rng.normal(size=(FACES, 1)) + rng.normal(size=(FACES, ITEMS)))
    grades.iloc[COMPLETE:, 0] = np.nan
    return grades


def interval(function, grades):
    return tuple(map(float, function(data=grades, nan_policy="listwise")[1]))


same = True
rng = np.random.default_rng(0)
one = study(rng)
for name, function in (("pingouin", pingouin.cronbach_alpha), ("cronbach", cronbach.alpha)):
    left, all_faces = interval(function, one.dropna()), interval(function, one)
    print(f"{name} {version(name)}: {COMPLETE} of {FACES} faces complete: expected {left}, seen {all_faces}")
    same = same and all_faces[1] - all_faces[0] < 0.5 * (left[1] - left[0])
inside = np.zeros(2)
for _ in range(STUDIES):
    grades = study(rng)
    for k, table in enumerate((grades, grades.dropna())):
        low, high = interval(cronbach.alpha, table)
        inside[k] += low <= TRUE <= high
share = inside / STUDIES
print(f"true alpha {TRUE:.3f} within the 95 % interval: expected 95 %, seen {share[0]:.0%}; rows dropped before: {share[1]:.0%}")
sys.exit(0 if same and share[0] < 0.75 and share[1] > 0.92 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/alpha.py"
