#!/usr/bin/env bash
# Grades of a palsy before and after treatment are compared by the standardized difference of Yang and Dalton (2012), which effectsize 1.0.0 computes
# for categorical variables. It lists the shares of the grades that occur in each group, and compares the two lists place by place. A grade
# that one group has not is in one list and not in the other, and all after it move up. If every patient improves by one grade, from
# grades 2 to 6 to grades 1 to 5, the lists are equal: the effect is 0.00, with an interval of -0.28 to 0.28, where the formula
# gives 0.89. So it is with weights, where all shares are one list that is cut in the middle. Only if the lists differ in
# length is there an error (without weights).
# Expected was the difference of the shares of each grade. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The grades are made up. statsmodels, which only weights of continuous variables need, is an empty
# stand-in.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps effectsize==1.0.0 pandas==1.5.3 numpy==1.26.4 scipy==1.15.3 \
  python-dateutil==2.9.0.post0 pytz==2025.2 six==1.17.0
cat > "$work/grades.py" <<'PYTHON'
import sys
import types
from importlib.metadata import version

import numpy as np
import pandas as pd

for name in ("statsmodels", "statsmodels.stats", "statsmodels.stats.weightstats"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["statsmodels.stats.weightstats"].DescrStatsW = None
import scipy.stats  # noqa: F401 (effectsize imports scipy alone)
import effectsize

print("effectsize", version("effectsize"))
before = np.repeat([2, 3, 4, 5, 6], [10, 20, 30, 25, 15])


def by_formula(first, second):
    grades = sorted({*first, *second})
    one, two = (np.array([np.mean(values == grade) for grade in grades])[1:] for values in (first, second))
    spread = sum((np.diag(shares) - np.outer(shares, shares)) / 2 for shares in (one, two))
    return float(np.sqrt((two - one) @ np.linalg.inv(spread) @ (two - one)))


def measured(first, second, **options):
    data = pd.DataFrame({"treated": np.repeat([0, 1], 100), "grade": np.r_[first, second], "weight": 1.0})
    return effectsize.compute(data, "treated", categorical=["grade"], **options).iloc[0].tolist()


better = before - 1
mixed = np.repeat([2, 3, 4, 5, 6], [25, 30, 20, 15, 10])
seen = {
    "a grade better": measured(before, better, intervals=0.95),
    "a grade better, weights of 1": measured(before, better, weights="weight"),
    "other shares of the same grades": measured(before, mixed),
}
for name, values in seen.items():
    print(f"{name}: expected {by_formula(before, mixed if 'shares' in name else better):.2f}, seen {values}")
effects = [float(values[0]) for values in seen.values()]
same = effects[:2] == [0, 0] and by_formula(before, better) > 0.8 and abs(effects[2] - by_formula(before, mixed)) < 0.01
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/grades.py"
