#!/usr/bin/env bash
# Raters of facial palsy are compared by quadratic-weighted kappa over House-Brackmann's grades 1 to 6. cohen_kappa_score of
# scikit-learn 1.9.1 weighs a disagreement by how far apart the two grades stand in the list of grades that occur, not by the
# grades. Where nobody has grade 3, 4 or 5, an answer of 2 for a 6 counts as a neighboring grade: kappa is 0.92 in place of
# 0.81, and three patients more, one of each grade between, on whom both agree, lower it to 0.82. Expected was the
# difference of the numbers; no warning is given. labels=[1, 2, 3, 4, 5, 6] gives the kappa of the six grades, as does the
# formula.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" -W error - <<'PYTHON'
import sys

import numpy as np
import sklearn
from sklearn.metrics import cohen_kappa_score

GRADES = np.arange(1, 7)


def by_formula(first, second):
    observed = np.array([[sum((first == a) & (second == b)) for b in GRADES] for a in GRADES]) / len(first)
    chance = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    weights = (GRADES[:, None] - GRADES) ** 2
    return 1 - (weights * observed).sum() / (weights * chance).sum()


print("scikit-learn", sklearn.__version__)
first = np.array([1] * 10 + [2] * 10 + [6] * 10)
second = np.array([1] * 10 + [2] * 10 + [6] * 7 + [2] * 3)  # three of the worst are taken for grade 2
seen = []
for name, more in (("grades 1, 2 and 6", []), ("and one of 3, one of 4 and one of 5, agreed on", [3, 4, 5])):
    one, two = np.append(first, more).astype(int), np.append(second, more).astype(int)
    plain = cohen_kappa_score(one, two, weights="quadratic")
    told = cohen_kappa_score(one, two, weights="quadratic", labels=GRADES)
    seen.append((round(by_formula(one, two), 2), round(float(told), 2), round(float(plain), 2)))
    print(f"{name}: expected {seen[-1][0]} by the formula; with labels seen {seen[-1][1]}, without {seen[-1][2]}")
sys.exit(0 if seen == [(0.81, 0.81, 0.92), (0.82, 0.82, 0.82)] else "the behavior has changed")
PYTHON
