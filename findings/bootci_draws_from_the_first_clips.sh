#!/usr/bin/env bash
# Two recognizers are compared on the same clips by a bootstrap interval of the difference. BootCI 1.0.1 has sample_size, the "size of
# resampling sample", as subsampling (m out of n) takes it, but draws the numbers of the clips from 0 to sample_size - 1: the others never
# occur. Here the clips are in order of person. On the first 100 of 400 both are right in 80 %; on all, the first is right in 80 % and
# the second in 50 %. With sample_size=100, the difference is 0.30, but all its resamples are about 0: interval "sampling" is
# -0.12 to 0.13, which leaves the difference out. Expected was an interval around 0.30. With the same clips in random order it
# contains 0.30, but only 100 of the clips are ever drawn there too. Without sample_size all clips are drawn.
# Exits 0 if it is so, 1 if it has changed. The answers are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps BootCI==1.0.1 numpy==2.2.6 scipy==1.15.3
cat > "$work/clips.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from BootCI.paired_bootstrap_interval import Bootstrap


def accuracy(answers, truth):
    return float(np.mean(answers == truth))


print("BootCI", version("BootCI"))
rng = np.random.default_rng(0)
truth = np.zeros(400, dtype=int)
first, second = (np.arange(400) % 5 == 0).astype(int), (np.arange(400) % 5 == 2).astype(int)
second[100:] = np.arange(300) % 5 < 3
order = rng.permutation(400)
seen = {}
for name, index, size in (("by person", np.arange(400), 100), ("shuffled", order, 100), ("by person, no sample_size", np.arange(400), None)):
    np.random.seed(0)
    boot = Bootstrap(first[index], second[index], truth[index], stat=accuracy, n_iter=2000, sample_size=size)
    low, high = boot.get_confidence_interval(0.05, method="sampling")
    seen[name] = boot.theta, float(boot.distribution.mean()), low, high
    print(f"{name}: difference {boot.theta:.2f}; resamples: expected about {boot.theta:.2f} on the mean, ", end="")
    print(f"seen {seen[name][1]:.2f}, interval {low:.2f} to {high:.2f}")
theta, mean, low, high = seen["by person"]
right = [seen["shuffled"], seen["by person, no sample_size"]]
same = abs(mean) < 0.02 and high < 0.15 < theta
same = same and all(abs(of_all - value) < 0.1 and lower < value < upper for value, of_all, lower, upper in right)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/clips.py"
