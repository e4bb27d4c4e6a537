#!/usr/bin/env bash
# Facial EMG (zygomaticus, corrugator) is recorded beside EEG, and cleaned by a band-pass of 20 to 450 Hz and a notch at the
# mains. MNE-Python 1.13.2's Raw.filter and Raw.notch_filter, called without picks, change the EEG channels and leave those
# of type "emg" as they were, sample by sample: mains and drifts stay in, and no word is said. Evoked averages
# (Epochs.average) leave the EMG channels out too, while Epochs keep them. Expected was one cleaning for all recorded
# signals, or a warning; with picks="all" or picks="emg" it is done. A recording of EMG alone is refused, so the fault shows
# only where EEG is there too.
# Exits 0 if it is so, 1 if it has changed. The signals are made up: 5 and 50 Hz.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile mne==1.13.2 numpy==2.2.6 scipy==1.15.3
cat > "$work/emg.py" <<'PYTHON'
import sys
import warnings

import mne
import numpy as np

RATE = 1000
t = np.arange(10 * RATE) / RATE
signal = 1e-5 * (np.sin(2 * np.pi * 5 * t) + np.sin(2 * np.pi * 50 * t))
names, kinds = ["Fz", "zygomaticus", "corrugator"], ["eeg", "emg", "emg"]
said = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    raw = mne.io.RawArray(np.vstack([signal] * 3), mne.create_info(names, RATE, kinds), verbose="warning")
    cleaned = raw.copy().filter(20, 450, verbose="warning").notch_filter(50, verbose="warning")
    asked = raw.copy().filter(20, 450, picks="all", verbose="warning")
    events = np.array([[2000, 0, 1], [6000, 0, 1]])
    epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=1, preload=True, verbose="warning")
    said = [str(one.message) for one in caught]


def left(recording, name, hertz):
    """Share of a sine that is left."""
    spectrum = [np.abs(np.fft.rfft(r.get_data(picks=[name])[0]))[hertz * 10] for r in (recording, raw)]
    return spectrum[0] / spectrum[1]


print("MNE", mne.__version__, "- warnings:", said)
for name in names:
    print(f"{name}: of 5 Hz {left(cleaned, name, 5):.3f} left, of 50 Hz {left(cleaned, name, 50):.3f}")
print(f"picks='all': corrugator, of 5 Hz {left(asked, 'corrugator', 5):.3f}")
print("epochs:", epochs.ch_names, "average:", epochs.average().ch_names)
untouched = all(np.array_equal(cleaned.get_data(picks=[n]), raw.get_data(picks=[n])) for n in names[1:])
same = untouched and left(cleaned, "Fz", 5) < 0.02 and left(cleaned, "Fz", 50) < 0.05 and not said
same = same and left(asked, "corrugator", 5) < 0.02
same = same and epochs.ch_names == names and epochs.average().ch_names == ["Fz"]
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/emg.py"
