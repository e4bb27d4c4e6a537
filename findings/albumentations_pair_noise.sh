#!/usr/bin/env bash
# To augment an onset and its apex alike, albumentations 2.0.8 is given the apex as an additional target of type image.
# That is right for turns and crops, but noise is drawn once too: GaussNoise, ShotNoise, MultiplicativeNoise and
# SaltAndPepper add the same pattern to both frames, pixel by pixel. Sensor noise differs from frame to frame; this one
# is a texture that stands still, so flow between the two is not disturbed (on a flat picture it even becomes surely
# zero), and a model is not taught what noise does. Two calls give two patterns.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check albumentations==2.0.8 numpy==2.4.6 opencv-python-headless==5.0.0.93
NO_ALBUMENTATIONS_UPDATE=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import albumentations as A
import numpy as np

face = np.full((64, 64, 3), 120, np.uint8)
print("albumentations", A.__version__)
alike, seen = True, {}
for noise in (
    A.GaussNoise(std_range=(0.02, 0.02), p=1),
    A.ShotNoise(scale_range=(0.02, 0.02), p=1),
    A.MultiplicativeNoise(elementwise=True, p=1),
    A.SaltAndPepper(p=1),
):
    pair = A.Compose([noise], additional_targets={"apex": "image"}, seed=0)(image=face, apex=face.copy())
    added = pair["image"].astype(int) - face
    between = int(abs(pair["image"].astype(int) - pair["apex"]).max())
    alike = alike and between == 0 and added.std() > 1
    print(f"{type(noise).__name__}: noise of {added.std():.1f} gray levels; expected as much between the frames, seen {between}")
sys.exit(0 if alike else "the behavior has changed")
PYTHON
