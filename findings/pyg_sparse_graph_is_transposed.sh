#!/usr/bin/env bash
# Which action units come together is asymmetric: A[i, j] = count(i and j) / count(i), so A[12, 6] is not A[6, 12]. A
# graph convolution as papers write it is A X. torch_geometric 2.8.1's dense layers (DenseGraphConv) compute that; the
# sparse layer of the same name, fed by the library's own dense_to_sparse(A), computes A transposed times X, since an edge
# (i, j) carries from i to j. The shapes are right, symmetric test matrices agree, and each unit gathers by the wrong
# probabilities. A.t() before dense_to_sparse cures it.
# Exits 0 if it is so, 1 if it has changed. It needs PyTorch; a build for the CPU suffices.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile torch==2.13.0 torch-geometric==2.8.1 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import sys

import torch
import torch_geometric
from torch_geometric.nn import DenseGraphConv, GraphConv
from torch_geometric.utils import dense_to_sparse

together = torch.tensor([[1.0, 0.9, 0.0], [0.1, 1.0, 0.5], [0.0, 0.2, 1.0]])
edges, weights = dense_to_sparse(together)
sparse, dense = GraphConv(3, 3, bias=False), DenseGraphConv(3, 3, bias=False)
with torch.no_grad():
    for layer in (sparse, dense):  # the layer's own weights are made the identity, so that the graph alone is seen
        layer.lin_rel.weight.copy_(torch.eye(3))
        layer.lin_root.weight.zero_()
    of_sparse = sparse(torch.eye(3), edges, weights)
    of_dense = dense(torch.eye(3)[None], together[None])[0]
print("torch_geometric", torch_geometric.__version__, "torch", torch.__version__)
print("expected:       ", together.tolist())
for name, result in (("DenseGraphConv:", of_dense), ("GraphConv:     ", of_sparse)):
    print(name, [[round(value, 3) for value in row] for row in result.tolist()])
same = torch.allclose(of_dense, together) and torch.allclose(of_sparse, together.t())
sys.exit(0 if same else "the behavior has changed")
PYTHON
