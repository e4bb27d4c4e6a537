#!/usr/bin/env bash
# Grades (House-Brackmann, or intensities 0 to 5) have an order, and a network for them gives one number, which thresholds divide into grades. handy-nn
# 0.0.6's OrdinalRegressionLoss learns sigmoid(number - threshold k) as the probability that the grade is above k, and predict_probas makes
# "class probabilities" of it. These fall with k, and the probability of a grade is the one of its lower threshold less the one of its upper;
# before the first it is 1, after the last 0. It sets 0 before the first and 1 after the last, and subtracts the lower from the upper.
# - All grades between the first and the last have negative "probabilities". A network that is sure of grade 3 of 0 to 5 says -0.99 for it,
#   and 1.00 for 0 and for 5.
# - The first and the last are exchanged: where the loss is least for grade 5, it says 1.00 for grade 0, and where for 0, it says 1.00 for 5.
#   The grade with the highest "probability" is 0 or 5 always. The sum is 1, so that nothing looks wrong.
# Expected were the probabilities of the same thresholds: 0 or above, and the highest where the loss is least. Nothing is said.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps handy-nn==0.0.6
cat > "$work/grades.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import torch
from handy_nn import OrdinalRegressionLoss

GRADES = 6
print("handy-nn", version("handy-nn"))
criterion = OrdinalRegressionLoss(GRADES, learn_thresholds=False, init_scale=20.0)
thresholds = criterion.thresholds.numpy()


def defined(number):
    above = np.concatenate([[1.0], 1 / (1 + np.exp(thresholds - number)), [0.0]])
    return above[:-1] - above[1:]


same = True
for grade in range(GRADES):
    number = float(thresholds[0] - 5 + 10 * grade)  # in the middle of the grade
    output = torch.tensor([[number]])
    losses = [float(criterion(output, torch.tensor([other]))) for other in range(GRADES)]
    seen = criterion.predict_probas(output).detach().numpy()[0]
    right = defined(number)
    print(f"number {number:.0f}: loss is least for grade {np.argmin(losses)}; probabilities expected {np.round(right, 2)}, seen {np.round(seen, 2)}")
    same = same and np.argmin(losses) == right.argmax() == grade and right.min() >= 0 and abs(seen.sum() - 1) < 1e-5
    same = same and (seen[grade] < -0.9 if 0 < grade < GRADES - 1 else seen[GRADES - 1 - grade] > 0.9) and seen.argmax() in (0, GRADES - 1)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/grades.py"
