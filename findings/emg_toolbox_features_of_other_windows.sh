#!/usr/bin/env bash
# Facial EMG is described by features of successive windows. emg-toolbox 1.1.0's extract_all_features computes the windows in threads and
# collects the results as the threads finish, but writes them beside the first and last sample of each window in the order of time. The
# rows of the table are therefore exchanged: the features of one window stand beside the samples of another, in another order at each
# call. Of 40 windows of a contraction that grows steadily, most stand in the wrong row, and the growth is gone. The array without names
# is mixed in the same way. Expected were the features of the samples from "start" to "end". sliding_window, which computes one feature
# at a time, keeps the order.
# Two columns are not what they are called: "SpectralCentroid" is the mean absolute second difference (no frequency, and not
# in Hz), and "MeanAbsoluteDeviation" is the mean absolute difference of neighboring samples.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps emg-toolbox==1.1.0 \
  numpy==2.3.5 scipy==1.16.3 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/windows.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from emg_toolbox.features import extract_all_features, fRMS, sliding_window

RATE, LENGTH, COUNT = 1000, 1000, 40
signal = np.random.default_rng(0).normal(size=COUNT * LENGTH) * np.repeat(np.arange(1.0, COUNT + 1), LENGTH)
windows = signal.reshape(COUNT, LENGTH)
true = np.sqrt(np.mean(windows**2, axis=1))

print("emg-toolbox", version("emg-toolbox"))
tables = [extract_all_features(signal, RATE, window_size=LENGTH, return_dataframe=True) for _ in range(5)]
starts = tables[0]["start"].tolist()
misplaced = [int((~np.isclose(table["RootMeanSquare"], true)).sum()) for table in tables]
print(f"RMS of the first 8 windows: expected {true[:8].round(1).tolist()}, seen {tables[0]['RootMeanSquare'][:8].round(1).tolist()}")
print(f"rows of {COUNT} with the RMS of another window: expected 0, seen in five calls {misplaced}")
kept = all(np.allclose(np.sort(table["RootMeanSquare"]), np.sort(true)) for table in tables)
print(f"the same numbers in another order: {kept}; sliding_window in order: {np.allclose(sliding_window(signal, LENGTH, 1, fRMS), true)}")

first = extract_all_features(windows[0], RATE, sliding=True, window_size=LENGTH, return_dataframe=True).iloc[0]
power = np.abs(np.fft.rfft(windows[0])) ** 2
centroid = np.sum(np.fft.rfftfreq(LENGTH, 1 / RATE) * power) / power.sum()
second = np.abs(np.diff(windows[0], 2)).sum() / LENGTH
deviation = np.abs(windows[0] - windows[0].mean()).mean()
neighbors = np.abs(np.diff(windows[0])).mean()
print(f"SpectralCentroid: expected about {centroid:.0f} Hz, seen {first['SpectralCentroid']:.2f} (mean absolute second difference {second:.2f})")
print(f"MeanAbsoluteDeviation: expected {deviation:.2f}, seen {first['MeanAbsoluteDeviation']:.2f} (neighboring samples {neighbors:.2f})")
same = starts == list(range(0, COUNT * LENGTH, LENGTH)) and kept and sorted(misplaced)[2] > COUNT / 2
same = same and np.isclose(first["SpectralCentroid"], second) and np.isclose(first["MeanAbsoluteDeviation"], neighbors)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/windows.py"
