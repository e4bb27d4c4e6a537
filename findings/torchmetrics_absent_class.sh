#!/usr/bin/env bash
# In the composite protocol some subjects and subsets have no sample of a class, and UF1 and UAR are means over the classes
# that are there. torchmetrics 1.9.0 (macro averages, num_classes=3) leaves an absent class out only while no answer
# names it. One answer "surprise" in a subset without surprise, and the class counts with recall 0, though it has no
# sample to be recalled: UAR falls from 0.58 to 0.39 where scikit-learn 1.9.1's balanced_accuracy_score, by the definition,
# stays at 0.58 (recall_score with average="macro" gives 0.39, with a warning; torchmetrics gives none). Means over
# subjects, most of whom lack a class, then depend on which class a wrong answer names.
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 torchmetrics==1.9.0 \
    scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$work/venv/bin/python" -W error::UserWarning - <<'PYTHON'
import sys
import warnings

import sklearn
import torch
import torchmetrics
from sklearn.metrics import balanced_accuracy_score
from torchmetrics.classification import MulticlassF1Score, MulticlassRecall

truth = torch.tensor([0, 0, 0, 1, 1])  # negative and positive; nobody was surprised
print("torchmetrics", torchmetrics.__version__, "scikit-learn", sklearn.__version__)
seen = []
for answers in ([0, 0, 1, 1, 0], [0, 0, 1, 1, 2], [0, 0, 2, 1, 1]):
    answered = torch.tensor(answers)
    recall = MulticlassRecall(3, average="macro")(answered, truth).item()
    f1 = MulticlassF1Score(3, average="macro")(answered, truth).item()
    with warnings.catch_warnings():  # scikit-learn tells that an answer names a class that is not there
        warnings.simplefilter("ignore")
        reference = float(balanced_accuracy_score(truth, answered))
    seen.append((round(reference, 3), round(recall, 3)))
    print(f"answers {answers}: UAR by scikit-learn {reference:.2f}, seen {recall:.2f} (F1 {f1:.2f})")
same = seen == [(0.583, 0.583), (0.583, 0.389), (0.833, 0.556)]
sys.exit(0 if same else "the behavior has changed")
PYTHON
