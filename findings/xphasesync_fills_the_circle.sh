#!/usr/bin/env bash
# Two people who smile at each other, or the two halves of a face, are compared by the phases of their curves: how constant the
# difference is, and which follows which by how much. xphasesync 0.1.0 gives the index (PSI) and the histogram of the differences. By
# default (bins=50, a number) the bins span the differences that occur, but are labeled as if they spanned the circle. Two smiles of
# which one follows the other by 0.3 rad, with a spread of 0.1 rad, have a PSI of 0.995 and a histogram that fills the whole circle, with
# its peak near -3.1 rad: opposite phases. A lag of 1.2 rad gives the same histogram. Its integral is 22 in place of 1. Expected was a
# peak at the lag; bins given as edges from -pi to pi give it, and PSI is right.
# Exits 0 if it is so, 1 if it has changed. The curves are made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps xphasesync==0.1.0 numpy==2.2.6 scipy==1.15.3 \
    xarray==2025.6.1 pandas==2.3.3 packaging==25.0 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/phases.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import xarray as xr
from xphasesync import xphasesync

print("xphasesync", version("xphasesync"))
time = np.arange(3000) / 30
edges = np.linspace(-np.pi, np.pi, 51)
spread = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 0.07 * time)
one = xr.DataArray(np.sin(2 * np.pi * 0.5 * time), dims="time")
seen = {}
for lag in (0.3, 1.2):
    other = xr.DataArray(np.sin(2 * np.pi * 0.5 * time - lag + spread), dims="time")
    for name, bins in (("default", 50), ("edges", edges)):
        found = xphasesync(one, other, bins=bins)
        share = found.Hist.values / found.Hist.values.sum()
        centers = found.bins.values
        seen[lag, name] = float(centers[share.argmax()]), abs(share @ np.exp(1j * centers)), float(found.Hist.sum() * (centers[1] - centers[0]))
        print(f"lag {lag} rad, {name}: PSI {float(found.PSI):.3f}; histogram: expected a peak near {lag}, seen {seen[lag, name][0]:.2f}", end="; ")
        print("expected PSI {:.3f}, seen {:.3f}; expected integral 1, seen {:.1f}".format(float(found.PSI), *seen[lag, name][1:]))
wrong, right = [seen[lag, "default"] for lag in (0.3, 1.2)], [(lag, *seen[lag, "edges"]) for lag in (0.3, 1.2)]
same = all(abs(peak) > 2.9 and index < 0.5 and integral > 20 for peak, index, integral in wrong)
same = same and all(abs(peak - lag) < 0.25 and index > 0.98 and abs(integral - 1) < 1e-6 for lag, peak, index, integral in right)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/phases.py"
