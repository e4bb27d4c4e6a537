#!/usr/bin/env bash
# Smiles that go round a group are measured by how well one face predicts another. multiSyncPy 0.1.2:
# - get_sync_coef gives "how much of series_1 is predicted by series_2" after a lag, besides what its own past predicts. On the diagonal of its
#   matrix both are the same series, which enters the regression twice, and each copy gets half: a signal that repeats itself exactly after
#   the lag has 0.5, as one that repeats itself at half its strength should. Drivers, empaths and the inverse in get_sync_index take the
#   diagonal as it is. Of three faces of which the third follows the others the index is twice that of the matrix with whole coefficients.
# - rqa_metrics counts lines of at least min_length for its determinism, but all of them for the mean length of lines: for noise, where no line
#   has 4 points, the determinism for min_length=4 is 0 and the mean length 1.02, that of single points. A mean of lines
#   cannot be shorter than the shortest line that counts.
# - kuramoto_weak_null is a t test whose standard deviation is divided by n where its degrees of freedom are n - 1. Of four groups without any
#   synchrony t is 2.65 and p 0.038; by scipy's ttest_1samp for the same numbers they are 2.30 and 0.053.
# Expected were 1, none or at least 4, and scipy's p. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The module is loaded alone: the package imports drawing libraries that it does not need here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps multiSyncPy==0.1.2 numpy==2.2.6 scipy==1.15.3 \
  scikit-learn==1.6.1 joblib==1.5.1 threadpoolctl==3.6.0
cat > "$work/group.py" <<'PYTHON'
import importlib.util
import pathlib
import sys
from importlib.metadata import version

import numpy as np
from scipy import stats

place = importlib.util.find_spec("multiSyncPy").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("synchrony_metrics", pathlib.Path(place) / "synchrony_metrics.py")
metrics = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metrics)

LAG = 10
print("multiSyncPy", version("multiSyncPy"))
rng = np.random.default_rng(0)
wave = np.sin(2 * np.pi * np.arange(500) / LAG)
own = metrics.get_sync_coef(wave, wave, LAG)
print(f"coefficient of a wave with its own past, which it repeats: expected 1, seen {own:.3f}")

faces = np.zeros((3, 2000))
for t in range(LAG, 2000):
    faces[:2, t] = 0.8 * faces[:2, t - LAG] + rng.normal(size=2)
    faces[2, t] = 0.3 * faces[2, t - LAG] + 0.4 * faces[0, t - LAG] + 0.4 * faces[1, t - LAG] + 0.5 * rng.normal()
matrix = np.array(metrics.get_matrix_sync_coef(faces, LAG))
past = [float(np.polyfit(face[:-LAG], face[LAG:], 1)[0]) for face in faces]
whole = matrix.copy()
np.fill_diagonal(whole, past)
empath = int(np.argmax((whole**2).sum(axis=0)))
others = [k for k in range(3) if k != empath]
column = whole[others, empath]
expected_index = float(column @ np.linalg.inv(whole[np.ix_(others, others)]) @ column)
index = float(metrics.get_sync_index(faces, LAG))
print(f"diagonal: expected {np.round(past, 2).tolist()}, seen {np.round(np.diag(matrix), 2).tolist()}")
print(f"index: expected {expected_index:.2f}, seen {index:.2f}")

lines = metrics.rqa_metrics(metrics.recurrence_matrix(np.random.default_rng(1).normal(size=(2, 300)), 0.3), min_length=4)
print(f"noise, lines of at least 4: determinism {lines[1]:.2f}, mean length {lines[2]:.2f}, longest {lines[3]}")

rng = np.random.default_rng(3)
for _ in range(200):
    groups = [rng.uniform(-np.pi, np.pi, (3, 50)) for _ in range(4)]
    p, t, _ = metrics.kuramoto_weak_null(groups)
    order = [float((np.abs(np.exp(1j * phases).mean(axis=0)) ** 2).mean()) for phases in groups]
    by_scipy = stats.ttest_1samp(order, 1 / 3, alternative="greater")
    if p < 0.05 < by_scipy.pvalue:
        break
print(f"four groups at random: expected t = {by_scipy.statistic:.2f}, p = {by_scipy.pvalue:.3f}, seen t = {t:.2f}, p = {p:.3f}")
same = abs(own - 0.5) < 1e-6 and np.allclose(2 * np.diag(matrix), past, atol=0.02) and abs(index / expected_index - 2) < 0.1
same = same and lines[1] == 0 and 1 <= lines[2] < 2 and lines[3] < 4 and abs(t / by_scipy.statistic - (4 / 3) ** 0.5) < 1e-6
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/group.py"
