#!/usr/bin/env bash
# Two coders of a rare action unit agree on almost every clip, and Cohen's kappa is near 0 all the same, since the unit is
# rare. Gwet's AC1, and AC2 for intensities, were made for that. iaa-kit 0.1.2 offers both, but its ac2 returns the weighted
# kappa, digit for digit, so it has the very fault that one chose it to avoid. For presence (two categories) AC2 is AC1 by
# definition: 94 of 100 clips coded alike give 0.936 by ac1 and -0.031 by ac2 for the same two lists. For intensities 0 to 4
# with 96 of 100 alike, linear weights: 0.684, while Gwet's formula gives 0.981. Expected was AC1 for two categories and Gwet's
# formula for more. The result looks like a coefficient of agreement, and there is no warning.
# Exits 0 if it is so, 1 if it has changed. The codes are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile iaa-kit==0.1.2 numpy==2.2.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from iaa_kit import ac1, ac2, weighted_kappa


def by_formula(first, second, weights):
    levels = sorted(set(first) | set(second))
    count, scale = len(levels), len(levels) - 1
    weight = np.array([[1 - weights(abs(i - j) / scale) for j in range(count)] for i in range(count)])
    together = np.array([[np.mean((first == a) & (second == b)) for b in levels] for a in levels])
    share = (together.sum(axis=0) + together.sum(axis=1)) / 2
    chance = weight.sum() / (count * (count - 1)) * (share * (1 - share)).sum()
    return ((weight * together).sum() - chance) / (1 - chance)


print("iaa-kit", version("iaa-kit"))
present = np.array([0] * 94 + [1] * 3 + [0] * 3), np.array([0] * 97 + [1] * 3)
intensity = np.array([0] * 94 + [3, 3, 0, 1, 2, 4]), np.array([0] * 94 + [0, 3, 2, 0, 2, 3])
seen = {}
for name, pair in (("presence", present), ("intensity", intensity)):
    alike = int((pair[0] == pair[1]).sum())
    for kind, weights in (("linear", lambda d: d), ("quadratic", lambda d: d * d)):
        expected = by_formula(*pair, weights)
        found, kappa = ac2(*pair, weight=kind), weighted_kappa(*pair, weight=kind)
        seen[name, kind] = expected, found, kappa
        print(f"{name}, {alike} of 100 alike, {kind} weights: expected AC2 {expected:.3f}, ac2 {found:.3f}, weighted kappa {kappa:.3f}")
first = ac1(*present)
print(f"presence: ac1 {first:.3f}, by Gwet's formula {by_formula(*present, lambda d: float(d > 0)):.3f}")
same = all(found == kappa and expected > 0.9 and found < 0.8 for expected, found, kappa in seen.values())
same = same and abs(first - seen["presence", "linear"][0]) < 1e-9 and seen["presence", "linear"][1] < 0
sys.exit(0 if same else "the behavior has changed")
PYTHON
