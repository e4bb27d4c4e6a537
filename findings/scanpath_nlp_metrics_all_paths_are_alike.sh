#!/usr/bin/env bash
# How alike two people look at a face is given by measures from 0 to 1, "1 = identical", in scanpath-nlp-metrics 0.0.1. Its ScanpathComparator makes
# similarities of distances by one rule: 1 - distance / 1981, the diagonal of a screen in pixels. Two of the distances are no lengths on it.
# - "levenshtein" is a number of edits. Two paths without a place in common, of 10 fixations each, have 0.991 (0.70 in its README's
#   example), and no two paths of fewer than 99 fixations can be below 0.9.
# - "dtw" is a sum over fixations. Two people who look along one path, 80 px apart all the time, have 0.80 for 5 fixations, 0.19 for 20 and 0
#   from 25 on: the longer they agree, the less alike.
# The edits are those of letters, of which each fixation has two (its cell of the grid by 26): leaving out one fixation costs 2, a look to the next
# cell on the right mostly 1, and one to the cell below 1 or 2, by where in the alphabet the two cells lie.
# Expected were 0 for paths that share nothing (1 - edits / fixations), one number for paths 80 px apart, and one edit a fixation. The fixed
# diagonal is used with any screen_size, too. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The fixations are made up. Its language model and its measures of texts are empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps scanpath-nlp-metrics==0.0.1 numpy==2.2.6 scipy==1.15.3 \
  editdistance==0.8.1
cat > "$work/paths.py" <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
from scipy.spatial.distance import cdist


def fastdtw(first, second, dist):
    """The distance of dynamic time warping, exact, in place of the package that estimates it."""
    cost = cdist(first, second)
    sums = np.full((len(first) + 1, len(second) + 1), np.inf)
    sums[0, 0] = 0
    for i, row in enumerate(cost):
        for j, value in enumerate(row):
            sums[i + 1, j + 1] = value + min(sums[i, j], sums[i, j + 1], sums[i + 1, j])
    return sums[-1, -1], None


for name in ("PIL", "PIL.Image", "openai", "scanpath_nlp_metrics.generation.vlm_client", "scanpath_nlp_metrics.generation.patch"):
    sys.modules[name] = MagicMock()
for name in ("scanpath_nlp_metrics.generation", "scanpath_nlp_metrics.generation.marker", "scanpath_nlp_metrics.metrics.nlp"):
    sys.modules[name] = MagicMock()
sys.modules["fastdtw"] = ModuleType("fastdtw")
sys.modules["fastdtw"].fastdtw = fastdtw
from scanpath_nlp_metrics import ScanpathComparator
from scanpath_nlp_metrics.metrics.spatial_metrics import levenshtein_distance

WIDTH, HEIGHT = 1680, 1050
print("scanpath-nlp-metrics", version("scanpath-nlp-metrics"))
comparator = ScanpathComparator(screen_size=(WIDTH, HEIGHT), metrics=["levenshtein", "dtw", "hausdorff", "tde"])
comparator.generator.generate_description = lambda image, path: ("", None)


def alike(first, second):
    found = comparator.compare(first, second, None)
    return {name: round(float(found[name]), 3) for name in comparator.metrics}


def cell(column, row):
    return [(column + 0.5) * WIDTH / 12, (row + 0.5) * HEIGHT / 8, 0.25]


upper = [cell(k % 12, k // 12) for k in range(10)]
lower = [cell(k % 12, 4 + k % 4) for k in range(10)]
nothing = alike(upper, lower)
print(f"paths without a place in common: levenshtein expected 0, seen {nothing['levenshtein']}")
rng = np.random.default_rng(0)
apart = {}
for count in (5, 10, 20, 25, 40):
    path = np.column_stack((rng.uniform(200, 1400, count), rng.uniform(200, 800, count), np.full(count, 0.25)))
    found = alike(path.tolist(), (path + [80, 0, 0]).tolist())
    apart[count] = found["dtw"]
    print(f"80 px apart, {count} fixations: expected one number, seen dtw {found['dtw']} (hausdorff {found['hausdorff']}, tde {found['tde']})")

base = [cell(2, 1), cell(5, 2), cell(3, 4), cell(6, 5), cell(4, 6)]


def edits(path):
    return levenshtein_distance(np.array(base), np.array(path), HEIGHT, WIDTH)


right = [edits([*base[:k], cell(column + 1, row), *base[k + 1 :]]) for k, (column, row) in enumerate(((2, 1), (5, 2), (3, 4)))]
below = [edits([*base[:k], cell(column, row + 1), *base[k + 1 :]]) for k, (column, row) in enumerate(((2, 1), (5, 2), (3, 4)))]
left_out = edits(base[:-1])
print(f"edits expected 1 each: seen {left_out} for one fixation less, {right} for one in the next cell, {below} for one in the cell below")
same = nothing["levenshtein"] > 0.98 and apart[5] > 0.75 and apart[20] < 0.3 and apart[25] == apart[40] == 0
sys.exit(0 if same and left_out == 2 and right == [1, 1, 2] and below == [2, 1, 2] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/paths.py"
