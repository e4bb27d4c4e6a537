"""Arrays of numbers from what users give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import HtnetError, InputError, LandmarkError


def real_array(
    values: npt.ArrayLike, what: str, error: type[HtnetError] = InputError, cure: str = "lists or an array of them"
) -> npt.NDArray[np.float32]:
    """Real numbers as float32, in the shape in which they are given.

    Args:
        values: numbers, lists of them, an array, or a tensor of PyTorch.
        what: the start of the message, such as "Landmarks from array".
        error: what is raised.
        cure: what to give.

    Raises:
        HtnetError: of the type ``error``: they are complex numbers, texts or objects, lists of different lengths, or a
            tensor without plain values (sparse, meta).
    """
    given: Any = values
    try:
        found = np.asarray(given.detach().cpu() if callable(getattr(given, "detach", None)) else given)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        found = np.empty(0, dtype=object)
    if found.dtype.kind not in "biuf":
        got = "complex" if found.dtype.kind == "c" else f"not numbers ({type(values).__name__})"
        raise error(f"{what} are {got}; give real numbers: {cure}.")
    return np.asarray(found, dtype=np.float32)


def checked_points(points: npt.ArrayLike, count: int, source: str, wanted: str) -> npt.NDArray[np.float32]:
    """Points of a face, (count, 2) float32.

    Args:
        points: (x, y) each, px.
        count: how many there must be.
        source: where they come from.
        wanted: what to give, for the message on the shape.

    Raises:
        LandmarkError: they are no real numbers, have another shape, or are not finite.
    """
    found = real_array(points, f"Landmarks from {source}", LandmarkError)
    if found.shape != (count, 2):
        raise LandmarkError(f"Landmarks from {source} have shape {found.shape}; give {wanted}.")
    if not np.isfinite(found).all():
        raise LandmarkError(f"Landmarks from {source} contain NaN or infinity; give finite pixels.")
    return found
