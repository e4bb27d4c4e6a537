"""Calibration of probabilities, and temperature scaling.

Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599): reliability diagrams, the
expected calibration error (their equation 3), and temperature scaling, softmax(logits / T) with one T > 0 for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import check_rows, group_list, plain_array
from htnet.core.errors import InputError
from htnet.core.fields import whole
from htnet.core.identity import check_groups
from htnet.core.types import Float64Array
from htnet.evaluation.metrics import class_indexes

IntArray = npt.NDArray[np.int64]
#: Bins of the top probability, as in the paper.
BINS = 15
#: Range of the search for the temperature; a result at an end means that the data do not determine it.
TEMPERATURES = (0.05, 20.0)
#: Value used for a probability of 0: the smallest normal float32.
SMALLEST = float(np.finfo(np.float32).tiny)
#: Tolerance for the sum of a sample's probabilities, as large as for a bfloat16 model.
_SUM_ERROR = 0.01
#: Halvings of the searched range of log T; 60 reach the resolution of float64.
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy per bin: the data of a reliability diagram.

    A bin includes its lower edge and excludes its upper edge; the last bin includes 1.

    Attributes:
        edges: (B + 1,) edges of the bins of the top probability, 0..1, equally wide.
        confidence: (B,) mean top probability of the bin's samples; NaN for an empty bin.
        accuracy: (B,) fraction of the bin's samples predicted correctly; NaN for an empty bin.
        count: (B,) number of samples in the bin.
    """

    edges: Float64Array
    confidence: Float64Array
    accuracy: Float64Array
    count: IntArray

    @property
    def error(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence| of the bins, weighted by their samples."""
        used = self.count > 0
        gaps = np.abs(self.accuracy[used] - self.confidence[used])
        return float((self.count[used] / self.count.sum() * gaps).sum())


def reliability(truth: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Confidence and accuracy in equally wide bins of the top probability.

    Args:
        truth: (N,) true class indexes.
        probabilities: (N, C), each row sums to 1.
        bins: number of bins.

    Raises:
        InputError: no samples, unequal lengths, a label that is not a class index, numbers that are not probabilities,
            or fewer than 1 bin.
    """
    whole().check("bins", bins)
    check_rows(truth=truth, probabilities=probabilities)
    chances, true = _labeled(truth, _probabilities(probabilities))
    sure, right = chances.max(1), chances.argmax(1) == true
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], sure, side="right")  # a value on an edge is in the bin above
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 for an empty bin
        confidence = np.bincount(place, sure, bins) / count
        accuracy = np.bincount(place, right, bins) / count
    return Reliability(edges, confidence, accuracy, count)


def expected_calibration_error(truth: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> float:
    """Mean of |accuracy - confidence| of the bins, weighted by their samples; 0 is best, 1 worst. See `reliability`.

    Raises:
        InputError: as for `reliability`.
    """
    return reliability(truth, probabilities, bins).error


def log_loss(truth: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean of -log of the true class's probability. Probabilities below `SMALLEST` count as `SMALLEST`.

    Args:
        truth: (N,) true class indexes.
        probabilities: (N, C), each row sums to 1.

    Raises:
        InputError: no samples, unequal lengths, a label that is not a class index, or numbers that are not
            probabilities.
    """
    check_rows(truth=truth, probabilities=probabilities)
    chances, true = _labeled(truth, _probabilities(probabilities))
    return float(-_logs(chances)[np.arange(len(true)), true].mean())


def fit_temperature(truth: npt.ArrayLike, scores: npt.ArrayLike, *, logits: bool = False) -> float:
    """Fit the temperature with the smallest log loss.

    The loss is convex in 1 / T, so the sign of its slope shows on which side of a given T the minimum lies. The range
    of log T is bisected. Probabilities can be used instead of logits, because their logarithms differ from the logits
    by a constant per sample, to which the softmax is invariant.

    Args:
        truth: (N,) true class indexes.
        scores: (N, C) probabilities, each row sums to 1.
        logits: ``scores`` are logits instead of probabilities.

    Returns:
        T, within `TEMPERATURES`: above 1 for overconfident probabilities. It is an end of the range if the loss
        decreases up to that end (all predictions correct, or no better than chance), and 1 if all scores of each sample
        are equal, which no temperature changes.

    Raises:
        InputError: no samples, unequal lengths, a label that is not a class index, or numbers that are not
            probabilities (or, with ``logits``, not finite, or probabilities).
    """
    check_rows(truth=truth, scores=scores)
    values = _matrix(scores, "logits") if logits else _logs(_probabilities(scores))
    if logits and values.shape[1] > 1 and (values >= 0).all() and (np.abs(values.sum(1) - 1) <= _SUM_ERROR).all():
        raise InputError(
            "logits=True, but the scores of every sample are of 0 or more and sum to 1: they are probabilities. Leave "
            "logits out."
        )
    values, true = _labeled(truth, values)
    values = values - values.max(1, keepdims=True)
    if not values.any():
        return 1.0
    of_truth = values[np.arange(len(true)), true].mean()
    low, high = np.log(TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (_softmax(values * np.exp(-middle)) * values).sum(1).mean()
        if expected > of_truth:  # the loss grows with 1 / T: T must be higher
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def apply_temperature(probabilities: npt.ArrayLike, temperature: npt.ArrayLike) -> Float64Array:
    """Rescale probabilities as if their logits had been divided by the temperature; the top class is unchanged.

    Args:
        probabilities: (N, C), each row sums to 1.
        temperature: one number for all samples, or (N,).

    Returns:
        (N, C) probabilities.

    Raises:
        InputError: no samples, numbers that are not probabilities, or temperatures that are not positive and finite.
    """
    chances = _probabilities(probabilities)
    by = plain_array(temperature, "Temperatures have")
    if by.dtype.kind not in "iuf" or by.shape not in ((), (len(chances),)):
        raise InputError(f"temperature is {temperature!r}; give one number, or one for each of {len(chances)} samples.")
    if not (np.isfinite(by) & (by > 0)).all():
        raise InputError(f"temperature is {temperature!r}; give positive, finite numbers.")
    return _softmax(_logs(chances) / by.astype(np.float64).reshape(-1, 1))


def left_out_temperatures(truth: npt.ArrayLike, probabilities: npt.ArrayLike, groups: Sequence[Any]) -> Float64Array:
    """For each sample, the temperature fitted on all samples of the other groups.

    Args:
        truth: (N,) true class indexes.
        probabilities: (N, C), each row sums to 1.
        groups: (N,) group of each sample, such as its subject.

    Returns:
        (N,), the same number for all samples of a group.

    Raises:
        InputError: as for `fit_temperature`; or fewer than two groups, not one group per sample, a group is missing, or
            two groups may be one person in two spellings.
    """
    check_rows(truth=truth, probabilities=probabilities, groups=groups)
    chances, true = _labeled(truth, _probabilities(probabilities))
    each = group_list(groups, len(true))
    check_groups(each)
    names = sorted(set(each))
    if len(names) < 2:
        raise InputError(f"All {len(true)} samples are in one group, {names[0]!r}; leaving one out needs two or more.")
    numbers = {name: i for i, name in enumerate(names)}
    members = np.array([numbers[name] for name in each])
    temperatures = [
        fit_temperature(true[others], chances[others]) for i in range(len(names)) for others in [members != i]
    ]
    return np.array(temperatures)[members]


def _matrix(values: npt.ArrayLike, name: str) -> Float64Array:
    matrix = plain_array(values, f"{name[:1].upper()}{name[1:]} have")
    if matrix.ndim != 2 or not matrix.size or matrix.dtype.kind not in "iuf":
        raise InputError(
            f"{name} have shape {matrix.shape} and type {matrix.dtype}; give numbers, one row per sample and "
            "one column per class."
        )
    matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix).all():
        row = int(np.flatnonzero(~np.isfinite(matrix).all(1))[0])
        raise InputError(f"{name} of sample {row} are {matrix[row].tolist()}; give finite numbers.")
    return matrix


def _probabilities(values: npt.ArrayLike) -> Float64Array:
    chances = _matrix(values, "probabilities")
    wrong = (chances < 0).any(1) | (np.abs(chances.sum(1) - 1) > _SUM_ERROR)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"probabilities of sample {row} are {chances[row].tolist()}, with the sum {chances[row].sum():.6g}; "
            "give numbers of 0 or more that sum to 1: the softmax of a model's scores."
        )
    return chances


def _labeled(truth: npt.ArrayLike, values: Float64Array) -> tuple[Float64Array, IntArray]:
    true = class_indexes(truth, values.shape[1], "truth")
    if len(true) != len(values):
        raise InputError(f"truth has {len(true)} samples, the scores {len(values)} rows; give one row per sample.")
    return values, true


def _logs(probabilities: Float64Array) -> Float64Array:
    return np.asarray(np.log(np.maximum(probabilities, SMALLEST)))


def _softmax(values: Float64Array) -> Float64Array:
    with np.errstate(under="ignore"):  # impossible classes have the probability 0
        powers = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))
