#!/usr/bin/env bash
# Most clips of a data set show one class ("negative", or none). intrinsic-kappa 0.1.2 offers a kappa that is "strictly independent of
# class prevalence (sample composition)", for the "inherent discriminatory ability" of a classifier. It is accuracy, scaled by the number of
# classes, and accuracy follows the sample: one and the same recognizer, right in 90 % of the negative and 50 % of the positive
# clips, has 0.40 on as many of both and 0.72 on nine to one; the recognizer that always says "negative" has 0 and 0.80, more than
# the one that looks. Expected was the same value for both samples, as the balanced accuracy has it, scaled likewise (0.40, and
# 0 for the constant answer). Cohen's kappa, which the package calls dependent, is 0 for the constant answer too.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps intrinsic-kappa==0.1.2 numpy==2.2.6 scipy==1.15.3 \
    pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/mix.py" <<'PYTHON'
import sys
from importlib.metadata import version

import intrinsic_kappa
import numpy as np


def by_recalls(matrix):
    return 2 * np.mean(np.diag(matrix) / matrix.sum(axis=0)) - 1


def cohen(matrix):
    share = matrix / matrix.sum()
    chance = share.sum(axis=0) @ share.sum(axis=1)
    return (np.trace(share) - chance) / (1 - chance)


print("intrinsic-kappa", version("intrinsic-kappa"))
promised = "independent of class prevalence" in " ".join(intrinsic_kappa.core.__doc__.split())
recognizers = {"looks": (0.9, 0.5), "always negative": (1.0, 0.0)}
seen = {}
for name, (negative, positive) in recognizers.items():
    for counts in ((500, 500), (900, 100)):
        hits = round(counts[0] * negative), round(counts[1] * positive)
        matrix = np.array([[hits[0], counts[1] - hits[1]], [counts[0] - hits[0], hits[1]]])  # rows: predicted; columns: true
        seen[name, counts[0]] = round(float(intrinsic_kappa.intrinsic_kappa_point_estimate(matrix)), 3)
        print(f"{name}, {counts[0]} negative and {counts[1]} positive clips: expected {by_recalls(matrix):.2f} each time, ", end="")
        print(f"seen {seen[name, counts[0]]:.2f}; Cohen's kappa {cohen(matrix):.2f}")
expected = {("looks", 500): 0.4, ("looks", 900): 0.72, ("always negative", 500): 0.0, ("always negative", 900): 0.8}
sys.exit(0 if seen == expected and promised else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/mix.py"
