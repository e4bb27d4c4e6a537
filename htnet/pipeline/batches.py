"""Pairs as they are given, and batches as a model reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from os import PathLike
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.errors import InputError, refuse_type
from htnet.core.types import Landmarks
from htnet.data import Manifest, Sample
from htnet.preprocess import FrameSource

Asked = TypeVar("Asked")
#: Onset, apex, points and name of a pair.
GivenPair = tuple[FrameSource, FrameSource, npt.ArrayLike | Landmarks | PathLike[str] | None, str]
#: What to give for a manifest.
_MANIFEST = "a Manifest, such as htnet.data.open_data(path), or a list of its samples"
#: Samples that a model on the CPU reads at a time.
BLOCK = 16


def blocks(batch: list[Asked], device: torch.device) -> Iterator[tuple[list[Asked], int]]:
    """A batch in parts as a model reads them, each with the number of its samples.

    On the CPU all have one size, the last one filled up by its last sample: which kernels compute a sample, and so the
    last digits of its scores, depends on how many are computed at once: they would change with the order of samples.
    """
    size = BLOCK if device.type == "cpu" else max(1, len(batch))
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        yield part + part[-1:] * (size - len(part)), len(part)


def checked_pairs(
    pairs: Iterable[tuple[FrameSource, FrameSource]],
    landmarks: Sequence[npt.ArrayLike | Landmarks | PathLike[str] | None] | None,
    samples: Sequence[str] | None,
) -> Iterator[GivenPair]:
    """Onset, apex, points and name of each pair; what can be known before any is read is checked at once.

    Raises:
        InputError: they are no pairs, ``landmarks`` or ``samples`` are no lists or have another length, or a name is no
            text; of a generator when that is found.
    """
    if isinstance(pairs, (str, PathLike, np.ndarray)) or not isinstance(pairs, Iterable):
        raise InputError("pairs is a list of (onset, apex), such as [(onset, apex)]; one pair goes to Predictor.pair.")
    known = len(pairs) if isinstance(pairs, Sized) else None
    if isinstance(pairs, Sequence):
        for number, one in enumerate(pairs):
            _check_pair(number, one)
    for name, values in (("landmarks", landmarks), ("samples", samples)):
        if values is not None:
            _check_list(name, values)
        if values is not None and known is not None and len(values) != known:
            raise InputError(f"{name} has {len(values)} entries for {known} pairs. Give one for each, or none.")
    return _joined(pairs, landmarks, samples)


def _joined(
    pairs: Iterable[tuple[FrameSource, FrameSource]],
    landmarks: Sequence[npt.ArrayLike | Landmarks | PathLike[str] | None] | None,
    samples: Sequence[str] | None,
) -> Iterator[GivenPair]:
    """Pairs with what was given for each, as they come."""
    number = -1
    for number, one in enumerate(pairs):
        _check_pair(number, one)
        for name, values in (("landmarks", landmarks), ("samples", samples)):
            if values is not None and number >= len(values):
                raise InputError(f"{name} has {len(values)} entries, and there are more pairs. Give one for each.")
        if samples is not None:
            refuse_type(f"samples[{number}]", samples[number], str, "the name of the pair as text")
        yield (
            *one,
            None if landmarks is None else landmarks[number],
            "" if samples is None else samples[number],
        )
    for name, values in (("landmarks", landmarks), ("samples", samples)):
        if values is not None and number + 1 < len(values):
            raise InputError(f"{name} has {len(values)} entries for {number + 1} pairs. Give one for each, or none.")


def checked_samples(manifest: Manifest | Iterable[Sample]) -> Iterator[Sample]:
    """The samples of a manifest, or of a list.

    Raises:
        InputError: something else is given; of what is in a list when it is found.
    """
    refuse_type("manifest", manifest, Iterable, _MANIFEST)
    if isinstance(manifest, (str, PathLike)):
        raise InputError(f"manifest is {manifest!r}; give {_MANIFEST}.")
    return _each_sample(manifest)


def _each_sample(samples: Iterable[Sample]) -> Iterator[Sample]:
    for number, sample in enumerate(samples):
        refuse_type(f"manifest[{number}]", sample, Sample, "samples, such as those of htnet.data.open_data(path)")
        yield sample


def _check_list(name: str, values: object) -> None:
    """Refuse what has no entry for each pair, such as a generator, or has one for each letter."""
    numbered = hasattr(values, "__len__") and hasattr(values, "__getitem__")
    if not numbered or isinstance(values, (str, bytes, PathLike, Mapping)):
        raise InputError(f"{name} is of type {type(values).__name__}; give a list with one entry for each pair.")


def _check_pair(number: int, one: object) -> None:
    if not isinstance(one, (tuple, list)) or len(one) != 2:
        raise InputError(f"pair {number} is not (onset, apex) but of type {type(one).__name__}. Give two frames each.")
