#!/usr/bin/env bash
# Two models of genuine against posed smiles are compared by the AUC of their scores. MLstatkit 0.1.91's Delong_test gives
# p = 0.0, the strongest evidence there is, where nothing differs: for a model and itself, for a model before and after
# temperature scaling (the order of the scores is the same, and so is the AUC), and for two models that are both perfect.
# The variance of the difference is zero there, so the function falls back to a bootstrap. Every resampled difference is 0,
# and p is twice the smaller of the shares of "<= 0" and of "> 0", which is twice zero. z is 0.0 next to it. Nothing is
# printed unless verbose is set. Expected was p = 1, which the package's own Permutation_test returns for the same scores.
# Models that do differ have a p above 0, so in a table sorted by p the equal ones come first.
# Exits 0 if it is so, 1 if it has changed. All counts are powers of two, so that the variance is zero on any processor.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile MLstatkit==0.1.91 numpy==2.2.6 scipy==1.15.3 \
    scikit-learn==1.7.2 tqdm==4.67.1
"$work/venv/bin/python" -W error - 2> "$work/progress" <<'PYTHON' || { cat "$work/progress" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
from MLstatkit import Delong_test, Permutation_test

rng = np.random.default_rng(0)
genuine = np.repeat([0, 1], 32)
logits = rng.normal(0, 1, 64) + genuine
other = logits + rng.normal(0, 0.5, 64)
perfect = [genuine + rng.uniform(0, 0.4, 64) for _ in range(2)]
print("MLstatkit", version("MLstatkit"))
seen = {}
for name, first, second in (
    ("a model and itself", logits, logits),
    ("before and after temperature scaling", logits, 1 / (1 + np.exp(-logits / 2))),
    ("two perfect models", perfect[0], perfect[1]),
    ("two models that differ", logits, other),
):
    z, p, _, _, auc_first, auc_second, info = Delong_test(genuine, first, second, n_boot=500, random_state=0)
    by_permutation = Permutation_test(genuine, first, second, metric_str="roc_auc", n_bootstraps=200)[2]
    seen[name] = (z, p, by_permutation)
    print(
        f"{name}: AUC {auc_first:.3f} and {auc_second:.3f}, Delong_test z {z:.2f}, p {p:.3f} ({info['method']}); "
        f"Permutation_test p {by_permutation:.3f}"
    )
different = seen.pop("two models that differ")
same = seen["a model and itself"] == seen["two perfect models"] == (0.0, 0.0, 1.0)
same = same and seen["before and after temperature scaling"][:2] == (0.0, 0.0) and 0.001 < different[1] < 1
sys.exit(0 if same else "the behavior has changed")
PYTHON
