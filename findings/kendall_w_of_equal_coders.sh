#!/usr/bin/env bash
# Several coders rate the intensity of the same clips, and Kendall's W tells their agreement: 1 if they rank the clips alike, 0 if not at
# all. kendall-w 1.0.0's compute_w takes "a list of rating lists" and computes W from the ratings as they are, with the formula that holds
# for ranks 1 to n. Ratings are not ranks, and it does not rank them. Three coders who give identical intensities of 0 to 5 to 20 clips
# have a W of 0.08, "no agreement"; the same on a scale of 0 to 100 (multiplied by 20) have 34, where 1 is the maximum, and on a scale of
# 0 to 20 have 1.3. Three coders who disagree at random on the scale of 0 to 100 have more than the three who agree on 0 to 5.
# Expected was 1 for coders who agree, on each scale, as ranks by SciPy with its correction for ties give. It asks for whole
# numbers only, and warns of nothing for three coders.
# Exits 0 if it is so, 1 if it has changed. The ratings are drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps kendall-w==1.0.0 numpy==2.2.6 scipy==1.15.3
cat > "$work/coders.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from kendall_w import compute_w
from scipy.stats import friedmanchisquare

CLIPS, CODERS = 20, 3
rng = np.random.default_rng(0)
intensity = rng.integers(0, 6, CLIPS)
equal = np.repeat(intensity[:, None], CODERS, axis=1)
different = rng.integers(0, 101, (CLIPS, CODERS))


def by_ranks(ratings):
    return round(float(friedmanchisquare(*ratings).statistic) / (CODERS * (CLIPS - 1)), 2)


print("kendall-w", version("kendall-w"))
seen = {}
for name, ratings in (
    ("three equal coders, 0 to 5", equal),
    ("three equal coders, 0 to 20", 4 * equal),
    ("three equal coders, 0 to 100", 20 * equal),
    ("three coders at random, 0 to 100", different),
):
    seen[name] = round(compute_w(ratings.tolist()), 2)
    print(f"{name}: expected {by_ranks(ratings)}, seen {seen[name]}")
first, second, third, chance = seen.values()
ranks = (np.argsort(np.argsort(rng.normal(size=CLIPS))) + 1)[:, None].repeat(CODERS, axis=1)
print(f"three equal rankings of 1 to {CLIPS}: {compute_w(ranks.tolist()):.2f}")
sys.exit(0 if first < 0.2 < 1 < second < third and chance > first and compute_w(ranks.tolist()) == 1 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W error "$work/coders.py"
