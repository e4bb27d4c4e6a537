"""Annotated expressions in long recordings as intervals of frames: the ground truth for spotting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from htnet.core.errors import ManifestError

#: Kinds of intervals: micro-expressions, of at most 0.5 s, and macro-expressions, of 0.5 to 4 s.
KINDS = ("micro", "macro")


@dataclass(frozen=True)
class Interval:
    """One annotated expression in a recording.

    Attributes:
        recording: name of the recording that contains it, unique in the data set.
        subject: the person, unique only together with ``dataset``.
        kind: one of `KINDS`.
        onset: number of its first frame, in the numbering of the recording's files.
        apex: number of the apex frame; None if it is not annotated.
        offset: number of its last frame; None if it is not annotated.
        action_units: the annotated action units, for `htnet.data.parse_annotation`; "" if there are none.
        label: the annotated emotion, in lowercase; "" if there is none.
        dataset: name of the data set.
        name: its name in the annotation; not unique.

    Raises:
        ManifestError: the kind is unknown, or the offset is before the onset.
    """

    recording: str
    subject: str
    kind: str
    onset: int
    apex: int | None = None
    offset: int | None = None
    action_units: str = ""
    label: str = ""
    dataset: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Check the kind and the order of the frames."""
        if self.kind not in KINDS:
            raise ManifestError(f"The interval {self.name!r} has the kind {self.kind!r}. Known: micro, macro.")
        if self.offset is not None and self.offset < self.onset:
            raise ManifestError(
                f"The interval {self.name!r} of {self.recording!r} ends at frame {self.offset}, before its onset "
                f"{self.onset}. Correct the annotation."
            )


@dataclass(frozen=True)
class Intervals:
    """The annotated expressions of a data set of long recordings.

    Attributes:
        intervals: the expressions, in the order of the annotation.
        recordings: folder of frames of each available recording, including recordings without expressions.
        source: where the annotation was read from.
        excluded: (name, reason) of annotated expressions that are left out.
        missing: recordings in the annotation whose frames are missing.
        notes: notes for the user, one sentence each.
    """

    intervals: tuple[Interval, ...]
    recordings: dict[str, Path]
    source: str = ""
    excluded: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of expressions."""
        return len(self.intervals)

    def __iter__(self) -> Iterator[Interval]:
        """The expressions, in order."""
        return iter(self.intervals)

    def of(self, recording: str) -> tuple[Interval, ...]:
        """The expressions in one recording."""
        return tuple(interval for interval in self.intervals if interval.recording == recording)
