#!/usr/bin/env bash
# Histogram features (LBP-TOP, HOOF) are kept as LIBSVM files, one a subject, for leave-one-subject-out. scikit-learn
# 1.9.1 does not read back what it wrote: dump_svmlight_file counts columns from 0 and leaves zeros out, and
# load_svmlight_file takes a file in which column 0 is never used for one that counts from 1, so that all columns of that
# subject, and of no other, move one to the left. The shape is right (n_features is given) and nothing is said. The first
# bin of a histogram, or a feature scaled to 0..1, is 0 for a whole subject easily. zero_based=True on both sides cures it.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
"$work/venv/bin/python" - "$work" <<'PYTHON'
import pathlib
import sys

import numpy as np
import sklearn
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

folder = pathlib.Path(sys.argv[1])
subjects = {
    "sub01": np.array([[0.2, 0.5, 0.1, 0.2], [0.0, 0.1, 0.7, 0.2]]),
    "sub02": np.array([[0.0, 0.5, 0.3, 0.2], [0.0, 0.1, 0.7, 0.2]]),  # the first bin is empty in both of the clips
}
print("scikit-learn", sklearn.__version__)
same = {}
for name, features in subjects.items():
    file = str(folder / f"{name}.svm")
    dump_svmlight_file(features, [0, 1], file)
    read = load_svmlight_file(file, n_features=4)[0].toarray()
    told = load_svmlight_file(file, n_features=4, zero_based=True)[0].toarray()
    print(f"{name}: written {features[0].tolist()}, expected the same, seen {read[0].tolist()}")
    same[name] = np.array_equal(read, features)
    moved = np.array_equal(read[:, :-1], features[:, 1:]) and not read[:, -1].any()
    if not np.array_equal(told, features):
        sys.exit("the behavior has changed")
print("sub01 comes back as it was, sub02 one column to the left" if moved else "the behavior has changed")
sys.exit(0 if same == {"sub01": True, "sub02": False} and moved else 1)
PYTHON
