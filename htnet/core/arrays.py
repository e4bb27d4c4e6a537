"""Conversion of user input to arrays of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import HtnetError, InputError, LandmarkError


def refuse_masked(values: object, what: str, error: type[HtnetError] = InputError) -> None:
    """Refuse arrays of `numpy.ma` with masked values: NumPy would compute with the numbers under the mask.

    Args:
        values: what was given; anything else passes.
        what: the start of the message, such as "The onset has".
        error: what is raised.

    Raises:
        HtnetError: of the type ``error``: a value is masked.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise error(
            f"{what} masked values, which are missing. Leave them out, or replace them by numbers that you choose: "
            "array.filled(number)."
        )


def real_array(
    values: npt.ArrayLike, what: str, error: type[HtnetError] = InputError, cure: str = "lists or an array of them"
) -> npt.NDArray[np.float32]:
    """Convert real numbers to float32 and keep their shape.

    Args:
        values: numbers, lists of them, an array, or a PyTorch tensor.
        what: the start of the error message, such as "Landmarks from array".
        error: the exception type to raise.
        cure: what to give instead, for the error message.

    Raises:
        HtnetError: of the type ``error``: the values are complex numbers, strings or objects, lists of different
            lengths, an array with masked values, or a tensor without plain values (sparse, meta).
    """
    refuse_masked(values, f"{what} have", error)
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
    """Check facial points and return them as (count, 2) float32.

    Args:
        points: (x, y) of each point, px.
        count: the required number of points.
        source: where the points come from, for the error message.
        wanted: what to give instead, for the error message about the shape.

    Raises:
        LandmarkError: the points are not real numbers, have the wrong shape, or are not finite.
    """
    found = real_array(points, f"Landmarks from {source}", LandmarkError)
    if found.shape != (count, 2):
        raise LandmarkError(f"Landmarks from {source} have shape {found.shape}; give {wanted}.")
    if not np.isfinite(found).all():
        raise LandmarkError(f"Landmarks from {source} contain NaN or infinity; give finite pixels.")
    return found
