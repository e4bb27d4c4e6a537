"""Memory does not grow with the length of a recording, but for the rows of numbers."""

import subprocess
import sys

import av
import cv2
import pytest
from skimage.data import astronaut

RUN = """
import resource, sys
import cv2
cv2.setNumThreads(1)
from htnet.recordings import recording_curves
for path in sys.argv[1:]:
    found = recording_curves(path)
    rows = sum(len(track) for track in found.tracks)
    print(found.frames, rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def long_video(path, frames):
    """960 x 540 px of a face that goes to and fro by 2 px."""
    picture = cv2.resize(astronaut()[:288], (960, 540))
    moved = picture.copy()
    moved[:, 2:] = picture[:, :-2]
    shown = [av.VideoFrame.from_ndarray(p, format="rgb24").reformat(format="yuv420p") for p in (picture, moved)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "28"})
        stream.height, stream.width, stream.pix_fmt = 540, 960, "yuv420p"
        for number in range(frames):
            frame = shown[number % 2]
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(tmp_path):
    lengths, used = (60, 560), []
    paths = [str(long_video(tmp_path / f"{frames}.mp4", frames)) for frames in lengths]
    done = subprocess.run([sys.executable, "-c", RUN, *paths], capture_output=True, text=True, check=True)
    for frames, line in zip(lengths, done.stdout.splitlines(), strict=True):
        read, rows, peak = map(int, line.split())
        assert read == rows == frames, "one face in every frame"
        used.append(peak / 1024)
    # A row has about 1 kB; one frame held of ten would be 78 MB.
    assert used[1] < used[0] + 15
