"""Readers of predicted events: htnet's JSON documents and tables, and tables of the spotting challenges."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError, ManifestError, cause, did_you_mean
from htnet.core.events import Event
from htnet.core.hints import how, missing
from htnet.core.limits import parse_json, read_file
from htnet.core.megc import FIRST_FRAME
from htnet.core.paths import as_path, real_path
from htnet.core.recordings import Recording, recording_key
from htnet.data.recording_tables import ELAN_CURE, is_elan, read_event_table, shifted

_JSON = (".json", ".jsonl")


@dataclass(frozen=True)
class PredictedRecording:
    """The predicted events of one recording.

    Attributes:
        name: name of the recording in the file.
        events: the predicted events.
        file: the file that the events were read from.
        video: the analyzed video or folder; None if it is not stated.
        from_zero: whether frames are counted from 0, as htnet does. If False, they have the numbers of the recording's
            files.
    """

    name: str
    events: tuple[Event, ...]
    file: Path
    video: Path | None = None
    from_zero: bool = True


@dataclass(frozen=True)
class PredictedEvents:
    """Predicted events of several recordings.

    Attributes:
        found: one entry per recording.
        source: where they were read from.
        notes: notes for the user, one sentence each: cells and columns that were left out, and repeated events.
    """

    found: tuple[PredictedRecording, ...]
    source: str = ""
    notes: tuple[str, ...] = ()

    def of(self, recordings: Iterable[Recording], first_frame: int = FIRST_FRAME) -> dict[str, tuple[Event, ...]]:
        """The events of the given recordings by name, with frames numbered as in the recordings' annotations.

        A recording is identified by its video, otherwise by its name (see `htnet.core.recordings.recording_key`).

        Args:
            recordings: the annotated recordings.
            first_frame: number of a recording's first frame in tables of the challenges; used if the annotation counts
                from 0.

        Raises:
            InputError: a name matches none of the recordings or several, or a frame is after a recording's last one.
        """
        known = tuple(recordings)
        by_name: dict[str, list[Recording]] = {}
        for recording in known:
            by_name.setdefault(recording_key(recording.name), []).append(recording)
        by_place: dict[str, list[Recording]] = {}
        for recording in known:
            if recording.path is not None:
                by_place.setdefault(real_path(recording.path), []).append(recording)
        answers: dict[str, tuple[Event, ...]] = {}
        for entry in self.found:
            placed = [] if entry.video is None else by_place.get(real_path(entry.video), [])
            fits = placed or by_name.get(recording_key(entry.name), [])
            if not fits:
                raise InputError(
                    f"{entry.file} has events of {entry.name!r}, which is not one of the annotated recordings. "
                    f"{did_you_mean(entry.name, [r.name for r in known])} Recordings without events must also be "
                    f"listed in the annotation."
                )
            if len(fits) > 1 or fits[0].name in answers:
                raise InputError(
                    f"{entry.file}: the recording {entry.name!r} occurs twice, or matches several annotated ones. Give "
                    "each its own name."
                )
            answers[fits[0].name] = tuple(_counted(event, entry, fits[0], first_frame) for event in entry.events)
        return answers


def read_events(path: str | PathLike[str]) -> PredictedEvents:
    """Read predicted events.

    Args:
        path: a CSV file in a format of the challenges (see `htnet.core.megc`) or in the format of htnet's own table; a
            JSON document of htnet with events (``.json``), or several, one per line (``.jsonl``); or a folder of such
            files, at any depth. If a folder contains such documents, its tables are ignored, because they contain the
            same events.

    Raises:
        ManifestError: there is no such file, or a file cannot be read.
        InputError: an event does not have the form that htnet writes.
    """
    path = as_path(path, "path")
    if not os.path.exists(path):
        raise ManifestError(missing(path))
    files = [path]
    if os.path.isdir(path):
        inside = sorted(file for file in path.rglob("*") if os.path.isfile(file) and not file.name.startswith("."))
        files = [file for file in inside if file.suffix.lower() in _JSON and _has_events(file)]
        files = files or [file for file in inside if file.suffix.lower() == ".csv"]
        if not files:
            if elan := next((file for file in inside if is_elan(file)), None):
                raise ManifestError(f"{elan} is a file of ELAN, which htnet writes but does not read. {ELAN_CURE}")
            raise ManifestError(
                f"{path} contains no JSON document of htnet with events and no table of events. Check the path."
            )
    entries: list[PredictedRecording] = []
    notes: list[str] = []
    for file in files:
        if file.suffix.lower() in _JSON:
            entries += _documents(file)
            continue
        events, from_zero, told = read_event_table(file)
        entries += [PredictedRecording(name, found, file, None, from_zero) for name, found in events.items()]
        notes += told
    return PredictedEvents(tuple(entries), str(path), tuple(notes))


def _has_events(file: Path) -> bool:
    """Whether a JSON file in a folder is a document of htnet with events; others, such as reports, are ignored.

    The files that `htnet.synthesis` writes for generated recordings have no schema: they are annotations, not
    predictions.

    Raises:
        ManifestError: the file cannot be read. It may contain predictions for a recording, which would otherwise count
            as a recording without events.
    """
    found = _load(file)
    return bool(found) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("events"), list)
        and str(entry.get("schema")).startswith("htnet.")
        for entry in found
    )


def _load(file: Path) -> list[Any]:
    try:
        text = read_file(file).decode("utf-8")
        lines = text.splitlines() if file.suffix.lower() == ".jsonl" else [text]
        return [parse_json(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{file} cannot be read: {cause(error)}. Write it again, or remove it from the folder."
        ) from error


def _documents(file: Path) -> Iterator[PredictedRecording]:
    """The events of the documents in a JSON file; a recording is named after its sample, its video, or the file."""
    for entry in _load(file):
        if not isinstance(entry, dict) or not isinstance(entry.get("events"), list):
            raise ManifestError(f"{file} contains no events. Give a JSON document of htnet with the field 'events'.")
        files = entry.get("files")
        given = files.get("video") if isinstance(files, dict) else None
        video = Path(given) if isinstance(given, str) else None
        name = str(entry.get("sample") or (video.name if video is not None else file.stem))
        where = f"{file}, event {{}} of {name!r}"
        events = tuple(Event.from_dict(event, where.format(k)) for k, event in enumerate(entry["events"], 1))
        yield PredictedRecording(name, events, file, video)


def _counted(event: Event, entry: PredictedRecording, recording: Recording, first_frame: int) -> Event:
    """The event with frames numbered as in the recording's annotation."""
    numbers: Sequence[int] | None = recording.numbers
    if numbers is None:
        return _inside(event if entry.from_zero else _from_zero(event, entry, first_frame), entry, recording.frames)
    if not entry.from_zero:
        return event
    _inside(event, entry, len(numbers))
    apex = None if event.apex is None else numbers[event.apex]
    return replace(event, onset=numbers[event.onset], apex=apex, offset=numbers[event.offset])


def _from_zero(event: Event, entry: PredictedRecording, first_frame: int) -> Event:
    """An event from a table of the challenges, converted to frames counted from 0."""
    if event.onset < first_frame:
        raise InputError(
            f"{entry.file}: an event of {entry.name!r} begins at frame {event.onset}, but the first frame has the "
            f"number {first_frame}. Correct it, or give the number of the first frame with "
            f"{how('--first-frame', 'first_frame')}."
        )
    return shifted(event, -first_frame)


def _inside(event: Event, entry: PredictedRecording, frames: int | None) -> Event:
    """Return the event; refuse it if it ends after the last of ``frames`` frames."""
    if frames is not None and event.offset >= frames:
        raise InputError(
            f"{entry.file}: an event of {entry.name!r} lasts from frame {event.onset} to {event.offset}, counted from "
            f"0, but the recording has {frames} frames. Check that these predictions belong to that recording."
        )
    return event
