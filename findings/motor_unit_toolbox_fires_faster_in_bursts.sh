#!/usr/bin/env bash
# How fast single motor units of the face fire is read from decomposed EMG. motor-unit-toolbox 1.2.0's get_discharge_rate takes silent
# periods (more than 250 ms without a spike) out of the time, but not out of the count: it divides the number of spikes by the time, where
# each burst of n spikes has n - 1 intervals. A unit that fires every 100 ms has 10.05 a second in one run of 200 spikes, 15 in bursts of
# three, and 20 in bursts of two, as brief actions of the face are. So the shorter the bursts, the faster the unit.
# Expected was 10 each time, "the actual active period" being what its comment says. Its own coefficient of variation, which
# leaves out the same pauses, is 0 each time: all intervals are equal.
# Exits 0 if it is so, 1 if it has changed. Its file of these properties is loaded alone, without those of its plots and graphs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps motor-unit-toolbox==1.2.0 numpy==2.2.6 scipy==1.15.3
cat > "$work/bursts.py" <<'PYTHON'
import sys
import sysconfig
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from unittest.mock import MagicMock

import numpy as np

sys.modules["motor_unit_toolbox"] = sys.modules["motor_unit_toolbox.muap_comp"] = MagicMock()
spec = spec_from_file_location("props", f"{sysconfig.get_path('purelib')}/motor_unit_toolbox/props.py")
props = module_from_spec(spec)
spec.loader.exec_module(props)

print("motor-unit-toolbox", version("motor-unit-toolbox"))
RATE = 2000
seen = {}
for size in (200, 10, 3, 2):
    starts = np.arange(200 // size) * (size * 0.1 + 1)
    samples = np.rint((starts[:, None] + 0.1 * np.arange(size)).ravel() * RATE).astype(int)
    train = np.zeros((samples[-1] + RATE, 1), dtype=int)
    train[samples] = 1
    times = np.arange(len(train)) / RATE
    rate = float(props.get_discharge_rate(train, times)[0])
    variation = float(props.get_coefficient_of_variation(train, times)[0])
    seen[size] = round(rate, 2), round(variation, 3)
    print(f"every 100 ms, in bursts of {size}: expected 10 a second, seen {rate:.2f}; coefficient of variation {variation:.3f}")
expected = {200: (10.05, 0), 10: (11.11, 0), 3: (15, 0), 2: (20, 0)}
sys.exit(0 if seen == expected else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/bursts.py"
