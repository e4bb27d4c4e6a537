#!/usr/bin/env bash
# Onset, apex and offset are frame numbers. PIMS 0.7's pims.open and pims.Video (PyAVReaderTimed, with PyAV 18.1.0) count by
# time stamps over the mean rate. Where a recording pauses once for a second, as cameras and screen recorders do, frames 14
# to 17 of 60 are all the frame at the pause, and frame 18 is frame 2 again, so that 3 to 20 come twice; nothing is said.
# Flow between neighbors then shows an expression that runs backward. Expected was frame k of the file, as
# pims.PyAVReaderIndexed gives it, or the frame shown at k over the rate.
# Exits 0 if it is so, 1 if it has changed. The video is made up: frame k has a level of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile pims==0.7 av==18.1.0 numpy==2.2.6
cat > "$work/pause.py" <<'PYTHON'
import os
import sys
import warnings
from fractions import Fraction

import av
import numpy as np

warnings.simplefilter("ignore")
import pims  # noqa: E402

PATH, FRAMES = os.path.join(os.path.dirname(__file__), "clip.mp4"), 60


def write(pause_after):
    """25 frames a second; after one frame there may be a second more."""
    with av.open(PATH, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        at = 0
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 40 + 3 * number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
            at += 1040 if number == pause_after else 40
        container.mux(stream.encode())
    with av.open(PATH) as container:
        return np.array([frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)])


def which(image, levels):
    return int(np.abs(levels - np.asarray(image).mean()).argmin())


print("PIMS", pims.__version__, "PyAV", av.__version__)
levels = write(pause_after=None)
steady = [which(image, levels) for image in pims.open(PATH)]
levels = write(pause_after=20)
video = pims.open(PATH)
paused = [which(video[k], levels) for k in range(len(video))]
indexed = pims.PyAVReaderIndexed(PATH)
right = [which(indexed[k], levels) for k in range(len(indexed))]
print("steady rate:", "each frame is itself" if steady == list(range(FRAMES)) else steady)
print("one pause, in a row:", *paused)
back = sum(b < a for a, b in zip(paused, paused[1:], strict=False))
print("steps back in time:", back)
same = steady == right == list(range(FRAMES)) and back > 0 and len(set(paused)) < FRAMES
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/pause.py"
