"""Conversion of user input to arrays of numbers."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import HtnetError, InputError, LandmarkError

#: What may contain masked values, itself or in its items.
_MAY_BE_MASKED = (np.ndarray, list, tuple)


def refuse_masked(values: object, what: str, error: type[HtnetError] = InputError) -> None:
    """Refuse masked values of `numpy.ma`, in arrays and in lists: NumPy would compute with the numbers under the mask.

    Args:
        values: what was given: an array, or a list or tuple of numbers, arrays or lists; anything else passes.
        what: the start of the message, such as "The onset has".
        error: what is raised.

    Raises:
        HtnetError: of the type ``error``: a value is masked.
    """
    if _is_masked(values):
        raise error(
            f"{what} masked values, which are missing. Leave them out, or replace them by numbers that you choose: "
            "array.filled(number)."
        )


def _is_masked(values: object) -> bool:
    if isinstance(values, np.ma.MaskedArray):  # np.ma.masked is one
        return bool(np.ma.is_masked(values))
    if isinstance(values, np.ndarray):
        return values.dtype.hasobject and values.dtype.names is None and any(map(_is_masked, values.flat))
    if not isinstance(values, (list, tuple)):
        return False
    # Long lists of numbers are the rule: only their types are looked at.
    return any(issubclass(kind, _MAY_BE_MASKED) for kind in set(map(type, values))) and any(map(_is_masked, values))


def _has_booleans(values: object) -> bool:
    """Whether a list contains True or False, of Python or NumPy, at any depth."""
    if not isinstance(values, (list, tuple)):
        return False
    kinds = set(map(type, values))
    return not kinds.isdisjoint((bool, np.bool_)) or (
        any(issubclass(kind, (list, tuple)) for kind in kinds) and any(map(_has_booleans, values))
    )


def plain_array(values: object, what: str, error: type[HtnetError] = InputError) -> npt.NDArray[Any]:
    """Convert what a user gave to an array of its own type, without a mask.

    Args:
        values: numbers, lists of them, an array, or a PyTorch tensor on any device, with or without a gradient.
        what: the start of the message about masked values, such as "truth has".
        error: the exception type to raise.

    Returns:
        The array, in the machine's byte order; of dtype object if it is not an array of one type: lists of different
        lengths, other objects, and tensors without plain values (sparse, meta).

    Raises:
        HtnetError: of the type ``error``: a value is masked.
    """
    refuse_masked(values, what, error)
    given: Any = values
    try:
        if callable(getattr(given, "detach", None)):
            given = given.detach().cpu().resolve_neg()
            if given.is_floating_point() and given.element_size() < 4:
                given = given.float()  # NumPy has no bfloat16
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError):  # PyTorch raises the last for sparse and meta tensors
        return np.array(None, dtype=object)
    return found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))


def real_array(
    values: npt.ArrayLike,
    what: str,
    error: type[HtnetError] = InputError,
    cure: str = "lists or an array of them",
    dtype: type[np.floating[Any]] = np.float32,
) -> npt.NDArray[Any]:
    """Convert real numbers to float32 or float64 and keep their shape.

    Args:
        values: numbers, lists of them, an array, or a PyTorch tensor.
        what: the start of the error message, such as "Landmarks from array".
        error: the exception type to raise.
        cure: what to give instead, for the error message.
        dtype: type of the result.

    Raises:
        HtnetError: of the type ``error``: the values are complex numbers, booleans, strings or objects, lists of
            different lengths, an array with masked values, or a tensor without plain values (sparse, meta).
    """
    found = plain_array(values, f"{what} have", error)
    if _has_booleans(values):  # in a list with numbers, NumPy takes True for 1
        found = np.array(True)
    if found.dtype.kind not in "iuf":
        kinds = {"b": "booleans", "U": "text", "S": "bytes", "M": "dates", "m": "time differences"}
        kind = kinds.get(found.dtype.kind, type(values).__name__)
        got = "complex" if found.dtype.kind == "c" else f"not numbers ({kind})"
        raise error(f"{what} are {got}; give real numbers: {cure}.")
    with np.errstate(over="ignore"):  # what exceeds the type is infinite, which callers refuse
        return np.asarray(found, dtype=dtype)


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


def group_list(groups: object, count: int | None = None, name: str = "groups") -> list[Any]:
    """The group of each sample, as a list.

    Args:
        groups: a name or number per sample: a list, an array, a tensor, a column of a table, or an iterator.
        count: number of samples; None for any.
        name: name of the argument, for messages.

    Raises:
        InputError: a single string or a set; not one group per sample; a group is missing (None, NaN, also in a tuple;
            the text "nan", which NumPy makes of it; masked) or is itself a list; or names and numbers are mixed.
    """
    refuse_masked(groups, f"{name} has")
    given: Any = groups
    if callable(getattr(given, "detach", None)):  # the items of a tensor are tensors, all different
        given = plain_array(given, f"{name} has")
    try:
        if isinstance(given, (str, bytes, Set)):  # sets have no order
            raise TypeError
        found = [_plain_group(group) for group in given]
    except TypeError:
        raise InputError(f"{name} is {groups!r}; give the group of each sample, as a list.") from None
    if count is not None and len(found) != count:
        raise InputError(f"{name} has {len(found)} entries for {count} samples; give one per sample.")
    refuse_masked(found, f"{name} has")
    for number, group in enumerate(found):
        if not _is_hashable(group) or any(map(is_missing, group if isinstance(group, tuple) else (group,))):
            said = group.item() if isinstance(group, np.generic) else group
            raise InputError(f"{name}[{number}] is {said!r}; give a name or a number for each sample.")
    try:
        sorted(set(found))
    except TypeError:
        parts = [part for group in found for part in (group if isinstance(group, tuple) else (group,))]
        kinds = " and ".join(sorted({type(part).__name__ for part in parts}))
        raise InputError(f"{name} mixes {kinds}; give names only, or numbers only.") from None
    return found


def _plain_group(group: Any) -> Any:
    """The group as a hashable value: tensors, as data loaders return them, are equal only to themselves."""
    return plain_array(group, "a group has").tolist() if callable(getattr(group, "detach", None)) else group


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None, NaN, pandas' NA, or the text "nan", which NumPy makes of NaN."""
    if value is None or type(value).__name__ == "NAType":  # a comparison with pandas' NA is neither true nor false
        return True
    return bool(value == "nan" or value == b"nan" or value != value)  # NaN differs from itself


def check_rows(**columns: object) -> None:
    """Refuse columns and tables of pandas whose rows have the same labels in different orders.

    Rows are matched by position, as everywhere in NumPy and scikit-learn. pandas itself matches them by label.

    Args:
        **columns: what was given, by the name of the argument; anything without an index passes.

    Raises:
        InputError: two indexes contain the same labels in different orders.
    """
    found: dict[str, Any] = {
        name: getattr(value, "index")  # noqa: B009
        for name, value in columns.items()
        if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "index")
    }
    for name in list(found)[1:]:
        first = next(iter(found))
        one, other = found[first], found[name]
        if len(one) == len(other) and not one.equals(other) and set(one) == set(other):
            raise InputError(
                f"The rows of {first} and {name} have the same labels (index) in different orders. Bring them in one "
                f"order: {name}.loc[{first}.index]. If they already belong together by position, give "
                f"{name}.to_numpy()."
            )


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
