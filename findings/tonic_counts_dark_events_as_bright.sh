#!/usr/bin/env bash
# An event camera tells for each pixel whether it became brighter (ON) or darker (OFF), and a moving brow or lip is one of each on its two
# edges. tonic 1.7.0 keeps events in a structured array whose own type (tonic.io.events_struct) has a bool for this polarity. For such events:
# - ToVoxelGrid, the event volume of Zhu et al. 2019, in which ON counts 1 and OFF -1, writes -1 into the bool, which makes it True.
#   OFF counts 1 too: of 500 ON and 500 OFF events the sum is 875 in place of about 0. So a dark edge and a bright edge are one and
#   the same. With the polarity as int8 the OFF events count -1.
# - UniformNoise, documented as uniform over the dimensions "such as x, y, t and p", adds ON events alone: 10000 of 10000. With int8 it is half.
# In both types a volume of B bins has the times 0 to B in place of Zhu's 0 to B - 1, so that half of the last bin's events are lost: of 1000
# events 875 count in 4 bins, and the end of an expression is half as strong as its middle.
# Expected were the same results for both types of polarity. Shapes are right, and nothing is said.
# Exits 0 if it is so, 1 if it has changed. Its transforms are loaded without the readers of data sets and their dependencies.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps tonic==1.7.0 numpy==2.3.5 typing-extensions==4.15.0
cat > "$work/polarity.py" <<'PYTHON'
import importlib.util
import sys
import types
from importlib.metadata import version

import numpy as np

tonic = types.ModuleType("tonic")  # the package, without what it imports
tonic.__path__ = importlib.util.find_spec("tonic").submodule_search_locations
sys.modules["tonic"] = tonic
from tonic.io import events_struct
from tonic.transforms import ToVoxelGrid, UniformNoise

SENSOR, EVENTS = (40, 40, 2), 1000
print("tonic", version("tonic"), "its own type of polarity:", events_struct["p"])
seen = {}
for kind in (events_struct["p"], np.dtype(np.int8)):
    events = np.zeros(EVENTS, [(name, events_struct[name]) for name in ("x", "y", "t")] + [("p", kind)])
    events["x"], events["y"], events["t"] = 20, 10, np.arange(EVENTS) * 1000
    events["p"] = np.arange(EVENTS) % 2  # ON and OFF by turns
    volume = ToVoxelGrid(sensor_size=SENSOR, n_time_bins=4)(events)[:, 0, 10, 20]
    np.random.seed(0)
    noisy = UniformNoise(sensor_size=SENSOR, n=10000)(events)
    bright = int((noisy["p"] == 1).sum()) - EVENTS // 2
    seen[kind.name] = volume.round(1), bright
    print(f"{kind.name}: 250 events in each of 4 bins, ON less OFF: expected about 0, seen {volume.round(1)}")
    print(f"{kind.name}: ON among 10000 events of noise: expected about 5000, seen {bright}")
events["p"] = 1
weights = ToVoxelGrid(sensor_size=SENSOR, n_time_bins=4)(events)[:, 0, 10, 20].round()
print(f"1000 ON events in 4 bins at 0, 1/3, 2/3 and 1 of the time: expected 167, 333, 333, 167, seen {weights}, sum {weights.sum()}")
volume, bright = seen["bool"]
same = 870 < volume.sum() < 880 and bright == 10000 and np.abs(seen["int8"][0]).max() < 2 and 4800 < seen["int8"][1] < 5200
sys.exit(0 if same and weights.tolist() == [125, 250, 250, 250] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/polarity.py"
