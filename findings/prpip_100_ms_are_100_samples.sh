#!/usr/bin/env bash
# prpip 1.3.2 finds blinks in the pupil of an eye tracker and fills them. detect_blinks joins blinks that are at most concat_gap_interval
# apart, "default=100ms", but compares it with a number of samples. At 60 Hz 100 samples are 1.7 s: two blinks of 150 ms with an
# open eye of 1 s between them are one blink of 1.3 s, and the second of measured pupil between them, with the dilation that was
# looked for, is replaced. At 1000 Hz the same eye has two blinks.
# At rates below 500 Hz detect_blinks also writes into the table that it is given: the zeros of the blinks become NaN. Asked again, it
# finds no blink in the same table, and process_pupil drops those rows.
# process_pupil has no rate: it gives its blink_threshold=1000, "Threshold for detecting blinks", to detect_blinks as the sampling
# frequency. Who raises the threshold of blinks tells it another rate; who has 60 Hz must call this a threshold, and gets one blink anyway.
# Expected were two blinks at either rate. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The pupil is drawn up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps prpip==1.3.2 numpy==2.2.6 pandas==2.3.3 \
  pytz==2025.2 python-dateutil==2.9.0.post0 six==1.17.0 tzdata==2025.2
cat > "$work/blinks.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from prpip import detect_blinks, process_pupil

BLINKS = [(1.0, 1.15), (2.15, 2.3)]  # seconds


def pupil(rate):  # 3.5 mm with a fine wave; the pupil opens by 0.5 mm between the blinks
    seconds = np.arange(round(4 * rate)) / rate
    size = 3.5 + 0.02 * np.sin(2 * np.pi * 7 * seconds) + 0.5 * np.exp(-(((seconds - 1.65) / 0.15) ** 2))
    for onset, offset in BLINKS:
        size[(seconds >= onset) & (seconds < offset)] = 0
    return seconds, pd.DataFrame({"Pupil Size": size})


print("prpip", version("prpip"))
found, lost = {}, {}
for rate in (1000, 60):
    seconds, data = pupil(rate)
    found[rate] = [(round(a / rate, 2), round(b / rate, 2)) for a, b in detect_blinks(data.copy(), sampling_freq=rate)]
    with contextlib.redirect_stdout(io.StringIO()):
        filled = process_pupil(data.copy(), blink_threshold=rate, noise_scale=0)["Reconstructed Pupil Size"].to_numpy()
    open_eye = (seconds > 1.4) & (seconds < 1.9)
    lost[rate] = float(np.abs(filled - data["Pupil Size"].to_numpy())[open_eye].max())
    print(f"{rate} Hz: expected two blinks {BLINKS}, seen {len(found[rate])}: {found[rate]}; "
          f"pupil between them: expected as measured, seen changed by up to {lost[rate]:.2f} mm")
twice = {}
for rate in (1000, 60):
    _, data = pupil(rate)
    twice[rate] = [len(detect_blinks(data, sampling_freq=rate)) for _ in range(2)]
    print(f"{rate} Hz: expected 2 blinks each time that the same table is asked, seen {twice[rate]}")
same = len(found[1000]) == 2 and lost[1000] == 0 and len(found[60]) == 1 and lost[60] > 0.4 and twice == {1000: [2, 2], 60: [1, 0]}
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/blinks.py"
