"""Action units of the Facial Action Coding System."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from htnet.core.deprecated import renamed_attributes

#: Names of action units in FACS (Ekman, Friesen and Hager 2002), for the units that htnet's weights predict.
ACTION_UNIT_NAMES: Mapping[int, str] = MappingProxyType(
    {
        1: "inner brow raiser",
        2: "outer brow raiser",
        4: "brow lowerer",
        5: "upper lid raiser",
        6: "cheek raiser",
        7: "lid tightener",
        9: "nose wrinkler",
        10: "upper lip raiser",
        12: "lip corner puller",
        14: "dimpler",
        15: "lip corner depressor",
        17: "chin raiser",
        20: "lip stretcher",
        24: "lip pressor",
        25: "lips part",
    }
)

#: Numbers of the action units of FACS. The division of codes into units, descriptors and movements follows Ekman,
#: Friesen and Hager 2002. Adults have no unit 3, and 0 (a neutral face) is not a unit.
ACTION_UNITS = frozenset({1, 2, *range(4, 19), *range(20, 29), 31, 38, 39, *range(41, 47)})
#: FACS codes that are not action units, by what they describe.
DESCRIPTORS: Mapping[str, frozenset[int]] = MappingProxyType(
    {
        "action": frozenset({19, 29, 30, *range(32, 38), 40, 50}),
        "head": frozenset(range(51, 59)),
        "eyes": frozenset({*range(61, 67), 69}),
        "visibility": frozenset(range(70, 75)),
        "behavior": frozenset({80, 81, 82, 84, 85, 91, 92, 97, 98}),
    }
)
#: Codes that annotation sheets may write with the prefix AD: the action descriptors, and four units that are also
#: written this way (DFME has AD31, AD38 and AD39).
DESCRIBED = DESCRIPTORS["action"] | {21, 31, 38, 39}
#: Codes that may have the prefix M, for a movement that accompanies an action. Some (M59, M60, M68, M83) exist only
#: with the prefix.
MOVEMENTS: Mapping[str, frozenset[int]] = MappingProxyType(
    {"head": DESCRIPTORS["head"] | {59, 60, 83}, "eyes": DESCRIPTORS["eyes"] | {68}}
)

#: Lowest probability at which an action unit is shown as active.
SHOWN_UNITS = 0.5


@renamed_attributes
@dataclass(frozen=True)
class UnitPrediction:
    """Prediction of one action unit.

    Attributes:
        number: number of the action unit in FACS.
        subject_left: probability that it is active on the subject's left side, which is the image's right side.
        subject_right: the same for the subject's right side.
    """

    number: int
    subject_left: float
    subject_right: float

    @property
    def name(self) -> str:
        """Name of the action unit in FACS; "action unit N" if it is not in `ACTION_UNIT_NAMES`."""
        return ACTION_UNIT_NAMES.get(self.number, f"action unit {self.number}")

    @property
    def probability(self) -> float:
        """Probability that the action unit is active on any side: the larger value of the two sides."""
        return max(self.subject_left, self.subject_right)

    @property
    def side(self) -> str:
        """The side with more than twice the probability of the other, "subject_left" or "subject_right"; otherwise
        "both".
        """
        if self.probability <= 2 * min(self.subject_left, self.subject_right):
            return "both"
        return "subject_left" if self.subject_left > self.subject_right else "subject_right"

    def to_dict(self) -> dict[str, Any]:
        """One entry of the field "action_units" of a document."""
        return {
            "unit": self.number,
            "name": self.name,
            "probability": self.probability,
            "side": self.side,
            "subject_left": self.subject_left,
            "subject_right": self.subject_right,
        }


def units_by_side(numbers: Sequence[int], sides: Sequence[Sequence[float]]) -> tuple[UnitPrediction, ...]:
    """Build predictions from (image left, image right) probabilities; the image's left is the subject's right."""
    return tuple(
        UnitPrediction(number, subject_left=image_right, subject_right=image_left)
        for number, (image_left, image_right) in zip(numbers, sides, strict=True)
    )
