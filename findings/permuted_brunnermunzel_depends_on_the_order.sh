#!/usr/bin/env bash
# Two small groups of patients are compared by their House-Brackmann grades, whole numbers with many ties and unequal spread, by the test of Brunner and
# Munzel with all exchanges (Neubert and Brunner 2007). permuted-brunnermunzel 0.1.0 is for that ("7-10 observations per group"). It ranks by
# numpy's argsort, which tells where the smallest value stands, then the next, and not which rank a value has. It has no mean ranks for ties.
# - Grades 1, 1, 2, 2, 3, 3, 4 and 3, 4, 4, 5, 5, 6, 6 have p = 0.0058. It says 0.126, 0.059, 0.027, 0.040, 0.0026 and 0.0026 for six orders
#   in which the same patients may be entered, "significant" in four of six.
# - The estimate, "P(X < Y) + 0.5*P(X = Y)", is 0.94 for them. It says 0.67 to 0.82. In its README's example each y is above each x, so that it
#   is 1: it prints 0.8571.
# - Two equal groups, 1 to 7 twice, have an estimate of 0.5 and p = 1. It says 0.16 to 0.43 and 0.19 to 0.68 for four orders.
# Expected were p by all 3432 exchanges with mean ranks, and the estimate by its definition, whatever the order. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The grades are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps permuted-brunnermunzel==0.1.0 numpy==2.2.6 scipy==1.15.3
cat > "$work/grades.py" <<'PYTHON'
import sys
from importlib.metadata import version
from itertools import combinations

import numpy as np
from permuted_brunnermunzel import permuted_brunnermunzel
from scipy.stats import rankdata

print("permuted-brunnermunzel", version("permuted-brunnermunzel"))


def statistic(first, second):
    ranks, sizes = rankdata(np.r_[first, second]), (len(first), len(second))
    spread, means = 0.0, []
    for size, own, among in zip(sizes, (rankdata(first), rankdata(second)), np.split(ranks, [sizes[0]])):
        spread += size / (size - 1) * ((among - own - among.mean() + (size + 1) / 2) ** 2).sum()
        means.append(among.mean())
    difference = means[1] - means[0]
    return difference / np.sqrt(spread) if spread > 0 else difference * np.inf


def defined(first, second):
    """P(X < Y) + 0.5 P(X = Y), and p of the two-sided test by all exchanges."""
    grades, numbers = np.array(first + second), range(len(first) + len(second))
    least = abs(statistic(first, second)) - 1e-9
    parts = [np.isin(numbers, part) for part in combinations(numbers, len(first))]
    larger = [abs(statistic(grades[part], grades[~part])) >= least for part in parts]
    return np.mean([(x < y) + 0.5 * (x == y) for x in first for y in second]), np.mean(larger)


before, after = [1, 1, 2, 2, 3, 3, 4], [3, 4, 4, 5, 5, 6, 6]
estimate, right = defined(before, after)
found = []
for seed in range(6):
    rng = np.random.default_rng(seed)
    first, second = rng.permutation(before).tolist(), rng.permutation(after).tolist()
    seen = permuted_brunnermunzel(first, second)
    found.append(seen[1])
    print(f"{first} and {second}: estimate expected {estimate:.2f}, seen {seen[0]:.2f}; p expected {right:.4f}, seen {seen[1]:.4f}")
same = round(right, 4) == 0.0058 and min(found) < 0.004 and max(found) > 0.1

x, y = [0, 0, 0, 1, 1, 1, 0], [30, 20, 19, 18, 15, 10]
seen = permuted_brunnermunzel(x, y, alternative="less")
print(f"the example of its README: estimate expected {np.mean([a < b for a in x for b in y]):.2f}, seen {seen[0]:.4f}")
same = same and round(seen[0], 4) == 0.8571
equal = []
for seed in range(4):
    rng = np.random.default_rng(seed)
    equal.append(permuted_brunnermunzel(*(rng.permutation(np.arange(1, 8)).tolist() for _ in range(2))))
    print(f"1 to 7 twice, in another order: estimate expected 0.50, seen {equal[-1][0]:.2f}; p expected 1.00, seen {equal[-1][1]:.3f}")
sys.exit(0 if same and len({p for _, p in equal}) > 1 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/grades.py"
