#!/usr/bin/env bash
# Markers on the face (palsy, speech) go from cameras to analysis as .trc files, whose header has the rate, and whose times many programs
# write with three decimals. pyomeca 2026.0.2 reads them (Markers.from_trc, with pandas_kwargs={"sep": "\t"}):
# - The rate is not the header's, but one over the first step of these times: 120 frames a second become 125, 240 become 250. Filters take
#   that rate, so that a low-pass at 6 Hz is one at 5.8 Hz, and frames counted by it are 4 % off. Expected was 120, as the file says.
# - interpolate_missing_data, documented as interpolation, sets what is missing at the beginning and the end to 0. A marker that is hidden
#   in the first frames is put into the origin of the laboratory and jumps from there, by 93 mm in one frame here. Expected was that it is left
#   missing, or as the nearest frame.
# - time_normalize(norm_time=True), which returns a new array, also overwrites the times of the array that it was given: 2 s become 0 to 99 for
#   whatever is done with the recording after it. And 99 is documented as 100.
# Nothing is said. Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of the format.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps pyomeca==2026.0.2 ezc3d==1.7.2 \
  numpy==2.2.6 scipy==1.15.3 pandas==2.3.3 xarray==2025.6.1 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0 packaging==25.0
cat > "$work/rate.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from pyomeca import Markers

path, NAMES = sys.argv[1], ("lip_left", "lip_right")


def read(rate, hidden=0):
    """Two markers for 2 s; the first `hidden` frames of the first are missing."""
    frames = 2 * rate
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{len(NAMES)}\tmm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(NAMES) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{number + 1}" for number in range(len(NAMES)) for axis in "XYZ"),
        "",
    ]
    for frame in range(frames):
        places = ["\t\t" if frame < hidden and name == "lip_left" else "80.000\t40.000\t25.000" for name in NAMES]
        lines.append(f"{frame + 1}\t{frame / rate:.3f}\t" + "\t".join(places))
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")
    return Markers.from_trc(path, pandas_kwargs={"sep": "\t"})


print("pyomeca", version("pyomeca"))
rates = {rate: float(read(rate).attrs["rate"]) for rate in (100, 120, 200, 240)}
print("rates: expected as in the header, seen", rates)
markers = read(120, hidden=10)
left = markers.sel(channel="lip_left").values[:3]
assert np.isnan(left[:, :10]).all() and not np.isnan(left[:, 10:]).any()
filled = markers.meca.interpolate_missing_data().sel(channel="lip_left").values[:3]
jump = float(np.linalg.norm(filled[:, 10] - filled[:, 9]))
print(f"a marker hidden in frames 0 to 9, filled: frame 9 {filled[:, 9]}, frame 10 {filled[:, 10]}, {jump:.1f} mm in one frame")
before = float(markers.time[-1])
normal = markers.meca.time_normalize(norm_time=True)
after = float(markers.time[-1])
print(f"last time of the recording: before {before:.3f}, after time_normalize of it {after:.3f}; of the result {float(normal.time[-1]):.0f}")
same = rates == {100: 100, 120: 125, 200: 200, 240: 250} and (filled[:, :10] == 0).all() and 90 < jump < 95
sys.exit(0 if same and 1.9 < before < 2 and after == 99 == float(normal.time[-1]) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/rate.py" "$work/markers.trc"
