#!/usr/bin/env bash
# Eulerian video magnification is used to make micro-expressions visible before flow or texture features. The filter of the
# package eulerian-magnification 0.22 (temporal_bandpass_filter, which its eulerian_magnification uses) mixes two layouts
# of the Fourier transform, SciPy's packed real one and the complex one. Asked for 3 to 5 Hz it passes what moves at 1.5
# to 2.5 Hz, and puts it out at twice its frequency; a motion at 4 Hz, within the band, is removed whole. So an expression
# of a quarter of a second is not magnified, and slow motion of the head appears as a trembling that is not in the video.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==5.0.0.93 numpy==2.4.6 \
    scipy==1.17.1 matplotlib==3.11.1
# Without its dependencies: the others that it asks for, requests among them, are not needed here.
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps eulerian-magnification==0.22
cat > "$work/band.py" <<'PYTHON'
import contextlib
import io
import sys
import warnings
from importlib.metadata import version

import numpy as np
from eulerian_magnification.transforms import temporal_bandpass_filter

warnings.simplefilter("ignore")  # NumPy tells that imaginary parts are dropped
RATE, COUNT = 100, 400
time = np.arange(COUNT) / RATE
print("eulerian-magnification", version("eulerian-magnification"), "- 3 to 5 Hz at 100 frames a second")
kept, out = {}, {}
for frequency in (1, 2, 4, 6):
    pixel = np.cos(2 * np.pi * frequency * time + 0.7)
    with contextlib.redirect_stdout(io.StringIO()):
        passed = temporal_bandpass_filter(pixel[:, None], RATE, freq_min=3, freq_max=5)[:, 0]
    kept[frequency] = float(passed.std() / pixel.std())
    out[frequency] = float(np.fft.rfftfreq(COUNT, 1 / RATE)[abs(np.fft.rfft(passed)).argmax()])
    expected = 1.0 if 3 <= frequency <= 5 else 0.0
    at = f", at {out[frequency]:.2f} Hz" if kept[frequency] > 0.01 else ""
    print(f"{frequency} Hz: expected {expected:.0f} of it, seen {kept[frequency]:.2f}{at}")
same = kept[4] < 0.01 and kept[2] > 0.4 and abs(out[2] - 4) < 0.5 and max(kept[1], kept[6]) < 0.01
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/band.py"
