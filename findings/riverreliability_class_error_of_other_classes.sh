#!/usr/bin/env bash
# Whether probabilities of each class can be trusted is reported as the class-wise calibration error. riverreliability 0.1.2's
# class_wise_error is documented as Kull's (2019), the mean over classes of the error of the probabilities of that class.
# - It numbers the classes that occur and takes the columns of the probabilities by that number. Where nobody shows and nobody is taken for
#   class 1 (positive), as in a left-out subject or a subset, class 2 (surprise) is judged by the probabilities of class 1. A
#   recognizer that is always right, with 0.9, gets 0.53 for such a subject, and 0.10 for one who shows all classes.
# - It looks at the samples that are taken for the class only. A recognizer that gives every sample 0.4, 0.35 and 0.25, in a set of 250 negative,
#   109 positive and 83 surprise, gets 0.055 in place of 0.110.
# Expected were the values by Kull's formula, computed here (0.067 for both subjects). Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The package needs NumPy before 1.24, and so Python before 3.12. Without its plots.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps riverreliability==0.1.2 numpy==1.23.5 scipy==1.10.1 \
    scikit-learn==1.2.2 joblib==1.3.2 threadpoolctl==3.2.0
cat > "$work/classes.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from riverreliability.metrics import class_wise_error, ece

warnings.simplefilter("ignore")  # of NumPy, about a name that the package uses
BINS = 15


def by_kull(probabilities, truth):
    errors = []
    for k in range(probabilities.shape[1]):
        p, own = probabilities[:, k], truth == k
        bins = np.minimum((p * BINS).astype(int), BINS - 1)
        errors.append(sum(np.mean(bins == b) * abs(p[bins == b].mean() - own[bins == b].mean()) for b in np.unique(bins)))
    return float(np.mean(errors))


def both(probabilities, truth):
    return by_kull(probabilities, truth), float(class_wise_error(probabilities, probabilities.argmax(axis=1), truth, ece, bins=BINS))


print("riverreliability", version("riverreliability"))
subject = np.array([0] * 12 + [2] * 8)
sure = np.full((20, 3), 0.05)
sure[np.arange(20), subject] = 0.9
seen = {"a subject without class 1": both(sure, subject)}
everybody = np.repeat([0, 1, 2], [250, 109, 83])
seen["one answer for all"] = both(np.tile([0.4, 0.35, 0.25], (442, 1)), everybody)
all_classes = np.array([0] * 12 + [1] * 10 + [2] * 8)
sure = np.full((30, 3), 0.05)
sure[np.arange(30), all_classes] = 0.9
seen["a subject with all classes"] = both(sure, all_classes)
for name, (expected, found) in seen.items():
    print(f"{name}: expected {expected:.3f}, seen {found:.3f}")
absent, one, every = (np.round(pair, 3).tolist() for pair in seen.values())
sys.exit(0 if (absent, one, every) == ([0.067, 0.525], [0.11, 0.055], [0.067, 0.1]) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/classes.py"
