"""Drawn people: proportions, colors and what they wear, each from a number of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess import MEAN_SHAPE_28
from htnet.synthesis.recordings.config import RecordingConfig
from htnet.synthesis.recordings.head import HeadShape
from htnet.synthesis.recordings.skin import EYES_APART

#: Skin, light to dark, RGB.
_SKINS = (
    *((244, 214, 193), (236, 196, 168), (224, 180, 148), (209, 160, 125), (190, 140, 104), (165, 117, 84)),
    *((138, 94, 66), (112, 74, 52), (88, 58, 42), (70, 46, 35)),
)
_HAIR = ((24, 20, 18), (46, 32, 24), (78, 52, 34), (120, 84, 52), (176, 138, 92), (150, 78, 44), (150, 148, 146))
_EYES = ((70, 44, 26), (96, 64, 36), (58, 38, 26), (92, 112, 84), (88, 116, 140), (110, 126, 132))
HAIR_STYLES = ("short", "long", "fringe", "bald", "receding", "buzzed")
BEARDS = ("none", "stubble", "moustache", "full", "goatee")
#: x, y, radii and height of each part of the relief, px of a 224 px face; mirrored where x is not 0.
_RELIEF = (
    *((0, 14, 8, 24, 11), (0, 40, 9, 18, 13), (0, 51, 12, 10, 10), (15, 58, 8, 8, 8), (38, -27, 26, 9, 5)),
    *((46, 1, 24, 13, -8), (62, 46, 26, 22, 7), (0, 87, 26, 6, 5), (0, 105, 22, 7, 5), (0, 121, 24, 6, -4)),
    *((0, 150, 22, 14, 8), (0, -70, 60, 34, 6), (98, -20, 18, 30, -7), (30, 78, 5, 18, -3)),
)
RELIEF_AT = (-130.0, -120.0, 1.0)
_RELIEF_SIZE = (300, 261)
#: Top of the hair, the row at which its dome begins, and half of the head's width there.
_TOP, _DOME, _WIDTH = -172.0, -52.0, 116.0


@dataclass(frozen=True, eq=False)
class DrawnFace:
    """A person who does not exist.

    Attributes:
        number: of the identity; everything follows from it.
        points: (68, 2) in the order of iBUG 300-W, px of a 224 px face from the middle between the eyes, at rest.
        shape: of the head.
        colors: RGB of ``skin``, ``hair``, ``eyes``, ``lips``, ``shirt``.
        hair: one of `HAIR_STYLES`.
        beard: one of `BEARDS`.
        glasses: whether it wears any.
        age: 0 without wrinkles, to 1.
        brows: strength of the brows, 0 to 1.
        makeup: strength of lipstick and of dark lids, 0 to 1.
        blotches: strength of uneven skin, moles and freckles, 0 to 1.
        seed: of the textures.
    """

    number: int
    points: Float64Array
    shape: HeadShape
    colors: dict[str, Float64Array]
    hair: str
    beard: str
    glasses: bool
    age: float
    brows: float
    makeup: float
    blotches: float
    seed: int

    @property
    def five(self) -> Float64Array:
        """The five points, (5, 2) px."""
        return five_points(self.points)


def five_points(points: Float64Array) -> Float64Array:
    """Middles of the eyes, tip of the nose and corners of the mouth of 68 points, (5, 2)."""
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def mean_points() -> Float64Array:
    """The mean face's 68 points, px of a 224 px face from the middle between the eyes, eyes level."""
    points = np.array(MEAN_SHAPE_28, dtype=np.float64)
    left, right = points[36:42].mean(0), points[42:48].mean(0)
    along = (right - left) / np.hypot(*(right - left))
    turn = np.array([[along[0], -along[1]], [along[1], along[0]]])
    return (points - (left + right) / 2) @ turn * (EYES_APART / np.hypot(*(right - left)))


def draw_face(number: int, config: RecordingConfig) -> DrawnFace:
    """The person of a number."""
    rng = np.random.default_rng([number, 0xFACE])
    points = _proportions(rng)
    # The template fixes the distance between the eyes of a 224 px face; what varies is everything else about it.
    points = (points - five_points(points)[:2].mean(0)) * (
        EYES_APART / np.hypot(*(five_points(points)[1] - five_points(points)[0]))
    )
    tone = rng.uniform(0, len(_SKINS) - 1)
    low = int(min(tone, len(_SKINS) - 2))
    skin = np.array(_SKINS[low]) * (1 - tone + low) + np.array(_SKINS[low + 1]) * (tone - low)
    skin = skin * rng.normal(1, 0.02, 3)
    dark = tone > 5
    hair = np.array(_HAIR[int(rng.integers(0, 2 if dark else len(_HAIR)))]) * rng.uniform(0.8, 1.2)
    makeup = float(max(0.0, rng.uniform(-1, 1)))
    red = np.array((186, 84, 84)) if makeup == 0 else np.array((196, rng.uniform(30, 90), rng.uniform(40, 100)))
    lips = skin * (0.62 - 0.3 * makeup) + red * (0.3 + 0.3 * makeup) * (0.6 + 0.4 * skin.mean() / 200)
    beard = str(rng.choice(BEARDS[1:])) if makeup == 0 and rng.random() < config.beard * 1.4 else "none"
    colors = {
        "skin": skin,
        "hair": hair,
        "eyes": np.array(_EYES[int(rng.integers(0, 3 if dark else len(_EYES)))]) * rng.uniform(0.8, 1.2),
        "lips": np.clip(lips, 10, 235),
        "shirt": rng.uniform(20, 220, 3),
    }
    return DrawnFace(
        number=number,
        points=points,
        shape=head_shape(points),
        colors=colors,
        hair=str(rng.choice(HAIR_STYLES, p=[0.32, 0.22, 0.16, 0.08, 0.12, 0.1])),
        beard=beard,
        glasses=bool(rng.random() < config.glasses),
        age=float(rng.uniform(0, 1) ** 1.5),
        brows=float(rng.uniform(0.35, 1)),
        makeup=makeup,
        blotches=float(rng.uniform(0.2, 1)),
        seed=int(rng.integers(2**31)),
    )


def _proportions(rng: np.random.Generator) -> Float64Array:
    """The 68 points of one person."""
    points = mean_points()
    normal = lambda size: float(np.clip(rng.normal(0, size), -2 * size, 2 * size))  # noqa: E731
    jaw, brows, nose, mouth = slice(0, 17), slice(17, 27), slice(27, 36), slice(48, 68)
    points[jaw] *= (1 + normal(0.045), 1 + normal(0.045))
    # A jaw that is wide or narrow below, more so toward the chin.
    lower = np.clip((points[jaw, 1] - 60) / 100, 0, 1)
    points[jaw, 0] *= 1 + normal(0.07) * lower
    points[brows] += (0, normal(3.0))
    points[brows, 1] += normal(3.0) * (np.abs(points[brows, 0]) - 52) / 30
    points[nose, 0] *= 1 + normal(0.12)
    points[nose, 1] *= 1 + normal(0.06)
    points[mouth, 0] *= 1 + normal(0.09)
    middle = 97 + normal(4.0)
    points[mouth, 1] = (points[mouth, 1] - 97) * (1 + normal(0.18)) + middle
    size, slant = 1 + normal(0.09), normal(1.5)
    for eye, sign in ((slice(36, 42), -1), (slice(42, 48), 1)):
        center = points[eye].mean(0)
        away = points[eye] - center
        away[:, 1] *= 1 + normal(0.12)
        away[:, 1] -= sign * slant * away[:, 0] / 24
        points[eye] = center + away * size
    return points


def head_shape(points: Float64Array) -> HeadShape:
    """The head whose jaw and nose lie where the 68 points say."""
    jaw = points[8:17][::-1]  # from the ear to the chin
    wide = points[16, 0] / 107.6
    rows = np.linspace(_TOP, jaw[-1, 1], 700)
    sides = np.interp(rows, [_DOME, -30.0, *jaw[:-2, 1]], [_WIDTH * wide, _WIDTH * wide, *jaw[:-2, 0]])
    width = np.convolve(np.pad(sides, 20, mode="edge"), np.ones(41) / 41, "valid")
    # The hair ends in a dome, the chin is round.
    start = int(np.searchsorted(rows, _DOME))
    width[:start] *= np.sqrt(1 - ((rows[:start] - _DOME) / (_TOP - _DOME)) ** 2)
    stop = int(np.searchsorted(rows, jaw[-4, 1]))
    width[stop:] = width[stop] * (1 - ((rows[stop:] - rows[stop]) / (rows[-1] - rows[stop])) ** 2) ** 0.6
    depth = np.interp(rows, [_TOP, -130, -60, 60, rows[-1]], [20.0, 92.0, 112.0, 112.0, 104.0])
    return HeadShape(rows, width, depth, relief(points), RELIEF_AT)


def relief(points: Float64Array) -> FloatArray:
    """How far the parts of a face stand out, px, on the grid of `RELIEF_AT`."""
    left, top, step = RELIEF_AT
    y, x = np.mgrid[: _RELIEF_SIZE[0], : _RELIEF_SIZE[1]] * step + np.array([top, left])[:, None, None]
    total = np.zeros(x.shape)
    tip, lips, chin = points[30, 1] - 53, points[62, 1] - 96.4, points[8, 1] - 170.3
    for cx, cy, rx, ry, height in _RELIEF:
        moved = cy + (tip if 10 < cy < 65 and cx < 30 else lips if 80 < cy < 125 else chin if cy > 140 else 0)
        for sign in (1, -1) if cx else (1,):
            total += height * np.exp(-0.5 * (((x - sign * cx) / rx) ** 2 + ((y - moved) / ry) ** 2))
    return total.astype(np.float32)
