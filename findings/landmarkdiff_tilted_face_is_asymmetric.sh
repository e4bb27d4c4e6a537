#!/usr/bin/env bash
# Palsy and surgery of the face are followed by the symmetry of its landmarks. landmarkdiff 0.2.3's README says that the left side is
# mirrored at a midline from the forehead to the chin and compared with the corresponding points of the right side. Its FacialSymmetry
# mirrors at the vertical through the middle of the outer corners of the eyes, and takes the nearest point of the right side, as its
# docstring says, whichever that is. So:
# - A perfectly symmetric face (478 points) whose head is tilted by 2 degrees is more asymmetric (0.036) than an upright face whose
#   right corner of the mouth hangs by 20 px at 90 px between the eyes (0.013). Expected were 0.000 and 0.036.
# - The error of a side that hangs is cut, the more the further it hangs, since another point is near: by 6 % at 2 px, by 63 % at 20 px.
# - It is another one for the mirrored face (0.007), and 0 for a face whose points of one quarter are exchanged with each other.
# Nothing is said. Exits 0 if it is so, 1 if it has changed. The points are drawn here, those of the eyes at MediaPipe's numbers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps landmarkdiff==0.2.3 numpy==2.3.5 scipy==1.16.3
cat > "$work/symmetry.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from landmarkdiff.morphometry import FacialSymmetry

EYES, PAIRS = (33, 263), 239
rng = np.random.default_rng(0)
side = rng.uniform((1, -110), (80, 110), (4 * PAIRS, 2))
side = side[(side[:, 0] / 80) ** 2 + (side[:, 1] / 110) ** 2 < 1][:PAIRS]
side[0] = 45, -40
rest = [number for number in range(2 * PAIRS) if number not in EYES]
left, right = np.array([EYES[0], *rest[::2]]), np.array([EYES[1], *rest[1::2]])
face = np.empty((2 * PAIRS, 2))
face[right], face[left] = side, side * (-1, 1)
mouth = [number for number in right if face[number, 0] > 15 and 25 < face[number, 1] < 70]
quarter = np.array([number for number in right if face[number, 1] > 0])


def score(points):
    return round(float(FacialSymmetry().compute(points + 200)), 4)


def partners(points):
    return round(float(np.linalg.norm(points[left] * (-1, 1) - points[right], axis=1).mean() / 90), 4)


def mirrored(points):
    other = np.empty_like(points)
    other[left], other[right] = points[right] * (-1, 1), points[left] * (-1, 1)
    return other


print("landmarkdiff", version("landmarkdiff"))
tilted = {}
for degrees in (0, 2, 5):
    turn = np.radians(degrees)
    tilted[degrees] = score(face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]))
    print(f"symmetric face, head tilted by {degrees} degrees: expected 0.0, seen {tilted[degrees]}")
hanging, seen = {}, {}
for pixels in (2, 20):
    hanging[pixels] = face.copy()
    hanging[pixels][mouth, 1] += pixels
    seen[pixels] = score(hanging[pixels]), score(mirrored(hanging[pixels]))
    true = partners(hanging[pixels])
    print(f"corner of the mouth {pixels} px lower: expected {true}, seen {seen[pixels][0]}; mirrored: expected {true}, seen {seen[pixels][1]}")
shuffled = face.copy()
shuffled[quarter] = face[rng.permutation(quarter)]
print(f"points of a quarter exchanged: expected {partners(shuffled)}, seen {score(shuffled)}")
same = tilted[0] == 0 and 2 * seen[20][0] < tilted[2] < tilted[5] and score(shuffled) == 0 < partners(shuffled)
same = same and seen[2][0] > 0.9 * partners(hanging[2]) and seen[20][0] < 0.4 * partners(hanging[20]) and seen[20][1] < 0.7 * seen[20][0]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/symmetry.py"
