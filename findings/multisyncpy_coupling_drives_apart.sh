#!/usr/bin/env bash
# Two faces that mirror one another are modeled as coupled oscillators, and kuramoto_data of multiSyncPy 0.1.2 makes such signals to try measures of
# synchrony on. In Kuramoto's model each phase is drawn to the angle of the mean of the unit vectors. multiSyncPy takes the mean of the phases
# as numbers. A phase is an angle, and 0.1 and 2 pi + 0.1 are the same, but here they are a whole turn apart with the mean on the far side:
# coupling drives two oscillators of equal frequency from a distance of 0.1 rad into opposite phase, and together again only after a lost
# turn. Without coupling they would have stayed where they were. Pairs of unlike frequencies that drift come a turn apart.
# The length of the mean vector (the order parameter, 0 to 1), by which the pull is multiplied, is the root of the number of signals instead,
# whatever the phases are (the norm of all sines and cosines): incoherent groups are pulled as coherent ones, ten signals 3.2 times as
# strongly as they can be. Two signals 0.1 rad apart (on the same turn) meet at the rate 1.41 where Kuramoto's model gives 1. Expected were
# phases that approach at the rate of the coupling from either start. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The module is loaded alone: the package imports drawing libraries that it does not need here.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps multiSyncPy==0.1.2 numpy==2.2.6
cat > "$work/mirror.py" <<'PYTHON'
import importlib.util
import math
import pathlib
import sys
from importlib.metadata import version

import numpy as np

place = importlib.util.find_spec("multiSyncPy").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("data_generation", pathlib.Path(place) / "data_generation.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

STEP, STEPS, COUPLING, TURN = 0.001, 6000, 1.0, 2 * math.pi


def apart(start, coupling):
    """Largest difference of the two signals (0 in phase, 2 in opposite phase) in each of six turns."""
    first, second = module.kuramoto_data(np.array([0.0, start]), np.array([TURN, TURN]), coupling, 0.0, STEP, STEPS)
    return [round(float(v), 3) for v in np.abs(first - second).reshape(6, -1).max(axis=1)]


def kuramoto(start):
    phases, signals = np.array([0.0, start]), []
    for _ in range(STEPS):
        signals.append(np.sin(phases))
        mean = np.exp(1j * phases).mean()
        phases = phases + STEP * (TURN + COUPLING * abs(mean) * np.sin(np.angle(mean) - phases))
    first, second = np.array(signals).T
    return [round(float(v), 3) for v in np.abs(first - second).reshape(6, -1).max(axis=1)]


print("multiSyncPy", version("multiSyncPy"))
near, turned = apart(0.1, COUPLING), apart(TURN + 0.1, COUPLING)
for name, start, seen in (("0.1", 0.1, near), ("2 pi + 0.1", TURN + 0.1, turned)):
    print(f"{name} apart: expected differences {kuramoto(start)} in six turns, seen {seen}")
alone = apart(TURN + 0.1, 0.0)
print(f"2 pi + 0.1 apart without coupling: {alone}")
rate = math.log(near[0] / near[2]) / 2
print(f"rate at which the pair 0.1 apart meets: expected {COUPLING}, seen {rate:.2f}")
same = max(alone) < 0.11 and max(turned) > 1.9 and turned[0] > 0.15 and abs(rate - math.sqrt(2) * COUPLING) < 0.05
sys.exit(0 if same and kuramoto(0.1) == kuramoto(TURN + 0.1) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/mirror.py"
