"""Cell motion and fits to it as machine code: the loops of `cell_loops`, run on the calling thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.native import native_function
from htnet.core.types import Float64Array, FloatArray

_PACKAGE = __name__.rpartition(".")[0]
# The compiled function: its module and name, the other module that its code depends on, its number of arguments.
_LOOPS = (f"{_PACKAGE}.cell_loops", "solve", (f"{_PACKAGE}.loops",), 13)
_GRID, _PLANES = 28, 9
_CELLS = _GRID * _GRID
#: A window ends where its weight has fallen to this share of the largest; smaller weights do not change a float32 sum.
_LEAST_SHARE = 1e-8


class Windows:
    """Windows of the loops for pictures of one size."""

    def __init__(self, windows: FloatArray, light: FloatArray, enlarge: FloatArray) -> None:
        """Prepare the tables of the loops.

        Args:
            windows: (28, side), weights of each cell along one axis.
            light: (28, side), weights of the illumination windows.
            enlarge: (side, 28), enlarges a row of cells to a row of pixels; at most four values in a row are nonzero.
        """
        side = len(enlarge)
        four = np.clip(np.floor((np.arange(side) + 0.5) * _GRID / side - 0.5).astype(np.int64) - 1, 0, _GRID - 4)
        shares = np.take_along_axis(enlarge, four[:, None] + np.arange(4), axis=1).T
        self.side = side
        self.tables = np.concatenate([windows.ravel(), light.ravel(), shares.ravel()], dtype=np.float32)
        self.places = np.concatenate([_bands(windows), _bands(light), four])
        # The second picture with the illumination of the first; sums, four rows and means of nine planes; one row.
        self.length = side * side + _PLANES * ((_GRID + 4) * side + _CELLS) + side


def _bands(weights: FloatArray) -> npt.NDArray[np.int64]:
    """(56,): for each row, the first position with a weight that counts and the one after the last."""
    counts = weights > _LEAST_SHARE * weights.max(axis=1, keepdims=True)
    return np.stack([counts.argmax(axis=1), counts.shape[1] - counts[:, ::-1].argmax(axis=1)], -1).ravel()


def cell_motion(
    first: FloatArray, second: FloatArray, windows: Windows
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Motion of each cell between two smoothed pictures, (side, side).

    Returns:
        Motion in px of the picture, (28, 28, 2); texture, (28, 28, 2, 2); the squared difference that motion leaves,
        (28, 28).
    """
    uv, texture, rest = (np.empty((_GRID, _GRID, *shape)) for shape in ((2,), (2, 2), ()))
    counts, pictures = np.array([windows.side, 0, 0], dtype=np.int64), np.empty(windows.length, dtype=np.float32)
    one, other = (np.ascontiguousarray(plane, dtype=np.float32) for plane in (first, second))
    _call(one, other, windows.tables, windows.places, uv, texture, rest, None, None, counts, None, pictures, None)
    return uv, texture, rest


def robust_fit(
    uv: Float64Array,
    information: Float64Array,
    design: Float64Array,
    prior: Float64Array,
    rounds: int,
    settings: tuple[float, float, float],
) -> Float64Array:
    """Coefficients of a linear model, see `registration.robust_fit`.

    Args:
        settings: variance added to the noise, minimum scale of the residuals, and turning point of the weights.
    """
    count = design.shape[-1]
    numbers, memory = np.empty(count), np.empty((4 * count + 11) * _CELLS + count * (count + 1))
    motion, known, model, shares = (
        np.ascontiguousarray(part, dtype=np.float64) for part in (uv, information, design, prior)
    )
    counts, limits = np.array([0, count, rounds], dtype=np.int64), np.array(settings)
    _call(None, None, None, None, motion, known, numbers, model, shares, counts, limits, None, memory)
    return numbers


def _call(*arrays: npt.NDArray[Any] | None) -> None:
    """Call the loops with these arrays; None for those that are not needed."""
    native_function(*_LOOPS)(*(None if array is None else array.__array_interface__["data"][0] for array in arrays))
