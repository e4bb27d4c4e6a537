#!/usr/bin/env bash
# The most frequent movement of a gaze on a face is the horizontal one from eye to eye. PyEyeSim 0.4.0 compares scanpaths by the directions of
# their saccades ("saccade direction based"). SaccadeLine.Angle divides the way along x by the length, which is cut to whole pixels. If
# the way is longer than that, there is no angle (arccos of 1.005), and SaccadeSel leaves the saccade out. Between fixations whose positions
# are means, with fractions, 84 % of the saccades within 5 degrees of the horizontal are lost (60 to 200 px long), and none of the steep ones.
# CalcSim counts two saccades as alike whose angles differ by less than 5 degrees, and adds 180 degrees to compare opposite directions too, first
# subtracting 180 from angles above 180 and then adding it to all below, these included. So a saccade of 180 to 360 degrees counts twice for
# the same direction and not for the opposite one: two people with one saccade, the same, have a similarity of 0.5 if it goes down the
# picture, and 1.0 if it goes up. 1 and 359 degrees are not alike.
# Expected were the angles of numpy.arctan2, and the same similarity for equal paths in each direction. NumPy's warning of an invalid value is all.
# Exits 0 if it is so, 1 if it has changed. The fixations are drawn at random. Its drawing and its filters are empty modules.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps PyEyeSim==0.4.0 numpy==2.2.6 pandas==2.3.3 \
  python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/saccades.py" <<'PYTHON'
import contextlib
import io
import sys
from importlib.metadata import version
from types import ModuleType

import numpy as np
import pandas as pd


class Anything(ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)

    def __call__(self, *_, **__):
        return self


for name in ("matplotlib", "matplotlib.pyplot", "matplotlib.patches", "matplotlib.ticker", "scipy", "scipy.stats", "scipy.ndimage"):
    sys.modules[name] = Anything(name)
from PyEyeSim import EyeData
from PyEyeSim.scanpathsimhelper import CalcSim, SaccadeLine

print("PyEyeSim", version("PyEyeSim"))
rng = np.random.default_rng(0)
lost = {}
for low, high in ((0, 5), (10, 20), (30, 90)):
    length, angle = rng.uniform(60, 200, 2000), np.radians(rng.uniform(low, high, 2000))
    starts = rng.uniform(0, 500, (2000, 2))
    ends = starts + np.column_stack((length * np.cos(angle), length * np.sin(angle)))
    found = np.array([SaccadeLine(saccade).Angle() for saccade in np.column_stack((starts, ends))])
    lost[low] = float(np.isnan(found).mean())
    print(f"{low} to {high} degrees from the horizontal: expected 0 % without an angle, seen {lost[low]:.0%}")


def kept(place):
    """Saccades that the comparison gets, in its grid, of a gaze that goes from one place to another and back, six times."""
    path = np.tile([(500.2, 400.1), place], (6, 1))
    rows = [(who, face, *point) for who in ("A", "B") for face in ("1", "2") for point in path]
    with contextlib.redirect_stdout(io.StringIO()):
        data = EyeData("faces", "within", pd.DataFrame(rows, columns=["subjectID", "Stimulus", "mean_x", "mean_y"]), 1280, 1024)
        data.GetParams()
        data.boundsX, data.boundsY = np.array([[0, 1280]] * 2), np.array([[0, 1024]] * 2)
        cells = data.SaccadeSel(data.GetSaccades(), 9, InferS=True)
    return sum(len(cell) for cell in cells[0, 0].ravel())


level, oblique, steep = (kept(place) for place in ((620.9, 400.4), (620.9, 470.4), (500.5, 520.9)))
print(f"saccades in cells of the grid: expected 20 or more, seen {level} to the other eye, {oblique} obliquely, {steep} to the mouth")
one = {angle: float(CalcSim(np.array([angle]), np.array([angle]))) / 2 for angle in (30.0, 90.0, 150.0, 210.0, 270.0, 330.0)}
other = {angle: float(CalcSim(np.array([angle]), np.array([(angle + 180) % 360]))) / 2 for angle in one}
print(f"equal saccades: expected one similarity, seen {one}")
print(f"opposite saccades: expected one similarity, seen {other}; 1 and 359 degrees: {CalcSim(np.array([1.0]), np.array([359.0]))}")
same = lost[0] > 0.8 and lost[30] == 0 and level == 0 and oblique >= 20 and steep >= 20
same = same and list(one.values()) == [0.5] * 3 + [1.0] * 3 and list(other.values()) == [0.5] * 3 + [0] * 3
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/saccades.py"
