#!/usr/bin/env bash
# Which action units come together is asymmetric: A[i, j] = count(i and j) / count(i), the share of faces with i that show j.
# networkx 3.6.1's from_numpy_array makes an undirected graph of it by default, without a word, and of A[i, j] and A[j, i]
# it keeps the one below the diagonal: 6 with 12 gets P(6 | 12) = 0.3, and P(12 | 6) = 0.75 is lost; with the columns in the
# other order it is the other way around. Expected was an error. Centrality and communities of units thus depend on the order
# of the columns. create_using=networkx.DiGraph keeps both.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile networkx==3.6.1 numpy==2.4.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import sys

import networkx
import numpy as np

units = (4, 6, 12)
faces = np.array([[0, 1, 1]] * 3 + [[0, 1, 0]] + [[0, 0, 1]] * 7 + [[1, 0, 0]] * 5)  # 4 faces with unit 6, 10 with 12
counts = faces.T @ faces
share = counts / np.diag(counts)[:, None]
np.fill_diagonal(share, 0)
print("networkx", networkx.__version__)
seen = {}
for order in (units, units[::-1]):
    index = [units.index(unit) for unit in order]
    graph = networkx.relabel_nodes(networkx.from_numpy_array(share[np.ix_(index, index)]), dict(enumerate(order)))
    seen[order] = graph[6][12]["weight"]
    print(f"columns {order}: P(12 | 6) is {share[1, 2]:.2f} and P(6 | 12) {share[2, 1]:.2f}; seen for both {seen[order]:.2f}")
both = networkx.from_numpy_array(share, create_using=networkx.DiGraph)
same = list(seen.values()) == [share[2, 1], share[1, 2]] and np.array_equal(networkx.to_numpy_array(both), share)
sys.exit(0 if same else "the behavior has changed")
PYTHON
