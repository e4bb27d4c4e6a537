#!/usr/bin/env bash
# insightface 2.1's norm_crop cuts a face by five points; its image_size may be a multiple of 112 or of 128. These two kinds
# are different crops, not one crop in two sizes: at 256 px the eyes are as many px apart as at 224 px, 16 px further right
# and at the same height. So the face fills less of the picture and stands above its middle. Regions given as shares of
# the side (brows, mouth), and a network that was trained on the other size, miss by 6 % of the side. (896 is a multiple of
# both and counts as one of 112.)
# Exits 0 if it is so, 1 if it has changed. Points alone are used, no model.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
# Without its dependencies, and its file of this name loaded alone: the package itself asks for a runtime of its models.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps insightface==2.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==5.0.0.93 numpy==2.4.6 \
    scikit-image==0.26.0 scipy==1.17.1
cat > "$work/crop.py" <<'PYTHON'
import importlib.util
import sys
import warnings
from importlib.metadata import files, version

import numpy as np

warnings.simplefilter("ignore")
path = next(f for f in files("insightface") if f.name == "face_align.py").locate()
spec = importlib.util.spec_from_file_location("face_align", path)
face_align = importlib.util.module_from_spec(spec)
spec.loader.exec_module(face_align)
points = np.array([[200, 240], [280, 240], [240, 290], [208, 330], [272, 330]], np.float32)
print("insightface", version("insightface"))
eyes = {}
for size in (112, 224, 256, 448, 512):
    matrix = face_align.estimate_norm(points, size)
    placed = points @ matrix[:, :2].T + matrix[:, 2]
    eyes[size] = [*(placed[:2].mean(0) / size).round(3).tolist(), round(float(placed[1, 0] - placed[0, 0]) / size, 3)]
    print(f"{size} px: middle of the eyes at {eyes[size][0]:.3f}, {eyes[size][1]:.3f} of the side, {eyes[size][2]:.3f} apart")
print("expected: the same shares at every size")
same = eyes[112] == eyes[224] == eyes[448] and eyes[256] == eyes[512]
shares = [256 * eyes[256][k] - 224 * eyes[224][k] for k in range(3)]
print(f"seen: 256 px differs from 224 px by {shares[0]:.0f}, {shares[1]:.0f} px and {shares[2]:.0f} px between the eyes")
sys.exit(0 if same and [round(share) for share in shares] == [16, 0, 0] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/crop.py"
