#!/usr/bin/env bash
# Blinks are found in the curve of the eye's opening (eye aspect ratio) by a prototype, for facial palsy too, where a blink does not close
# the eye. espbm 1.2.2's find_prototype:
# - always finds a blink: a recording of an eye that stays open, with noise of 0.002, has several.
# - does not look at the depth: beside ten blinks that close the eye (from 0.30 to 0.05), nine dips to 0.28 count as blinks as well.
# - has max_prototype_distance, documented as the threshold that decides on matches, the other way around: a larger maximum is stricter.
#   In that recording of ten blinks 1 gives 25, 3 (the default) 19 and 6 one. It counts standard deviations below the mean distance.
# index_matching, which pairs the blinks of the two eyes, gives two blinks of the left eye the same blink of the right eye. Nothing is said.
# Expected were no blink, ten blinks, at least as many for a larger maximum, and each blink in one pair at most.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps espbm==1.2.2 stumpy==1.13.0 numba==0.61.2 \
  llvmlite==0.44.0 numpy==1.26.4 scipy==1.12.0 pandas==2.3.3 pytz==2025.2 tzdata==2025.2 matplotlib==3.10.7 contourpy==1.3.2 \
  cycler==0.12.1 fonttools==4.60.1 kiwisolver==1.4.9 packaging==25.0 pillow==12.0.0 pyparsing==3.2.5 python-dateutil==2.9.0.post0 six==1.17.0
cat > "$work/blinks.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from espbm import manual, match

rng = np.random.default_rng(0)
prototype = manual.define_prototype()
dip = prototype - prototype.max()
quiet = 0.30 + rng.normal(0, 0.002, 3000)
mixed = 0.30 + rng.normal(0, 0.002, 6000)
blinks, small = np.arange(200, 5700, 550), np.arange(475, 5425, 550)
for start in blinks:
    mixed[start : start + len(dip)] += dip
for start in small:
    mixed[start : start + len(dip)] += 0.08 * dip

print("espbm", version("espbm"))
none = len(match.find_prototype(quiet, prototype))
print(f"blinks of an eye that stays open ({quiet.min():.3f} to {quiet.max():.3f}): expected 0, seen {none}")
counts, shallow = {}, {}
for distance in (1.0, 3.0, 6.0):
    found = np.array([start for start, *_ in match.find_prototype(mixed, prototype, max_prototype_distance=distance)])
    counts[distance] = len(found)
    shallow[distance] = sum(int(np.abs(found - start).min() < 8) for start in small)
    print(f"ten blinks, nine dips of 0.02; max_prototype_distance {distance}: expected 10, seen {len(found)}, {shallow[distance]} of them dips")
left, right = match.index_matching([[100, 160, 1.0], [130, 190, 1.0]], [[110, 170, 1.0]])
print(f"two blinks of the left eye, one of the right: expected 1 pair, seen {len(left)}, of the right eye {right}")
same = none > 0 and counts[1.0] > counts[3.0] > counts[6.0] and counts[3.0] == 19 and shallow[3.0] == 9
sys.exit(0 if same and counts[6.0] == 1 and len(left) == 2 and right[0] == right[1] else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" NUMBA_CACHE_DIR="$work" "$work/venv/bin/python" "$work/blinks.py"
