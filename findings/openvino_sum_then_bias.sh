#!/usr/bin/env bash
# A head that sums the last axis of (batch, classes, features) and adds a bias to each class is computed wrongly by OpenVINO
# 2026.4.1 on the CPU, and nothing is said: expected sum + bias as numpy has it, seen numbers that are off by many times
# the largest bias. One sample alone is right, so a check with one image passes. A matrix product in place of the sum is
# right, and so is the sum without the bias.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile openvino==2026.4.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as op

rng = np.random.default_rng(0)
bias = rng.standard_normal(3).astype(np.float32)
features = op.parameter([-1, 3, 64], np.float32)
total = op.reduce_sum(features, op.constant(np.int64([2])), False)
model = ov.Model([op.add(total, op.constant(bias))], [features])
compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print("OpenVINO", ov.__version__)
off = {}
for batch in (1, 5):
    x = rng.standard_normal((batch, 3, 64)).astype(np.float32)
    off[batch] = float(abs(compiled(x)[0] - (x.sum(2) + bias)).max())
    print(f"batch {batch}: largest difference from numpy {off[batch]:.2g}, largest bias {abs(bias).max():.2g}")
sys.exit(0 if off[1] < 1e-4 and off[5] > 0.1 else "the behavior has changed")
PYTHON
