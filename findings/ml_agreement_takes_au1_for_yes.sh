#!/usr/bin/env bash
# Coders name the action units of a clip, two each here, and agreement on such sets of labels is what ml-agreement 1.0.2 is for. Its
# transform_data turns sets of labels into rows of 0 and 1, or such rows back into sets, and tells the two apart by the first label of the
# first clip of the first coder. If that is the number 1 (AU1, the inner brow), all sets are taken for rows of 0 and 1: every
# clip of every coder gets the first two of the available labels. Two coders who share no unit on any of four clips then agree perfectly by
# kappa. The same clips with AU1 named second, or the units as text, have -0.52. Nothing is said. Expected was -0.52 in any order.
# Exits 0 if it is so, 1 if it has changed. The codings are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps ml-agreement==1.0.2
cat > "$work/units.py" <<'PYTHON'
import copy
import sys
from importlib.metadata import version

import ml_agreement

print("ml-agreement", version("ml-agreement"))
available = [1, 2, 4, 6, 12, 25]
first = [[1, 2], [6, 12], [4, 25], [1, 4]]
second = [[4, 6], [1, 25], [2, 12], [6, 25]]


def by_hand(coders):
    rows = [[[unit in clip for unit in available] for clip in coder] for coder in coders]
    pairs = [(a[k], b[k]) for a, b in zip(*rows) for k in range(len(available))]
    shares = [sum(clip[k] for coder in rows for clip in coder) / 8 for k in range(len(available))]
    chance = sum(p * p + (1 - p) * (1 - p) for p in shares) / len(shares)
    return (sum(a == b for a, b in pairs) / len(pairs) - chance) / (1 - chance)


def agreement(coders, labels):
    rows = ml_agreement.transform_data(copy.deepcopy(coders), labels)
    return ml_agreement.calculate_total_multi_label_agreement(rows, "k"), rows[0][0]


expected = by_hand([first, second])
shared = sum(len(set(a) & set(b)) for a, b in zip(first, second))
turned = [[2, 1], *first[1:]]
names = [[[f"AU{unit}" for unit in clip] for clip in coder] for coder in (first, second)]
seen = {
    "AU1 first": agreement([first, second], available),
    "AU1 second": agreement([turned, second], available),
    "as text": agreement(names, [f"AU{unit}" for unit in available]),
}
print(f"units that both coders name: {shared}")
for name, (kappa, clip) in seen.items():
    print(f"{name}: expected kappa {expected:.2f}, seen {kappa:.2f}; the first clip becomes {clip}")
right = [seen[name][0] for name in ("AU1 second", "as text")]
same = shared == 0 and seen["AU1 first"] == (1.0, [1, 2]) and all(abs(value - expected) < 1e-9 for value in right)
sys.exit(0 if same and expected < -0.4 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/units.py"
