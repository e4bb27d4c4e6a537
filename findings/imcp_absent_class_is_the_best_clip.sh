#!/usr/bin/env bash
# Subjects of leave-one-subject-out seldom show every emotion. imcp 1.0.1 (Aguilar-Ruiz and Michalak 2024) measures probabilities for unequal classes
# by an area in which each class has the same width, divided among its clips. Its labels "must be given if any class is not represented
# in y_true, but y_score contains probabilities for this class". Then the absent class keeps its width, and the curve, which is
# sorted, is drawn on over it at the height of the best clip. With one class of three absent, a third of the area is that of one clip; with three
# of five, 60 percent. Ten clips of which one is right have an area of 0.32 in two classes; where the model has columns of zeros for one or three
# classes that the subject does not show, 0.51 and 0.67. So the fewer emotions a subject shows, the better the model.
# Expected was the same area for the same clips and probabilities, since the added columns are 0 and the distance of no clip changes; the area
# is computed here too. Nothing is said but a division by zero, from NumPy.
# Exits 0 if it is so, 1 if it has changed. The probabilities are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile imcp==1.0.1 numpy==2.2.6 matplotlib==3.10.3
cat > "$work/subject.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from imcp import imcp_score

print("imcp", version("imcp"))
truth = np.array([0] * 6 + [1] * 4)  # negative, positive
scores = np.array([[0.2, 0.8]] * 6 + [[0.8, 0.2]] * 4)
scores[0] = 0.98, 0.02  # the only clip that is recognized


def area(truth, scores):
    """Each class that is there is as wide as each other one; between the middles of the clips the curve is straight."""
    heights = 1 - np.sqrt(((np.eye(scores.shape[1])[truth] - np.sqrt(scores)) ** 2).sum(1) / 2)
    counts = np.bincount(truth, minlength=scores.shape[1])
    widths = 1 / (np.count_nonzero(counts) * counts[truth])
    order = np.lexsort((truth, heights))
    heights, widths = heights[order], widths[order]
    places = np.concatenate([[0], np.cumsum(widths) - widths / 2, [1]])
    heights = np.concatenate([heights[:1], heights, heights[-1:]])
    return float((np.diff(places) * (heights[1:] + heights[:-1]) / 2).sum()), float(heights[-1])


seen = {}
for classes in (2, 3, 5):
    padded = np.hstack([scores, np.zeros((10, classes - 2))])
    expected, best = area(truth, padded)
    seen[classes] = imcp_score(truth, padded, labels=None if classes == 2 else list(range(classes)))
    print(f"{classes - 2} of {classes} classes absent: expected {expected:.3f}, seen {seen[classes]:.3f}")
print(f"height of the best clip {best:.3f}, of the others at most {1 - np.sqrt(1 - np.sqrt(0.2)):.3f}")
same = abs(seen[2] - expected) < 1e-9 and seen[3] > seen[2] + 0.15 and seen[5] > seen[3] + 0.15 and 0.6 * best < seen[5] < best
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" -W ignore::DeprecationWarning "$work/subject.py"
