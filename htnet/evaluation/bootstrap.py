"""Bootstrap intervals of scores over people, not samples: errors within one person are correlated.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, percentile intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import check_rows, group_list, real_array
from htnet.core.errors import InputError
from htnet.core.fields import seed_number, whole
from htnet.core.identity import check_groups
from htnet.core.types import Float64Array
from htnet.evaluation.metrics import class_indexes

IntArray = npt.NDArray[np.int64]
#: Default number of draws for an interval.
RESAMPLES = 2000
#: Quantiles at the ends of an interval: 95 % of the values lie between them.
BOUNDS = (0.025, 0.975)


def why_no_draws(people: Sequence[Any]) -> str | None:
    """Why there is no bootstrap over people; None if there is one.

    Args:
        people: person of each sample; None if unknown.

    Returns:
        The reason, for messages: a sample has no subject, or there are not two people to draw from.
    """
    if unknown := sum(person is None for person in people):
        return f"{unknown} of {len(people)} samples have no subject"
    # All draws of one person are the same, so the interval would have no width.
    return None if len(set(people)) > 1 else "all samples are of one person"


def check_draws(resamples: int, seed: int) -> tuple[int, int]:
    """Check the number of draws and their seed, before anything that takes time.

    Raises:
        InputError: ``resamples`` is not a whole number of 1 or more, or ``seed`` is no seed (`seed_number`).
    """
    return whole().check("resamples", resamples), seed_number().check("seed", seed)


def draw_groups(groups: Sequence[Any], resamples: int = RESAMPLES, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Draw groups with replacement, as many as there are, for each of several resamples.

    The draws depend only on the number of groups and the seed, so scores of the same people can be compared
    draw by draw.

    Args:
        groups: (N,) group of each sample; of a sortable type.
        resamples: number of draws, R.
        seed: seed of the draws.

    Returns:
        The index of each sample's group, (N,) in 0..G - 1, and the number of times that each group was drawn, (R, G).

    Raises:
        InputError: no samples, a group is missing, ``resamples`` below 1, an impossible seed, or two people whose names
            differ only in spelling.
    """
    each = group_list(groups)
    if not each:
        raise InputError("groups is empty; drawing needs at least one sample.")
    resamples, seed = check_draws(resamples, seed)
    check_groups(each)
    numbers = {name: i for i, name in enumerate(sorted(set(each)))}
    count = len(numbers)
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    drawn += count * np.arange(resamples)[:, None]  # so that one bincount counts all draws
    times = np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)
    return np.array([numbers[name] for name in each]), times


def resampled_confusions(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    groups: Sequence[Any],
    num_classes: int,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float64Array:
    """The confusion matrix of every draw of `draw_groups`.

    Args:
        truth: (N,) true class indexes.
        prediction: (N,) predicted class indexes.
        groups: (N,) group of each sample.
        num_classes: number of classes, C.
        resamples: number of draws, R.
        seed: seed of the draws.

    Returns:
        (R, C, C) counts, rows are true classes.

    Raises:
        InputError: no samples, unequal lengths, a label that is not a class index, ``resamples`` below 1, or an
            impossible seed.
    """
    check_rows(truth=truth, prediction=prediction, groups=groups)
    true = class_indexes(truth, num_classes, "truth")
    predicted, each_group = class_indexes(prediction, num_classes, "prediction"), group_list(groups)
    if not len(true) == len(predicted) == len(each_group):
        raise InputError(
            f"truth, prediction and groups have {len(true)}, {len(predicted)} and {len(each_group)} entries; give "
            "one of each per sample."
        )
    members, times = draw_groups(each_group, resamples, seed)
    each = np.zeros((times.shape[1], num_classes, num_classes))
    np.add.at(each, (members, true, predicted), 1)
    return np.asarray(np.tensordot(times.astype(np.float64), each, axes=1))


def interval(values: npt.ArrayLike) -> tuple[float, float]:
    """The 95 % interval of the values: their quantiles at `BOUNDS`.

    Raises:
        InputError: no values, or values that are not finite real numbers.
    """
    found = real_array(values, "The values", dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise InputError(f"The values are {values!r}; give one or more finite numbers.")
    low, high = np.quantile(found, BOUNDS)
    return float(low), float(high)
