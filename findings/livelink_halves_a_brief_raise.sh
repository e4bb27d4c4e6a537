#!/usr/bin/env bash
# Phones and engines exchange facial curves in Live Link Face's format. PyLiveLinkFace 0.1 writes and reads it:
# - set_blendshape stores the mean of the last five values. A brow raise of five frames, 0.3 0.6 0.9 0.6 0.3, goes out as
#   0.54 at its highest, two frames late and nine frames long. Expected was the value that was set; no_filter=True
#   gives it.
# - The frame number is made of the clock (with timecode 1.5.1), but of the milliseconds only what stands after the point counts, as
#   a fraction of a second: at 60 frames a second the frames of each second are numbered 0, 40, 20, 0, 40, 20 and so
#   on. Expected were 0, 1, 2. Order frames by arrival, not by number.
# Exits 0 if it is so, 1 if it has changed. The clock is set by the script.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile PyLiveLinkFace==0.1 timecode==1.5.1
cat > "$work/raise.py" <<'PYTHON'
import datetime
import sys
from importlib.metadata import version
from types import SimpleNamespace

from pylivelinkface import FaceBlendShape, PyLiveLinkFace, pylivelinkface


def sent(source):
    return PyLiveLinkFace.decode(source.encode())[1]


print("PyLiveLinkFace", version("PyLiveLinkFace"), "timecode", version("timecode"))
source, plain, brow = PyLiveLinkFace(), PyLiveLinkFace(), FaceBlendShape.BrowInnerUp
curve, got, unfiltered = [0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 0.6, 0.9, 0.6, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [], []
for value in curve:
    source.set_blendshape(brow, value)
    plain.set_blendshape(brow, value, no_filter=True)
    got.append(round(sent(source).get_blendshape(brow), 2))
    unfiltered.append(round(sent(plain).get_blendshape(brow), 2))
print("set ", curve)
print("sent", got)

numbers = []
for frame in range(6):
    now = datetime.datetime(2026, 1, 1, 12, 0, 0, round(frame * 1e6 / 60))
    pylivelinkface.datetime = SimpleNamespace(datetime=SimpleNamespace(now=lambda now=now: now))
    numbers.append(sent(source)._frames)
numbers = [number - numbers[0] for number in numbers]
print("frame numbers of six frames in a row at 60 frames a second:", *numbers)
same = max(got) == 0.54 and got.index(0.54) == curve.index(0.9) + 2 and sum(v > 0 for v in got) == 9 and unfiltered == curve
sys.exit(0 if same and numbers == [0, 40, 20, 0, 40, 20] else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/raise.py"
