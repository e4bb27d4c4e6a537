#!/usr/bin/env bash
# torchvision 0.28.0's transforms (v2) turn landmarks (tv_tensors.KeyPoints) about another point than the image: pixels
# about (W - 1) / 2, points about W / 2. Turned by 180 degrees, by rotate or by affine, a landmark lies one pixel right of
# and one below its pixel; by 90 degrees one pixel beside it. Mirroring, padding and cropping agree. On a flow image of 28 px
# one pixel is a 28th of the face, and regions are cut around the points. albumentations 2.0.8 and kornia 0.9.0 keep
# both together (run, not repeated here).
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 numpy==2.4.6 pillow==13.0.0
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps torchvision==0.28.0
cat > "$work/turn.py" <<'PYTHON'
import re
import sys
from importlib.metadata import files, version

import torch

if "+cpu" in torch.__version__:  # the index's torchvision is built for CUDA; these transforms use none of its operators
    source = next(f for f in files("torchvision") if f.name == "_meta_registrations.py").read_text()
    library = torch.library.Library("torchvision", "DEF")
    for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', source):
        library.define(f"{name}(Tensor x) -> Tensor")
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

image = torch.zeros(1, 28, 28)
image[0, 9, 6] = 1
points = tv_tensors.KeyPoints(torch.tensor([[6.0, 9.0]]), canvas_size=(28, 28))
print("torchvision", version("torchvision"), "torch", torch.__version__)
beside = {}
for name, turn in {
    "horizontal_flip": F.horizontal_flip,
    "vertical_flip": F.vertical_flip,
    "pad": lambda x: F.pad(x, [3, 4, 0, 0]),
    "rotate by 90": lambda x: F.rotate(x, 90),
    "rotate by 180": lambda x: F.rotate(x, 180),
    "affine by 180": lambda x: F.affine(x, 180, [0, 0], 1, [0, 0]),
}.items():
    turned = turn(image)[0]
    row, column = divmod(int(turned.argmax()), turned.shape[1])
    x, y = (round(value, 3) for value in turn(points)[0].tolist())
    beside[name] = (x - column, y - row)
    print(f"{name}: pixel at ({column}, {row}), expected the point there, seen at ({x:g}, {y:g})")
right = all(beside[name] == (0, 0) for name in ("horizontal_flip", "vertical_flip", "pad"))
same = right and beside["rotate by 90"] == (0, 1) and beside["rotate by 180"] == beside["affine by 180"] == (1, 1)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/turn.py"
