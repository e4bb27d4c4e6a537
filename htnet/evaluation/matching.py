"""Matching of predicted and true intervals, as in the spotting challenges (MEGC).

A predicted interval matches a true one if their intersection over union is at least 0.5. An interval includes its onset
and offset, so frames 10 to 19 are ten frames. Each true interval counts once. htnet uses the maximum one-to-one
matching: with m true intervals, n predicted intervals and k pairs, there are k true positives, n - k false positives
and m - k false negatives.

Sources: the code of the baseline of MEGC 2020 (He, Wang, Li and Yap, arXiv 1912.11985;
HeyingGithub/Baseline-project-for-MEGC2020_spotting, ``result_helper.py``) counts the true intervals that have at least
one matching prediction; the code of the spot-then-recognize score (genbing99/STRS-Metric, ``strs_metric.py``) assigns
to each prediction in turn all matching true intervals that are still free. Both give the size of the maximum matching
if no prediction matches two true intervals. If one does (SAMM Long Videos has macro-expressions that overlap by 0.7),
both may count more true positives than there are predictions, and the second depends on the order. The maximum matching
does neither.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from htnet.core.arrays import plain_array, refuse_masked
from htnet.core.errors import InputError
from htnet.core.fields import native

#: Onset and offset, whole frames or whole milliseconds, both included.
Span = tuple[int, int]
#: Minimum intersection over union of a true positive.
IOU = Fraction(1, 2)


def interval_iou(one: Span, other: Span) -> Fraction:
    """Exact intersection over union of two intervals of whole frames or milliseconds.

    Args:
        one: onset and offset, both included.
        other: the same.

    Raises:
        InputError: one is not two whole numbers, or ends before it begins.
    """
    return _iou(*checked_spans((one,), "first"), *checked_spans((other,), "second"))


def checked_spans(spans: Iterable[Span], name: str) -> list[Span]:
    """Intervals of whole numbers as tuples of Python's integers, which neither wrap around nor have limits.

    Args:
        spans: onset and offset of each interval: lists, an (N, 2) array or an iterator.
        name: which intervals they are, for messages.

    Raises:
        InputError: one is not two whole numbers, is masked, or ends before it begins.
    """
    refuse_masked(spans, f"The {name} intervals have")
    found: list[Span] = []
    given: Any = spans
    if callable(getattr(given, "detach", None)):  # a tensor
        given = plain_array(given, f"The {name} intervals have")
    try:
        each = list(given)
    except TypeError:
        raise InputError(
            f"The {name} intervals are {spans!r}; give a list of (onset, offset) in whole frames or milliseconds."
        ) from None
    for span in each:
        refuse_masked(span, f"The {name} intervals have")
        try:
            ends = tuple(span)
            if any(isinstance(native(end), bool) for end in ends):  # NumPy before 2.3 only warns that they are no index
                raise TypeError
            onset, offset = map(operator.index, ends)
        except (TypeError, ValueError, RuntimeError):  # PyTorch's of tensors without values
            raise InputError(
                f"A {name} interval is {span!r}; give (onset, offset) in whole frames or milliseconds."
            ) from None
        if offset < onset:
            raise InputError(f"A {name} interval ends at {offset}, before it begins at {onset}. Correct it.")
        found.append((onset, offset))
    return found


def _iou(one: Span, other: Span) -> Fraction:
    shared = max(0, min(one[1], other[1]) - max(one[0], other[0]) + 1)
    return Fraction(shared, (one[1] - one[0] + 1) + (other[1] - other[0] + 1) - shared)


def exact_threshold(value: Fraction | float | str) -> Fraction:
    """A threshold as an exact decimal fraction: 0.3 is 3/10, not the nearest binary number.

    Raises:
        InputError: it is not above 0, or above 1.
    """
    try:
        found = value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"The intersection over union is {value!r}; give a number such as 0.5.") from None
    if not 0 < found <= 1:
        raise InputError(f"The intersection over union is {value}; give more than 0 and at most 1.")
    return found


def match_intervals(
    truth: Sequence[Span], predicted: Sequence[Span], iou: Fraction | float | str = IOU
) -> tuple[tuple[int, int], ...]:
    """Pair as many true and predicted intervals as possible, each at most once.

    Among all maximum matchings, one with the largest sum of intersections over unions is used. It does not depend on
    the order of the intervals: among those with equal sums, earlier intervals are paired.

    Args:
        truth: onset and offset of each true interval, both included, in whole frames or milliseconds.
        predicted: onset and offset of each predicted interval, likewise.
        iou: minimum intersection over union of a pair.

    Returns:
        Pairs of indexes into ``truth`` and ``predicted``, sorted by ``truth``.

    Raises:
        InputError: an interval is not two whole numbers or ends before it begins, or ``iou`` is not in (0, 1].
    """
    least = exact_threshold(iou)
    truth, predicted = checked_spans(truth, "true"), checked_spans(predicted, "predicted")
    rows = sorted(range(len(truth)), key=lambda i: truth[i])
    columns = sorted(range(len(predicted)), key=lambda j: predicted[j])
    edges = _edges([truth[i] for i in rows], [predicted[j] for j in columns], least)
    pairs = [pair for part in _components(edges) for pair in _largest(part)]
    return tuple(sorted((rows[i], columns[j]) for i, j in pairs))


Edges = dict[int, dict[int, Fraction]]


def _edges(truth: Sequence[Span], predicted: Sequence[Span], least: Fraction) -> Edges:
    """The intersection over union of each pair that reaches ``least``, as ``edges[i][j]`` for ``truth[i]`` and
    ``predicted[j]``. Both must be sorted by onset.
    """
    edges: Edges = {}
    first = 0
    latest = [0] * len(predicted)  # the latest offset of this and all earlier intervals
    for j, (_, offset) in enumerate(predicted):
        latest[j] = max(offset, latest[j - 1]) if j else offset
    for i, span in enumerate(truth):
        while first < len(predicted) and latest[first] < span[0]:
            first += 1
        for j in range(first, len(predicted)):
            if predicted[j][0] > span[1]:
                break
            if (value := _iou(span, predicted[j])) >= least:
                edges.setdefault(i, {})[j] = value
    return edges


def _components(edges: Edges) -> list[Edges]:
    """Connected components of the graph. Nearly all of them are a single pair."""
    of_column: dict[int, list[int]] = {}
    for i, row in edges.items():
        for j in row:
            of_column.setdefault(j, []).append(i)
    parts, seen = [], set[int]()
    for start in edges:
        if start in seen:
            continue
        seen.add(start)
        part, waiting = {start: edges[start]}, [start]
        while waiting:
            for j in edges[waiting.pop()]:
                for i in of_column[j]:
                    if i not in seen:
                        seen.add(i)
                        part[i] = edges[i]
                        waiting.append(i)
        parts.append(dict(sorted(part.items())))
    return parts


def _largest(edges: Edges) -> list[tuple[int, int]]:
    """The maximum matching with the largest sum, by shortest augmenting paths, each of which adds one pair.

    Source: successive shortest paths, as in Ahuja, Magnanti and Orlin, "Network Flows", 1993.
    """
    of_row: dict[int, int] = {}
    of_column: dict[int, int] = {}
    while True:
        # Bellman-Ford from all free rows: the cost of each column, and the row before it on its path.
        cost: dict[int, Fraction] = {}
        before: dict[int, int] = {}
        rows = {i: Fraction(0) for i in edges if i not in of_row}
        while rows:
            reached: dict[int, Fraction] = {}
            for i, so_far in rows.items():
                for j, value in edges[i].items():
                    if of_row.get(i) != j and (j not in cost or so_far - value < cost[j]):
                        cost[j], before[j] = so_far - value, i
                        if j in of_column:
                            reached[of_column[j]] = cost[j] + edges[of_column[j]][j]
            rows = reached
        free = [j for j in cost if j not in of_column]
        if not free:
            return sorted(of_row.items())
        j = min(free, key=lambda k: (cost[k], k))
        while True:
            i = before[j]
            previous = of_row.get(i)
            of_row[i], of_column[j] = j, i
            if previous is None:
                break
            j = previous
