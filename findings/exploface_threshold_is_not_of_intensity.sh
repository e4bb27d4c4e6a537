#!/usr/bin/env bash
# OpenFace writes the intensity of an action unit (AU12_r, 0 to 5) and its presence (AU12_c, 0 or 1). exploface 0.0.0.dev6 makes events
# of them: get_detections, from which get_statistics and its ELAN files are made, has an intensity_threshold. It is compared with the
# presence. So 0.2, 0.8 (the default) and 1 all give every presence, one at an intensity of 0.6 too, and from 1.5 on there is no event at
# all, not even one at 4.2. Nothing is said. Expected were the events whose intensity reaches the threshold.
# An event ends at the time of its last frame, so that it is one frame too short: 15 frames at 30 a second (0.5 s) last 0.46 or 0.47 s,
# and of two events of 0.1 s at 50 and 30 frames a second time_threshold=0.07 keeps the first and drops the second.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps exploface==0.0.0.dev6 elanwriter==0.0.0.dev2 \
  numpy==2.3.5 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0 matplotlib==3.10.7 \
  contourpy==1.3.3 cycler==0.12.1 fonttools==4.60.1 kiwisolver==1.4.9 packaging==25.0 pillow==12.0.0 pyparsing==3.2.5
cat > "$work/events.py" <<'PYTHON'
import sys
from importlib.metadata import version

import exploface
import numpy as np
import pandas as pd


def openface(rate, smiles):
    """The columns of OpenFace's file: smiles are (first frame, frames, intensity)."""
    intensity = np.zeros(10 * rate)
    for first, frames, strength in smiles:
        intensity[first : first + frames] = strength
    time = np.round(np.arange(10 * rate) / rate, 3)
    presence = (intensity > 0.5).astype(int)
    return pd.DataFrame({"timestamp": time, "confidence": 0.98, "AU12_r": intensity, "AU12_c": presence})


print("exploface", version("exploface"))
smiles = [(50, 15, 0.6), (120, 15, 1.4), (200, 15, 4.2)]
counts = {}
for threshold in (0.2, 0.8, 1, 1.5, 2):
    found = exploface.get_detections(openface(30, smiles), intensity_threshold=threshold)
    counts[threshold] = len(found)
    expected = sum(strength >= threshold for *_, strength in smiles)
    print(f"three smiles of intensity 0.6, 1.4, 4.2; threshold {threshold}, events: expected {expected}, seen {len(found)}")
lengths = [round(event.end - event.start, 2) for event in exploface.get_detections(openface(30, smiles)).itertuples()]
print(f"length of 15 frames at 30 a second: expected 0.5 s, seen {lengths}")
kept = {
    rate: len(exploface.get_detections(openface(rate, [(50, rate // 10, 2.0)]), time_threshold=0.07)) for rate in (50, 30)
}
print(f"0.1 s, at least 0.07 s: expected 1 event at each rate, seen {kept}")
same = counts == {0.2: 3, 0.8: 3, 1: 3, 1.5: 0, 2: 0} and set(lengths) <= {0.46, 0.47} and kept == {50: 1, 30: 0}
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" "$work/events.py"
