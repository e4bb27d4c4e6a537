#!/usr/bin/env bash
# Two coders of one action unit are compared by Information Agreement, made for rare categories. Where a coder uses one category
# only, it has no value, and ia_c of pyagree 0.0.4 extends it by continuity: 1 - m / n, where the other coder uses m of the n categories.
# Its count_nonnull_rows and count_nonnull_cols, which give m, count the rows and columns that are empty. So a coder who never sees AU4,
# and one who sees it in half of the clips, or in one of ten, agree perfectly: ia_c is 1.0, with Cohen's kappa at 0. For almost the same
# table, a fraction of a clip in each empty cell, it gives 0 and 0.03, the closer to 0 the smaller the fraction. Expected was 0. A
# detector that never detects anything agrees perfectly with any coder who saw something, whichever of the two is named first.
# Where one uses one of three grades and the other two of them, it is 0.67 and should be 0.33. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The counts are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyagree==0.0.4 numpy==2.2.6
cat > "$work/tables.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyagree import cohen_kappa, ia_c

print("pyagree", version("pyagree"))
tables = {
    "one never sees AU4, the other in half of the clips": [[50, 50], [0, 0]],
    "the coders exchanged": [[50, 0], [50, 0]],
    "one never sees AU4, the other in one of ten clips": [[90, 10], [0, 0]],
}
seen, limits = [], []
for name, table in tables.items():
    table = np.array(table, float)
    seen.append(float(ia_c(table)))
    small = [float(ia_c(np.where(table == 0, amount, table))) for amount in (1e-1, 1e-3, 1e-5)]
    limits.append(small[-1])
    print(f"{name}: expected 0.0, seen {seen[-1]:.2f}; kappa {float(cohen_kappa(table)):.2f}", end="; ")
    print("with 0.1, 0.001, 0.00001 in the empty cells", ", ".join(f"{value:.4f}" for value in small))
three = float(ia_c(np.array([[0.0, 50, 50], [0, 0, 0], [0, 0, 0]])))
print(f"three grades, of which one coder uses one and the other two: expected {1 - 2 / 3:.2f}, seen {three:.2f}")
same = seen == [1.0, 1.0, 1.0] and max(map(abs, limits)) < 0.05 and round(three, 2) == 0.67
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/tables.py"
