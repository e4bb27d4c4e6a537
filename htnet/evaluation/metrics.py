"""UF1, UAR and accuracy, as defined for MEGC 2019.

Source: See et al., "MEGC 2019 - The Second Facial Micro-Expressions Grand Challenge", FG 2019. A class that is not the
true class of any sample is left out of the mean, so the scores of one data set of a composite are defined.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import check_rows, plain_array, real_array
from htnet.core.errors import InputError
from htnet.core.fields import whole
from htnet.core.types import Float64Array

IntArray = npt.NDArray[np.int64]
#: Anything NumPy converts to integers: a list, an array, a tensor on the CPU.
ArrayLike = npt.ArrayLike


@dataclass(frozen=True)
class Scores:
    """Scores of predictions.

    Attributes:
        uf1: unweighted mean of the classes' F1, 0..1.
        uar: unweighted mean of the classes' recall, 0..1.
        accuracy: fraction of correct predictions, 0..1.
        confusion: counts, rows are true classes, columns predicted classes.
        num_samples: number of predictions.
    """

    uf1: float
    uar: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    num_samples: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**dataclasses.asdict(self), "confusion": [list(row) for row in self.confusion]}


def confusion_matrix(truth: ArrayLike, prediction: ArrayLike, num_classes: int) -> IntArray:
    """Count each pair of true and predicted class.

    Args:
        truth: (N,) true class indexes, 0..num_classes - 1.
        prediction: (N,) predicted class indexes.
        num_classes: number of classes.

    Returns:
        (num_classes, num_classes) int64; rows are true classes, columns predicted classes.

    Raises:
        InputError: no samples, unequal lengths, or a label that is not a class index.
    """
    num_classes = _class_count(num_classes)
    check_rows(truth=truth, prediction=prediction)
    true = class_indexes(truth, num_classes, "truth")
    predicted = class_indexes(prediction, num_classes, "prediction")
    if len(true) != len(predicted):
        raise InputError(f"truth has {len(true)} samples, prediction {len(predicted)}; give one prediction per sample.")
    counts = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def uf1(confusion: ArrayLike) -> float:
    """Unweighted F1: mean of 2 TP / (2 TP + FP + FN) over the true classes that occur.

    Args:
        confusion: (C, C) counts, rows are true classes.

    Raises:
        InputError: it is not a square matrix of counts, or has no samples.
    """
    return float(uf1_of_each(_counts(confusion)))


def uar(confusion: ArrayLike) -> float:
    """Unweighted average recall: mean of TP / (TP + FN) over the true classes that occur.

    Args:
        confusion: (C, C) counts, rows are true classes.

    Raises:
        InputError: it is not a square matrix of counts, or has no samples.
    """
    return float(uar_of_each(_counts(confusion)))


def uf1_of_each(confusions: ArrayLike) -> Float64Array:
    """`uf1` of many confusion matrices: (..., C, C) counts, each with at least one sample, to (...).

    Counts may be weighted, or divided by the number of samples.

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    counts, hits, true = _parts(confusions)
    # TP + FN is the row sum and TP + FP the column sum.
    return _mean_of_present(2 * hits, true + counts.sum(-2), true)


def uar_of_each(confusions: ArrayLike) -> Float64Array:
    """`uar` of many confusion matrices: (..., C, C) counts, each with at least one sample, to (...).

    Counts may be weighted, or divided by the number of samples.

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    _, hits, true = _parts(confusions)
    return _mean_of_present(hits, true, true)


def accuracy(confusion: ArrayLike) -> float:
    """Fraction of correct predictions.

    Args:
        confusion: (C, C) counts, rows are true classes.

    Raises:
        InputError: it is not a square matrix of counts, or has no samples.
    """
    counts = _counts(confusion)
    return float(np.trace(counts) / counts.sum())


def score(truth: ArrayLike, prediction: ArrayLike, num_classes: int) -> Scores:
    """All scores of predictions.

    Args:
        truth: (N,) true class indexes, 0..num_classes - 1.
        prediction: (N,) predicted class indexes.
        num_classes: number of classes.

    Raises:
        InputError: no samples, unequal lengths, or a label that is not a class index.
    """
    counts = confusion_matrix(truth, prediction, num_classes)
    rows = tuple(tuple(int(n) for n in row) for row in counts)
    return Scores(uf1(counts), uar(counts), accuracy(counts), rows, int(counts.sum()))


def class_indexes(values: ArrayLike | Sequence[int], num_classes: int, name: str) -> IntArray:
    """Labels as (N,) int64.

    Args:
        values: (N,) class indexes, 0..num_classes - 1.
        num_classes: number of classes.
        name: name of the argument in messages.

    Raises:
        InputError: no samples, another shape, not integers, or a number that is not a class index.
    """
    num_classes = _class_count(num_classes)
    indexes = plain_array(values, f"{name} has")
    if indexes.dtype.kind == "O":
        given = f"is {values!r}"
        if indexes.ndim == 1 and len(indexes):  # a column of pandas, or a list of several types
            wrong = next((v for v in indexes.tolist() if isinstance(v, bool) or not isinstance(v, int)), indexes[0])
            given = f"contains {wrong!r}"
        raise InputError(f"{name} {given}; give one whole class index per sample, 0..{num_classes - 1}.")
    if indexes.ndim != 1:
        raise InputError(f"{name} has shape {indexes.shape}; give one class index per sample, shape (N,).")
    if not indexes.size:
        raise InputError(f"{name} is empty; scores need at least one sample.")
    if indexes.dtype.kind not in "iu":
        raise InputError(f"{name} contains {indexes.dtype} values; give whole class indexes, 0..{num_classes - 1}.")
    wrong = indexes[(indexes < 0) | (indexes >= num_classes)]
    if wrong.size:
        raise InputError(
            f"{name} contains {int(wrong[0])}, which is not a class index in 0..{num_classes - 1} ({wrong.size} such "
            "values). "
            "Correct it, or give the right num_classes."
        )
    return indexes.astype(np.int64)


def _class_count(num_classes: int) -> int:
    count = int(num_classes) if isinstance(num_classes, np.integer) else num_classes
    whole().check("num_classes", count)
    return count


def _check_table(confusion: object) -> None:
    """Refuse a table of pandas whose rows and columns are different classes, or that also contains the sums.

    `pandas.crosstab` leaves out classes that do not occur, separately for rows and columns.

    Raises:
        InputError: the table is refused.
    """
    rows, columns = getattr(confusion, "index", None), getattr(confusion, "columns", None)
    if rows is None or columns is None:
        return
    named = {any(isinstance(name, str) for name in names) for names in (rows, columns)}
    if len(named) == 1 and list(rows) != list(columns):  # otherwise only one side has names
        raise InputError(
            f"The rows of the confusion matrix are {list(rows)}, its columns {list(columns)}. Give the same classes in "
            "the same order: confusion.reindex(index=classes, columns=classes, fill_value=0)."
        )
    counts = plain_array(confusion, "The confusion matrix has")
    if len(counts) > 1 and counts.dtype.kind in "iuf" and list(rows)[-1] == "All":
        inner = counts[:-1, :-1]
        if (counts[-1, :-1] == inner.sum(0)).all() and (counts[:-1, -1] == inner.sum(1)).all():
            raise InputError(
                "The last row and column of the confusion matrix, 'All', are the sums of the others. Give "
                "pandas.crosstab(truth, prediction) without margins."
            )


def _counts(confusion: ArrayLike) -> IntArray:
    _check_table(confusion)
    counts = plain_array(confusion, "The confusion matrix has")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise InputError(
            f"The confusion matrix has shape {counts.shape} and type {counts.dtype}; give (C, C) counts of 0 or more."
        )
    if not counts.any():
        raise InputError("The confusion matrix contains no samples; scores need at least one.")
    return counts.astype(np.int64)


def _parts(confusions: ArrayLike) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Counts, their diagonals and row sums."""
    counts = many_counts(confusions)
    return counts, np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1)


def many_counts(confusions: ArrayLike) -> Float64Array:
    """Confusion matrices that a user gave, (..., C, C), each with at least one sample.

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    _check_table(confusions)
    counts = real_array(confusions, "Confusion matrices", cure="(..., C, C) counts", dtype=np.float64)
    if counts.ndim < 2 or counts.shape[-2] != counts.shape[-1] or not (np.isfinite(counts) & (counts >= 0)).all():
        raise InputError(
            f"Confusion matrices of shape {counts.shape} are not square, or contain numbers that are not counts; give "
            "(..., C, C) counts of 0 or more."
        )
    if not counts.any((-2, -1)).all():
        raise InputError("A confusion matrix contains no samples; scores need at least one.")
    return counts


def _mean_of_present(above: Float64Array, below: Float64Array, true: Float64Array) -> Float64Array:
    """Mean of above / below over the classes that occur; counts may be weighted, and then far below 1."""
    present = true > 0
    values = np.divide(above, below, out=np.zeros_like(above), where=present)
    return np.asarray(values.sum(-1) / present.sum(-1))
