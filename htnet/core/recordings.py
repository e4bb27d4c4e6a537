"""Recordings and their events, and the table that stores them with one row per event."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.csv_files import csv_text
from htnet.core.errors import InputError, refuse_type
from htnet.core.events import Event, event_tuple
from htnet.core.facs import SHOWN_UNITS, UnitPrediction
from htnet.core.fields import checked_fps, optional, whole
from htnet.core.files import check_outputs, write_text
from htnet.core.hints import VIDEOS
from htnet.core.paths import as_path

#: Columns of a table of recordings. Only ``recording``, ``kind``, ``onset`` and ``offset`` are required.
TABLE_COLUMNS = (
    *("recording", "path", "dataset", "subject", "fps", "frames", "kind", "onset", "apex", "offset"),
    *("start", "peak", "end", "confidence", "expression", "emotion", "action_units", "track"),
)
#: File name extensions that a recording's name may have.
_ENDINGS = VIDEOS | {".csv", ".json", ".jsonl", ".eaf"}
#: Columns that are written only if at least one row has a value.
_RARE = ("path", "dataset", *TABLE_COLUMNS[TABLE_COLUMNS.index("offset") + 1 :])
#: Columns that are attributes of an event.
_EVENT_NUMBERS = (
    *("onset", "apex", "offset", "start", "peak", "end"),
    *("confidence", "expression", "track"),
)


@dataclass(frozen=True)
class Recording:
    """A recording and its events.

    Attributes:
        name: name of the recording, unique among the recordings.
        events: its events, in any order.
        path: the video file or the folder of frames; None if it is not available.
        dataset: name of the data set; "" for none.
        subject: the person, unique only together with ``dataset``; "" if unknown.
        fps: frames per second; None if unknown.
        frames: number of frames; None if unknown.
        numbers: the number of each frame that the events use, ascending; None if frames are counted from 0. In
            annotations of folders, frame numbers are those of the files.

    Raises:
        InputError: the name is empty, a name is not a string, ``events`` are not events, an event ends after the last
            of ``frames`` (if frames are counted from 0), or the frame rate or number of frames is not positive.
    """

    name: str
    events: tuple[Event, ...] = ()
    path: Path | None = None
    dataset: str = ""
    subject: str = ""
    fps: float | None = None
    frames: int | None = None
    numbers: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Check names, events, rate and number of frames."""
        refuse_type("name of a recording", self.name, str, "its name as a string")
        if not self.name.strip():
            raise InputError("A recording has no name. Fill the column 'recording'.")
        object.__setattr__(self, "fps", checked_fps(self.fps, f"fps of the recording {self.name!r}"))
        frames = optional(whole()).check(f"frames of the recording {self.name!r}", self.frames)
        object.__setattr__(self, "frames", frames)
        for field in ("dataset", "subject"):
            refuse_type(f"{field} of the recording {self.name!r}", getattr(self, field), str, "its name as a string")
        object.__setattr__(self, "events", event_tuple(self.events, f"events of the recording {self.name!r}"))
        if self.path is not None and not isinstance(self.path, Path):
            object.__setattr__(self, "path", as_path(self.path, "path"))
        if self.numbers is None:
            refuse_beyond(self.events, self.frames, f"The recording {self.name!r}")

    @property
    def minutes(self) -> float | None:
        """Length in minutes; None if ``fps`` or ``frames`` is unknown."""
        return None if self.fps is None or self.frames is None else self.frames / self.fps / 60

    def seconds(self, frame: int) -> float | None:
        """Time of a frame in s, assuming a constant rate; ``frame`` is numbered as in the events. None if the rate is
        unknown.
        """
        if self.fps is None:
            return None
        return (frame - (self.numbers[0] if self.numbers else 0)) / self.fps


def refuse_beyond(events: Iterable[Event], frames: int | None, what: str) -> None:
    """Refuse events that end after the last of ``frames`` frames, counted from 0; None is any number.

    Raises:
        InputError: one does.
    """
    beyond = None if frames is None else next((event for event in events if event.offset >= frames), None)
    if beyond is not None:
        raise InputError(
            f"{what} has an event that lasts from frame {beyond.onset} to {beyond.offset}, counted from 0, but only "
            f"{frames} frames. Check that they belong together."
        )


def off_the_rate(time: float, expected: float, fps: float) -> bool:
    """Whether a time is not that of its frame at a constant rate: by more than 2 % and two frames.

    Args:
        time: s.
        expected: time of the frame at the rate, s.
        fps: the rate.
    """
    return abs(time - expected) > 0.02 * expected + 2 / fps


def recording_tuple(recordings: object, what: str) -> tuple[Recording, ...]:
    """The recordings that a user gave, as a tuple.

    Args:
        recordings: several recordings.
        what: what they are, for messages, such as "truth".

    Raises:
        InputError: it is not an iterable of recordings: a single recording, what `htnet.data.read_recordings` returns,
            a path, or events.
    """
    given: Any = recordings
    if isinstance(given, (Recording, str, bytes, Mapping, os.PathLike)) or not isinstance(given, Iterable):
        got = "None" if given is None else f"of type {type(given).__name__}"
        cure = "its attribute 'recordings'" if hasattr(given, "recordings") else "a list of htnet.types.Recording"
        if isinstance(given, (str, os.PathLike)):
            cure = "htnet.data.read_recordings(path).recordings"
        raise InputError(f"{what} is {got}, not several recordings; give {cure}.")
    found = tuple(given)
    for number, recording in enumerate(found):
        if not isinstance(recording, Recording):
            raise InputError(
                f"{what}[{number}] is of type {type(recording).__name__}; give htnet.types.Recording(name, events)."
            )
    return found


def recording_key(name: str) -> str:
    """Key of a recording's name, the same for all its spellings: extension, case and kind of separator are ignored.

    ``s15/0401``, ``S15_0401`` and ``s15_0401.mp4`` are one recording.
    """
    text = name.strip().casefold().removeprefix("./")
    ending = os.path.splitext(text)[1]
    return re.sub(r"[\\/\s_]+", "_", text.removesuffix(ending if ending in _ENDINGS else ""))


def write_recordings(path: str | PathLike[str], recordings: Iterable[Recording], *, overwrite: bool = False) -> None:
    """Write the table that `htnet.data.read_recordings` reads: one row per event, and one per recording without events.

    Paths are relative to the table's folder. The action units of an event are those with a probability of at least
    `htnet.core.facs.SHOWN_UNITS`, in the notation of annotation sheets: ``4+L12``, where L and R are the subject's
    sides.

    Args:
        path: the CSV file; missing folders are created.
        recordings: the recordings to write; their frames must be counted from 0.
        overwrite: replace a file that exists.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: ``recordings`` are not recordings, a name occurs twice, frames are not counted from 0, or the file
            cannot be written.
    """
    path = as_path(path, "path")
    every = recording_tuple(recordings, "recordings")
    check_outputs(path, overwrite=overwrite)
    rows: list[dict[str, str]] = []
    names: set[str] = set()
    for recording in every:
        if recording.name in names:
            raise InputError(f"The recording {recording.name!r} occurs twice; make names unique.")
        if recording.numbers is not None and list(recording.numbers) != list(range(len(recording.numbers))):
            raise InputError(
                f"The events of {recording.name!r} use the numbers of its files. Count frames from 0 in a table."
            )
        names.add(recording.name)
        own = {
            "recording": recording.name,
            "path": "" if recording.path is None else relative_path(recording.path, path.parent),
            "dataset": recording.dataset,
            "subject": recording.subject,
            "fps": _text(recording.fps),
            "frames": _text(recording.frames),
        }
        order = sorted(recording.events, key=lambda event: (event.onset, event.offset, event.kind))
        rows += [{**own, **_event_cells(event)} for event in order] or [own]
    columns = [name for name in TABLE_COLUMNS if name not in _RARE or any(row.get(name) for row in rows)]
    write_text(path, csv_text(columns, rows))


def relative_path(path: Path, folder: Path) -> str:
    """A path relative to a folder, with "/" between its parts; the absolute path if there is no relative one."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()


def unit_text(units: Iterable[UnitPrediction]) -> str:
    """Action units in the notation of annotation sheets; L or R marks units on only one of the subject's sides."""
    found = []
    for unit in units:
        left, right = unit.subject_left >= SHOWN_UNITS, unit.subject_right >= SHOWN_UNITS
        if left or right:
            found.append(("" if left and right else "L" if left else "R") + str(unit.number))
    return "+".join(found)


def _event_cells(event: Event) -> dict[str, str]:
    return {
        "kind": event.kind,
        "emotion": event.label or "",
        "action_units": unit_text(event.shown_units),
        **{name: _text(getattr(event, name)) for name in _EVENT_NUMBERS},
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
