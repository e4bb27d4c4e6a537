"""Scores for ordered classes, with their confidence intervals.

Kappa weights a mistake by the square of its distance (Cohen 1968): predicting V for VI counts little, predicting I for
VI counts much.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import check_rows, group_list
from htnet.core.errors import InputError
from htnet.core.identity import check_groups
from htnet.core.types import Float64Array
from htnet.core.words import ordered_names
from htnet.evaluation.bootstrap import RESAMPLES, interval, resampled_confusions
from htnet.evaluation.metrics import confusion_matrix, many_counts, uf1_of_each
from htnet.palsy.grades import check_order


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class. A value that is not defined (nothing predicted, or no such image) is 0.

    Attributes:
        precision: fraction of its predictions that are correct.
        recall: fraction of its images that are recognized.
        f1: harmonic mean of the two.
        support: number of its images.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class GradeScores:
    """Scores of predicted grades.

    Attributes:
        accuracy: fraction of correct predictions.
        macro_f1: mean of the classes' F1; a class without images is left out.
        kappa: quadratic-weighted kappa, -1 to 1; None if it is not defined (all of one class, in truth and
            prediction).
        mean_absolute_error: mean distance between true and predicted class, in classes.
        classes: by class name.
        confusion: counts, rows are true classes.
        intervals: 95 % intervals (low, high) of the first four scores, by bootstrap over patients; empty with fewer
            than two patients.
        num_samples: number of images.
        num_patients: number of patients.
    """

    accuracy: float
    macro_f1: float
    kappa: float | None
    mean_absolute_error: float
    classes: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    intervals: Mapping[str, tuple[float, float]]
    num_samples: int
    num_patients: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; a part of the document "htnet.palsy_scores"."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "classes"},
            "class_scores": {name: dataclasses.asdict(scores) for name, scores in self.classes.items()},
            "confusion": [list(row) for row in self.confusion],
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
        }


def quadratic_kappa(confusion: npt.ArrayLike) -> Float64Array:
    """Cohen's kappa with weights (i - j)^2: 1 - observed disagreement / disagreement expected by chance.

    Args:
        confusion: (..., C, C) counts, rows are true classes.

    Returns:
        (...) values; NaN if chance alone cannot disagree.

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    counts = many_counts(confusion)
    # Products of counts must neither vanish nor overflow; a power of two changes no digit.
    counts = np.ldexp(counts, -np.frexp(counts.max((-2, -1), keepdims=True))[1])
    weights = _distances(counts.shape[-1]) ** 2
    expected = counts.sum(-1)[..., :, None] * counts.sum(-2)[..., None, :]
    total = counts.sum((-2, -1))
    by_chance = (weights * expected).sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - (weights * counts).sum((-2, -1)) * total / by_chance)


def mean_absolute_error(confusion: npt.ArrayLike) -> Float64Array:
    """Mean of |true - predicted| in classes; (..., C, C) counts to (...).

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    counts = many_counts(confusion)
    return np.asarray((_distances(counts.shape[-1]) * counts).sum((-2, -1)) / counts.sum((-2, -1)))


def macro_f1(confusion: npt.ArrayLike) -> Float64Array:
    """Mean F1 over the classes that occur in the truth; (..., C, C) counts to (...).

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    return uf1_of_each(confusion)


def share_right(confusion: npt.ArrayLike) -> Float64Array:
    """Fraction of correct predictions; (..., C, C) counts to (...).

    Raises:
        InputError: they are not square matrices of counts, or one has no samples.
    """
    counts = many_counts(confusion)
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum((-2, -1)))


_MEASURES: Mapping[str, Callable[[npt.ArrayLike], Float64Array]] = {
    "accuracy": share_right,
    "macro_f1": macro_f1,
    "kappa": quadratic_kappa,
    "mean_absolute_error": mean_absolute_error,
}


def grade_scores(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    patients: Sequence[Any],
    classes: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> GradeScores:
    """Compute all scores of predicted classes.

    For the intervals, as many patients as there are are drawn with replacement, each with all images. Errors on images
    of one person are correlated, so drawing single images would make the intervals too narrow.

    Args:
        truth: (N,) true class indexes, classes in their order.
        prediction: (N,) predicted class indexes.
        patients: (N,) the patient in each image.
        classes: class names, from normal to worst.
        resamples: draws for the intervals.
        seed: seed of the draws.

    Raises:
        InputError: no samples, unequal lengths, a label that is not a class index, ``resamples`` below 1, a patient is
            missing or spelled in two ways, or ``classes`` are not different names, or grades in another
            order.
    """
    classes = _class_names(classes)
    check_order(classes, "the scores", InputError)
    check_rows(truth=truth, prediction=prediction, patients=patients)
    counts = confusion_matrix(truth, prediction, len(classes))
    people = group_list(patients, int(counts.sum()), "patients")
    check_groups(people, "patients has")
    drawn = resampled_confusions(truth, prediction, people, len(classes), resamples, seed)
    true, predicted, hits = counts.sum(1), counts.sum(0), np.diag(counts)
    by_class = {
        name: ClassScores(
            float(hits[i] / max(predicted[i], 1)),
            float(hits[i] / max(true[i], 1)),
            float(2 * hits[i] / max(true[i] + predicted[i], 1)),
            int(true[i]),
        )
        for i, name in enumerate(classes)
    }
    values = {name: float(measure(counts)) for name, measure in _MEASURES.items()}
    names = set(people)
    return GradeScores(
        accuracy=values["accuracy"],
        macro_f1=values["macro_f1"],
        kappa=None if np.isnan(values["kappa"]) else values["kappa"],
        mean_absolute_error=values["mean_absolute_error"],
        classes=by_class,
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
        intervals=_intervals(drawn) if len(names) > 1 else {},
        num_samples=int(counts.sum()),
        num_patients=len(names),
    )


def _intervals(drawn: Float64Array) -> dict[str, tuple[float, float]]:
    """Intervals of the scores, from the confusion matrices (R, C, C) of drawn patients."""
    found = {}
    for name, measure in _MEASURES.items():
        values = measure(drawn)
        values = values[~np.isnan(values)]  # draws of one class only have no kappa
        if values.size:
            found[name] = interval(values)
    return found


def _class_names(classes: object) -> tuple[str, ...]:
    names = ordered_names(classes)
    if not names or not all(names) or len(set(names)) < len(names):
        raise InputError(f"classes is {classes!r}; list the name of each class once, from normal to worst.")
    return names


def _distances(num_classes: int) -> Float64Array:
    place = np.arange(num_classes, dtype=np.float64)
    return np.asarray(np.abs(place[:, None] - place[None]))
