#!/usr/bin/env bash
# Cameras are recorded beside physiology by Lab Streaming Layer, one sample a frame with the frame's number and time (XDF
# files). pyxdf 1.17.5's load_xdf replaces these times: by default (dejitter_timestamps) it puts a straight line through
# them, and begins a new one only after a pause of more than 1 s and 500 samples. A camera at 200 frames a second that
# loses 120 frames (0.6 s) comes out without a gap, at 171 frames a second, with frames up to 310 ms from their time,
# more than a micro-expression lasts; only a log line tells that the rate is another. Losing 10 frames moves them by up to
# 27 ms. dejitter_timestamps=False gives the times as they were written.
# Exits 0 if it is so, 1 if it has changed. The file is written here by the published layout of XDF 1.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pyxdf==1.17.5 numpy==2.4.6
cat > "$work/camera.py" <<'PYTHON'
import pathlib
import struct
import sys
from importlib.metadata import version

import numpy as np
import pyxdf

file = pathlib.Path(sys.argv[1])
RATE = 200


def chunk(tag, content):
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def xml(**fields):
    return ("<?xml version='1.0'?><info>" + "".join(f"<{k}>{v}</{k}>" for k, v in fields.items()) + "</info>").encode()


def write(numbers, times):
    stream = struct.pack("<I", 1)
    head = xml(name="camera", type="VideoFrame", channel_count=1, nominal_srate=RATE, channel_format="int32", created_at=0)
    samples = b"".join(b"\x08" + struct.pack("<di", t, n) for n, t in zip(numbers.tolist(), times.tolist()))
    foot = xml(first_timestamp=times[0], last_timestamp=times[-1], sample_count=len(times))
    file.write_bytes(
        b"XDF:"
        + chunk(1, xml(version="1.0"))
        + chunk(2, stream + head)
        + chunk(3, stream + b"\x04" + struct.pack("<I", len(times)) + samples)
        + chunk(6, stream + foot)
    )


print("pyxdf", version("pyxdf"))
errors, gaps = {}, {}
for lost in (0, 10, 120):
    numbers = np.array([n for n in range(1200) if not 500 <= n < 500 + lost])
    times = 10 + numbers / RATE
    write(numbers, times)
    (camera,), _ = pyxdf.load_xdf(str(file))
    (raw,), _ = pyxdf.load_xdf(str(file), dejitter_timestamps=False)
    assert np.array_equal(camera["time_series"][:, 0], numbers)
    if not np.array_equal(raw["time_stamps"], times):
        sys.exit("the behavior has changed")
    errors[lost] = 1000 * float(abs(camera["time_stamps"] - times).max())
    gaps[lost] = 1000 * float(np.diff(camera["time_stamps"]).max())
    true = 1000 * np.diff(times).max()
    print(f"{lost} frames lost: gap expected {true:.0f} ms, seen {gaps[lost]:.1f} ms; frames up to {errors[lost]:.0f} ms off")
sys.exit(0 if errors[0] < 0.01 and errors[10] > 5 and errors[120] > 250 and gaps[120] < 10 else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/camera.py" "$work/camera.xdf"
