#!/usr/bin/env bash
# Facial EMG is recorded by two BITalinos where one has too few channels, as one file of OpenSignals: the columns of the first device, then
# those of the second. neurokit2 0.3.0's read_bitalino returns a table for each device, but begins the table of device k at column k times the
# number of its own columns, not after those of the devices before it. That is right only where all have equally many. With four channels
# on the first and two on the second, the second device's EMG of the corrugator is the counter of its packets, 0 to 15 over and over, its
# EMG of the zygomaticus is its digital input, and its counter is a channel of the first device. The names are right. A sawtooth
# with a period of 16 samples passes any filter for EMG, 62.5 Hz at 1000 samples a second, and is as good as a constant contraction.
# Expected were the columns of the device. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of OpenSignals' text files.
# What its plots and other modules need is replaced by empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps neurokit2==0.3.0 \
  numpy==2.2.6 scipy==1.15.3 pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0 packaging==25.0
cat > "$work/devices.py" <<'PYTHON'
import importlib.abc
import importlib.machinery
import json
import sys
import types
from importlib.metadata import version


class Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds matplotlib, scikit-learn, requests and PyWavelets, whose names are all classes that do nothing."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("matplotlib", "sklearn", "requests", "pywt"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: type(name, (), {})
        return module

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Empty())
import neurokit2 as nk
import numpy as np

path, SAMPLES = sys.argv[1], 320
DEVICES = {"98D331000001": ["ECG", "EDA", "RESP", "ACC"], "98D331000002": ["EMG", "EMG"]}
random = np.random.default_rng(0)
counter = np.arange(SAMPLES) % 16


def write(devices):
    header, columns, truth = {}, [], {}
    for device, sensors in devices.items():
        labels = [f"A{number + 1}" for number in range(len(sensors))]
        header[device] = {
            "sensor": sensors,
            "label": labels,
            "column": ["nSeq", "I1", *labels],
            "channels": list(range(1, len(sensors) + 1)),
            "sampling rate": 1000,
            "resolution": [4, 1] + [10] * len(sensors),
            "device": "bitalino_rev",
        }
        signals = [random.integers(400, 600, SAMPLES) for _ in sensors]
        truth[device] = [counter, np.ones(SAMPLES, int), *signals]
        columns += truth[device]
    with open(path, "w") as file:
        file.write(f"# OpenSignals Text File Format. Version 1\n# {json.dumps(header)}\n# EndOfHeader\n")
        file.writelines("\t".join(str(value) for value in row) + "\t\n" for row in zip(*columns, strict=True))
    return truth


def right(device):
    """For each column of the table, whether it is the device's own."""
    table = tables[device].to_numpy()
    return [bool((table[:, place] == column).all()) for place, column in enumerate(truth[device])]


print("neurokit2", version("neurokit2"))
truth = write(DEVICES)
tables, _ = nk.read_bitalino(path)
first, second = DEVICES
for device in DEVICES:
    print(f"{device}: columns {list(tables[device])}, right: {right(device)}")
counted, corrugator, zygomaticus = (tables[second].iloc[:, place].tolist() for place in (0, 2, 3))
print(f"EMG of the corrugator: expected {truth[second][2][:18].tolist()}")
print(f"EMG of the corrugator: seen     {corrugator[:18]}")
same = all(right(first)) and not any(right(second)) and counted == truth[first][4].tolist()
same = same and corrugator == counter.tolist() and set(zygomaticus) == {1}

truth = write({first: DEVICES[first][:2], second: DEVICES[second]})
tables, _ = nk.read_bitalino(path)
print("with two sensors on each:", right(first), right(second))
same = same and all(right(first)) and all(right(second))
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/devices.py" "$work/face.txt"
