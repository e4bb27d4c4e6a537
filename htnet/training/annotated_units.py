"""Action units of a manifest's own column, as targets of a head of action units."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from htnet.data import Sample, parse_annotation

#: Place of each side of the subject in the last axis, which is the image's left and right.
_PLACES = {"left": (1,), "right": (0,), None: (0, 1)}


def annotated_units(samples: Iterable[Sample]) -> dict[int, int]:
    """Action units that samples are annotated with: number in FACS to the number of samples in which it is active.

    A unit that is one of several alternatives is not counted.

    Raises:
        InputError: an annotation cannot be read.
    """
    found: Counter[int] = Counter()
    for sample in samples:
        terms = parse_annotation(sample.action_units).units
        found.update({term[0].number for term in terms if len(term) == 1})
    return dict(sorted(found.items()))


def unit_targets(samples: Sequence[Sample], units: Sequence[int]) -> Tensor:
    """Which action units are active in samples, for `FlowSet.units`.

    A unit without a side is active on both. Unknown are all units of a sample that is not annotated, and units that
    are one of several alternatives; training passes over what is unknown.

    Args:
        samples: with ``action_units``, see `htnet.data.parse_annotation`.
        units: their numbers in FACS.

    Returns:
        (N, U, 2) float32 for the image's left side (the subject's right) and right side: 1 active, 0 not, NaN unknown.

    Raises:
        InputError: an annotation cannot be read.
    """
    place = {number: k for k, number in enumerate(units)}
    targets = torch.zeros(len(samples), len(units), 2)
    for row, sample in zip(targets, samples, strict=True):
        annotation = parse_annotation(sample.action_units)
        if not annotation.annotated:
            row.fill_(math.nan)
            continue
        # What is certain comes last.
        for term in sorted(annotation.units, key=lambda term: -len(term)):
            for unit in term:
                if unit.number in place:
                    row[place[unit.number], list(_PLACES[unit.side])] = 1.0 if len(term) == 1 else math.nan
    return targets
