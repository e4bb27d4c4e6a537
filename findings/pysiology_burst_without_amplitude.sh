#!/usr/bin/env bash
# Features of facial EMG tell a genuine smile from a posed one. pysiology 0.0.9.71's module electromyography (analyzeEMG) computes them:
# - AFB, "the amplitude at first Burst", does not depend on the amplitude: the signal is not squared but handed to scipy.signal.square,
#   which is a square wave. A burst and one of a hundredth of its amplitude give one and the same number.
# - WAMP is documented as the count of |x[i] - x[i + 1]| at or above a threshold, but counts only what falls: 0 for a signal that rises,
#   about half of the count for EMG.
# - MAVSLPk is documented as MAV[k + 1] - MAV[k], the slope, but gives the MAVs themselves.
# - VCF, "the variance of the central frequency", is negative for usual spectra, since its moments raise the power and not the
#   frequency: -9929 for a spectrum at 100 Hz with a standard deviation of 20 Hz, where 400 was expected.
# Nothing is said. Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pysiology==0.0.9.71 peakutils==1.3.5 \
  numpy==2.3.5 scipy==1.16.3 matplotlib==3.10.7 contourpy==1.3.3 cycler==0.12.1 fonttools==4.60.1 kiwisolver==1.4.9 packaging==25.0 \
  pillow==12.0.0 pyparsing==3.2.5 python-dateutil==2.9.0.post0 six==1.17.0
cat > "$work/burst.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pysiology import electromyography as emg

RATE, THRESHOLD = 1000, 0.05
envelope = np.full(2000, 0.02)
envelope[800:1200] = 1.0
signal = np.random.default_rng(0).normal(size=2000) * envelope

print("pysiology", version("pysiology"))
bursts = [float(emg.getAFB(list(signal * gain), RATE)) for gain in (1, 0.01)]
print(f"AFB of a burst and of a hundredth of it: expected 1 to 0.0001, seen {bursts[0]:.4f} and {bursts[1]:.4f}")
true = int(np.sum(np.abs(np.diff(signal)) >= THRESHOLD))
counted, falling = emg.getWAMP(list(signal), THRESHOLD), int(np.sum(np.diff(signal) <= -THRESHOLD))
rise = list(np.arange(100.0))
slopes = emg.getWAMP(rise, THRESHOLD), emg.getWAMP(rise[::-1], THRESHOLD)
print(f"WAMP: expected {true}, seen {counted} ({falling} fall); of 99 steps up, then of 99 down: expected 99 and 99, seen {slopes}")
segments = [float(value) for value in emg.getMAVSLPk(list(np.repeat([1.0, 2.0, 4.0], 100)), 3)]
print(f"MAVSLPk of segments at 1, 2 and 4: expected [1.0, 2.0], seen {segments}")
frequencies = np.arange(500.0)
power = np.exp(-((frequencies - 100) ** 2) / (2 * 20**2))
moments = emg.getTTP(power), emg.getSM(power, frequencies, 1), emg.getSM(power, frequencies, 2)
variance = float(emg.getVCF(*moments))
print(f"VCF: expected {np.sum(power * (frequencies - 100) ** 2) / power.sum():.0f} Hz^2, seen {variance:.0f}")
same = bursts[0] == bursts[1] and counted == falling < 0.6 * true and slopes == (0, 99)
sys.exit(0 if same and segments == [1.0, 2.0, 4.0] and round(variance) == -9929 else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" "$work/burst.py" | grep -v -e "^Thank you" -e "^Gabrieli"
