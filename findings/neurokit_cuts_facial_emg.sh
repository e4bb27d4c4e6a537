#!/usr/bin/env bash
# Facial EMG (corrugator, zygomaticus) is the reference for expressions that are too weak to be seen. Its band reaches down
# to 15 to 25 Hz (van Boxtel 2001; Fridlund and Cacioppo 1986 advise 10 to 500 Hz). neurokit2 0.3.0's emg_clean, which
# emg_process calls and which has no argument for the band, is a high-pass filter at 100 Hz: 60 Hz and below are gone (under
# 2 % kept), of 100 Hz half is left. Noise shaped like EMG, 20 to 450 Hz with its peak near 80 Hz, loses two fifths of its
# power, and the share depends on the spectrum of the muscle, so that amplitudes of two muscles cannot be compared.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile neurokit2==0.3.0 numpy==2.2.6 scipy==1.17.1
cat > "$work/emg.py" <<'PYTHON'
import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")
import neurokit2
from neurokit2 import emg_clean

RATE = 1000
time = np.arange(20 * RATE) / RATE
print("neurokit2", neurokit2.__version__)
kept = {}
for frequency in (30, 60, 100, 200):
    wave = np.sin(2 * np.pi * frequency * time)
    kept[frequency] = float(emg_clean(wave, sampling_rate=RATE)[RATE:-RATE].std() / wave[RATE:-RATE].std())
    print(f"{frequency} Hz: expected nearly all of it, seen {kept[frequency]:.2f}")
spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=len(time)))
hertz = np.fft.rfftfreq(len(time), 1 / RATE)
shape = np.where((hertz >= 20) & (hertz <= 450), np.sqrt(hertz / 80 * np.exp(1 - hertz / 80)), 0)
muscle = np.fft.irfft(spectrum * shape)
left = float(emg_clean(muscle, sampling_rate=RATE).var() / muscle.var())
print(f"noise of 20 to 450 Hz, most at 80 Hz: {left:.2f} of its power is left")
same = kept[30] < 0.01 and kept[60] < 0.02 and 0.4 < kept[100] < 0.6 and kept[200] > 0.95
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/emg.py"
