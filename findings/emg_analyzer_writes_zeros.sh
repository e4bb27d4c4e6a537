#!/usr/bin/env bash
# Facial EMG is recorded by BTS's systems too, whose programs export text files (.emt) with one column a muscle. emg-analyzer 0.1's
# emg_group_tracks takes the files of several recordings and writes one file for each muscle, with one column a recording. It writes each
# number with three decimals. In volts ("Measure unit: V") a face has some tens of microvolts, and all of it is 0.000 or
# -0.000. At 2000 samples a second the times are rounded to 1 ms, so that two samples have one time. And recordings are kept by the name
# of their file: of sub01/smile.emt and sub02/smile.emt the first person is gone, while the header still says "Tracks: 2". It prints
# no word of it. Expected were the numbers that were read, and both people. In memory (group_by_track) the numbers are right.
# Exits 0 if it is so, 1 if it has changed. The recordings are made up. Its colored log is replaced by an empty module.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps setuptools==80.9.0 wheel==0.45.1
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation emg_analyzer==0.1 \
    numpy==2.2.6 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/muscles.py" <<'PYTHON'
import logging
import pathlib
import sys
from importlib.metadata import version
from unittest.mock import MagicMock

sys.modules["colorlog"] = MagicMock()
sys.modules["colorlog"].logging.logging = logging
import numpy as np
from emg_analyzer.emg import Emg
from emg_analyzer.scripts.emg_group_tracks import main

folder = pathlib.Path(sys.argv[1])
RATE, SAMPLES = 2000, 4000
rng = np.random.default_rng(0)


def record(person, name):
    volts = rng.normal(0, 20e-6, (SAMPLES, 2))
    head = ["BTS ASCII format", "", "Type:         \tEmg tracks", "Measure unit: \tV", "", "Tracks:       \t2"]
    head += [f"Frequency:    \t{RATE} Hz", f"Frames:       \t{SAMPLES}", "Start time:   \t0.000", ""]
    head += [" Frame\t  Time\tVoltage:zygomaticus\tVoltage:corrugator\t"]
    rows = [f"{k + 1}\t{k / RATE:.4f}\t{a:.9f}\t{b:.9f}\t" for k, (a, b) in enumerate(volts.tolist())]
    path = folder / person / f"{name}.emt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*head, *rows]) + "\n")
    return str(path), volts[:, 0]


def grouped(paths, out):
    main([*paths, "--out-dir", str(folder / out)])
    lines = (folder / out / "zygomaticus.emt").read_text().splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(" Frame"))
    names = [name.strip() for name in lines[start].split("\t")[2:] if name.strip()]
    tracks = int(next(line for line in lines if line.startswith("Tracks:")).split("\t")[1])
    return tracks, names, np.array([[float(x) for x in line.split("\t")[1 : 2 + len(names)]] for line in lines[start + 1 :] if line])


print("emg_analyzer", version("emg_analyzer"))
(first, volts), (second, _) = record("sub01", "smile"), record("sub01", "frown")
with open(first) as file:
    read = Emg()
    read.parse(file)
assert np.allclose(read.data.data["zygomaticus"], volts, atol=1e-9)
tracks, names, table = grouped([first, second], "recordings")
peak = 1e6 * np.abs(volts).max(), 1e6 * np.abs(table[:, 1:]).max()
times = SAMPLES, len(np.unique(table[:, 0]))
print(f"two recordings of one person, {names}: expected a peak of {peak[0]:.0f} microvolts, seen {peak[1]:.0f}")
print(f"different times: expected {times[0]}, seen {times[1]}")
people = grouped([first, record("sub02", "smile")[0]], "people")
print(f"smile.emt of two people: expected 2 columns, seen {people[1]}, and Tracks: {people[0]} in the header")
same = tracks == 2 and names == ["Voltage:smile", "Voltage:frown"] and peak[0] > 60 and peak[1] == 0 and times[1] < 0.6 * times[0]
sys.exit(0 if same and people[:2] == (2, ["Voltage:smile"]) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/muscles.py" "$work"
