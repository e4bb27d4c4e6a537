"""A mean face of 68 points, written for this package.

The positions are in millimeters on an upright frontal face, neutral, mouth closed: origin midway between the eye
centers, x to the image's right, y downward. Their sources:

- The five points that `TEMPLATE_28` fixes. With eye centers 61 mm apart, its nose tip lies 33 mm and its
  mouth 60 mm below the eyes, and the mouth is 50 mm wide.
- Everything else is drawn by hand with rounded proportions of adult faces: eye slits 30 mm long and 10 mm
  high, 31 mm between the inner corners, brows about 20 mm above the eye centers, nose base 28 mm wide, lips
  18 mm high, face 134 mm wide at the eyes and 106 mm from eye line to chin.

The numbers are not measured on any data set and not those of any published shape model. The two halves
mirror each other exactly. The order is that of iBUG 300-W, see `htnet.types.LANDMARK_GROUPS`.
"""

from __future__ import annotations

import numpy as np

from htnet.core.types import TEMPLATE_28, Float64Array, Landmarks68
from htnet.preprocess.geometry import similarity, transform_points

#: Index of each point's counterpart in a mirrored face.
MIRROR_68 = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge and tip of the nose
    *range(35, 30, -1),  # base of the nose
    *(45, 44, 43, 42, 47, 46),  # the left eye's points become the right eye's,
    *(39, 38, 37, 36, 41, 40),  # and vice versa
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lip
    *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lip
)

#: The image's left half and the midline, mm: index to (x, y).
_LEFT_HALF: dict[int, tuple[float, float]] = {
    # jaw, from the ear to the chin
    0: (-67, 3),
    1: (-66, 20),
    2: (-63.5, 37),
    3: (-60, 53),
    4: (-54, 68),
    5: (-45, 82),
    6: (-33, 94),
    7: (-18, 103),
    8: (0, 106),
    # brow, from its outer end inward
    17: (-52, -12),
    18: (-44, -18.5),
    19: (-34, -21.5),
    20: (-23.5, -20),
    21: (-13.5, -16.5),
    # nose: bridge, tip, base
    27: (0, -2),
    28: (0, 10),
    29: (0, 22),
    30: (0, 33),
    31: (-14, 38),
    32: (-7, 40),
    33: (0, 41.5),
    # eye: outer corner, upper lid, inner corner, lower lid
    36: (-45.5, 0),
    37: (-36, -5),
    38: (-25, -5),
    39: (-15.5, 1),
    40: (-25, 4.5),
    41: (-36, 4.5),
    # outer lip: corner, upper edge, lower edge
    48: (-25, 60),
    49: (-15.5, 55),
    50: (-6, 52),
    51: (0, 53.5),
    57: (0, 70),
    58: (-7, 69.5),
    59: (-15.5, 66.5),
    # inner lip
    60: (-21, 60),
    61: (-8, 59.5),
    62: (0, 60),
    66: (0, 61),
    67: (-8, 60.5),
}


def _whole_face() -> Float64Array:
    points = np.empty((68, 2))
    for index, (x, y) in _LEFT_HALF.items():
        points[MIRROR_68[index]] = (-x, y)
        points[index] = (x, y)
    return points


def _placed(points: Float64Array) -> Float64Array:
    five = Landmarks68(points.astype(np.float32), "the mean shape").five().points
    return transform_points(similarity(five, TEMPLATE_28), points)


#: (68, 2) float64, mm.
MEAN_SHAPE_MM = _whole_face()
#: (68, 2) float64 in 28 px units, mapped by the similarity that fits its five points best to `TEMPLATE_28`.
MEAN_SHAPE_28 = _placed(MEAN_SHAPE_MM)
for _shape in (MEAN_SHAPE_MM, MEAN_SHAPE_28):
    _shape.setflags(write=False)
