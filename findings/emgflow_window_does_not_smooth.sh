#!/usr/bin/env bash
# Onsets of facial EMG are found on a smoothed envelope. EMGFlow 1.1.2's apply_gaussian_smooth (smooth_signals with method
# "gauss") has window_ms, "the size of the smoothing window", 50 ms by default. It has no effect: 20, 50 and 200 ms give the same
# numbers, since sigma, 1 by default, counts samples, not milliseconds, and what is more than a few samples away weighs nothing.
# What is returned as an envelope is nearly the rectified signal: one contraction of half a second rises above half its
# height 17 times (once by apply_rms_smooth and apply_boxcar_smooth with the same 50 ms), and each is taken for an onset. At 2000
# samples a second it is smoothed half as far as at 1000. Expected was an envelope about as smooth as by the other methods;
# sigma = 10 (a fifth of the window, in samples) gives one.
# Exits 0 if it is so, 1 if it has changed.
# Only its module for filters, without the dependencies of its window.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile numpy==1.26.4 scipy==1.17.1 pandas==2.3.3 tqdm==4.67.1 \
  importlib-resources==6.5.2
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps EMGFlow==1.1.2
cat > "$work/envelope.py" <<'PYTHON'
import importlib
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np
import pandas as pd
import scipy.signal

package = types.ModuleType("EMGFlow")  # without its window
package.__path__ = importlib.util.find_spec("EMGFlow").submodule_search_locations
sys.modules["EMGFlow"] = package
filters = importlib.import_module("EMGFlow.preprocess_signals")
print("EMGFlow", version("EMGFlow"))
RATE = 1000
time = np.arange(0, 3, 1 / RATE)
band = scipy.signal.butter(2, [20, 450], "bandpass", fs=RATE, output="sos")
muscle = scipy.signal.sosfiltfilt(band, np.random.default_rng(0).normal(0, 1, len(time)))
muscle[(time >= 1) & (time < 1.5)] *= 20  # one contraction
signal = pd.DataFrame({"Time": time, "zygomaticus": muscle})


def envelope(name, **options):
    return getattr(filters, f"apply_{name}_smooth")(signal.copy(), "zygomaticus", RATE, **options)["zygomaticus"].to_numpy()


def onsets(curve):
    above = curve > np.median(curve[(time >= 1.1) & (time < 1.4)]) / 2
    return int((np.diff(above.astype(int)) == 1).sum())


gauss = [envelope("gaussian", window_ms=window) for window in (20, 50, 200)]
width = [bool(np.allclose(gauss[1], curve, atol=1e-5 * gauss[1].max())) for curve in gauss]
print("expected another envelope for each window; as with 50 ms (20, 50, 200 ms):", *width)
counts = {name: onsets(envelope(name, window_ms=50)) for name in ("rms", "boxcar", "gaussian")}
counts["gaussian, sigma 10"] = onsets(envelope("gaussian", window_ms=50, sigma=10))
print("onsets of one contraction, window 50 ms:", counts)
same = all(width) and counts["gaussian"] >= 10 and counts["rms"] == 1 and counts["boxcar"] == 1
sys.exit(0 if same and counts["gaussian, sigma 10"] <= 2 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/envelope.py"
