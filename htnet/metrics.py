"""Scores of the field: UF1, UAR, accuracy, from a confusion matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.errors import InputError

IntMatrix = npt.NDArray[np.int64]


def confusion_matrix(truth: npt.ArrayLike, prediction: npt.ArrayLike, num_classes: int) -> IntMatrix:
    """Counts, rows are true classes, columns predicted ones.

    Args:
        truth: (N,) class indices.
        prediction: (N,) class indices.
        num_classes: number of classes.

    Returns:
        (num_classes, num_classes) int64.

    Raises:
        InputError: no samples, different lengths, or an index that is no class.
    """
    true, predicted = np.asarray(truth), np.asarray(prediction)
    if true.ndim != 1 or true.shape != predicted.shape or not len(true):
        raise InputError(
            f"Truth has shape {true.shape}, prediction {predicted.shape}; give two lists of one length, not empty."
        )
    for name, values in (("truth", true), ("prediction", predicted)):
        if not np.issubdtype(values.dtype, np.integer):
            raise InputError(f"The {name} has type {values.dtype}; give class indices, whole numbers.")
        if values.min() < 0 or values.max() >= num_classes:
            bad = values[(values < 0) | (values >= num_classes)][0]
            raise InputError(f"The {name} holds {bad}, which is no index of {num_classes} classes.")
    out = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(out, (true, predicted), 1)
    return out


def uf1(confusion: npt.ArrayLike) -> float:
    """Unweighted F1: mean over classes of 2TP / (2TP + FP + FN) (MEGC 2019).

    A class without a true sample is left out of the mean.
    """
    c = np.asarray(confusion, dtype=np.float64)
    present = c.sum(1) > 0
    f1 = 2 * np.diag(c)[present] / (c.sum(1) + c.sum(0))[present]
    return float(f1.mean())


def uar(confusion: npt.ArrayLike) -> float:
    """Unweighted average recall (MEGC 2019); a class without a true sample is left out."""
    c = np.asarray(confusion, dtype=np.float64)
    present = c.sum(1) > 0
    return float((np.diag(c)[present] / c.sum(1)[present]).mean())


def accuracy(confusion: npt.ArrayLike) -> float:
    """Share of right predictions."""
    c = np.asarray(confusion, dtype=np.float64)
    return float(np.trace(c) / c.sum())


@dataclass(frozen=True)
class Scores:
    """Scores of a set of predictions.

    Attributes:
        uf1: unweighted F1.
        uar: unweighted average recall.
        accuracy: share of right predictions.
        confusion: counts, rows are true classes.
        num_samples: number of predictions.
    """

    uf1: float
    uar: float
    accuracy: float
    confusion: tuple[tuple[int, ...], ...]
    num_samples: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {**asdict(self), "confusion": [list(row) for row in self.confusion]}


def score(truth: npt.ArrayLike, prediction: npt.ArrayLike, num_classes: int) -> Scores:
    """All scores of pooled predictions.

    Raises:
        InputError: see `confusion_matrix`.
    """
    c = confusion_matrix(truth, prediction, num_classes)
    return Scores(uf1(c), uar(c), accuracy(c), tuple(tuple(map(int, row)) for row in c), int(c.sum()))
