"""Every constant of the generator, with where it comes from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from htnet.core.errors import InputError
from htnet.core.fields import Checked, Rule, checked, each, real, whole
from htnet.core.types import EMOTIONS, FIVE_POINTS, TEMPLATE_28
from htnet.synthesis.muscles import ACTION_UNITS

#: Sides of flow images that can be made, px.
SIZES = (28, 56, 112)
#: Side of the face that displacements are told in, px.
FACE = 224

#: (emotion, action units, weight): combinations of the three classes, see `SynthesisConfig.expressions`.
Expression = tuple[str, tuple[int, ...], float]
_EXPRESSIONS: tuple[Expression, ...] = (
    # Classes III (anger), IV (disgust), V (sadness), VI (fear) of Davison et al.; repression by Yan et al. 2014;
    # contempt by EMFACS.
    ("negative", (4,), 5.0),
    ("negative", (4, 7), 5.0),
    ("negative", (7,), 3.0),
    ("negative", (4, 5), 0.5),
    ("negative", (4, 5, 7), 0.5),
    ("negative", (4, 6, 7), 0.5),
    ("negative", (17, 24), 0.5),
    ("negative", (9,), 1.0),
    ("negative", (10,), 1.0),
    ("negative", (4, 9), 1.0),
    ("negative", (4, 7, 9), 1.0),
    ("negative", (4, 7, 10), 1.0),
    ("negative", (7, 10), 1.0),
    ("negative", (6, 7, 9), 0.7),
    ("negative", (15,), 1.5),
    ("negative", (17,), 2.0),
    ("negative", (15, 17), 2.0),
    ("negative", (1, 4), 1.0),
    ("negative", (1, 4, 15), 0.5),
    ("negative", (1,), 0.5),
    ("negative", (14,), 2.0),
    ("negative", (14, 17), 0.5),
    ("negative", (20,), 1.0),
    ("negative", (1, 2, 4), 0.5),
    # Class I (happiness).
    ("positive", (12,), 5.0),
    ("positive", (6, 12), 4.0),
    ("positive", (6,), 0.5),
    ("positive", (7, 12), 1.0),
    ("positive", (6, 7, 12), 0.5),
    ("positive", (12, 25), 1.0),
    ("positive", (12, 24), 0.5),
    # Class II (surprise).
    ("surprise", (1, 2), 5.0),
    ("surprise", (2,), 1.5),
    ("surprise", (5,), 2.0),
    ("surprise", (1, 2, 5), 1.5),
    ("surprise", (1, 2, 25), 1.0),
    ("surprise", (25,), 0.7),
)


_SIZE = Rule(lambda size: size in SIZES, f"one of {', '.join(map(str, SIZES))} px")
_AMOUNT = real(ge=0)
_SHARE = real(ge=0, le=1)
_SHARES = Rule(
    lambda shares: each(_AMOUNT, len(EMOTIONS)).allows(shares) and sum(shares) > 0,
    f"a tuple of {len(EMOTIONS)} numbers of 0 or more, one of them above 0",
)
_RANGE = Rule(
    lambda ends: each(_AMOUNT, 2).allows(ends) and ends[0] <= ends[1],
    "a tuple of 2 numbers of 0 or more, the smaller number first",
)
_EDGE = Rule(lambda ends: _RANGE.allows(ends) and ends[0] >= 1, f"{_RANGE.wanted}, of 1 or more")
_NOISE_SCALE = Rule(
    lambda part: isinstance(part, tuple) and len(part) == 2 and whole(2).allows(part[0]) and _AMOUNT.allows(part[1]),
    "(cells, weight), 2 cells or more",
)


@dataclass(frozen=True)
class SynthesisConfig(Checked):
    """What is generated, and how strongly it varies.

    Displacements are in px of a face of 224 px whose eyes lie as in the template (98 px apart); "units" of place
    and size are the distance between the eyes. "Spread" is the standard deviation of a logarithm. `SOURCES` tells
    where each constant comes from.

    Attributes:
        size: side of the flow image, px: 28, 56 or 112.
        template: mean places of the five points, in 28 px units.
        identity: standard deviation of each point about them, x and y, in 28 px units.
        identity_shift: the same of all points together.
        shares: probability of each emotion, in the order of `htnet.types.EMOTIONS`.
        expressions: (emotion, action units, weight): what is drawn within an emotion.
        distractor: probability of each further unit, at ``distractor_strength`` times the intensity.
        distractor_strength: see ``distractor``.
        strength: median displacement of a unit at the apex, px.
        strength_spread: spread of the strength from sample to sample.
        unit_spread: spread of a unit's intensity within a sample.
        one_sided: probability that an expression moves one side only.
        other_side: intensity of the other side then, relative: largest value, drawn from 0 up to it.
        side_spread: spread between the sides otherwise.
        place_jitter: standard deviation of a bump's center, units.
        radius_spread: spread of a bump's size.
        size_spread: spread of the size of all bumps of a sample.
        turn: standard deviation of a bump's direction, radians.
        gain_spread: spread of a bump's share in its unit.
        edge: smallest and largest exponent of a bump's profile exp(-0.5 |x / r|^edge): 2 is Gaussian, more is flat
            on top with a steep edge.
        head_shift: standard deviation of the head's translation, px.
        head_affine: standard deviation of each of the four parts of its linear motion, px at one unit from the
            middle.
        head_turn: standard deviation of what a turn of the head adds at the nose's tip, px.
        head_spread: spread of the head's motion from sample to sample.
        blink: probability that the eyes close or open between the frames.
        blink_strength: median displacement of the lids then, px.
        gaze: probability that the gaze moves.
        gaze_strength: median displacement of the pupils then, px.
        noise: median standard deviation of the estimated flow's smooth error, px.
        noise_spread: spread of the noise.
        noise_scales: (number of cells across the image, weight) of each part of the noise.
        blind: largest share of the motion that flow estimation loses where the skin has no texture.
        cheeks: probability that flow estimation misses some or all of the motion of the smooth cheeks.
        fade: largest share of the motion that is lost at the image's border.
        stairs: how much of the estimated flow is drawn to flat patches with steep edges, 0 to 1.
        stair_height: median height of the steps between patches, in standard deviations of the flow.
        speckle: spread of the strain from pixel to pixel, as sampling a fine strain leaves it.
        ridges: the strain is raised to a power of 1 to 1 plus this, drawn for each image, as edges much narrower than
            a pixel of the image leave it: few high ridges. 0 for the exact strain of ``observed``.
        rise: shortest and longest time from onset to apex, s.
        duration: shortest and longest time from onset to offset, s.
        rest: time before the onset and after the offset of a clip, s.
        sensor_noise: standard deviation of a frame's noise, gray levels.
        light: largest change of the light over a clip, relative.
        shading: largest slope of that change from the middle to an edge, relative.
    """

    size: int = checked(28, _SIZE)
    template: tuple[tuple[float, float], ...] = checked(TEMPLATE_28, FIVE_POINTS)
    identity: tuple[float, float] = checked((0.5, 0.6), each(_AMOUNT, 2))
    identity_shift: tuple[float, float] = checked((0.3, 0.9), each(_AMOUNT, 2))
    shares: tuple[float, float, float] = checked((0.45, 0.32, 0.23), _SHARES)
    expressions: tuple[Expression, ...] = _EXPRESSIONS
    distractor: float = checked(0.06, _SHARE)
    distractor_strength: float = checked(0.4, _AMOUNT)
    strength: float = checked(1.2, _AMOUNT)
    strength_spread: float = checked(0.5, _AMOUNT)
    unit_spread: float = checked(0.3, _AMOUNT)
    one_sided: float = checked(0.2, _SHARE)
    other_side: float = checked(0.3, _SHARE)
    side_spread: float = checked(0.25, _AMOUNT)
    place_jitter: float = checked(0.06, _AMOUNT)
    radius_spread: float = checked(0.2, _AMOUNT)
    size_spread: float = checked(0.25, _AMOUNT)
    turn: float = checked(0.3, _AMOUNT)
    gain_spread: float = checked(0.4, _AMOUNT)
    edge: tuple[float, float] = checked((2.0, 5.0), _EDGE)
    head_shift: float = checked(1.8, _AMOUNT)
    head_affine: float = checked(0.12, _AMOUNT)
    head_turn: float = checked(0.7, _AMOUNT)
    head_spread: float = checked(0.8, _AMOUNT)
    blink: float = checked(0.5, _SHARE)
    blink_strength: float = checked(1.5, _AMOUNT)
    gaze: float = checked(0.15, _SHARE)
    gaze_strength: float = checked(0.8, _AMOUNT)
    noise: float = checked(0.12, _AMOUNT)
    noise_spread: float = checked(0.5, _AMOUNT)
    noise_scales: tuple[tuple[int, float], ...] = checked(
        ((3, 1.0), (5, 0.8), (9, 0.6), (14, 0.4), (28, 0.2)), each(_NOISE_SCALE)
    )
    blind: float = checked(0.6, _SHARE)
    cheeks: float = checked(0.5, _SHARE)
    fade: float = checked(0.5, _SHARE)
    stairs: float = checked(0.8, _SHARE)
    stair_height: float = checked(0.6, _AMOUNT)
    speckle: float = checked(0.25, _AMOUNT)
    ridges: float = checked(0.5, _AMOUNT)
    rise: tuple[float, float] = checked((0.1, 0.26), _RANGE)
    duration: tuple[float, float] = checked((0.17, 0.5), _RANGE)
    rest: float = checked(0.1, _AMOUNT)
    sensor_noise: float = checked(1.0, _AMOUNT)
    light: float = checked(0.02, _AMOUNT)
    shading: float = checked(0.02, _AMOUNT)

    _noun = "field of the synthesis"
    _prefix = "SynthesisConfig."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rise[1] + self.duration[0] / 2 > self.duration[1]:
            raise InputError(
                f"SynthesisConfig.duration is {self.duration!r}, too short for a rise of {self.rise[1]!r} s; "
                "lengthen it."
            )
        self._check_expressions()

    def _check_expressions(self) -> None:
        for emotion, units, weight in self.expressions:
            if emotion not in EMOTIONS or not units or not weight >= 0 or not set(units) <= set(ACTION_UNITS):
                raise InputError(
                    f"SynthesisConfig.expressions contains {(emotion, units, weight)!r}; give (one of "
                    f"{', '.join(EMOTIONS)}, numbers of {', '.join(map(str, ACTION_UNITS))}, a weight of 0 or more)."
                )
        for emotion, share in zip(EMOTIONS, self.shares, strict=True):
            if share > 0 and not any(e == emotion and w > 0 for e, _, w in self.expressions):
                raise InputError(
                    f"SynthesisConfig.expressions has no {emotion} expression; add one, or set its share to 0."
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, the inverse of `from_dict`."""
        return dataclasses.asdict(self)
