"""Targets for an action-unit head, from a manifest's column ``action_units``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from htnet.data import Sample, parse_annotation

#: Indices in the last axis (image left, image right) of each side of the subject.
_PLACES = {"left": (1,), "right": (0,), None: (0, 1)}


def annotated_units(samples: Iterable[Sample]) -> dict[int, int]:
    """Count the samples in which each action unit is active.

    A unit that is one of several alternatives is not counted.

    Returns:
        FACS number to number of samples, sorted by FACS number.

    Raises:
        InputError: an annotation cannot be read.
    """
    found: Counter[int] = Counter()
    for sample in samples:
        terms = parse_annotation(sample.action_units).units
        found.update({term[0].number for term in terms if len(term) == 1})
    return dict(sorted(found.items()))


def unit_targets(samples: Sequence[Sample], units: Sequence[int]) -> Tensor:
    """Action-unit targets of samples, for `FlowSet.units`.

    A unit without a side is active on both sides. All units of a sample that is not annotated are unknown, and so are
    units that are one of several alternatives. Training ignores unknown units.

    Args:
        samples: samples with ``action_units``, see `htnet.data.parse_annotation`.
        units: FACS numbers of the units.

    Returns:
        (N, U, 2) float32 for the image's left side (the subject's right) and right side: 1 active, 0 not active, NaN
        unknown.

    Raises:
        InputError: an annotation cannot be read.
    """
    place = {number: k for k, number in enumerate(units)}
    targets = torch.zeros(len(samples), len(units), 2, dtype=torch.float32)
    for row, sample in zip(targets, samples, strict=True):
        annotation = parse_annotation(sample.action_units)
        if not annotation.annotated:
            row.fill_(math.nan)
            continue
        # Certain units come last, so that they overwrite alternatives.
        for term in sorted(annotation.units, key=lambda term: -len(term)):
            for unit in term:
                if unit.number in place:
                    row[place[unit.number], list(_PLACES[unit.side])] = 1.0 if len(term) == 1 else math.nan
    return targets
