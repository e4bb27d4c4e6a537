#!/usr/bin/env bash
# Few clips of rare expressions make recall and F1 uncertain. confusion-matrix-uncertainty 0.1.0 gives the uncertainty of each measure as the
# "95% hpd length", the length of the interval that holds 95 % of its distribution. It hands alpha = 0.05 to arviz 0.11.4's hdi, whose
# argument is the probability inside: the intervals hold 5 %. Of 50 positive clips, 45 are found: recall has an uncertainty of 0.005
# in place of 0.16, F1 0.004 in place of 0.14. Three clips more or fewer (42 or 48) lie far outside of what it calls 95 %.
# Expected was the length of the interval of 95 %, which the samples that it keeps have. Nothing is said.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps confusion-matrix-uncertainty==0.1.0 arviz==0.11.4 \
    numpy==1.26.4 scipy==1.11.4 pandas==1.5.3 xarray==2024.3.0 netCDF4==1.7.2 cftime==1.6.4 certifi==2025.8.3 sympy==1.14.0 mpmath==1.3.0 \
    typer==0.3.2 click==7.1.2 matplotlib==3.8.4 contourpy==1.3.2 cycler==0.12.1 fonttools==4.60.1 kiwisolver==1.4.9 packaging==25.0 \
    pillow==11.3.0 pyparsing==3.2.5 python-dateutil==2.9.0.post0 pytz==2025.2 six==1.17.0 typing-extensions==4.15.0 setuptools==80.9.0
cat > "$work/recall.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from confusion_matrix_uncertainty.main import ConfusionMatrixAnalyser
from scipy import stats


def shortest(samples, share=0.95):
    ordered = np.sort(samples)
    inside = int(np.floor(share * len(ordered)))
    return float((ordered[inside:] - ordered[:-inside]).min())


print("confusion-matrix-uncertainty", version("confusion-matrix-uncertainty"), "arviz", version("arviz"))
np.random.seed(0)
analyser = ConfusionMatrixAnalyser(pd.Series({"TP": 45, "FN": 5, "TN": 40, "FP": 10}))
posterior = stats.beta(46, 6)
by_formula = posterior.ppf(0.975) - posterior.ppf(0.025)
seen = {}
for name in ("TPR", "F1", "MCC"):
    samples = analyser.theta_metrics[name].to_numpy()
    seen[name] = float(analyser.theta_metric_uncertainty[name]), shortest(samples), shortest(samples, 0.05)
    print("{}: expected {:.3f} (95 %), seen {:.3f}; the interval of 5 % has {:.3f}".format(name, *np.array(seen[name])[[1, 0, 2]]))
print(f"TPR by the formula, with equal tails: {by_formula:.3f}; promised: {analyser.calc_uncertainty.__doc__.strip()}")
same = "95%" in analyser.calc_uncertainty.__doc__ and abs(seen["TPR"][1] - by_formula) < 0.02
same = same and all(length < 0.06 * right and abs(length - five) < 1e-3 for length, right, five in seen.values())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/recall.py"
