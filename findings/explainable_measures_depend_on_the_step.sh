#!/usr/bin/env bash
# Whether a map (Grad-CAM) shows what a recognizer of expressions looks at is measured by deleting or inserting pixels in its order, as the area below
# the curve of the probability. explainable-ai-image-measures 1.0.1 adds up the area over n - 1 intervals between n steps and divides it
# by n, and it leaves the untouched image out. The area of a curve that stays at 1 is 1 - 1/n: for a recognizer that looks at no pixel, deletion
# (lower is better) and insertion (higher is better) are both 0.98 for 64 steps, 0.75 for 4 and 0.5 for 2. pixel_package_size, which is
# documented only to "speed up the computation", so makes any map better by deletion and worse by insertion.
# irof_sigma, "parameter used in the slic algorithm", has no effect: irof_segments is handed on twice, as the number of segments and in the place of
# compactness. 0, 1 and 50 give the same score to the last digit, where SLIC itself makes from 1 to 36 segments of the same image.
# Expected were an area of 1 for each step, and segments by sigma. scikit-image's slic is the reference. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices. Images and recognizers are made here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 explainable-ai-image-measures==1.0.1 numpy==2.4.6 \
    scipy==1.17.1 scikit-image==0.26.0 scikit-learn==1.9.1
cat > "$work/area.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import torch
from explainable_ai_image_measures import Measures
from skimage.segmentation import slic

torch.set_num_threads(1)
torch.manual_seed(0)
WEIGHTS = torch.randn(3, 32, 32)


class Blind(torch.nn.Module):
    def forward(self, images):
        return torch.tensor([[2.0, 0.0]]).repeat(len(images), 1)


class Linear(torch.nn.Module):
    def forward(self, images):
        score = (images * WEIGHTS).sum((1, 2, 3)) / 20
        return torch.stack([score, -score], 1)


print("explainable-ai-image-measures", version("explainable-ai-image-measures"))
small, shown = torch.rand(3, 8, 8), torch.rand(8, 8)
areas = {}
for package in (1, 4, 16, 32):
    measures = Measures(Blind(), pixel_package_size=package)
    (insertion, curve), (deletion, _) = measures.compute_IAUC(small, shown, 0), measures.compute_DAUC(small, shown, 0)
    areas[len(curve)] = float(insertion), float(deletion), bool(torch.allclose(curve, torch.ones(len(curve))))
    print(f"recognizer that looks at no pixel, {len(curve)} steps: expected 1, seen insertion {insertion:.3f}, deletion {deletion:.3f}")

image = torch.rand(3, 32, 32)
scores, counts = {}, {}
for sigma in (0, 1, 50):
    scores[sigma] = float(Measures(Linear(), irof_sigma=sigma).compute_IROF(image, (image * WEIGHTS).sum(0), 0)[0])
    counts[sigma] = len(np.unique(slic(image.numpy().transpose(1, 2, 0), 40, sigma=sigma)))
    print(f"irof_sigma {sigma}: SLIC makes {counts[sigma]} segments, score {scores[sigma]}")
same = all(flat and abs(area - (1 - 1 / n)) < 1e-6 for n, (*both, flat) in areas.items() for area in both)
same = same and set(areas) == {64, 16, 4, 2} and len(set(scores.values())) == 1 and len(set(counts.values())) > 1
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/area.py"
