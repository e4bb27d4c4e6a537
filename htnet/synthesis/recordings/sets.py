"""Seeds and people of training, development and test, and the sets that benchmarks score. Fixed: never change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Split:
    """Recordings that belong together, and the people in them.

    Attributes:
        seeds: of its recordings.
        people: numbers of the drawn people in them; no other split shows them.
    """

    seeds: range
    people: range


#: Seeds in none of them show people that no split has.
SPLITS: Mapping[str, Split] = MappingProxyType(
    {
        "train": Split(range(0, 1_000_000), range(0, 100_000)),
        "development": Split(range(1_000_000, 1_100_000), range(100_000, 110_000)),
        "test": Split(range(2_000_000, 2_100_000), range(200_000, 210_000)),
    }
)
#: People of all other seeds.
OTHER_PEOPLE = range(1_000_000, 2_000_000)


@dataclass(frozen=True)
class BenchmarkSet:
    """Recordings that a benchmark scores; everything else about them is in `RecordingConfig`.

    Attributes:
        seeds: one a recording.
        portrait_every: every so many recordings show a given portrait instead of their first drawn face; 0 for none.
        still_every: every so many recordings have no expression, only blinks, gaze, speech and head movements.
    """

    seeds: range
    portrait_every: int
    still_every: int

    def shows_portrait(self, place: int) -> bool:
        """Whether a recording shows the portrait, by its place in the set."""
        return self.portrait_every > 0 and place % self.portrait_every == self.portrait_every - 1

    def is_still(self, place: int) -> bool:
        """Whether a recording has no expression, by its place in the set."""
        return self.still_every > 0 and place % self.still_every == self.still_every - 1


#: "test" is scored once; choices are made on "development". The portrait is never seen before the test.
BENCHMARK_SETS: Mapping[str, BenchmarkSet] = MappingProxyType(
    {
        "development": BenchmarkSet(range(1_000_000, 1_000_040), portrait_every=0, still_every=5),
        "test": BenchmarkSet(range(2_000_000, 2_000_060), portrait_every=3, still_every=5),
    }
)


def split_of(seed: int) -> str | None:
    """The split that a seed belongs to, or None."""
    return next((name for name, split in SPLITS.items() if seed in split.seeds), None)


def people_of(seed: int) -> range:
    """Numbers of the people whom recordings of a seed may show."""
    name = split_of(seed)
    return OTHER_PEOPLE if name is None else SPLITS[name].people
