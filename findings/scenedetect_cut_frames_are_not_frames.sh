#!/usr/bin/env bash
# Recordings are split at their cuts, since nothing may be compared across one. PySceneDetect 0.7.2 tells a cut by its time and
# by a frame number (FrameTimecode.frame_num), and both are right while the rate is steady. After one pause of two seconds, as
# cameras and screen recorders make them, the times are still right, but the cut at frame 50 of the file is called frame 80 by
# its backend "opencv" and frame 100 by its backend "pyav", which counts 250 frames in place of 200: the number is
# the time over a rate that each of them takes otherwise. Frames of a folder, or a table of curves, cut there mix two shots.
# Expected was the number of the first frame of the new shot.
# Exits 0 if it is so, 1 if it has changed. The video is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile opencv-python-headless==5.0.0.93 av==18.1.0 numpy==2.2.6 \
    click platformdirs tqdm
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps scenedetect==0.7.2
cat > "$work/cut.py" <<'PYTHON'
import logging
import os
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import numpy as np
from scenedetect import ContentDetector, SceneManager, open_video

logging.disable(logging.WARNING)
av.logging.set_level(None)
PATH, FRAMES, CUT = os.path.join(os.path.dirname(__file__), "clip.mp4"), 200, 50
rng = np.random.default_rng(0)
SHOTS = [rng.integers(0, 255, (8, 8, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(2)]


def write(pause_after):
    """25 frames a second, another picture from `CUT` on; the time of the cut in seconds."""
    with av.open(PATH, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        at = cut_at = 0
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(SHOTS[number >= CUT], format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
            cut_at = at if number == CUT else cut_at
            at += 2040 if number == pause_after else 40
        container.mux(stream.encode())
    return cut_at / 1000


print("PySceneDetect", version("scenedetect"), "OpenCV", version("opencv-python-headless"), "PyAV", av.__version__)
seen = {}
for pause in (None, 20):
    true = write(pause)
    for backend in ("opencv", "pyav"):
        manager = SceneManager()
        manager.add_detector(ContentDetector())
        manager.detect_scenes(open_video(PATH, backend=backend))
        (_, _), (cut, end) = manager.get_scene_list()
        seen[pause, backend] = cut.frame_num, end.frame_num
        print(
            f"{'a pause' if pause else 'steady'}, {backend}: cut at {cut.seconds:.2f} s (true {true:.2f}), frame {cut.frame_num} "
            f"(true {CUT}), {end.frame_num} frames (true {FRAMES})"
        )
        if abs(cut.seconds - true) > 0.021:
            sys.exit("the behavior has changed")
same = seen[None, "opencv"] == seen[None, "pyav"] == (CUT, FRAMES)
sys.exit(0 if same and seen[20, "opencv"] == (80, 200) and seen[20, "pyav"] == (100, 250) else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/cut.py"
