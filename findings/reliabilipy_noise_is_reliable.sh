#!/usr/bin/env bash
# Whether the items of a grading scale of facial palsy, or many raters' grades, measure one thing is told by Cronbach's alpha and McDonald's
# omega. For raw data (is_corr_matrix=False), reliabiliPy 0.0.36 takes the absolute values of the correlations before anything else. Unrelated
# items have small correlations of both signs, whose mean is about 0; that of their absolute values is positive, and the larger the fewer faces
# there are. Of 13 items that are pure noise, alpha is 0.83 for 10 faces ("good", above 0.8), 0.75 for 20 and 0.61 for 50, and omega is
# higher. Items that were entered the wrong way round, which alpha is to reveal, leave it as it is: 0.95 in place of -0.94. Its documentation
# does not tell of absolute values. Given the correlations of the same table (correlations_matrix), the same class says about 0.
# Expected was one alpha by both ways, the standardized one: k / (k - 1) (1 - k / sum of the correlations). Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The grades are drawn at random.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation reliabiliPy==0.0.36 \
  factor-analyzer==0.5.1 numpy==2.2.6 scipy==1.15.3 scikit-learn==1.7.2 pandas==2.3.3 joblib==1.5.2 threadpoolctl==3.6.0 \
  python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/alpha.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from reliabilipy import reliability_analysis

ITEMS = 13


def standardized(table):
    return ITEMS / (ITEMS - 1) * (1 - ITEMS / np.corrcoef(table.T).sum())


def raw(table):
    made = reliability_analysis(raw_dataset=pd.DataFrame(table), is_corr_matrix=False)
    made.fit()
    return made.alpha_cronbach, made.omega_total


def from_correlations(table):
    made = reliability_analysis(correlations_matrix=pd.DataFrame(np.corrcoef(table.T)))
    made.fit()
    return made.alpha_cronbach


print("reliabiliPy", version("reliabiliPy"))
rng = np.random.default_rng(0)
means = {}
for faces in (10, 20, 50):
    tables = [rng.normal(size=(faces, ITEMS)) for _ in range(8)]
    right = np.mean([standardized(table) for table in tables])
    means[faces] = np.mean([raw(table) for table in tables], axis=0)
    print(f"noise, {faces} faces: mean alpha expected about {right:.2f}, seen {means[faces][0]:.2f}; omega {means[faces][1]:.2f}")
    same_way = [abs(from_correlations(table) - standardized(table)) < 1e-6 for table in tables if faces == 50]
scale = rng.normal(size=(100, 1)) + rng.normal(size=(100, ITEMS))
turned = scale * np.where(np.arange(ITEMS) < 6, -1, 1)
seen = [raw(table)[0] for table in (scale, turned)]
right = [standardized(table) for table in (scale, turned)]
print(f"a scale as it is, and with 6 of 13 items turned round: expected {np.round(right, 2)}, seen {np.round(seen, 2)}")
same = all(same_way) and means[10][0] > 0.8 and means[20][0] > 0.7 and means[50][0] > 0.6 and (means[10][1] > means[10][0])
sys.exit(0 if same and right[1] < 0.3 and abs(seen[0] - seen[1]) < 1e-6 and abs(seen[0] - right[0]) < 0.01 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/alpha.py"
