"""Checks of the pairs and samples that users pass, and the batches that a model reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from os import PathLike
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.errors import InputError, refuse_columns, refuse_type
from htnet.core.types import Landmarks
from htnet.data import Manifest, Sample
from htnet.preprocess import FrameSource

Asked = TypeVar("Asked")
#: Onset, apex, landmarks and name of a pair.
GivenPair = tuple[FrameSource, FrameSource, npt.ArrayLike | Landmarks | PathLike[str] | None, str]
#: What messages tell users to pass as a manifest.
_MANIFEST = "a Manifest, such as htnet.data.open_data(path), or a list of its samples"
#: Batch size of a model on the CPU.
BLOCK = 16


def blocks(batch: list[Asked], device: torch.device) -> Iterator[tuple[list[Asked], int]]:
    """Split a batch into the blocks that a model reads, each with its number of samples.

    On the CPU all blocks have the same size; the last one is padded with copies of its last sample. Otherwise the last
    digits of a score would change with the order of the samples, because PyTorch chooses its kernels by batch size.
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
    """Onset, apex, landmarks and name of each pair. Lists are checked at once, before any pair is read.

    Raises:
        InputError: an entry is not a pair, ``landmarks`` or ``samples`` is not a list or has another length, or a name
            is not a string. For a generator this is raised when the entry is reached.
    """
    if isinstance(pairs, (str, PathLike, np.ndarray)) or not isinstance(pairs, Iterable):
        raise InputError("pairs must be a list of (onset, apex), such as [(onset, apex)]; for one use Predictor.pair.")
    refuse_columns(pairs, ("onsets", "apexes"))
    known = len(pairs) if isinstance(pairs, Sized) else None
    if isinstance(pairs, Sequence):
        for number, one in enumerate(pairs):
            _check_pair(number, one)
    for name, values in (("landmarks", landmarks), ("samples", samples)):
        if values is not None:
            _check_list(name, values)
        if values is not None and known is not None and len(values) != known:
            raise InputError(f"{name} has {len(values)} entries for {known} pairs. Give one per pair, or leave it out.")
    return _joined(pairs, landmarks, samples)


def _joined(
    pairs: Iterable[tuple[FrameSource, FrameSource]],
    landmarks: Sequence[npt.ArrayLike | Landmarks | PathLike[str] | None] | None,
    samples: Sequence[str] | None,
) -> Iterator[GivenPair]:
    """Pairs with the landmarks and the name that were given for each, one after the other."""
    number = -1
    for number, one in enumerate(pairs):
        _check_pair(number, one)
        for name, values in (("landmarks", landmarks), ("samples", samples)):
            if values is not None and number >= len(values):
                raise InputError(f"{name} has {len(values)} entries, but there are more pairs. Give one per pair.")
        if samples is not None:
            refuse_type(f"samples[{number}]", samples[number], str, "the name of the pair as a string")
        yield (
            *one,
            None if landmarks is None else landmarks[number],
            "" if samples is None else samples[number],
        )
    for name, values in (("landmarks", landmarks), ("samples", samples)):
        if values is not None and number + 1 < len(values):
            raise InputError(
                f"{name} has {len(values)} entries for {number + 1} pairs. Give one per pair, or leave it out."
            )


def checked_samples(manifest: Manifest | Iterable[Sample]) -> Iterator[Sample]:
    """The samples of a manifest, or of a list.

    Raises:
        InputError: it is neither; for a wrong entry of a list, raised when the entry is reached.
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
    """Raise InputError for values without one entry per pair, such as generators and strings."""
    numbered = hasattr(values, "__len__") and hasattr(values, "__getitem__")
    if not numbered or isinstance(values, (str, bytes, PathLike, Mapping)):
        raise InputError(f"{name} is of type {type(values).__name__}; give a list with one entry per pair.")


def _check_pair(number: int, one: object) -> None:
    if not isinstance(one, (tuple, list)) or len(one) != 2:
        raise InputError(f"pair {number} is not (onset, apex) but of type {type(one).__name__}. Give two frames each.")
