#!/usr/bin/env bash
# Facial EMG tells when a muscle is active. neurokit2 0.3.0's emg_activation has several methods for it:
# - method="pelt" finds the changes of variance, and then takes the parts with the smaller deviation for activity, where a comment in its code
#   says "the larger SD (likely to be activations)". Of four contractions of 0.6 s, 20 times as strong as the noise at rest, 20 % are marked
#   active, and 76 % of the rest. The contraction at 3.0 s is where "activity" ends. The methods "threshold" and "biosppy" mark
#   all of the contractions and less than 5 % of the rest.
# - With each method, two activations with less than duration_min (0.05 s) between them are neither joined nor kept as two: the second one is
#   dropped, however long it is. Of 1.00 to 1.50 s and 1.53 to 3.00 s, 0.5 s of activity is left. Expected was 1.00 to 3.00 s, or both.
#   So the longer part of a smile that flickers once is counted as rest.
# - duration_min is documented "in seconds", but counts samples: 0.05 keeps a spike of one sample, which the default (50 samples here) drops.
# No word is said. Exits 0 if it is so, 1 if it has changed.
# The signals are made up. What its plots and other modules need is replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps neurokit2==0.3.0 \
  numpy==2.2.6 scipy==1.15.3 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0 packaging==25.0
cat > "$work/active.py" <<'PYTHON'
import importlib.abc
import importlib.machinery
import sys
import types
from importlib.metadata import version


class Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds matplotlib, scikit-learn, requests and PyWavelets, whose names are all classes that do nothing."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("matplotlib", "sklearn", "requests", "pywt"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: type(name, (), {})
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Empty())
import neurokit2 as nk
import numpy as np

RATE = 1000
print("neurokit2", version("neurokit2"))
random = np.random.default_rng(0)
emg = random.normal(0, 0.05, 10 * RATE)
contraction = np.zeros(10 * RATE, bool)
for second in (1, 3, 5, 7):
    part = slice(second * RATE, second * RATE + 600)
    emg[part] += random.normal(0, 1, 600)
    contraction[part] = True
shares = {}
for method in ("pelt", "threshold", "biosppy"):
    table, info = nk.emg_activation(nk.emg_amplitude(emg), emg, sampling_rate=RATE, method=method)
    active = table["EMG_Activity"].to_numpy() == 1
    shares[method] = float(active[contraction].mean()), float(active[~contraction].mean())
    print(f"{method}: active in contractions: expected 1, seen {shares[method][0]:.2f}; at rest: expected 0, seen {shares[method][1]:.2f}")


def found(**options):
    _, info = nk.emg_activation(amplitude, sampling_rate=RATE, method="threshold", threshold=0.5, **options)
    return [(int(start), int(end)) for start, end in zip(info["EMG_Onsets"], info["EMG_Offsets"], strict=True)]


amplitude = np.zeros(5 * RATE)
amplitude[1000:1500] = amplitude[1530:3000] = amplitude[4000:4200] = 1
parts = found()
print(f"active 1000 to 1500, 1530 to 3000 and 4000 to 4200 ms: seen {parts}")
amplitude[:] = 0
amplitude[1000:1500] = amplitude[2000] = 1
spike = found(duration_min=0.05)
print(f"at least 0.05 s, of 500 ms and of 1 ms: expected {found()}, seen {spike}")
right = all(shares[method][0] > 0.99 and shares[method][1] < 0.06 for method in ("threshold", "biosppy"))
same = right and shares["pelt"][0] < 0.3 and shares["pelt"][1] > 0.7 and parts == [(1000, 1500), (4000, 4200)]
same = same and found() == [(1000, 1500)] and spike == [(1000, 1500), (2000, 2001)]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/active.py"
