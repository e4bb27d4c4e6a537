#!/usr/bin/env bash
# How people look at a face is described by the recurrences in their fixations (Anderson et al. 2013): determinism is the share of recurrent
# pairs on diagonals, as when a path (eye, eye, nose, mouth) comes again in its order, laminarity the share on horizontals and verticals,
# and the center of recurrence mass tells how far apart in time the pairs are. scikit-gaze 0.0.9's RQA names that paper and gives all three
# (CalculateReoccurrenceFunction). But it takes the place of a pair in its list for the number of the fixation.
# - A path that comes twice, a path and its reverse, and each fixation twice in a row have a determinism of 75, 75 and 50 %, where the formula
#   gives 100, 0 and 0, and a laminarity of 62.5 % each (0). One pair alone, the first and the last fixation, has 100 and 150 %.
# - The center of mass adds N - i - j in place of j - i: 42.9 for all three paths, whose pairs are 4, 4 and 1 fixations apart (57.1, 57.1, 14.3).
# Recurrence itself is right. Expected were the formulas of the paper, which are computed here from the same fixations. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The fixations are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps scikit-gaze==0.0.9
cat > "$work/paths.py" <<'PYTHON'
import sys
from importlib.metadata import version

from skgaze.RQA.RQA_funcs import RQA

PLACES = {"left eye": (420, 300), "right eye": (600, 300), "nose": (510, 400), "mouth": (510, 500)}
PLACES |= {"chin": (510, 620), "brow": (420, 230), "ear": (800, 300)}
LEFT, RIGHT, NOSE, MOUTH, *OTHERS = PLACES


def by_formula(path):
    count = len(path)
    pairs = {(i, j) for i in range(count) for j in range(i + 1, count) if path[i] == path[j]}

    def on_lines(down, right):
        return sum((i + down, j + right) in pairs or (i - down, j - right) in pairs for i, j in pairs)

    lines = on_lines(0, 1) + on_lines(1, 0)
    mass = sum(j - i for i, j in pairs)
    share = 100 / len(pairs)
    return share * on_lines(1, 1), share * lines / 2, share * mass / (count - 1), 200 * len(pairs) / (count * (count - 1))


print("scikit-gaze", version("scikit-gaze"))
paths = {
    "the same path twice": [LEFT, RIGHT, NOSE, MOUTH, LEFT, RIGHT, NOSE, MOUTH],
    "the path and back": [LEFT, RIGHT, NOSE, MOUTH, MOUTH, NOSE, RIGHT, LEFT],
    "each fixation twice": [LEFT, LEFT, RIGHT, RIGHT, NOSE, NOSE, MOUTH, MOUTH],
    "first and last": [LEFT, RIGHT, NOSE, MOUTH, *OTHERS, LEFT],
}
seen, right = {}, {}
for name, path in paths.items():
    found = RQA([(*PLACES[place], 250) for place in path]).CalculateReoccurrenceFunction(10)
    keys = ("reoccurenceDeterminism", "reoccurenceLaminarity", "reoccurenceCORM", "reoccurenceRate")
    seen[name] = tuple(round(found[key], 1) for key in keys)
    right[name] = tuple(round(value, 1) for value in by_formula(path))
    print(f"{name}: determinism, laminarity, center of mass, recurrence: expected {right[name]}, seen {seen[name]}")
twice, back, doubled, single = paths
same = all(seen[name][3] == right[name][3] for name in paths)
same = same and right[twice][:3] == (100, 0, 57.1) and right[back][:3] == (0, 0, 57.1) and right[doubled][:3] == (0, 0, 14.3)
same = same and seen[twice] == seen[back] and seen[doubled][:3] == (50, 62.5, 42.9) and seen[twice][:3] == (75, 62.5, 42.9)
sys.exit(0 if same and right[single][:2] == (0, 0) and seen[single][:2] == (100, 150) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/paths.py"
