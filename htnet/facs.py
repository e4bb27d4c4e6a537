"""Action units of the Facial Action Coding System."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: What FACS (Ekman, Friesen and Hager 2002) calls its action units; those that htnet's weights know.
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

#: Probability from which on people are shown an action unit as seen.
SHOWN_UNITS = 0.5


@dataclass(frozen=True)
class UnitPrediction:
    """What a model says of one action unit.

    Attributes:
        number: its number in FACS.
        left: probability that it is active on the subject's left side, which is the image's right.
        right: the same for the subject's right side.
    """

    number: int
    left: float
    right: float

    @property
    def name(self) -> str:
        """What FACS calls it; "action unit N" for one that `ACTION_UNIT_NAMES` lacks."""
        return ACTION_UNIT_NAMES.get(self.number, f"action unit {self.number}")

    @property
    def probability(self) -> float:
        """Probability that it is active at all: that of the surer side."""
        return max(self.left, self.right)

    @property
    def side(self) -> str:
        """The subject's "left" or "right" if that side is more than twice as sure as the other, else "both"."""
        if max(self.left, self.right) <= 2 * min(self.left, self.right):
            return "both"
        return "left" if self.left > self.right else "right"
