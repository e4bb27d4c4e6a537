#!/usr/bin/env bash
# Parameters of a recognizer are chosen by nested cross-validation. In the inner loop each setting has one score for each inner fold, and the
# setting with the best mean is taken. nested-cv 0.916 puts the scores of all inner folds into one list and takes the best single score:
# the setting that was lucky once, in the fold where it was. best_inner_score_list holds that one score. For labels that are drawn at
# random, of 3 classes and 120 clips, the "best inner scores" are far above chance (0.33) and above the best mean, and with 10 inner folds
# further than with 5, because the folds are smaller and more of them compete. Expected was the best mean, as in scikit-learn's GridSearchCV.
# Its README calls the list "best inner scores for each outer loop", and does not say how they are found. Nothing is said when it runs.
# Exits 0 if it is so, 1 if it has changed. The clips are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps nested-cv==0.916 numpy==2.2.6 pandas==2.3.3 \
    scipy==1.15.3 scikit-learn==1.7.2 joblib==1.5.2 threadpoolctl==3.6.0 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 \
    six==1.17.0 matplotlib==3.10.8 contourpy==1.3.3 cycler==0.12.1 fonttools==4.61.1 kiwisolver==1.4.9 packaging==25.0 pillow==12.0.0 \
    pyparsing==3.2.5
cat > "$work/choose.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from nested_cv import NestedCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier

GRID = {"n_neighbors": [1, 3, 5, 9, 15, 25]}


def by_package(features, labels, inner):
    options = {"metric": balanced_accuracy_score, "metric_score_indicator_lower": False}
    search = NestedCV(KNeighborsClassifier(), GRID, 5, inner, cv_options=options)
    search.fit(features, labels)
    return search.best_inner_score_list


def by_mean(features, labels, inner):
    scores = []
    for train, _ in KFold(5, shuffle=True).split(features):
        search = GridSearchCV(KNeighborsClassifier(), GRID, scoring="balanced_accuracy", cv=KFold(inner, shuffle=True))
        scores.append(search.fit(features[train], labels[train]).best_score_)
    return scores


print("nested-cv", version("nested-cv"))
np.random.seed(0)  # the package shuffles by the global generator
rng = np.random.default_rng(0)
noise, drawn = rng.normal(size=(120, 10)), rng.integers(0, 3, 120)
lucky, mean = {}, {}
for inner in (5, 10):
    lucky[inner], mean[inner] = (float(np.mean(search(noise, drawn, inner))) for search in (by_package, by_mean))
    print(f"labels at random, {inner} inner folds: expected a best score of {mean[inner]:.2f}, seen {lucky[inner]:.2f}")
same = all(lucky[inner] > mean[inner] + 0.1 for inner in lucky) and lucky[10] > lucky[5]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/choose.py"
