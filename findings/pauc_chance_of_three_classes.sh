#!/usr/bin/env bash
# A model of three emotion classes is judged by Hand and Till's AUC, which is 0.5 for scores that know nothing. Expected
# was that of pauc 0.2.2, whose README names this method for MultiClassROC: 0.5 on average over random scores. It is
# 0.574 for 15 clips of each class and 0.545 for 40. Each pair of classes is measured with direction="auto", which turns
# the curve round where the median of the class is below that of the others, so a pair is seldom below 0.5. A class
# whose score is the wrong way round counts in favor of the model: good scores times -1 have the same AUC of 0.943. A
# partial AUC over the whole range, partial_auc=(0, 1), is another number than the AUC for five clips, by their
# specificity as by their sensitivity: the curve is interpolated over its vertical (or horizontal) steps.
# Exits 0 if it is so, 1 if it has changed. scikit-learn's roc_auc_score (multi_class="ovo") is the reference.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pauc==0.2.2 numpy==2.2.6 scipy==1.15.3 \
    scikit-learn==1.7.2 matplotlib==3.10.3
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pauc
from sklearn.metrics import roc_auc_score

print("pauc", version("pauc"))
rng = np.random.default_rng(0)
chance = {}
for clips in (15, 40):
    classes = np.repeat([0, 1, 2], clips)
    drawn = rng.dirichlet((1, 1, 1), (300, 3 * clips))  # probabilities that know nothing of the classes
    chance[clips] = (
        np.mean([pauc.MultiClassROC(classes, scores).auc for scores in drawn]),
        np.mean([roc_auc_score(classes, scores, multi_class="ovo") for scores in drawn]),
    )
    print(f"random scores of 3 classes, {clips} clips each: pauc {chance[clips][0]:.3f}, scikit-learn {chance[clips][1]:.3f}")

classes = np.repeat([0, 1, 2], 15)
good = rng.normal(0, 1, (45, 3)) + 2 * np.eye(3)[classes]
right, wrong = (pauc.MultiClassROC(classes, sign * good).auc for sign in (1, -1))
print(f"good scores {right:.3f}, the same times -1 {wrong:.3f}")

truth, scores = np.array([0, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.5])
whole = pauc.ROC(truth, scores).auc
parts = [pauc.ROC(truth, scores, partial_auc=(0, 1), partial_auc_focus=focus).auc for focus in ("specificity", "sensitivity")]
print(f"five clips: AUC {whole:.4f}, scikit-learn {roc_auc_score(truth, scores):.4f}")
print(f"partial AUC of the whole range: {parts[0]:.4f} by specificity, {parts[1]:.4f} by sensitivity")

same = 0.56 < chance[15][0] < 0.59 and 0.53 < chance[40][0] < 0.56 and all(abs(c[1] - 0.5) < 0.01 for c in chance.values())
same = same and abs(right - wrong) < 1e-9 and right > 0.8
same = same and abs(whole - roc_auc_score(truth, scores)) < 1e-9 and all(abs(part - whole) > 0.01 for part in parts)
sys.exit(0 if same else "the behavior has changed")
PYTHON
