#!/usr/bin/env bash
# LIBSVM's Python package (libsvm-official 3.37.0) orders its probabilities and decision values by the order in which the
# labels first appear in the training data, not by their values as scikit-learn's SVC does. In leave-one-subject-out that
# order is another in each fold: as soon as the first subject is left out, the first sample's label can change. Columns
# that are collected over the folds then mix negative, positive and surprise (for an AUC, a fusion or calibrated
# probabilities), and a two-class decision value changes its sign, while the predicted labels, and so UF1, are right.
# model.get_labels() has the order of a fold.
# Exits 0 if it is so, 1 if it has changed. The package is built from source: it needs a C++ compiler.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check libsvm-official==3.37.0 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from libsvm.svmutil import svm_predict, svm_train

rng = np.random.default_rng(0)
centers = {0: (0, 0), 1: (3, 3), 2: (-3, -3)}  # negative, positive, surprise
samples = [(label, *rng.normal(centers[label], 1).tolist()) for label in [0, 0, 1, 2, 0] * 20]
print("libsvm-official", version("libsvm-official"), "- one and the same positive sample in three orders of training data")
columns, signs = [], []
for first in (0, 2, 3):
    turned = samples[first:] + samples[:first]
    labels, features = [s[0] for s in turned], [list(s[1:]) for s in turned]
    model = svm_train(labels, features, "-q -t 0 -b 1")
    answer, _, probabilities = svm_predict([1], [[3.0, 3.0]], model, "-q -b 1")
    columns.append(int(np.argmax(probabilities[0])))
    print(f"first label {labels[0]}: labels {model.get_labels()}, answer {answer[0]:.0f}, largest in column {columns[-1]}")
    assert answer == [1.0]
    two = [(label, feature) for label, feature in zip(labels, features) if label < 2]
    model = svm_train([label for label, _ in two], [feature for _, feature in two], "-q -t 0")
    signs.append(svm_predict([1], [[3.0, 3.0]], model, "-q")[2][0][0] > 0)
print("expected: column 1 each time, and one sign of the decision value of two classes")
print(f"seen:     columns {columns}, decision value over 0: {signs}")
sys.exit(0 if columns == [1, 0, 2] and signs == [False, True, False] else "the behavior has changed")
PYTHON
