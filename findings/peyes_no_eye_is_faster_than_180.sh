#!/usr/bin/env bash
# The speed of a gaze tells saccades from fixations, and peak velocity against amplitude ("main sequence") tells fatigue and palsies. peyes 0.2.2's
# events have velocities(unit="deg"), "distance per second", and peak_velocity, "visual degree / second". It computes pixels a second, and then the
# visual angle that so many pixels would have as one length on the screen, 2 atan(length / (2 distance)). An angle is below 180 degrees
# however long the line, so no saccade is faster than 180 degrees a second, and the faster the more is missing: peaks of 100, 300 and 500 degrees
# a second are 82, 138 and 154. Of saccades of 2 to 20 degrees, whose peaks rise 5 times, it sees a rise by 1.9. Accelerations are cut in the
# same way: all of them, ten or twenty thousand degrees a second squared, are 178 or 179. Amplitudes are right, and so is the speed in px/s.
# Expected was the angle between two samples, over the time between them. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The saccades are made up, at 1000 Hz, 60 cm and 0.028 cm a pixel. Its module of events is loaded
# without its detectors and plots; the package asks for Python 3.12, which this module does not need.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --ignore-requires-python peyes==0.2.2 numpy==2.2.6 \
  pandas==2.3.3 python-dateutil==2.9.0.post0 pytz==2025.2 tzdata==2025.2 six==1.17.0
cat > "$work/speed.py" <<'PYTHON'
import sys
import sysconfig
from importlib.metadata import version
from types import ModuleType

import numpy as np

package = ModuleType("peyes")
package.__path__ = [f"{sysconfig.get_path('purelib')}/peyes"]
sys.modules["peyes"] = package
from peyes._DataModels.Event import BaseEvent
from peyes._DataModels.EventLabelEnum import EventLabelEnum

FAR, PIXEL = 60.0, 0.028


def saccade(amplitude, peak):
    """Times (ms), degrees and pixels of a saccade across the middle of the screen, of minimal jerk."""
    duration = 1.875 * amplitude / peak
    t = np.arange(0, round(duration * 1000) + 1)
    part = np.clip(t / 1000 / duration, 0, 1)
    degrees = amplitude * (10 * part**3 - 15 * part**4 + 6 * part**5 - 0.5)
    return t.astype(float), degrees, FAR * np.tan(np.radians(degrees)) / PIXEL


print("peyes", version("peyes"))
promised = "visual degree / second" in BaseEvent.peak_velocity.__doc__
seen, right = [], []
for amplitude, peak in ((2, 100), (5, 200), (8, 300), (14, 420), (20, 500)):
    t, degrees, x = saccade(amplitude, peak)
    event = BaseEvent.make(EventLabelEnum.SACCADE, t, x, np.zeros_like(x), np.full_like(x, 3.0), FAR, PIXEL)
    seen.append(float(event.peak_velocity))
    right.append(float((np.diff(degrees) / np.diff(t / 1000)).max()))
    fastest = float(np.nanmax(np.abs(event.accelerations(unit="deg"))))
    true = float(np.abs(np.diff(degrees, 2)).max() * 1e6)
    print(f"{amplitude} degrees (seen {event.amplitude:.1f}): peak expected {right[-1]:.0f}, seen {seen[-1]:.0f} degrees/s", end="; ")
    print(f"acceleration expected {true:.0f}, seen {fastest:.0f} degrees/s2")
    promised = promised and abs(event.amplitude - amplitude) < 0.3 and true > 5000 and fastest <= 180
print(f"from the smallest to the largest, peaks rise by: expected {right[-1] / right[0]:.1f}, seen {seen[-1] / seen[0]:.1f}")
same = promised and max(seen) < 160 and seen[-1] / seen[0] < 2 and right[-1] / right[0] > 4.5 and seen == sorted(seen)
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" -W ignore "$work/speed.py"
