#!/usr/bin/env bash
# The pulse is recorded at a finger beside the face, or read from the skin of a video, and how strong it is, which falls with cold, stress and pressure,
# is given by the perfusion index: the height of the pulse wave divided by the constant part of the signal, in percent. ppg-features 1.3.1's
# perfusion_index returns it "as a percentage" ("defined as (AC/DC)*100", says its source), and finds the foot and the peak of each wave. It
# subtracts their places, not their heights. So it is the number of samples from foot to peak, divided by the constant part.
# - A pulse four times as strong has the same index, one ten times as strong too: 0.66, 0.65 and 0.64, in place of 2.5, 10 and 25.
# - Sampled twice as often, the same pulse has twice the index: 0.33 at 100 Hz, 0.66 at 200, 1.31 at 400.
# Expected was the ratio of the heights. Nothing is said. bpm, which finds the same feet, is right.
# Exits 0 if it is so, 1 if it has changed. The pulse is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps ppg-features==1.3.1 ecg-feature-selection==1.2.1 \
  numpy==2.2.6 scipy==1.15.3
cat > "$work/pulse.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from ppg_features.ppg_features import bpm, filter_ppg, perfusion_index

print("ppg-features", version("ppg-features"))
RATE, CONSTANT = 1.2, 10_000.0  # beats a second, DC


def wave(strength, hertz):
    """20 s of pulse, filtered as by the package, and the settings that belong to its rate."""
    time = np.arange(0, 20, 1 / hertz)
    raw = CONSTANT + strength * (np.sin(2 * np.pi * RATE * time) + 0.3 * np.sin(4 * np.pi * RATE * time + 1))
    return raw, filter_ppg(raw, baseline_order=2, baseline_width=2 * hertz + 1), int(0.4 * hertz)


def defined(raw, filtered, hertz):
    """AC / DC in percent: the median height of the wave over one beat, wherever the beat is begun."""
    beats = np.lib.stride_tricks.sliding_window_view(filtered[hertz:-hertz], int(hertz / RATE) + 1)
    return 100 * np.median(beats.max(axis=1) - beats.min(axis=1)) / np.median(raw)


same = True
for hertz, strengths in ((200, (100, 400, 1000)), (100, (100,)), (400, (100,))):
    for strength in strengths:
        raw, filtered, order = wave(strength, hertz)
        right = defined(raw, filtered, hertz)
        seen = perfusion_index(filtered, raw, peak_order=order, look_distance=order)
        rate = bpm(filtered, fs=hertz, peak_order=order)
        print(f"{hertz} Hz, strength {strength}: perfusion index expected {right:.2f} %, seen {seen:.2f}; {rate:.0f} beats a minute")
        same = same and abs(right / (0.0252 * strength) - 1) < 0.03 and abs(rate - 72) < 0.5
        same = same and abs(seen / (0.0033 * hertz) - 1) < 0.03
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/pulse.py"
