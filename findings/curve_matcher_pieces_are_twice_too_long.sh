#!/usr/bin/env bash
# The path of a gaze or of a corner of the lips is compared with another by the Fréchet distance. curve-matcher 0.2.0 has the discrete one, which
# is as exact as the pieces of the path are short, and subdivide_curve to "break up long segments in the curve into smaller segments of len
# max_len or smaller". It rounds the number of pieces down: a piece of 0.99 is left whole at max_len=0.5, one of 1.49 is two of 0.745.
# Pieces may be nearly twice as long as asked for, and the paths that suffer are those that hardly needed the cut.
# A path of 0.99 and the same path with its middle written down have a distance of 0.495 after both were subdivided.
# Expected were pieces of 0.5 at most, and a distance of 0. Nothing is said. The distance is in curve_matcher.frechet_distance, a module of the
# same name as the function that the package's description imports.
# Exits 0 if it is so, 1 if it has changed. The paths are drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps curve-matcher==0.2.0
cat > "$work/pieces.py" <<'PYTHON'
import sys
from importlib.metadata import version

from curve_matcher import Point, curve_length, point_distance, subdivide_curve
from curve_matcher.frechet_distance import frechet_distance

LIMIT = 0.5


def pieces(*columns):
    return subdivide_curve([Point(column, 0.0) for column in columns], max_len=LIMIT)


print("curve-matcher", version("curve-matcher"))
longest, lengths = {}, {}
for length in (0.45, 0.99, 1.49, 1.0, 10.2):
    cut = pieces(0.0, length)
    longest[length] = max(point_distance(first, second) for first, second in zip(cut, cut[1:], strict=False))
    lengths[length] = curve_length(cut)
    print(f"longest piece of a path of {length}: expected at most {LIMIT}, seen {longest[length]:.3f}")
distance = frechet_distance(pieces(0.0, 0.99), pieces(0.0, 0.495, 0.99))
print(f"distance of a path to itself with its middle: expected 0, seen {distance:.3f}")
whole = all(abs(lengths[length] - length) < 1e-9 for length in lengths)
seen = {length: round(piece, 3) for length, piece in longest.items()}
same = whole and seen == {0.45: 0.45, 0.99: 0.99, 1.49: 0.745, 1.0: 0.5, 10.2: 0.51} and abs(distance - 0.495) < 1e-9
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/pieces.py"
