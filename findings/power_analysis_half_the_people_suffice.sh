#!/usr/bin/env bash
# How many patients and healthy people have to be recorded is planned before a study, by the power of the test that will compare them. power-analysis
# 0.1.1 "calculates sample sizes for two-sample t-tests" (TTestSampleSize, README: "required for a two-sample t-test with a difference in
# means of 1.5, a standard deviation of 2.0", alpha 0.05 and power 0.8). It takes ((z + z) sd / difference) squared, which is the formula for
# one sample against a known mean: two samples have twice the variance, and need twice as many people in each group.
# - For the README's example it says 13. With 13 in each group the power is 0.45, with 13 in all 0.22; 0.8 needs 29 in each.
# - For a difference of half a standard deviation it says 31, where 64 in each group are needed (Cohen's table): power 0.49.
# PowerAnalysis returns a "minimum_detectable_effect" that is a number of people (82.0 for a proportion of 0.3 and a difference of 0.2), and the same
# each of its 1000 "iterations", in which nothing is drawn.
# Expected was the number by the t-test's own power (noncentral t). Nothing is said. Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --ignore-requires-python power-analysis==0.1.1 \
  numpy==2.2.6 scipy==1.15.3
cat > "$work/people.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from power_analysis.modules import Model, PowerAnalysis, TTestSampleSize
from scipy.stats import nct, t, ttest_ind

print("power-analysis", version("power-analysis"))


def power(people, effect):
    """Power of the two-sided t-test for so many people in each of two groups."""
    free, shift = 2 * people - 2, effect * np.sqrt(people / 2)
    edge = t.isf(0.025, free)
    return nct.sf(edge, free, shift) + nct.cdf(-edge, free, shift)


def needed(effect):
    return next(people for people in range(3, 10_000) if power(people, effect) >= 0.8)


same = True
for difference, deviation in ((1.5, 2.0), (1.0, 1.0), (0.5, 1.0)):
    effect = difference / deviation
    seen = TTestSampleSize(difference, deviation, 0.05, 0.8).calculate_sample_size()
    print(f"difference {difference}, deviation {deviation}: expected {needed(effect)} in each group, seen {seen}", end="; ")
    print(f"power with {seen} in each {power(seen, effect):.2f}, with {seen} in all {power(seen // 2, effect):.2f}")
    same = same and seen < 0.55 * needed(effect) and power(seen, effect) < 0.5
rng = np.random.default_rng(0)
drawn = [ttest_ind(rng.normal(1.5, 2, 13), rng.normal(0, 2, 13)).pvalue < 0.05 for _ in range(2000)]
print(f"13 in each group, drawn 2000 times: significant in {np.mean(drawn):.2f}")
result = PowerAnalysis(Model(lambda people: 0.3), n=100, effect_size=0.2).results()
print(f"PowerAnalysis: smallest effect expected a difference of proportions below 1, seen {result['minimum_detectable_effect']}")
same = same and abs(np.mean(drawn) - power(13, 0.75)) < 0.04 and result["minimum_detectable_effect"] > 1
sys.exit(0 if same and needed(0.75) == 29 and needed(0.5) == 64 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/people.py"
