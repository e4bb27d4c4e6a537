#!/usr/bin/env bash
# Two muscles of a face (left and right, corrugator and zygomaticus) come from two devices that were started one after the other, and their
# difference is taken. physio-cassette 0.2.16's Signal knows its rate and the time of its start, and a - b says that "only overlapping
# samples will be stored". But it finds the overlap by seconds over the rate in place of seconds times the rate. At 1000 samples
# a second a start 2 s later is 2 // 1000 = 0 samples: the two are subtracted sample by sample, each from its own start, and the
# result is said to begin at the later one. A contraction that both sides show at the same time, whose difference is 0, is left as a
# contraction of the left and one of the right 2 s apart. A signal of 10 s that begins an hour later is added too, 3 samples further on, where
# expected was none ("No overlap between the data"). Signals with the same start are right, and so is a rate of 1.
# Exits 0 if it is so, 1 if it has changed. What it needs for files is replaced by empty modules; typing.override is of Python 3.12.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps physio-cassette==0.2.16 numpy==2.2.6
cat > "$work/sides.py" <<'PYTHON'
import sys
import typing
import warnings
from datetime import datetime, timedelta
from importlib.metadata import version
from unittest.mock import MagicMock

if not hasattr(typing, "override"):
    typing.override = lambda method: method
readers = ("openpyxl_dictreader", "pyedflib", "pymatreader", "traces", "wfdb", "xlrd", "xmltodict", "scipy", "scipy.io", "dateutil")
for name in readers:
    sys.modules[name] = MagicMock()

import numpy as np
from physio_cassette import Signal

RATE = 1000
NOON = datetime(2026, 1, 1, 12)
times = np.arange(10 * RATE) / RATE


def muscle(late):
    """A contraction 5 s after noon, recorded for 10 s from late seconds after noon."""
    return Signal(data=np.exp(-0.5 * ((times + late - 5) / 0.1) ** 2), fs=RATE, start_time=NOON + timedelta(seconds=late))


def told(combine):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return combine(), [str(warning.message) for warning in said]


print("physio-cassette", version("physio-cassette"))
together = float(np.abs((muscle(0) - muscle(0)).data).max())
print(f"both started at once: expected a difference of 0, seen {together}")
apart, said = told(lambda: muscle(0) - muscle(2))
peaks = [float(apart.data.max()), float(apart.data.min())]
begins = (apart.start_time - NOON).total_seconds()
print(f"one 2 s later: expected {8 * RATE} samples of 0, seen {len(apart)} of {peaks[1]:.2f} to {peaks[0]:.2f}, from {begins:.0f} s on; {said}")
never, said = told(lambda: muscle(0) + muscle(3600))
print(f"one an hour later: expected 0 samples, seen {len(never)}; {said}")
same = together == 0 and len(apart) == 10 * RATE and begins == 2 and peaks[0] > 0.99 and peaks[1] < -0.99
sys.exit(0 if same and len(never) == 10 * RATE - 3 and not any("No overlap" in text for text in said) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/sides.py"
