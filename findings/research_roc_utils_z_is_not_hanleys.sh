#!/usr/bin/env bash
# Two models of genuine against posed smiles are compared on the same clips. research-roc-utils 0.1.1 returns a z score
# whose README says that it implements Hanley and McNeil (1983). Expected was their formula, with the same r from their
# table, which the package has: the difference of the AUCs through the root of the two squared standard errors less 2 r
# times their product. It is an eighth of that for 10 clips a class: get_variance_z_score leaves out the division by the
# numbers of positives and negatives, and the variances are multiplied where the standard errors belong. roc_t_stat
# takes a root and divides by the whole product, so for 10 clips it is two thirds of the formula's z. A difference at p
# < 0.001 becomes p = 0.6 by one and p < 0.01 by the other. The package checks its arguments and accepts lists: for them
# "y_true == 1" is False, both classes have 0 clips, and z is another number again.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile research-roc-utils==0.1.1 scikits.bootstrap==1.1.0 \
    numpy==2.2.6 scipy==1.15.3 pandas==2.2.3 scikit-learn==1.7.2 matplotlib==3.10.3
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from research_roc_utils import roc_utils
from scipy.stats import kendalltau, norm
from sklearn.metrics import roc_auc_score


def standard_error(auc, positives, negatives):
    """Of Hanley and McNeil (1982)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    parts = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return np.sqrt(parts / (positives * negatives))


clips = 10
rng = np.random.default_rng(0)
genuine = np.repeat([0, 1], clips)
shared = rng.normal(0, 1, 2 * clips)
one = shared + 1.5 * genuine + rng.normal(0, 0.5, 2 * clips)
other = shared + 0.7 * genuine + rng.normal(0, 0.5, 2 * clips)
aucs = [roc_auc_score(genuine, scores) for scores in (one, other)]
r = roc_utils.find_r_val(roc_utils.avg_corr_fun(genuine, one, other, kendalltau), np.mean(aucs))
errors = [standard_error(auc, clips, clips) for auc in aucs]
by_formula = (aucs[0] - aucs[1]) / np.sqrt(errors[0] ** 2 + errors[1] ** 2 - 2 * r * errors[0] * errors[1])
print("research-roc-utils", version("research-roc-utils"), f"AUC {aucs[0]:.3f} and {aucs[1]:.3f}, r {r:.2f}")
seen = {
    "by the formula": by_formula,
    "roc_z_score": roc_utils.roc_z_score(genuine, one, other, kendalltau),
    "roc_t_stat": roc_utils.roc_t_stat(genuine, one, other, kendalltau),
    "roc_z_score of lists": roc_utils.roc_z_score(genuine.tolist(), one.tolist(), other.tolist(), kendalltau),
}
for name, z in seen.items():
    print(f"{name}: {z:.2f}, p {2 * norm.sf(abs(z)):.2g}")
z, lists = seen["roc_z_score"], seen["roc_z_score of lists"]
same = by_formula > 3.3 and 0.3 < z < 0.7 and 2 < seen["roc_t_stat"] < 3.2 and abs(lists - z) > 0.3
sys.exit(0 if same else "the behavior has changed")
PYTHON
