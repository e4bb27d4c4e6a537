"""Recognition of emotions in detected intervals, the second factor of the spot-then-recognize score.

Source: Liong, See and Chan, "Spot-then-recognize", Signal Processing: Image Communication 110, 2023, and its code
(genbing99/STRS-Metric): the true positives whose annotated emotion is one of the classes are scored; precision and
recall are averaged over all classes (a class that does not occur counts as 0), and F1 is their harmonic mean. What this
code prints as UAR, and so the table of MEGC 2025 (arXiv 2506.15298), is the mean precision; here UAR is the mean
recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from htnet.core.errors import InputError, refuse_columns
from htnet.evaluation.metrics import accuracy, confusion_matrix, uar, uf1


@dataclass(frozen=True)
class Recognition:
    """Scores of emotion recognition in the true positives of spotting.

    Attributes:
        precision: mean precision over all classes, 0..1.
        recall: mean recall over all classes, 0..1.
        f1: harmonic mean of precision and recall, used in the spot-then-recognize score.
        uf1: mean F1 of the classes that occur in the true positives, as defined by MEGC 2019; None if ``pairs`` is 0.
        uar: mean recall of these classes; None if ``pairs`` is 0.
        accuracy: fraction of correct predictions; None if ``pairs`` is 0.
        classes: the emotions that are scored.
        pairs: number of true positives whose emotion is one of the classes.
        left_out: number of true positives whose emotion is not annotated, or not one of the classes.
    """

    precision: float
    recall: float
    f1: float
    uf1: float | None
    uar: float | None
    accuracy: float | None
    classes: tuple[str, ...]
    pairs: int
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        names = ("precision", "recall", "f1", "uf1", "uar", "accuracy")
        return {
            **{name: getattr(self, name) for name in names},
            "classes": list(self.classes),
            "pairs": self.pairs,
            "left_out": self.left_out,
        }


def class_names(classes: Iterable[str]) -> tuple[str, ...]:
    """The emotions that are scored, read once.

    Raises:
        InputError: there are none, one occurs twice, or they are not names; a single string is not a list of names.
    """
    given: Any = classes
    names = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError(f"classes is {names or classes!r}; list each emotion to be scored once.")
    return names


def recognize(pairs: Iterable[tuple[str | None, str | None]], classes: Sequence[str]) -> Recognition:
    """Score the emotions of the true positives of spotting.

    Args:
        pairs: annotated and predicted emotion of each true positive; a prediction outside the classes is wrong.
        classes: the emotions that are scored.

    Raises:
        InputError: there are no classes, one occurs twice, or ``pairs`` are not pairs of names.
    """
    classes = class_names(classes)
    index = {name: k for k, name in enumerate(classes)}
    every = _pairs(pairs)
    # One more class, which is never true, for predictions outside the classes.
    scored = [(index[true], index.get(answer or "", len(classes))) for true, answer in every if true in index]
    if not scored:
        return Recognition(0.0, 0.0, 0.0, None, None, None, classes, 0, len(every))
    counts = confusion_matrix([i for i, _ in scored], [j for _, j in scored], len(classes) + 1)
    right, rows, columns = counts.diagonal()[:-1], counts.sum(1)[:-1], counts.sum(0)[:-1]
    precision, recall = (
        sum(int(hits) / int(total) for hits, total in zip(right, totals, strict=True) if total) / len(classes)
        for totals in (columns, rows)
    )
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Recognition(
        precision,
        recall,
        f1,
        uf1(counts),
        uar(counts),
        accuracy(counts),
        classes,
        len(scored),
        len(every) - len(scored),
    )


def _pairs(pairs: object) -> list[tuple[str | None, str | None]]:
    given: Any = pairs
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InputError(f"pairs is {given!r}; list (annotated, predicted) emotion of each true positive.")
    refuse_columns(given, ("annotated", "predicted"))
    found = list(given)
    for number, pair in enumerate(found):
        names = pair if isinstance(pair, (tuple, list, np.ndarray)) else ()
        if len(names) != 2 or not all(name is None or isinstance(name, str) for name in names):
            raise InputError(
                f"pairs[{number}] is {pair!r}; give (annotated, predicted) emotion, each a name, or None if unknown."
            )
    return [(annotated, predicted) for annotated, predicted in found]
