#!/usr/bin/env bash
# Two recognizers of an action unit are compared on the same clips by DeLong's test. The truth, 0 or 1 a clip, is often held as uint8, as masks,
# HDF5 files and one-hot tables have it. rocauc-comparison 0.1.1 puts the clips with the unit first by sorting the negated labels, and
# -1 is 255 in uint8, so clips without it come first and as many of them are taken for those with it. It checks only that labels are 0 and 1.
# For 8 clips with the unit and 20 without, an AUC of 0.94 becomes 0.25, and a difference of p = 0.007 one of p = 0.055. So it is for
# uint16. The same labels as int64, int8 or float64 are right.
# Expected were one AUC and one p-value for the same labels of any type that is accepted; scikit-learn's roc_auc_score is the
# reference, and DeLong's test is computed here from the pairs of clips. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The scores are drawn at random.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile rocauc-comparison==0.1.1 numpy==2.2.6 scipy==1.15.3 \
    scikit-learn==1.7.2
cat > "$work/compare.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from rocauc_comparison import delong_roc_test, delong_roc_variance
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

print("rocauc-comparison", version("rocauc-comparison"))
rng = np.random.default_rng(0)
truth = np.array([0] * 20 + [1] * 8)
scores = [rng.normal(0, 1, 28) + 1.5 * truth, rng.normal(0, 1, 28) + 0.2 * truth]
areas = [roc_auc_score(truth, score) for score in scores]
wins = [(score[truth == 1][:, None] > score[truth == 0]).astype(float) for score in scores]  # no ties
rows, columns = (np.cov([win.mean(axis) for win in wins]) for axis in (1, 0))
covariance = rows / 8 + columns / 20
error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
p_value = 2 * norm.sf(abs(areas[0] - areas[1]) / error)
print(f"expected: AUC {areas[0]:.4f} and {areas[1]:.4f}, p = {p_value:.4f}")
seen = {}
for kind in (np.int64, np.int8, np.float64, np.uint8, np.uint16):
    labels = truth.astype(kind)
    found = [delong_roc_variance(labels, score)[0] for score in scores]
    seen[kind] = *found, delong_roc_test(labels, *scores).p_value
    print(f"labels of {kind.__name__}: AUC {found[0]:.4f} and {found[1]:.4f}, p = {seen[kind][2]:.4f}")
right = (*areas, p_value)
same = all(np.allclose(seen[kind], right, atol=1e-6) for kind in (np.int64, np.int8, np.float64))
same = same and all(areas[0] - seen[kind][0] > 0.3 and abs(seen[kind][2] - p_value) > 0.01 for kind in (np.uint8, np.uint16))
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore::DeprecationWarning "$work/compare.py"
