#!/usr/bin/env bash
# An action unit that is in one clip of ten is learned with the focal loss, whose alpha weighs presence against absence. By cbloss 0.2.0's own
# formula (README and FocalLoss) alpha is "the balance between positive and negative samples": a clip with the unit is multiplied by alpha, one
# without it by 1 - alpha, as Lin et al. (2017) have it. It multiplies both by alpha. With alpha = 0.9, nine clips without the unit have
# nine times the loss of the one with it, where both should have the same; with alpha = 0.25 each is a quarter, which only makes the
# learning rate smaller. alpha has no effect on the balance, whatever it is, so a search over alpha compares learning rates.
# Expected were the weights of the formula. torch's binary cross-entropy is the reference. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 cbloss==0.2.0 numpy==2.4.6
cat > "$work/alpha.py" <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from cbloss.loss import FocalLoss
from torch.nn.functional import binary_cross_entropy_with_logits

print("cbloss", version("cbloss"), "torch", torch.__version__)
present = torch.tensor([1.0] + [0.0] * 9)  # the unit is in one clip of ten
logits = torch.tensor([0.4, -0.4] * 5)
logits[0], logits[1] = -0.4, 0.4
errors = binary_cross_entropy_with_logits(logits, present, reduction="none")
focal = (1 - torch.exp(-errors)) ** 2 * errors  # gamma = 2
seen = {}
for alpha in (0.25, 0.5, 0.75, 0.9):
    weights = FocalLoss(num_classes=2, alpha=alpha, gamma=2, reduction="none")(logits, present) / focal
    seen[alpha] = weights[0].item(), weights[1].item()
    print(f"alpha {alpha}: weights of presence and absence expected {alpha:.2f}, {1 - alpha:.2f}, seen {seen[alpha][0]:.2f}, {seen[alpha][1]:.2f}")
same = all(abs(weight - alpha) < 1e-5 for alpha, weights in seen.items() for weight in weights)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/alpha.py"
