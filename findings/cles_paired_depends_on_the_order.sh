#!/usr/bin/env bash
# Faces are graded before and after treatment of a palsy, and the common language effect size says in which share of patients the second
# grade is the higher one. CLES 0.1.3's CLES_2paired compares the n differences with n - 1 zeros, but divides by n * n. With ten patients
# who all improve it is 90 %, with the same two lists exchanged 100 %. Where five improve and five get worse it is 55 %, where 50 % is
# no effect. Expected was 100 % both times and 50 %, and one value for both orders, since it is documented to go from 50 to 100; the
# package's own CLES_1samp of the differences gives it.
# Exits 0 if it is so, 1 if it has changed. The grades are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps CLES==0.1.3 numpy==2.2.6
cat > "$work/paired.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from CLES.CLES import CLES_1samp, CLES_2paired

print("CLES", version("CLES"))
before = np.array([3, 2, 4, 5, 3, 2, 4, 3, 5, 4])
changes = {"all ten improve": np.array([1, 2, 1, 1, 2, 1, 1, 1, 2, 1]), "five of ten": np.array([1, -1] * 5), "eight of ten": np.array([1] * 8 + [-1] * 2)}
seen = {}
for name, change in changes.items():
    share = float((change > 0).mean())
    expected = 100 * max(share, 1 - share)
    seen[name] = expected, float(CLES_2paired(before, before + change)), float(CLES_2paired(before + change, before)), float(CLES_1samp(change))
    print("{}: expected {:.0f} in both orders, seen {:.0f} and {:.0f}; CLES_1samp {:.0f}".format(name, *seen[name]))
same = seen["all ten improve"] == (100, 90, 100, 100) and np.allclose(seen["five of ten"], (50, 55, 55, 50))
sys.exit(0 if same and np.allclose(seen["eight of ten"], (80, 72, 82, 80)) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/paired.py"
