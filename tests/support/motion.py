"""Data sets whose classes differ in the motion of their clips and in nothing else."""

import csv

import numpy as np

from htnet.core.types import EMOTIONS
from htnet.preprocess.flow.warp import displace
from tests.support.pairs import face, save
from tests.support.seeds import next_rng
from tests.support.videos import write_video

SIDE = 64
#: Where the corner of the mouth on the image's left moves: right, down, left.
WAYS = ((1, 0), (0, 1), (-1, 0))
COLUMNS = ("sample", "dataset", "subject", "label", "onset", "apex", "clip", "clip_first", "clip_last")


def moving_frames(label, rng, count=5):
    """A face whose left corner of the mouth moves one of `WAYS`: ``count`` RGB frames, the first at rest."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    spot = np.exp(-((x - 0.32) ** 2 + (y - 0.73) ** 2) / 0.03) * rng.uniform(2.0, 3.0)
    field = np.stack([WAYS[label][0] * spot, WAYS[label][1] * spot])
    first = (face(SIDE).astype(float) * rng.uniform(0.8, 1.0)).round().astype(np.uint8)
    return [first, *(displace(first, field * share) for share in np.linspace(0, 1, count)[1:])]


def brow_pair(first):
    """Onset and apex of every sample, of whatever class: both brows go down."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    down = sum(np.exp(-((x - at) ** 2 + (y - 0.2) ** 2) / 0.02) for at in (0.28, 0.7)) * 1.5
    return first, displace(first, np.stack([0 * down, down]))


def write_moving_set(root, subjects=4, per_class=3):
    """A manifest of clips; classes cannot be told from onset and apex. Returns its path.

    Every second clip is a video, with a frame too many at both ends; the others are folders, with one too many too.
    """
    rng = next_rng()
    rows = []
    for i in range(subjects * per_class * 3):
        label, name = i % 3, f"s{i:02d}"
        frames = moving_frames(label, rng)
        onset, apex = brow_pair(frames[0])
        around = [face(SIDE)[::-1], *frames, face(SIDE)[:, ::-1]]
        if i % 2:
            clip, first, last = write_video(root / f"{name}.avi", around), "1", str(len(frames))
        else:
            clip = root / name
            files = [save(clip / f"img{n}.png", frame) for n, frame in enumerate(around, start=8)]
            first, last = files[1].name, files[-2].name
        save(root / f"{name}_onset.png", onset)
        save(root / f"{name}_apex.png", apex)
        files = (f"{name}_onset.png", f"{name}_apex.png", clip.name)
        rows.append((name, "own", f"p{i // (3 * per_class)}", EMOTIONS[label], *files, first, last))
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, *rows])
    return root / "manifest.csv"
