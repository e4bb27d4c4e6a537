#!/usr/bin/env bash
# A recognizer's probabilities are checked by the expected calibration error (ECE) over bins of equal numbers of faces. Probabilities of
# trees, of votes, or of a prior take few values, so that many faces are tied. calibra 0.3.2 (classwise_ece, method="frequency") and
# calikit 0.1.0 (its default scheme, "mass") cut tied faces apart. 200 faces of which 25 % smile, and a recognizer that says 0.25 for each
# face: that is perfectly calibrated.
# - calibra sorts by probability and, where that is equal, by label: faces without a smile fill the lower bins and smiles the upper. The
#   error is 0.375. Two recognizers that are equally right, one of which is rounded to tenths, thus differ by label leakage alone.
# - calikit leaves tied faces in the order of the file: 0.35 if it lists one class after the other, 0.06 if it is shuffled.
# Expected was 0, as both give for bins of equal width, and one value for any order of the rows.
# Exits 0 if it is so, 1 if it has changed. The labels are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps calibra==0.3.2 calikit==0.1.0 numpy==2.2.6 \
    pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/ties.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from calibra.errors import classwise_ece
from calikit import bin_predictions, ece

rng = np.random.default_rng(0)
smiles = np.repeat([0, 1], [150, 50])
shuffled = rng.permutation(smiles)
prior = np.full(200, 0.25)
print("calibra", version("calibra"), "and calikit", version("calikit"))


def by_calibra(labels, method):
    return round(float(classwise_ece(prior, labels, method=method)), 4)


def by_calikit(labels, scheme):
    return round(ece(bin_predictions(prior.tolist(), labels.tolist(), scheme=scheme)), 4)


seen = {}
for name, labels in (("sorted", smiles), ("shuffled", shuffled)):
    seen[name] = by_calibra(labels, "frequency"), by_calikit(labels, "mass")
    wide = by_calibra(labels, "width"), by_calikit(labels, "width")
    print(f"0.25 for each of 200 faces, 25 % smiles, file {name}: expected 0.0 and 0.0, seen {seen[name]}; equal width {wide}")
    seen[name] += wide
score = 1 / (1 + np.exp(-rng.normal(-1.2, 1, 4000)))
true = rng.random(4000) < score
fine, tenths = (float(classwise_ece(values, true.astype(int), method="frequency")) for values in (score, score.round(1)))
print(f"4000 calibrated probabilities: {fine:.3f}; the same rounded to tenths: expected much the same, seen {tenths:.3f}")
same = seen["sorted"] == (0.375, 0.35, 0.0, 0.0) and seen["shuffled"][0] == 0.375 and 0.02 < seen["shuffled"][1] < 0.2
sys.exit(0 if same and tenths > 3 * fine else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/ties.py"
