#!/usr/bin/env bash
# Two recognizers are compared over the left-out subjects. The sign test asks only who is better on how many of them. labicompare 0.2.0's
# sign_test is documented so ("ignoring the scale of each differences"), but it takes the winner from the mean difference. A model that is
# better on 18 of 20 subjects by 0.02, and worse on two by 0.3, has p = 0.0004, and the winner is the other model. wilcoxon_signed_rank
# does the same (p = 0.014): the ranks of the differences favor one model, the other is named. Expected was the model in whose favor
# the test is significant.
# friedman_test is documented with the correction of Iman and Davenport, but returns Friedman's own statistic: for four models on
# five data sets p is 0.069 in place of 0.047. wilcoxon_holm stops at it with "cannot be rejected".
# Exits 0 if it is so, 1 if it has changed. The scores are made up. Without its plots.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps labicompare==0.2.0 numpy==1.26.4 pandas==2.2.3 \
    scipy==1.15.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/winner.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from labicompare.core.data import EvaluationData
from labicompare.stats.friedman import friedman_test
from labicompare.stats.pairwise import sign_test, wilcoxon_signed_rank
from scipy.stats import f, rankdata

print("labicompare", version("labicompare"))
subjects = np.random.default_rng(0).uniform(0.4, 0.6, 20)
better = subjects + 0.02 + 0.0001 * np.arange(20)
better[:2] = subjects[:2] - 0.3
scores = EvaluationData(pd.DataFrame({"first": better, "second": subjects}))
difference = better - subjects
ranks = rankdata(np.abs(difference))
print(f"first is better on {(difference > 0).sum()} of 20 subjects; rank sums {ranks[difference > 0].sum():.0f} and {ranks[difference < 0].sum():.0f}")
seen = {}
for test in (sign_test, wilcoxon_signed_rank):
    found = seen[test.__name__] = test(scores, "first", "second")
    print(f"{test.__name__}: p {found.p_value:.4f}, expected winner first, seen {found.winner}")
places = [(4, 3, 2, 1), (4, 3, 2, 1), (4, 3, 2, 1), (4, 2, 3, 1), (2, 3, 1, 4)]
table = pd.DataFrame(0.6 + 0.02 * np.array(places), columns=list("abcd"))
statistic, p = friedman_test(EvaluationData(table))
count, models = table.shape
by_ranks = table.rank(axis=1).mean()
chi2 = 12 * count / (models * (models + 1)) * ((by_ranks**2).sum() - models * (models + 1) ** 2 / 4)
corrected = (count - 1) * chi2 / (count * (models - 1) - chi2)
expected = float(f.sf(corrected, models - 1, (models - 1) * (count - 1)))
print(f"friedman_test: expected {corrected:.2f}, p {expected:.3f}, seen {statistic:.2f}, p {p:.3f}")
winners = all(found.winner == "second" and found.is_significant for found in seen.values())
same = winners and seen["sign_test"].p_value < 0.001 and abs(statistic - chi2) < 1e-9 and expected < 0.05 < p
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/winner.py"
