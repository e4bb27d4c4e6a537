#!/usr/bin/env bash
# A detector of a rare action unit is judged by the area under its precision-recall curve, since accuracy and ROC flatter it. pr_davis of
# imbalance-metrics 0.0.6 has Davis and Goadrich's interpolation, which was made because straight lines between points of that curve are
# too optimistic. It starts the curve with a straight line from precision 1 to the first point, however far that is, and it interpolates
# only until it has seen as many points as there were before it added any. Where scores are fine, that is the first face. Where they have few
# values (votes, intensities of 0 to 5, a detector that rounds), it counts: a detector that gives the same score to each face has 0.6 with
# one positive in five, and 0.505 with one in a hundred. It has precision 0.2 and 0.01 at each recall, so that its area is 0.2 and 0.01, as
# the interpolation gives when it starts at 0 faces. A weak detector has 0.26, and 0.45 (0.23 by hand) if it says yes or no only, so that it
# gets better by saying less. pr_manning, beside it, gives 0.6 too. Expected were 0.2 and 0.01. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The scores are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps imbalance-metrics==0.0.6 smogn==0.1.2 numpy==2.2.6 \
    scipy==1.15.3 scikit-learn==1.7.2 joblib==1.5.2 threadpoolctl==3.6.0 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 \
    tzdata==2025.2 six==1.17.0 tqdm==4.67.1
cat > "$work/areas.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from imbalance_metrics import pr_davis, pr_manning


def by_hand(truth, scores, parts=2000):  # true and false positives grow evenly between two points, from 0 of each on
    order = np.argsort(-scores, kind="stable")
    last = np.r_[np.diff(scores[order]) != 0, True]
    tp = np.r_[0, np.cumsum(truth[order])[last]].astype(float)
    fp = np.r_[0, np.cumsum(1 - truth[order])[last]].astype(float)
    area = 0.0
    for k in range(len(tp) - 1):
        t, f = (np.linspace(a[k], a[k + 1], parts) for a in (tp, fp))
        middle_t, middle_f = (t[1:] + t[:-1]) / 2, (f[1:] + f[:-1]) / 2
        area += float((np.diff(t) * middle_t / np.maximum(middle_t + middle_f, 1e-12)).sum()) / tp[-1]
    return area


print("imbalance-metrics", version("imbalance-metrics"))
rng = np.random.default_rng(0)
truth = np.repeat([1, 0], [100, 400])
weak = rng.normal(size=500) + 0.2 * truth
cases = {
    "one score for all, 1 of 5": (truth, np.zeros(500)),
    "one score for all, 1 of 100": (np.repeat([1, 0], [5, 495]), np.zeros(500)),
    "weak detector": (truth, weak),
    "weak detector, rounded to whole numbers": (truth, weak.round()),
    "weak detector, positive or not": (truth, (weak > 0).astype(float)),
}
seen, true = [], []
for name, (labels, scores) in cases.items():
    seen.append(round(float(pr_davis(labels, scores, pos_label=1)), 3))
    true.append(round(by_hand(labels, scores), 3))
    print(f"{name}: expected {true[-1]}, seen {seen[-1]}; pr_manning {float(pr_manning(labels, scores, pos_label=1)):.3f}")
same = seen[:2] == [0.6, 0.505] and true[:2] == [0.2, 0.01] and abs(seen[2] - true[2]) < 0.02 and seen[4] > true[4] + 0.1
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/areas.py"
