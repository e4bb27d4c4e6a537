#!/usr/bin/env bash
# Facial EMG is described by numbers for a classifier: how many and how long the contractions are, how irregular the signal is. biomech-features
# 0.1.1 computes them from the rectified signal (mean absolute value, MAV), with "MAV" in each name.
# - MAV_ApproxEntropy is approximate entropy (Pincus 1991) where nolds is not installed. Where it is, and none of its requirements
#   tells, it is nolds.hurst_rs, Hurst's exponent. Noise and a slow wave have 1.17 and 0.12 on the one machine, and 0.46 and 0.89 on the
#   other: what was the more irregular is the less, under the same name.
# - MAV_BurstCount and MAV_BurstMeanDuration are of samples above 30 % of the largest, without the mean over a window that MAV is named for.
#   Each half wave is a burst: three contractions of 0.5 s are 145 of 2.5 ms at 500 Hz, and 356 of 1.6 ms at 1000 Hz.
# Expected were one entropy under one name, and three bursts of about 0.5 s (0.53 by a mean over 0.1 s). Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The signal is drawn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps biomech-features==0.1.1 numpy==1.26.4 scipy==1.12.0 \
  pandas==2.2.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/muscle.py" <<'PYTHON'
import sys
from importlib.metadata import requires, version

import numpy as np
from biomechfe.Featureset.EMG_MAV_features import compute_mav_features_for_signal
from scipy.ndimage import uniform_filter1d


def approximate_entropy(signal, length=2, share=0.2):
    """Pincus 1991: phi(m) - phi(m + 1), a pattern matches itself too."""
    near = share * signal.std()

    def phi(size):
        patterns = np.lib.stride_tricks.sliding_window_view(signal, size)
        return np.log((np.abs(patterns[:, None] - patterns).max(axis=2) <= near).mean(axis=1)).mean()

    return phi(length) - phi(length + 1)


rng = np.random.default_rng(0)
time = np.arange(300) / 300
signals = {"noise": rng.normal(size=300), "a slow wave": 2 + np.sin(2 * np.pi * 2 * time)}
entropy = {name: compute_mav_features_for_signal(signal, 300)["MAV_ApproxEntropy"] for name, signal in signals.items()}
right = {name: approximate_entropy(np.abs(signal)) for name, signal in signals.items()}
print(f"{sys.argv[1]} nolds: MAV_ApproxEntropy expected", {name: round(value, 2) for name, value in right.items()}, end=", ")
print("seen", {name: round(value, 2) for name, value in entropy.items()})
same = right["noise"] > 0.5 and right["a slow wave"] < 0.2
if sys.argv[1] == "without":
    print("biomech-features", version("biomech-features"), "requires nolds:", any("nolds" in name for name in requires("biomech-features")))
    sys.exit(0 if same and all(abs(entropy[name] - right[name]) < 0.02 for name in signals) else "the behavior has changed")

import nolds

same = same and all(entropy[name] == nolds.hurst_rs(np.abs(signal)) for name, signal in signals.items())
for hertz in (500, 1000):
    time = np.arange(0, 3, 1 / hertz)
    active = sum((time >= start) & (time < start + 0.5) for start in (0.25, 1.25, 2.25)) > 0
    muscle = np.where(active, 50.0, 1.0) * rng.normal(size=len(time))
    smooth = uniform_filter1d(np.abs(muscle), hertz // 10)  # mean absolute value over 0.1 s
    above = np.r_[0, smooth > 0.3 * smooth.max(), 0].astype(int)
    starts, ends = np.flatnonzero(np.diff(above) == 1), np.flatnonzero(np.diff(above) == -1)
    seen = compute_mav_features_for_signal(muscle, hertz)
    print(f"{hertz} Hz: bursts expected {len(starts)} of {(ends - starts).mean() / hertz:.2f} s", end=", ")
    print(f"seen {seen['MAV_BurstCount']:.0f} of {seen['MAV_BurstMeanDuration']:.4f} s")
    same = same and len(starts) == 3 and seen["MAV_BurstCount"] > 50 and seen["MAV_BurstMeanDuration"] < 0.005
sys.exit(0 if same and entropy["noise"] < entropy["a slow wave"] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/muscle.py" without
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps nolds==0.6.2
"$work/venv/bin/python" -W ignore "$work/muscle.py" with
