#!/usr/bin/env bash
# An annotation tool scrubs through a clip and then reads its frames. acvr 0.1.0 ("accurate video reader") has one cache for
# all of its read modes, which decode to different arrays: video[k] gives RGB, read_frame(mode="fast") BGR, and mode="scrub"
# the planes of YUV 4:2:0, of shape (H * 3 / 2, W). The cache keeps whichever came first. With decoded_frame_cache_size > 0,
# video[20] is therefore RGB, or BGR if the frame was read with "fast" before, or the planes if it is a keyframe that was
# scrubbed to. A red cheek becomes blue, and a crop of the planes is a gray picture. Expected was the same array from video[k],
# whatever was read before, as without a cache (the default). There is no warning.
# Exits 0 if it is so, 1 if it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile acvr==0.1.0 av==18.1.0 numpy==2.2.6
"$work/venv/bin/python" -W error - "$work/clip.mp4" <<'PYTHON'
import sys
from importlib.metadata import version

import av
import numpy as np
from acvr import VideoReader

CHEEK = (200, 120, 90)
path = sys.argv[1]
with av.open(path, "w") as container:
    stream = container.add_stream("libx264", rate=25, options={"crf": "1", "g": "20"})
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for _ in range(40):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), CHEEK, np.uint8), "rgb24")))
    container.mux(stream.encode())

print("acvr", version("acvr"), "PyAV", av.__version__)


def seen(cache, before):
    with VideoReader(path, build_index=True, decoded_frame_cache_size=cache) as video:
        if before:
            video.read_frame(index=20, mode=before)
        frame = video[20]
    return frame.shape, tuple(int(value) for value in np.atleast_1d(frame[32, 32]))


def near(value, color):
    return value[0] == (64, 64, 3) and np.abs(np.subtract(value[1], color)).max() <= 3


same = True
for cache in (0, 16):
    plain, fast, scrub = (seen(cache, before) for before in (None, "fast", "scrub"))
    print(f"cache of {cache} frames, video[20]: expected (64, 64, 3) {CHEEK}; first {plain}, after fast {fast}, after scrub {scrub}")
    same = same and near(plain, CHEEK)
    if cache:
        same = same and near(fast, CHEEK[::-1]) and scrub[0] == (96, 64)
    else:
        same = same and near(fast, CHEEK) and near(scrub, CHEEK)
sys.exit(0 if same else "the behavior has changed")
PYTHON
