#!/usr/bin/env bash
# Focal loss with alpha 0.25 and gamma 2 is the usual answer to the field's unequal classes. kornia 0.9.0's focal_loss,
# which is for several classes, takes class 0 for a background: its weight is 1 - alpha, that of every other class alpha.
# So with alpha = 0.25 the class 0 counts three times as much as each other one. In the composite set of MEGC 2019 class 0
# is "negative", 250 of 442 samples: the majority, which the loss was to weigh less, weighs three times as much.
# Expected was one factor for all classes, as in the formula for softmax (or a refusal of a number for several classes).
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 kornia==0.9.0 kornia-rs==0.2.0 \
    packaging numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import kornia
import torch

logits, truth = torch.zeros(3, 3), torch.tensor([0, 1, 2])  # no class is preferred, so all errors are equal
without = kornia.losses.focal_loss(logits, truth, alpha=None, gamma=2.0, reduction="none").sum(1)
weighted = kornia.losses.focal_loss(logits, truth, alpha=0.25, gamma=2.0, reduction="none").sum(1)
weights = (weighted / without).tolist()
print("kornia", kornia.__version__, "torch", torch.__version__)
print("expected: weights 0.25, 0.25, 0.25 of negative, positive, surprise")
print("seen:     weights", ", ".join(f"{weight:.2f}" for weight in weights))
same = [round(weight, 3) for weight in weights] == [0.75, 0.25, 0.25]
sys.exit(0 if same else "the behavior has changed")
PYTHON
