"""Generated clips that are cheap enough for tests."""

import functools
from collections.abc import Iterator

import numpy as np

from benchmarks.clips import Clip, _times, random_clip


def short_seeds(first: int, below: int = 60) -> Iterator[int]:
    """Seeds from `first` on whose clips have fewer frames than `below`; none is rendered."""
    return (seed for seed in range(first, first + 10_000) if _times(np.random.default_rng(seed))[0] < below)


@functools.cache
def short_clip() -> Clip:
    """A clip of 42 frames in which an expression peaks at frame 26 with 2.6 px; made once a process."""
    return random_clip(1_000_012)
