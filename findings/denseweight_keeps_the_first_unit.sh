#!/usr/bin/env bash
# Intensities of action units are mostly 0, and DenseWeight (denseweight 0.1.2) weighs each value by how rare it is: fit(y) for the values of a
# unit, then dw(y) for those of a batch. Fitted to a second unit, or to the next fold, one object keeps two things of the first:
# - the width of the kernel, which it sets from the first values as if the caller had chosen it. Between a unit of small values and one that
#   varies five times as much, weights of the second differ from those of a new object by up to 0.9 (weights have a mean of 1).
# - each weight that it has been asked for (functools.lru_cache on the method): a value asked for before gets the weight of the first
#   unit ever after. Values of the grid (half grades) come again in every batch, so that all of them keep the first unit's weights,
#   though fit itself returns new ones: 3.0, never seen in the first unit and the most common value of the second, keeps
#   the weight 3.80, where a new object gives 0.06.
# Expected were the weights of a new object after each fit. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The intensities are drawn here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps denseweight==0.1.2 KDEpy==1.1.12 numpy==2.2.6 scipy==1.15.3 \
  scikit-learn==1.6.1 joblib==1.5.1 threadpoolctl==3.6.0
cat > "$work/units.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from denseweight import DenseWeight

print("denseweight", version("denseweight"))
rng = np.random.default_rng(0)
units = {"AU4": np.abs(rng.normal(0, 0.3, 500)), "AU12": np.clip(rng.normal(3, 1, 500), 0, 5)}
GRID = [0.0, 0.5, 1.0, 3.0]

one, seen, expected, returned = DenseWeight(), {}, {}, {}
for unit, values in units.items():
    new = DenseWeight()
    returned[unit] = one.fit(values), new.fit(values)
    seen[unit] = [float(weight) for weight in one(GRID)]
    expected[unit] = [float(weight) for weight in new(GRID)]
    for name, weights in (("expected", expected[unit]), ("seen", seen[unit])):
        print(f"{unit}: weights of {GRID} {name:8} {np.round(weights, 2).tolist()}")
    print(f"  width of the kernel: expected {float(new.bandwidth):.3f}, seen {float(one.bandwidth):.3f}")
far = float(np.abs(returned["AU12"][0] - returned["AU12"][1]).max())
beside = float(one([0.50001])[0])
print(f"AU12, weights that fit returns: largest difference {far:.2f}; weight of 0.50001: {beside:.2f}")
first = np.array_equal(*returned["AU4"]) and seen["AU4"] == expected["AU4"]
same = first and seen["AU12"] == seen["AU4"] and far > 0.2 and abs(beside - seen["AU12"][1]) > 0.1
sys.exit(0 if same and np.abs(np.subtract(seen["AU12"], expected["AU12"])).max() > 0.4 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/units.py"
