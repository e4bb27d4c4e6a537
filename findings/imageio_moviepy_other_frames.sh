#!/usr/bin/env bash
# Onset, apex and offset are frame numbers. imageio 2.38.1 (plugin FFMPEG) and moviepy 2.2.1 count other frames than the
# file has:
# - A recording whose rate falls from 30 to 15 for 2 s, as cameras do in dim light, has 150 frames. Both give 180, frames
#   twice in between, so that from there on number 100 is the file's frame 80. Nothing is said.
# - At 119.88 frames a second (120000/1001) moviepy reads the rate from a text that is cut to two decimals: 299 frames of
#   300, and get_frame(n / rate) of the true rate is frame n - 1 for most n.
# PyAV 18.1.0 gives the frames as they are. The frames carry their number as black and white bars.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile av==18.1.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 \
    moviepy==2.2.1 numpy==2.4.6
cat > "$work/count.py" <<'PYTHON'
import pathlib
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import imageio.v3 as imageio
import numpy as np
from moviepy import VideoFileClip

folder = pathlib.Path(sys.argv[1])


def bars(number):
    bits = [255 * (number >> bit & 1) for bit in range(10)]
    return np.repeat(np.array(bits, np.uint8), 16)[None].repeat(32, 0)


def number_of(picture):
    return sum(1 << bit for bit in range(10) if picture[16, 16 * bit + 8] > 127)


def write(name, rate, milliseconds=None, count=300):
    file = str(folder / name)
    with av.open(file, "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 160, 32, "gray"
        if milliseconds is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
            count = len(milliseconds)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(bars(number), format="gray")
            if milliseconds is not None:
                frame.pts, frame.time_base = int(milliseconds[number]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def frames(file):
    with av.open(file) as container:
        of_pyav = [number_of(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    of_imageio = [number_of(frame[..., 0]) for frame in imageio.imiter(file, plugin="FFMPEG")]
    with VideoFileClip(file) as clip:
        of_moviepy = [number_of(frame[..., 0]) for frame in clip.iter_frames()]
    return of_pyav, of_imageio, of_moviepy


print("PyAV", av.__version__, "imageio", version("imageio"), "moviepy", version("moviepy"))
times = np.concatenate([np.arange(60) / 30, 2 + np.arange(30) / 15, 4 + np.arange(60) / 30])
variable = frames(write("variable.mkv", 30, np.round(1000 * times)))
print("variable rate: expected 150 frames, number 100 is frame 100")
for name, seen in zip(("PyAV", "imageio", "moviepy"), variable):
    print(f"    {name}: {len(seen)} frames, number 100 is frame {seen[100]}")
rate = Fraction(120000, 1001)
file = write("fast.mkv", rate)
fast = frames(file)
with VideoFileClip(file) as clip:
    at = {number: number_of(clip.get_frame(number / float(rate))[..., 0]) for number in (46, 59, 100, 200)}
print(f"119.88 a second: expected 300 frames; PyAV {len(fast[0])}, imageio {len(fast[1])}, moviepy {len(fast[2])}; get_frame {at}")
same = [(len(seen), seen[100]) for seen in variable] == [(150, 100), (180, 80), (180, 80)]
same = same and [len(seen) for seen in fast] == [300, 300, 299] and all(seen == number - 1 for number, seen in at.items())
sys.exit(0 if same else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/count.py" "$work" 2> "$work/log" || { code=$?; tail -5 "$work/log"; exit "$code"; }
