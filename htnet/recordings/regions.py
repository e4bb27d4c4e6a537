"""Cells and regions of the face whose motion is measured in recordings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from htnet.core.types import FloatArray
from htnet.preprocess.video.face_motion import CELL, FACE

#: Number of cells along a side of the aligned face.
GRID = FACE // CELL

#: Rows and columns of cells (first, last) of each region, on the aligned face; left and right are those of the image.
#: In the template, the eyes are on the line between rows 3 and 4, around columns 3 and 9, and the corners of the mouth
#: in row 10, columns 4 and 9. A cell is 0.16 distances between the eyes wide. The brows end one cell above the eyes, so
#: that closing lids do not affect them.
REGION_CELLS: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = MappingProxyType(
    {
        "left_outer_brow": ((1, 2), (1, 3)),
        "left_inner_brow": ((1, 2), (4, 6)),
        "right_inner_brow": ((1, 2), (7, 9)),
        "right_outer_brow": ((1, 2), (10, 12)),
        "left_eye": ((3, 4), (2, 5)),
        "right_eye": ((3, 4), (8, 11)),
        "nose": ((6, 7), (5, 8)),
        "left_cheek": ((6, 8), (1, 3)),
        "right_cheek": ((6, 8), (10, 12)),
        "left_mouth_corner": ((9, 10), (3, 5)),
        "right_mouth_corner": ((9, 10), (8, 10)),
        "upper_lip": ((8, 9), (6, 7)),
        "lower_lip": ((10, 11), (6, 7)),
        "chin": ((12, 12), (5, 8)),
    }
)
#: Names of the regions, in the order of features.
REGIONS = tuple(REGION_CELLS)

# Initial weight of a cell in the fit of the head's motion: the bridge of the nose and the skin beside the eyes move
# with the skull, while lids and lips move on their own.
_RIGID, _SKIN, _MOVING = 1.0, 0.4, 0.15


@cache
def region_weights() -> FloatArray:
    """(regions, cells): 1 if a cell belongs to a region, else 0."""
    weights = np.zeros((len(REGIONS), GRID, GRID), np.float32)
    for row, ((top, bottom), (left, right)) in enumerate(REGION_CELLS.values()):
        weights[row, top : bottom + 1, left : right + 1] = 1
    return weights.reshape(len(REGIONS), -1)


@cache
def rigid_weights() -> FloatArray:
    """(cells,) initial weight of each cell in the fit of the head's motion, 0..1."""
    weights = np.full((GRID, GRID), _SKIN, np.float32)
    weights[4:7, 5:9] = _RIGID  # nose
    weights[3:7, [1, -2]] = _RIGID  # beside the eyes
    weights[3:5, 6:8] = _RIGID  # root of the nose
    weights[1:3, 1:-1] = _MOVING
    weights[3:5, 2:6] = weights[3:5, 8:12] = _MOVING
    weights[8:, 3:11] = _MOVING
    weights[[0, -1]] = weights[:, [0, -1]] = 0  # the border, where new content enters the picture
    return weights.ravel()


@cache
def cell_centers() -> tuple[FloatArray, FloatArray]:
    """Centers of the cells: x and y, row by row, from -1 to 1 across the aligned face."""
    at = ((np.arange(GRID) + 0.5) * 2 / GRID - 1).astype(np.float32)
    return np.tile(at, GRID), np.repeat(at, GRID)
