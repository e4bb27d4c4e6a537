#!/usr/bin/env bash
# Contractions of facial muscles are counted, and latencies measured, by the onsets of EMG. biosppy 2.2.4's emg.emg and its detectors return
# "onsets", documented as "indices of EMG pulse onsets", in which each contraction has two: its onset and its offset, in one list, by
# time. Four contractions give eight onsets by emg, find_onsets, hodges_bui_onset_detector and silva_onset_detector alike. So the rate of
# contractions is doubled, and the mean time between onsets is 4.4 s where contractions come every 10 s. A contraction that lasts until the
# recording ends has one, so that from there the two cannot be told by their order over several recordings. Expected were four.
# The detectors' size is documented as "detection window size (seconds)" and is a number of samples: 1 is not 1 s but no window at all,
# and single samples become onsets: 145 of them here. sampling_rate, which they take too, is not used.
# Nothing is said. Exits 0 if it is so, 1 if it has changed.
# The signal is made up. What its plots and other modules need is replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps biosppy==2.2.4 \
  numpy==2.2.6 scipy==1.15.3 six==1.17.0
cat > "$work/onsets.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

for name in ("biosppy", "biosppy.signals"):  # the packages, without what they import
    module = types.ModuleType(name)
    module.__path__ = importlib.util.find_spec(name).submodule_search_locations if name == "biosppy" else None
    if name != "biosppy":
        module.__path__ = [f"{next(iter(sys.modules['biosppy'].__path__))}/signals"]
    sys.modules[name] = module
sys.modules["biosppy.plotting"] = sys.modules["biosppy"].plotting = types.ModuleType("biosppy.plotting")
from biosppy.signals import emg

RATE, CONTRACTIONS = 1000, (5000, 15000, 25000, 35000)
random = np.random.default_rng(0)
signal = random.normal(0, 0.01, 40 * RATE)
for first in CONTRACTIONS:
    signal[first : first + 500] += random.normal(0, 1, 500)
rest = signal[:4000]
print("biosppy", version("biosppy"))
found = {
    "emg": emg.emg(signal, sampling_rate=RATE, show=False),
    "find_onsets": emg.find_onsets(signal, sampling_rate=RATE),
    "hodges_bui": emg.hodges_bui_onset_detector(signal, rest=rest, sampling_rate=RATE, size=50, threshold=10),
    "silva": emg.silva_onset_detector(signal, sampling_rate=RATE, size=50, threshold_size=400, threshold=0.1),
}
truth = np.sort([*CONTRACTIONS, *(first + 500 for first in CONTRACTIONS)])
same = True
for name, result in found.items():
    onsets = np.asarray(result["onsets"])
    print(f"{name}: expected onsets near {CONTRACTIONS}, seen {len(onsets)}: {onsets.astype(int).tolist()}")
    same = same and len(onsets) == 8 and np.abs(onsets - truth).max() < 120
step = float(np.diff(found["find_onsets"]["onsets"]).mean()) / RATE
print(f"mean time between onsets: expected 10.0 s, seen {step:.2f} s")
second = {
    rate: len(emg.hodges_bui_onset_detector(signal, rest=rest, sampling_rate=rate, size=1, threshold=10)["onsets"])
    for rate in (1000, 2000)
}
print(f"hodges_bui with a window of size=1 (second): expected 4 onsets, seen {second} by sampling rate")
sys.exit(0 if same and 4.2 < step < 4.6 and second[1000] == second[2000] > 100 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/onsets.py"
