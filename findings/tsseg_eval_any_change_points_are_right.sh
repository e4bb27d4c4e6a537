#!/usr/bin/env bash
# A program tells at which frames an expression begins and ends, and is scored by F1 against the coded frames. tsseg-eval 0.1.4's f1 (f_score) is
# documented to take "true change-point locations" and "predicted change-point locations (0-based indices)", and its README hands the
# change points of a program to f1 and covering. Both take what they get for one label a frame, and look for changes in it. Two numbers that
# differ are a clip of two frames with a change between them, whatever the numbers are.
# - Onset and offset at 40 and 60 against 5 and 95, with a margin of 5 frames, have an F1 of 1.0 and a covering of 1.0. Any two lists of equal
#   length have. Expected was 0.33: of three points each (0 "is always included") one is right.
# - For labels, the end of the clip counts as a change too: a program that finds nothing has 0.67 for a clip with two changes, not 0.5.
# - wnmi, the normalized mutual information with weights, divides a weighted information by entropies without weights. A segmentation
#   against itself, which is 1.0 by any normalized information, has 0.30 where a tenth is cut off, 1.0 where a half is. wari and sms are 1.0.
# Nothing is said. Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tsseg-eval==0.1.4 numpy==2.2.6 scipy==1.15.3 \
  scikit-learn==1.7.2 joblib==1.5.2 threadpoolctl==3.6.0
cat > "$work/score.py" <<'PYTHON'
import inspect
import sys
from importlib.metadata import version

import numpy as np
from tsseg_eval import covering, f1, sms, wari, wnmi

FRAMES = 500
print("tsseg-eval", version("tsseg-eval"))
documented = "change-point" in inspect.getdoc(f1) and "0 is always included" in inspect.getdoc(f1)


def defined(true, predicted, margin):
    """F1 as documented: 0 belongs to both, and a point is found if a predicted one that is still free is within the margin."""
    true, free = {0, *true}, {0, *predicted}
    total, right = len(free), 0
    for point in sorted(true):
        near = [other for other in free if abs(other - point) <= margin]
        if near:
            free.remove(min(near, key=lambda other: abs(other - point)))
            right += 1
    return 2 * right / (total + len(true))


def labels(*points):
    made = np.zeros(FRAMES, int)
    for point in points:
        made[point:] += 1
    return made


true, margin = [40, 60], 5
same = documented
for predicted in ([5, 95], [300, 400], [41, 61]):
    seen, right, cover = f1(true, predicted, margin=margin), defined(true, predicted, margin), covering(true, predicted)
    print(f"points {true} and {predicted}: F1 expected {right:.2f}, seen {seen:.2f}; covering {cover:.2f}")
    same = same and seen == cover == 1.0 and round(right, 2) == (1.0 if predicted == [41, 61] else 0.33)
for predicted, expected in (([41, 61], 1.0), ([], 0.67)):
    seen, right = f1(labels(*true), labels(*predicted), margin=margin), defined(true, predicted, margin)
    print(f"as labels, predicted {predicted}: F1 expected {right:.2f}, seen {seen:.2f}")
    same = same and round(seen, 2) == expected and right == (1.0 if predicted else 0.5)
for point in (250, 50):
    cut = labels(point)
    print(f"cut at {point} of {FRAMES}, against itself: wnmi expected 1.0, seen {wnmi(cut, cut):.2f}; wari {wari(cut, cut):.2f}, sms {sms(cut, cut):.2f}")
    same = same and round(wnmi(cut, cut), 2) == (1.0 if point == 250 else 0.3) and wari(cut, cut) == sms(cut, cut) == 1.0
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/score.py"
