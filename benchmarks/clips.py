"""Generated clips of a face that shows one micro-expression, whose onset, apex and offset are known.

The face is scikit-image's public-domain portrait, moved only by the displacement fields of
`benchmarks.action_units`. What varies from clip to clip is drawn from one seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.action_units import CROP, FACE_SIZE, UNITS, displacement, face_crop
from htnet.core.types import ByteArray, FloatArray, Frame
from htnet.preprocess.flow.warp import sample_cubic

#: Pixels around the face of `FACE_SIZE`, so a drifting head brings no border into it.
MARGIN = 16
SIDE = FACE_SIZE + 2 * MARGIN

Floats = npt.NDArray[np.float64]


def _minimum_jerk(x: Floats) -> Floats:
    return x**3 * (10 - 15 * x + 6 * x**2)


#: Ways from 0 to 1 whose slope is 0 at both ends.
RISES = {
    "cosine": lambda x: (1 - np.cos(np.pi * x)) / 2,
    "cubic": lambda x: x**2 * (3 - 2 * x),
    "minimum jerk": _minimum_jerk,
}


@dataclass(frozen=True, eq=False)
class Clip:
    """One generated clip.

    Attributes:
        frames: (N, 256, 256) uint8, gray; the face of 224 px lies in the middle of the first.
        points: (5, 2) float32, the five points in px of the first frame.
        onset: last frame before the face moves.
        apex: frame of the strongest expression.
        offset: first frame at rest again; the last frame where the clip ends earlier.
        fps: frames per second.
        unit: the action unit.
        peak_px: its longest displacement at the apex, px of the 224 px face; 0 where nothing moves.
        course: (N,) share of the expression, 0..1.
    """

    frames: ByteArray
    points: FloatArray
    onset: int
    apex: int
    offset: int
    fps: float
    unit: str
    peak_px: float
    course: Floats

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def rgb(self) -> Iterator[Frame]:
        """The frames in RGB, one at a time."""
        for number, gray in enumerate(self.frames):
            yield Frame(np.repeat(gray[..., None], 3, axis=2), f"clip frame {number}", number)


def random_clip(seed: int, *, still: bool = False) -> Clip:
    """A clip of 40 to 150 frames at 50 to 200 fps; the expression lasts 0.15 to 0.5 s.

    Drawn at random: the unit, its peak (1 to 3 px), the times and shapes of rise and fall (a rise takes 30 to 60%
    of the expression), sensor noise (sd 1 to 3 gray levels), light (up to 3% over the clip), and slow head drift:
    a straight and a swaying part in translation (each up to 4 px), turn (0.8 degrees) and size (0.8%).

    Args:
        seed: of everything that is random.
        still: no expression, all else as usual.
    """
    rng = np.random.default_rng(seed)
    length, onset, apex, offset, fps = _times(rng)
    rise, fall = (RISES[name] for name in rng.choice(sorted(RISES), 2))
    t = np.arange(length)
    course = np.where(
        t <= apex,
        rise(((t - onset) / (apex - onset)).clip(0, 1)),
        fall(((offset - t) / (offset - apex)).clip(0, 1)),
    )
    unit = str(rng.choice(sorted(UNITS)))
    peak = float(rng.uniform(1, 3)) * (not still)
    field = np.zeros((2, SIDE, SIDE), np.float32)
    base, points = _portrait()
    if peak:
        field = displacement(unit, points, (SIDE, SIDE), peak)
    frames = _render(base, field, course, _drift(rng, length), rng)
    return Clip(frames, points, onset, apex, min(offset, length - 1), fps, unit, peak, course)


def _times(rng: np.random.Generator) -> tuple[int, int, int, int, float]:
    """Length, onset, apex, offset in frames, and the rate: drawn until they fit together."""
    while True:
        length, fps = int(rng.integers(40, 151)), float(rng.uniform(50, 200))
        duration = rng.uniform(0.15, 0.5) * fps
        before = int(rng.integers(0, length))
        apex = before + round(duration * rng.uniform(0.3, 0.6))
        offset = before + round(duration)
        # The apex needs neighbors to be one; a fall may be cut off, as clips of this field are.
        if apex - before >= 3 and offset - apex >= 3 and apex <= length - 8:
            return length, before, apex, offset, fps


def _portrait() -> tuple[FloatArray, FloatArray]:
    """The portrait with a margin, (SIDE, SIDE) float32, gray; and the five points in its px."""
    import cv2
    from skimage.data import astronaut

    left, top, side = CROP
    scale = FACE_SIZE / side
    shift = 0.5 * scale - 0.5 + MARGIN  # cv2.resize keeps the corners of the pixels in place
    matrix = np.array([[scale, 0, shift - left * scale], [0, scale, shift - top * scale]])
    color = cv2.warpAffine(astronaut(), matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
    return cv2.cvtColor(color, cv2.COLOR_RGB2GRAY).astype(np.float32), face_crop()[1] + MARGIN


def _drift(rng: np.random.Generator, length: int) -> Floats:
    """(length, 4): x, y (px), turn (radians), growth of the head, all 0 at first."""
    at = np.arange(length)[:, None] / length
    size = np.array([4.0, 4.0, np.deg2rad(0.8), 0.008])
    straight, sway = rng.uniform(-1, 1, (2, 4)) * size
    phase = rng.uniform(0, 2 * np.pi, 4)
    turns = rng.uniform(0.3, 1.0, 4)
    wave = np.sin(2 * np.pi * turns * at + phase) - np.sin(phase)
    return straight * at + sway / 2 * wave


def _render(base: FloatArray, field: FloatArray, course: Floats, drift: Floats, rng: np.random.Generator) -> ByteArray:
    """Each frame looks up the portrait where its pixels came from: back through the drift, then the expression."""
    import cv2

    image = torch.from_numpy(base)[None, None]
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    center = (SIDE - 1) / 2
    gain = 1 + rng.uniform(-0.03, 0.03) * np.arange(len(course)) / len(course)
    noise = rng.uniform(1, 3)
    frames = np.empty((len(course), SIDE, SIDE), np.uint8)
    for i, (share, (dx, dy, turn, growth)) in enumerate(zip(course.tolist(), drift.tolist(), strict=True)):
        cos, sin = math.cos(turn) / (1 + growth), math.sin(turn) / (1 + growth)
        away_x, away_y = x - (center + dx), y - (center + dy)
        to_x, to_y = cos * away_x + sin * away_y + center, cos * away_y - sin * away_x + center
        from_x, from_y = to_x, to_y
        for _ in range(4 if share > 0 and field.any() else 0):  # x = to - share * field(x), by fixed point
            # The field is smooth, so linear sampling will do.
            moved = [
                cv2.remap(plane, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for plane in field
            ]
            from_x, from_y = to_x - share * moved[0], to_y - share * moved[1]
        places = torch.from_numpy(np.stack([from_x, from_y]))[:, None]
        picture = sample_cubic(image, *places)[0, 0].numpy() * gain[i]
        picture += noise * rng.standard_normal(picture.shape, dtype=np.float32)
        frames[i] = np.rint(picture).clip(0, 255).astype(np.uint8)
    return frames
