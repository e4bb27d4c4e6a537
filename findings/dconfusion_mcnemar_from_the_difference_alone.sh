#!/usr/bin/env bash
# Two recognizers of one action unit are compared on the same clips by McNemar's test: b clips that the first alone has right, c that the second alone
# has right, and a difference is significant if one is much larger than the other. dconfusion 1.1.1's mcnemar_test gets two tables of counts, in
# which b and c are not, and says "we can still perform a valid test": it takes the difference of right answers for the one and 0 for the other.
# - Two recognizers that are right in 700 and 688 of 1000 clips and differ in 112 (62 and 50) have p = 0.30 by the test, and 0.0015 by
#   dconfusion. In 400 drawn pairs of equally good ones 75 % are "significant", in place of 5.
# - Two that are right equally often, but on other clips, "make identical predictions", with 0 clips on which they disagree.
# A table of counts (true_positive=...) is kept as [[TP, FP], [FN, TN]], and get_macro_metrics and get_class_metrics take it for
# [[TP, FN], [FP, TN]]: recall and precision are exchanged. UAR of 18, 12, 2 and 168 is 0.92 in place of 0.79; from the clips it is right.
# Expected was McNemar's p from the clips (or a refusal), and the macro recall by the definition. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The answers are drawn. Its drawing is replaced by an empty module.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps dconfusion==1.1.1 numpy==2.2.6 scipy==1.15.3
cat > "$work/compare.py" <<'PYTHON'
import sys
from importlib.metadata import version
from types import ModuleType, SimpleNamespace

import numpy as np
from scipy.stats import chi2

for name in ("matplotlib", "matplotlib.pyplot"):
    sys.modules[name] = ModuleType(name)
sys.modules["matplotlib"].figure = SimpleNamespace(Figure=object)
from dconfusion import DConfusion

print("dconfusion", version("dconfusion"))


def table(truth, answers):
    return DConfusion(
        true_positive=int((truth & answers).sum()),
        false_negative=int((truth & ~answers).sum()),
        false_positive=int((~truth & answers).sum()),
        true_negative=int((~truth & ~answers).sum()),
    )


def mcnemar(first, second):
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return b, c, chi2.sf((abs(b - c) - 1) ** 2 / (b + c), 1)


def both(truth, right_first, right_second):
    """p by the test and by the package, and its words, from who is right on which clip."""
    found = table(truth, truth == right_first).mcnemar_test(table(truth, truth == right_second))
    return *mcnemar(right_first, right_second), found


truth = np.arange(1000) % 5 == 0
clips = np.random.default_rng(0).permutation(1000)
first, second = np.zeros(1000, bool), np.zeros(1000, bool)
first[clips[:700]] = True
second[np.r_[clips[:638], clips[700:750]]] = True
b, c, p, found = both(truth, first, second)
print(f"{first.sum()} and {second.sum()} right: expected b = {b}, c = {c}, p = {p:.2f}", end=", ")
print(f"seen b = {found['contingency_table']['disagree_b']}, c = {found['contingency_table']['disagree_c']}, p = {found['p_value']:.4f}")
same = (b, c) == (62, 50) and p > 0.25 and found["p_value"] < 0.002 and found["contingency_table"]["disagree_c"] == 0

second = np.zeros(1000, bool)
second[clips[300:]] = True
b, c, p, found = both(truth, first, second)
print(f"700 right each: expected b = {b}, c = {c}, seen {found['interpretation']!r}")
same = same and (b, c) == (300, 300) and "identical predictions" in found["interpretation"]

rng = np.random.default_rng(1)
pairs = [both(truth, *(rng.random((2, 1000)) < 0.7)) for _ in range(400)]
shares = np.mean([[pair[2] < 0.05, pair[3]["p_value"] < 0.05] for pair in pairs], axis=0)
print("equally good pairs that are significant: expected {:.0%} (McNemar), seen {:.0%}".format(*shares))
same = same and shares[0] < 0.08 and shares[1] > 0.6

counts = DConfusion(true_positive=18, false_negative=12, false_positive=2, true_negative=168)
labels = DConfusion.from_predictions([1] * 30 + [0] * 170, [1] * 18 + [0] * 12 + [1] * 2 + [0] * 168)
seen = [round(made.get_macro_metrics()["macro_recall"], 2) for made in (counts, labels)]
right = round((18 / 30 + 168 / 170) / 2, 2)
print(f"macro recall: expected {right}, seen {seen[0]} from the counts and {seen[1]} from the clips")
sys.exit(0 if same and seen == [0.92, right] and counts.get_recall() == 0.6 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/compare.py"
