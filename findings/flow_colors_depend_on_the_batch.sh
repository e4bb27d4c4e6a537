#!/usr/bin/env bash
# Flow is looked at, and fed to networks, as colors. torchvision 0.28.0's flow_to_image scales by the longest vector of
# the whole batch: a motion of 0.5 px is full red alone and nearly white beside a face that moves by 5 px, so a sample's
# image changes with what it is batched with (and with the batch size, and in training with the shuffle). Alone, noise of
# 0.0005 px is full red too. flow_vis 0.1 scales each picture by itself; neither has an argument for a fixed
# length.
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6 pillow==13.0.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps torchvision==0.28.0
cat > "$work/colors.py" <<'PYTHON'
import re
import sys
from importlib.metadata import files, version

import torch

if "+cpu" in torch.__version__:  # the index's torchvision is built for CUDA; flow_to_image uses none of its operators
    source = next(f for f in files("torchvision") if f.name == "_meta_registrations.py").read_text()
    library = torch.library.Library("torchvision", "DEF")
    for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', source):
        library.define(f"{name}(Tensor x) -> Tensor")
from torchvision.utils import flow_to_image

flows = torch.zeros(2, 2, 28, 28)
flows[0, 0], flows[1, 0] = 0.5, 5.0  # px to the right
print("torchvision", version("torchvision"))
alone = flow_to_image(flows[:1])[0, :, 14, 14].tolist()
beside = flow_to_image(flows)[0, :, 14, 14].tolist()
noise = flow_to_image(flows[:1] / 1000)[0, :, 14, 14].tolist()
print("expected: one color for 0.5 px to the right")
print(f"seen: {alone} alone, {beside} beside a flow of 5 px; 0.0005 px alone is {noise}")
sys.exit(0 if alone == noise == [255, 0, 0] and beside == [255, 229, 229] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/colors.py"
