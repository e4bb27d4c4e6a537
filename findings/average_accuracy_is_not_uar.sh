#!/usr/bin/env bash
# Papers report UAR, the mean of the classes' recalls, since a model that always answers "negative" must not look good. The
# "average per-class accuracy" of mlxtend 0.25.0 (accuracy_score with method="average") and "ACC Macro" of pycm 4.6 are
# another mean: the right answers of each class against the rest, true negatives included. On the composite set's 250
# negative, 109 positive and 83 surprise the constant answer gets 0.71 by both, where UAR is 0.33 and plain accuracy
# 0.57. (mlxtend's method="balanced" and pycm's TPR Macro are UAR.)
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile mlxtend==0.25.0 pycm==4.6 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import mlxtend
import numpy as np
import pycm
from mlxtend.evaluate import accuracy_score

truth = np.repeat([0, 1, 2], [250, 109, 83])
constant = np.zeros_like(truth)
uar = float(np.mean([(constant[truth == label] == label).mean() for label in (0, 1, 2)]))
average = float(accuracy_score(truth, constant, method="average"))
macro = float(pycm.ConfusionMatrix(truth.tolist(), constant.tolist()).ACC_Macro)
print("mlxtend", mlxtend.__version__, "pycm", pycm.__version__)
print(f"always negative: expected the mean over classes {uar:.2f}; seen mlxtend {average:.2f}, pycm {macro:.2f}")
same = round(uar, 2) == 0.33 and round(average, 2) == round(macro, 2) == 0.71
sys.exit(0 if same else "the behavior has changed")
PYTHON
