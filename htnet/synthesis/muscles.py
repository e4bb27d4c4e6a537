"""What each action unit does to the skin: displacement bumps by side, after the muscles that FACS names.

Places and directions are drawn by hand from the muscles' courses as Ekman, Friesen and Hager describe them (Facial
Action Coding System, 2002; Hjortsjo, Man's Face and Mimic Language, 1969), on the proportions of
`htnet.preprocess.MEAN_SHAPE_28`. Sizes and shares are tuned by eye. They are not measured on any face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

#: Points that bumps hang on: an eye and a mouth corner of either side, the nose's tip, the middle of the mouth.
ANCHORS = ("eye", "mouth", "nose", "lips")
#: Sides in the order of the last axis of intensities; those of the image. The image's left is the subject's right.
SIDES = ("left", "right")


@dataclass(frozen=True)
class Bump:
    """A patch of skin that moves as one, on one side of the face; the other side mirrors it.

    Lengths are in units of the distance between the eyes.

    Attributes:
        anchor: one of `ANCHORS`.
        offset: its center from the anchor: x outward (away from the face's midline), y downward.
        motion: displacement at its center for intensity 1: x outward, y downward.
        radius: half its width and half its height (standard deviations of a Gaussian bump).
    """

    anchor: str
    offset: tuple[float, float]
    motion: tuple[float, float]
    radius: tuple[float, float]


#: Action unit to its bumps. The first is the unit's main motion.
MUSCLES: Mapping[int, tuple[Bump, ...]] = MappingProxyType(
    {
        # Frontalis, pars medialis: inner brow and the forehead above it, up.
        1: (
            Bump("eye", (-0.2, -0.36), (0.05, -1.0), (0.2, 0.13)),
            Bump("eye", (-0.24, -0.62), (0.0, -0.8), (0.28, 0.2)),
        ),
        # Frontalis, pars lateralis: outer brow and the forehead above it, up.
        2: (
            Bump("eye", (0.2, -0.34), (0.1, -1.0), (0.28, 0.13)),
            Bump("eye", (0.18, -0.6), (0.05, -0.8), (0.34, 0.2)),
            Bump("eye", (0.1, -0.15), (0.0, -0.35), (0.2, 0.08)),
        ),
        # Corrugator, depressor supercilii and procerus: brow down and inward, most at its inner end.
        4: (
            Bump("eye", (-0.2, -0.3), (-0.5, 0.9), (0.18, 0.12)),
            Bump("eye", (0.14, -0.34), (-0.25, 0.7), (0.3, 0.13)),
            Bump("eye", (-0.4, -0.3), (-0.1, 0.7), (0.14, 0.22)),
            Bump("eye", (0.0, -0.6), (-0.2, 0.6), (0.4, 0.2)),
        ),
        # Levator palpebrae: upper lid up.
        5: (
            Bump("eye", (0.0, -0.07), (0.0, -1.0), (0.15, 0.07)),
            Bump("eye", (0.02, -0.2), (0.0, -0.4), (0.2, 0.07)),
        ),
        # Orbicularis oculi, orbital part: cheek up, crow's feet inward, lower lid up.
        6: (
            Bump("eye", (0.08, 0.4), (0.1, -1.0), (0.3, 0.2)),
            Bump("eye", (0.3, 0.08), (-0.6, -0.1), (0.12, 0.14)),
            Bump("eye", (0.02, 0.12), (0.0, -0.6), (0.18, 0.07)),
        ),
        # Orbicularis oculi, palpebral part: lower lid up and inward, upper lid slightly down.
        7: (
            Bump("eye", (0.0, 0.1), (-0.25, -0.8), (0.18, 0.08)),
            Bump("eye", (0.0, -0.06), (0.0, 0.7), (0.18, 0.07)),
            Bump("eye", (0.0, 0.28), (-0.1, -0.3), (0.25, 0.1)),
        ),
        # Levator labii superioris alaeque nasi: side of the nose and upper lip up, inner brow down.
        9: (
            Bump("nose", (0.16, -0.14), (-0.1, -1.0), (0.13, 0.16)),
            Bump("nose", (0.16, 0.22), (0.0, -0.6), (0.14, 0.1)),
            Bump("eye", (-0.26, -0.22), (-0.2, 0.6), (0.14, 0.12)),
            Bump("eye", (0.0, 0.14), (-0.1, -0.3), (0.16, 0.08)),
            Bump("eye", (-0.05, 0.42), (-0.2, -0.7), (0.25, 0.18)),
        ),
        # Levator labii superioris: upper lip up, the fold beside the nose with it.
        10: (
            Bump("lips", (0.2, -0.1), (0.0, -1.0), (0.16, 0.08)),
            Bump("mouth", (-0.06, -0.3), (0.1, -0.7), (0.15, 0.16)),
            Bump("mouth", (0.0, -0.5), (-0.1, -0.6), (0.24, 0.18)),
        ),
        # Zygomaticus major: lip corner up and outward, the cheek above it too.
        12: (
            Bump("mouth", (0.02, -0.03), (0.7, -0.8), (0.16, 0.13)),
            Bump("mouth", (0.2, -0.26), (0.5, -0.9), (0.3, 0.19)),
            Bump("mouth", (0.42, -0.3), (0.4, -0.4), (0.22, 0.28)),
            Bump("lips", (0.14, 0.06), (0.3, -0.3), (0.12, 0.1)),
        ),
        # Buccinator: lip corner drawn in, the skin beside it inward.
        14: (
            Bump("mouth", (-0.04, 0.0), (0.8, -0.15), (0.13, 0.1)),
            Bump("mouth", (0.2, 0.0), (-0.7, -0.05), (0.12, 0.14)),
        ),
        # Depressor anguli oris: lip corner down.
        15: (
            Bump("mouth", (0.0, 0.04), (0.1, 1.0), (0.15, 0.12)),
            Bump("mouth", (0.04, 0.22), (0.05, 0.5), (0.14, 0.1)),
        ),
        # Mentalis: skin of the chin up, the lower lip with it.
        17: (
            Bump("lips", (0.08, 0.3), (0.0, -1.0), (0.17, 0.14)),
            Bump("lips", (0.1, 0.13), (0.0, -0.8), (0.16, 0.08)),
        ),
        # Risorius with platysma: lip corner outward and slightly down.
        20: (
            Bump("mouth", (0.0, 0.02), (1.0, 0.25), (0.17, 0.12)),
            Bump("mouth", (0.16, 0.1), (0.5, 0.2), (0.16, 0.16)),
        ),
        # Orbicularis oris: lips pressed together and narrowed.
        24: (
            Bump("lips", (0.12, -0.07), (-0.1, 0.7), (0.18, 0.07)),
            Bump("lips", (0.12, 0.1), (-0.1, -0.8), (0.18, 0.08)),
            Bump("mouth", (0.0, 0.0), (-0.5, 0.0), (0.1, 0.1)),
        ),
        # Depressor labii inferioris, jaw: lower lip and chin down, upper lip slightly up.
        25: (
            Bump("lips", (0.1, 0.12), (0.0, 1.0), (0.18, 0.1)),
            Bump("lips", (0.08, 0.3), (0.0, 0.7), (0.18, 0.12)),
            Bump("lips", (0.1, -0.07), (0.0, -0.3), (0.16, 0.06)),
        ),
    }
)
#: The units that can be generated; the order of the second axis of intensities.
ACTION_UNITS: tuple[int, ...] = tuple(MUSCLES)
#: Eyes that close (or, with the sign turned, open), and that look aside. They belong to no action unit here.
BLINK = (
    Bump("eye", (0.0, -0.05), (0.0, 1.0), (0.16, 0.08)),
    Bump("eye", (0.0, 0.08), (0.0, -0.3), (0.16, 0.05)),
    Bump("eye", (0.0, -0.22), (0.0, 0.3), (0.2, 0.07)),
)
GAZE = Bump("eye", (0.0, 0.0), (1.0, 0.0), (0.13, 0.06))
#: How far parts of the face stand out of the plane of the eyes, which is how much a turn of the head moves them
#: (the nose's tip is 1); the motion says the share of a turn aside and of a nod. Copies of both sides add up.
DEPTH = (
    Bump("nose", (0.0, -0.16), (0.3, 0.3), (0.13, 0.3)),
    Bump("nose", (0.0, 0.02), (0.2, 0.2), (0.2, 0.14)),
    Bump("lips", (0.0, 0.1), (0.15, 0.15), (0.35, 0.3)),
    Bump("nose", (0.0, 0.0), (0.3, 0.3), (0.8, 0.9)),
)
#: Smooth skin, whose motion estimators miss.
CHEEKS = (
    Bump("eye", (0.1, 0.62), (1.0, 0.0), (0.28, 0.3)),
    Bump("eye", (0.25, 0.8), (0.6, 0.0), (0.25, 0.3)),
)


@dataclass(frozen=True, eq=False)
class BumpTable:
    """Bumps of both sides as tensors; M rows, lengths in units of the distance between the eyes.

    Attributes:
        anchor: (M,) int64, row of `anchor_points`.
        offset: (M, 2) from the anchor; x to the image's right, y downward.
        motion: (M, 2).
        radius: (M, 2).
        unit: (M,) int64, index into `ACTION_UNITS`.
        side: (M,) int64, index into `SIDES`.
    """

    anchor: Tensor
    offset: Tensor
    motion: Tensor
    radius: Tensor
    unit: Tensor
    side: Tensor


#: Rows of `anchor_points` for the two sides of each anchor.
_ROWS = {"eye": (0, 1), "mouth": (2, 3), "nose": (4, 4), "lips": (5, 5)}


def anchor_points(points: Tensor) -> Tensor:
    """The anchors' places: (N, 6, 2) of (N, 5, 2) landmarks in the order of `htnet.types.POINT_NAMES`."""
    return torch.cat([points[:, [0, 1, 3, 4, 2]], (points[:, 3:4] + points[:, 4:5]) / 2], dim=1)


def bump_table(bumps: Mapping[int, tuple[Bump, ...]]) -> BumpTable:
    """Both sides of the bumps of units; the keys become ``unit``, in their order."""
    rows = [
        (_ROWS[bump.anchor][side], bump, sign, unit, side)
        for unit, own in enumerate(bumps.values())
        for bump in own
        for side, sign in enumerate((-1.0, 1.0))
    ]

    def pairs(name: str, mirrored: bool) -> Tensor:
        return torch.tensor(
            [[getattr(b, name)[0] * (s if mirrored else 1), getattr(b, name)[1]] for _, b, s, *_ in rows]
        )

    def column(place: int) -> Tensor:
        return torch.tensor([row[place] for row in rows])

    return BumpTable(
        column(0), pairs("offset", True), pairs("motion", True), pairs("radius", False), column(3), column(4)
    )
