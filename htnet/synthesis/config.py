"""Every constant of the generator, with where it comes from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from htnet.core.errors import InputError, refuse_unknown
from htnet.core.types import EMOTIONS, TEMPLATE_28
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


@dataclass(frozen=True)
class SynthesisConfig:
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

    size: int = 28
    template: tuple[tuple[float, float], ...] = TEMPLATE_28
    identity: tuple[float, float] = (0.5, 0.6)
    identity_shift: tuple[float, float] = (0.3, 0.9)
    shares: tuple[float, float, float] = (0.45, 0.32, 0.23)
    expressions: tuple[Expression, ...] = _EXPRESSIONS
    distractor: float = 0.06
    distractor_strength: float = 0.4
    strength: float = 1.2
    strength_spread: float = 0.5
    unit_spread: float = 0.3
    one_sided: float = 0.2
    other_side: float = 0.3
    side_spread: float = 0.25
    place_jitter: float = 0.06
    radius_spread: float = 0.2
    size_spread: float = 0.25
    turn: float = 0.3
    gain_spread: float = 0.4
    edge: tuple[float, float] = (2.0, 5.0)
    head_shift: float = 1.8
    head_affine: float = 0.12
    head_turn: float = 0.7
    head_spread: float = 0.8
    blink: float = 0.5
    blink_strength: float = 1.5
    gaze: float = 0.15
    gaze_strength: float = 0.8
    noise: float = 0.12
    noise_spread: float = 0.5
    noise_scales: tuple[tuple[int, float], ...] = ((3, 1.0), (5, 0.8), (9, 0.6), (14, 0.4), (28, 0.2))
    blind: float = 0.6
    cheeks: float = 0.5
    fade: float = 0.5
    stairs: float = 0.8
    stair_height: float = 0.6
    speckle: float = 0.25
    ridges: float = 0.5
    rise: tuple[float, float] = (0.1, 0.26)
    duration: tuple[float, float] = (0.17, 0.5)
    rest: float = 0.1
    sensor_noise: float = 1.0
    light: float = 0.02
    shading: float = 0.02

    def __post_init__(self) -> None:
        """Check every field."""
        if self.size not in SIZES:
            raise InputError(f"SynthesisConfig.size is {self.size!r}; give one of {', '.join(map(str, SIZES))} px.")
        _check_points(self.template)
        self._check_numbers()
        for name in _RANGES:
            low, high = getattr(self, name)
            if not low <= high or (name == "edge" and low < 1):
                raise InputError(f"SynthesisConfig.{name} is {(low, high)!r}; give the smaller number first.")
        if self.rise[1] + self.duration[0] / 2 > self.duration[1]:
            raise InputError(
                f"SynthesisConfig.duration is {self.duration!r}, too short for a rise of {self.rise[1]!r} s; "
                "lengthen it."
            )
        if sum(self.shares) <= 0:
            raise InputError(f"SynthesisConfig.shares is {self.shares!r}; give one of them more than 0.")
        for cells, weight in self.noise_scales:
            if not isinstance(cells, int) or cells < 2 or not weight >= 0:
                raise InputError(
                    f"SynthesisConfig.noise_scales holds {(cells, weight)!r}; give (cells, weight), 2 cells or more."
                )
        self._check_expressions()

    def _check_numbers(self) -> None:
        for name in (f.name for f in dataclasses.fields(self) if f.name not in _OTHERS):
            given, needed = getattr(self, name), _COUNTS.get(name, 1)
            values = given if needed > 1 else (given,)
            most = 1.0 if name in _PROBABILITIES else math.inf
            valid = isinstance(values, tuple) and len(values) == needed and all(_number(v, most) for v in values)
            if not valid:
                what = "a number" if needed == 1 else f"a tuple of {needed} numbers"
                where = "from 0 to 1" if name in _PROBABILITIES else "of 0 or more, finite"
                raise InputError(f"SynthesisConfig.{name} is {given!r}; give {what} {where}.")

    def _check_expressions(self) -> None:
        for emotion, units, weight in self.expressions:
            if emotion not in EMOTIONS or not units or not weight >= 0 or not set(units) <= set(ACTION_UNITS):
                raise InputError(
                    f"SynthesisConfig.expressions holds {(emotion, units, weight)!r}; give (one of "
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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SynthesisConfig:
        """Rebuild a config, from JSON too; unknown fields are refused."""
        refuse_unknown(data, [f.name for f in dataclasses.fields(cls)], "field of the synthesis")
        return cls(**{name: _tuples(value) for name, value in data.items()})


_RANGES = ("edge", "rise", "duration")
_PROBABILITIES = ("distractor", "one_sided", "other_side", "blink", "gaze", "blind", "cheeks", "fade", "stairs")
#: Fields that hold several numbers.
_COUNTS = {"identity": 2, "identity_shift": 2, "shares": len(EMOTIONS), **dict.fromkeys(_RANGES, 2)}
#: Fields with checks of their own; all others hold numbers of 0 or more.
_OTHERS = ("size", "template", "expressions", "noise_scales")


def _number(value: Any, most: float) -> bool:
    """Whether a value is a finite number from 0 to ``most``."""
    return isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= most


def _tuples(value: Any) -> Any:
    """Lists as JSON has them, as tuples."""
    return tuple(_tuples(part) for part in value) if isinstance(value, (list, tuple)) else value


def _check_points(template: tuple[tuple[float, float], ...]) -> None:
    if len(template) != 5 or any(len(point) != 2 for point in template):
        raise InputError(f"SynthesisConfig.template is {template!r}; give five (x, y) in 28 px units.")
