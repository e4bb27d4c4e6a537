#!/usr/bin/env bash
# A clip has several action units or none, and mlcm 0.0.1 makes one confusion matrix of such labels, with a column for units that were not
# found (NPL), and a table of scores from it. A detector that finds half of the units and never a wrong one has a precision of 1.00 for
# each unit, and 1.00 on the macro and the weighted average. The micro average of precision is 0.50: the column NPL is summed as if
# missed units were detections of a unit named NPL, all of them wrong. Micro precision, recall and F1 are so always the same number, that of
# recall when nothing wrong is found, and an average lies outside of the range of what it averages.
# Expected were 10 right of 10 found: 1.00, recall 0.50, F1 0.67 (scikit-learn's micro averages of the same labels). Nothing is said.
# Exits 0 if it is so, 1 if it has changed. np.int and np.float, which mlcm uses and NumPy 2 has not, are set to int and float.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps mlcm==0.0.1 numpy==2.2.6
cat > "$work/units.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import numpy as np

np.int, np.float = int, float
from mlcm import mlcm

print("mlcm", version("mlcm"))
coded = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]])
found = coded.copy()
# one of two units of each clip is missed
found[np.arange(10), [np.flatnonzero(clip)[-(number % 2)] for number, clip in enumerate(coded)]] = 0
right, wrong, missed = int((coded & found).sum()), int((~coded & found & 1).sum()), int((coded & ~found & 1).sum())
expected = {"precision": right / (right + wrong), "recall": right / (right + missed), "f1": 2 * right / (2 * right + wrong + missed)}

matrix, _ = mlcm.cm(coded, found, False)
table = io.StringIO()
with contextlib.redirect_stdout(table), np.errstate(invalid="ignore"):
    mlcm.stats(matrix, False)
lines = {line.split()[0]: line.split() for line in table.getvalue().splitlines() if line.split()}
seen = dict(zip(expected, (float(value) for value in lines["micro"][2:5]), strict=True))
print(f"{right} right, {wrong} wrong, {missed} missed; matrix (last column: not found)\n{matrix}")
units = {unit: float(lines[str(unit)][1]) for unit in range(3)}
macro, weighted = (float(lines[name][2]) for name in ("macro", "weighted"))
print(f"precision of each unit: {units}, macro average {macro}, weighted average {weighted}")
print(f"micro average: expected { {name: round(value, 2) for name, value in expected.items()} }, seen {seen}")
same = {*units.values(), macro, weighted} == {1.0} and wrong == 0 and expected["precision"] == 1 and seen == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/units.py"
