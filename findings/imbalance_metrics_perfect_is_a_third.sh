#!/usr/bin/env bash
# The geometric mean of the classes' recalls is a measure for unequal classes: 1 for a recognizer that is always right. gmean_score of
# imbalance-metrics 0.0.6 has weighted=True by default, which multiplies each recall by the relevance of its class. The relevances add up to 1
# and are not divided out, so 1 is out of reach: a perfect recognizer of three equal classes has 1/3, one of seven has 1/7, and of the
# 250, 109 and 83 samples of the composite set of MEGC 2019 0.30. The weights do not weigh: with any predictions the score is the unweighted one
# times one factor, which depends on the numbers of samples only. So no class counts more than without weights, and scores of two folds
# of subjects, or of two data sets, differ when all recalls are equal.
# Expected were 1 for perfect predictions, and a larger drop for an error in the rare class. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The labels are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps imbalance-metrics==0.0.6 smogn==0.1.2 numpy==2.2.6 \
    scipy==1.15.3 scikit-learn==1.7.2 joblib==1.5.2 threadpoolctl==3.6.0 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 \
    tzdata==2025.2 six==1.17.0 tqdm==4.67.1
cat > "$work/perfect.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from imbalance_metrics.classification_metrics import gmean_score


def scores(counts, recalls):
    truth = np.repeat(np.arange(len(counts)), counts)
    predicted = truth.copy()
    for label, (count, recall) in enumerate(zip(counts, recalls, strict=True)):
        wrong = np.flatnonzero(truth == label)[: round(count * (1 - recall))]
        predicted[wrong] = (label + 1) % len(counts)
    truth = pd.Series(truth)
    return gmean_score(truth, predicted), gmean_score(truth, predicted, weighted=False)


print("imbalance-metrics", version("imbalance-metrics"))
perfect = {}
for name, counts in {"three equal": [100] * 3, "seven equal": [100] * 7, "MEGC": [250, 109, 83], "another fold": [10, 1, 1]}.items():
    weighted, plain = scores(counts, [1.0] * len(counts))
    perfect[name] = weighted
    print(f"always right, {name}: expected 1, seen {weighted:.3f}; without weights {plain:.3f}")
ratios = []
for recalls in ((1.0, 1.0, 0.5), (0.5, 1.0, 1.0), (0.8, 0.3, 0.6)):
    weighted, plain = scores([500, 100, 50], recalls)
    ratios.append(weighted / plain)
    print(f"recalls {recalls} of 500, 100 and 50 samples: weighted {weighted:.3f}, without weights {plain:.3f}, ratio {ratios[-1]:.4f}")
seen = {name: round(score, 3) for name, score in perfect.items()}
print("the ratio: expected to depend on which class is missed; seen from", f"{min(ratios):.4f} to {max(ratios):.4f}")
same = seen["three equal"] == 0.333 and seen["seven equal"] == 0.143 and 0.29 < seen["MEGC"] < 0.31 and seen["another fold"] < 0.25
sys.exit(0 if same and np.ptp(ratios) < 1e-9 and ratios[0] < 0.4 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/perfect.py"
