#!/usr/bin/env bash
# Fixations, saccades and blinks are counted trial by trial in EyeLink recordings made beside the face. etformat 1.3.0 numbers trials from 1
# when it loads them. Its describe, "fixation/saccade/blink counts" per trial, takes for trial n the rows of trial n - 1: each trial has the blinks of
# the one before, the first has none of anything, and the last is nowhere. describe(trial_number=3) gives trial 2. plot_saccades draws
# trial 2 under the title "Saccades in Trial 3". The package's report gives each trial its own rows.
# "Avg Fixation Duration (ms)" is the duration of the trial divided by the number of fixations, with saccades and blinks in it: 500 ms
# where two fixations last 200 ms. "Avg Saccade Amplitude" is pixels times 0.01; of 300 pixels, at 30 pixels a degree, it says
# 3 where report says 10 degrees.
# Expected were the numbers of report for the same tables. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The tables are made here, so that SR Research's library is not needed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile etformat==1.3.0 numpy==2.2.6 pandas==2.3.3 matplotlib==3.10.3 tqdm==4.67.1
cat > "$work/trials.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

print("etformat", version("etformat"))
BLINKS = {1: 0, 2: 5, 3: 1}
events, samples = [], []
for trial, blinks in BLINKS.items():
    start = 10000 * trial
    for kind, begin, end in (
        ("ENDFIX", 0, 200),
        ("ENDSACC", 200, 250),
        ("ENDFIX", 250, 450),
        *[("ENDBLINK", 500 + 100 * blink, 550 + 100 * blink) for blink in range(blinks)],
    ):
        event = {"trial": trial, "type": kind, "sttime": start + begin, "entime": start + end, "message": ""}
        if kind == "ENDSACC":
            event |= {"gstx": 100.0 * trial, "gsty": 0.0, "genx": 100.0 * trial + 300, "geny": 0.0}
            event |= dict.fromkeys(("supd_x", "eupd_x", "supd_y", "eupd_y"), 30.0)
        events.append(event)
    times = np.arange(start, start + 1001)
    samples.append(pd.DataFrame({"trial": trial, "time": times, "gxL": 1.0, "gyL": 1.0, "paL": 1.0, "gxR": 1.0, "gyR": 1.0, "paR": 1.0}))
events, samples = pd.DataFrame(events), pd.concat(samples, ignore_index=True)

with contextlib.redirect_stdout(io.StringIO()):
    import etformat

    seen = etformat.describe((events, samples.copy()))
    third = etformat.describe((events, samples.copy()), trial_number=3)
    expected = etformat.report(events, samples=samples)
    etformat.plot_saccades(events, trial_number=3, screen_width=1920, screen_height=1080)
title = plt.gca().get_title()
left = min(text.get_position()[0] for text in plt.gca().texts)  # where the saccade begins
for row, (trial, blinks) in enumerate(BLINKS.items()):
    found = seen.iloc[row]
    print(f"trial {trial}: blinks expected {blinks}, seen {found['Number of Blinks']:.0f}; samples expected 1001, seen {found['Total Samples']:.0f}")
print(f"trial 3 alone: blinks expected {BLINKS[3]}, seen {third['Number of Blinks']:.0f}")
print(f"{title!r}: saccade expected to begin at x = 300, seen {left:.0f}")
fixation, saccade = expected["avg_fixation_duration"].iloc[1], expected["avg_saccade_amplitude"].iloc[1]
print(f"mean fixation: expected {fixation:.0f} ms, seen {seen['Avg Fixation Duration (ms)'].iloc[1]:.0f} ms")
print(f"mean saccade: expected {saccade:.0f} degrees, seen {seen['Avg Saccade Amplitude'].iloc[1]:.0f}")
same = expected["num_blinks"].tolist() == [0, 5, 1] and seen["Number of Blinks"].tolist() == [0, 0, 5]
same = same and seen["Total Samples"].tolist() == [0, 1001, 1001] and third["Number of Blinks"] == 5 and "3" in title and left == 200
same = same and fixation == 200 and seen["Avg Fixation Duration (ms)"].iloc[1] == 500
same = same and saccade == 10 and abs(seen["Avg Saccade Amplitude"].iloc[1] - 3) < 1e-9
sys.exit(0 if same else "the behavior has changed")
PYTHON
MPLBACKEND=Agg MPLCONFIGDIR="$work" "$work/venv/bin/python" "$work/trials.py"
