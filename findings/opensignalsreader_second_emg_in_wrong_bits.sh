#!/usr/bin/env bash
# Facial EMG is recorded by BITalino too, one sensor a muscle. With five or six channels on, A5 and A6 have 6 bits in place of 10,
# as the file's header says. opensignalsreader 0.2.2 keeps signals by sensor, and converts the second and each further EMG channel
# by the bits of the first one: a muscle on A5 that goes from -0.8 to 0.8 mV is read as -1.58 to -1.48 mV, a sixteenth of its swing
# at the rail, although its resolution is told rightly (6). The same signal on A2 is right. Rectified, the muscle at rest is the
# most active of all. Nothing is said. Expected were mV by each channel's own bits; raw() and the package's own transfer function
# give them. The time axis (t) is too long by one sample: 10 s end at 10.0 s, not at 9.999.
# Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of OpenSignals' text files.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opensignalsreader==0.2.2 numpy==2.3.5 matplotlib==3.10.7
cat > "$work/muscles.py" <<'PYTHON'
import json
import sys
from importlib.metadata import version

import numpy as np
from opensignalsreader import OpenSignalsReader
from opensignalsreader.transfer_functions import bit

path = sys.argv[1] + "/six.txt"
bits = [10, 10, 10, 10, 6, 6]
sensors = ["EMG", "EMG", "ECG", "EDA", "EMG", "EMG"]
millivolts = 0.8 * np.sin(2 * np.pi * 50 * np.arange(10000) / 1000)
digital = [np.round((millivolts / 1000 * 1009 / 3.3 + 0.5) * 2**n).astype(int) for n in bits]
header = {
    "sensor": [f"{name}BITREV" for name in sensors],
    "device name": "98:D3:31:B2:11:43",
    "column": ["nSeq", "I1", "I2", "O1", "O2", "A1", "A2", "A3", "A4", "A5", "A6"],
    "sync interval": 2,
    "time": "12:0:0.0",
    "comments": "",
    "device connection": "98:D3:31:B2:11:43",
    "channels": [1, 2, 3, 4, 5, 6],
    "date": "2018-1-1",
    "mode": 0,
    "digital IO": [0, 0, 1, 1],
    "firmware version": 52,
    "device": "bitalino_rev",
    "position": 0,
    "sampling rate": 1000,
    "label": ["A1", "A2", "A3", "A4", "A5", "A6"],
    "resolution": [4, 1, 1, 1, 1, *bits],
    "special": [{}, {}, {}, {}, {}, {}],
}
rows = np.column_stack([np.arange(10000) % 16, *np.tile([[0], [0], [1], [1]], 10000), *digital])
with open(path, "w") as file:
    file.write(f"# OpenSignals Text File Format\n# {json.dumps({'98:D3:31:B2:11:43': header})}\n# EndOfHeader\n")
    np.savetxt(file, rows, "%d", "\t")

print("opensignalsreader", version("opensignalsreader"))
reader = OpenSignalsReader(path)
seen = {}
for channel in (1, 2, 5, 6):
    signal = reader.signal(channel)
    resolution = reader.sampling_resolution[reader.sensors[channel - 1]]
    own = bit.transfer_functions["EMG"](reader.raw(channel), resolution)
    seen[channel] = [round(float(value), 2) for value in (signal.min(), signal.max(), own.min(), own.max())]
    print(f"A{channel}, {resolution} bits: {seen[channel][0]} to {seen[channel][1]} mV; by its own bits {seen[channel][2:]}")
print(f"time of the last of {len(reader.t)} samples at 1000 Hz: expected 9.999 s, seen {reader.t[-1]}")
same = seen[1] == seen[2] == [-0.8, 0.8, -0.8, 0.8] and seen[5] == seen[6] and seen[5][:2] == [-1.58, -1.48]
sys.exit(0 if same and abs(seen[5][2] + 0.8) < 0.03 and reader.t[-1] == 10.0 else "the behavior has changed")
PYTHON
MPLBACKEND=Agg "$work/venv/bin/python" -W ignore::SyntaxWarning "$work/muscles.py" "$work"
