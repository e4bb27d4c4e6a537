"""Tables of recordings and their events: htnet's own, and those of the spotting challenges (MEGC)."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from htnet.core.csv_files import CsvTable, first_rows, formula_error, no_value, open_table, read_rows
from htnet.core.emotions import edits
from htnet.core.errors import HtnetError, InputError, ManifestError, did_you_mean
from htnet.core.events import EVENT_KINDS, Event
from htnet.core.facs import UnitPrediction
from htnet.core.hints import hint, how, missing
from htnet.core.megc import FIRST_FRAME, FORMS, TYPES
from htnet.core.paths import as_path
from htnet.core.recordings import TABLE_COLUMNS, Recording, off_the_rate
from htnet.core.words import counted
from htnet.data.facs_cells import keep_readable, parse_action_units
from htnet.data.manifest import COLUMNS as MANIFEST_COLUMNS
from htnet.data.tables import as_there

#: Columns of a manifest; "motion" is no misspelled "emotion".
_OTHER_NAMES = frozenset(MANIFEST_COLUMNS) - frozenset(TABLE_COLUMNS)
_TIMES_CURE = (
    "Write a table with the columns recording, kind, onset and offset, in frames counted from 0: the time in s times "
    "the frames per second, rounded. The times may stand in the columns start and end as well."
)
#: What to do with annotations of ELAN.
ELAN_CURE = f"Export its tiers from ELAN as tab-delimited text. {_TIMES_CURE}"
#: Required columns of a table of recordings.
_NEEDED = ("recording", "kind", "onset", "offset")
#: Columns that must have the same value in all rows of a recording.
_OWN = ("path", "dataset", "subject", "fps", "frames")
_NUMBERS = ("fps", "start", "peak", "end", "confidence", "expression")
#: A time that is this many times as long as frame number and frame rate say, and a minute longer, is in another unit.
_OTHER_UNIT = 10
#: What may be empty in some of the rows of one event, but not different.
_DETAILS = ("apex", "start", "peak", "end", "confidence", "label", "expression")
#: The rate by which times are judged if the frame rate is not known, frames per second.
_SLOWEST = 1.0


@dataclass(frozen=True)
class RecordingSet:
    """Recordings with their true events.

    Attributes:
        recordings: the recordings, in the order of the table.
        source: where they were read from.
        notes: notes for the user, one sentence each: cells and events that were left out.
    """

    recordings: tuple[Recording, ...]
    source: str = ""
    notes: tuple[str, ...] = ()

    def with_rate(self, fps: float | None) -> RecordingSet:
        """Return the same recordings with the given frame rate; None changes nothing.

        Raises:
            InputError: a recording has another rate.
        """
        if fps is None:
            return self
        other = next((r for r in self.recordings if r.fps is not None and r.fps != fps), None)
        if other is not None:
            raise InputError(
                f"{self.source}: the recording {other.name!r} has {other.fps:g} frames per second, not {fps:g}. Leave "
                "the rate out, or correct the column 'fps'."
            )
        return replace(self, recordings=tuple(replace(r, fps=fps) for r in self.recordings))


def read_recordings(path: str | PathLike[str], *, first_frame: int = FIRST_FRAME) -> RecordingSet:
    """Read a table of recordings and their true events.

    htnet's own table (see the documentation's page on recordings) has one row per event, and one row with an empty kind
    for a recording without events; frames are counted from 0. Tables of the challenges are also accepted (see
    `htnet.core.megc`); they cannot contain recordings without events.

    Rows for the same kind, frames and face that have other action units, as of two coders, are read as one event with
    the units of all, and a note names them.

    Args:
        path: the CSV file.
        first_frame: number of a recording's first frame in tables of the challenges, which count from 1.

    Returns:
        The recordings, with frames counted from 0.

    Raises:
        ManifestError: the file cannot be read or has none of these formats, a column's name seems to be misspelled, or
            a row is invalid: its offset is before its onset or after the recording's last frame, its apex is outside
            of them, a cell is not a frame number or is the error of a formula, the times are not in seconds, or it
            repeats or contradicts an event. The message names each such line.
    """
    path = as_path(path, "path")
    form = _form(path)
    if form != "htnet":
        numbered = _challenge_rows(path, form, first_frame)
        events = {name: tuple(shifted(event, -first_frame) for event in found) for name, found in numbered.items()}
        recordings = tuple(Recording(name, found) for name, found in events.items())
        return RecordingSet(recordings, str(path), _repeated(numbered, path))
    table = open_table(path, _NEEDED)
    notes = _other_columns(table)
    table.check_marks([name for name in _NUMBERS if name in table.columns])
    found: dict[str, Recording] = {}
    events_of: dict[str, list[Event]] = {}
    faults: list[str] = []
    rows_of: dict[tuple[object, ...], list[tuple[int, Event]]] = {}
    drift: list[tuple[float, str]] = []
    for line, cells in table.rows:
        row = {name: cells.get(name, "").strip() for name in TABLE_COLUMNS}
        name, where = row["recording"], f"{path}, line {line}"
        if not name:
            faults.append(f"{where}: the recording has no name")
            continue
        if wrong := [column for column in TABLE_COLUMNS if formula_error(row[column])]:
            faults.append(f"{where}: {wrong[0]} is {row[wrong[0]]!r}, the error of a formula in the spreadsheet")
            continue
        try:
            own = _recording(row, path.parent, where)
            known = found.setdefault(name, own)
            _refuse_other(known, own, where)
            if row["kind"]:
                event = _event(row, where, notes)
                _refuse_beyond(event, own, where)
                drift += _drift(event, own.fps, where)
                rows = rows_of.setdefault((name, *_frames_of(event)), [])
                _add(event, events_of.setdefault(name, []), rows, f"{where}: {name!r}")
                rows.append((line, event))
            else:
                _refuse_frames(row, where)
        except HtnetError as error:
            faults.append(str(error))
    _refuse(faults, path)
    if joined := sorted(line for rows in rows_of.values() for line, _ in rows[1:]):
        notes.append(
            f"{path}: rows for the same frames with other action units are read as one event with the units of all: "
            f"{counted(len(joined), 'more line')} ({', '.join(map(str, joined))})."
        )
    if drift:
        notes.append(
            f"{max(drift)[1]} This is right for a variable frame rate; otherwise correct the times or the column "
            "'fps'. Scores in frames use the frame numbers, and those in milliseconds the times."
        )
    every = tuple(replace(one, events=tuple(events_of.get(name, ()))) for name, one in found.items())
    return RecordingSet(every, str(path), tuple(notes))


def read_event_table(path: Path) -> tuple[dict[str, tuple[Event, ...]], bool, tuple[str, ...]]:
    """The events of a CSV file in any format that `read_recordings` accepts, by recording; the file may have no rows.

    Returns:
        The events; whether their frames are counted from 0 (in tables of the challenges, frames have the numbers of
        the files); and notes for the user.
    """
    form = _form(path)
    if len(read_rows(path)) == 1:
        return {}, form == "htnet", ()
    if form != "htnet":
        rows = _challenge_rows(path, form)
        return rows, False, _repeated(rows, path)
    found = read_recordings(path)
    return {recording.name: recording.events for recording in found.recordings}, True, found.notes


def _repeated(numbered: Mapping[str, Sequence[Event]], path: Path) -> tuple[str, ...]:
    """Notes on events that a table of a challenge contains several times."""
    twice = Counter((name, *_frames_of(event)[:3]) for name, found in numbered.items() for event in found)
    return tuple(
        f"{path}: {name!r} has the same event ({kind}, frames {onset} to {offset}) {count} times; each is counted."
        for (name, kind, onset, offset), count in twice.items()
        if count > 1
    )


def shifted(event: Event, by: int) -> Event:
    """The same event with ``by`` added to its frame numbers."""
    apex = None if event.apex is None else event.apex + by
    return replace(event, onset=event.onset + by, apex=apex, offset=event.offset + by)


def _form(path: Path) -> str:
    """The format of a table, detected by its header."""
    if not os.path.exists(path):
        raise ManifestError(missing(path))
    if os.path.isdir(path):
        data_set = how("--dataset", "htnet.data.read_annotated_recordings")
        raise ManifestError(
            f"{path} is a folder. Give the table of recordings in it, or name its data set with {data_set}.{hint(path)}"
        )
    rows = first_rows(path)
    columns = {cell.strip().casefold() for cell in rows[0]} if rows else set()
    if set(_NEEDED) <= columns:
        return "htnet"
    for form, needed in FORMS.items():
        if set(needed) <= columns:
            return form
    if said := _other_form(path, columns):
        raise ManifestError(f"{path} {said}")
    forms = "; ".join(",".join(needed) for needed in (_NEEDED, *FORMS.values()))
    raise ManifestError(f"{path} is not a table of recordings. Its header must be one of: {forms}.{hint(path)}")


def is_elan(path: Path) -> bool:
    """Whether a file is one of ELAN (``.eaf``), by its name or its first bytes."""
    if path.suffix.lower() == ".eaf":
        return True
    try:
        with path.open("rb") as file:
            return b"<ANNOTATION_DOCUMENT" in file.read(4096)
    except OSError:
        return False


def _other_form(path: Path, columns: Set[str]) -> str:
    """What a file of annotations is that is not a table of recordings, and the cure; "" if it is not known."""
    if is_elan(path):
        return f"is a file of ELAN, which htnet writes but does not read. {ELAN_CURE}"
    timed = columns & {"start", "end", "onset_time", "offset_time", "begin", "duration"} or any(
        name.startswith(("begin time", "end time")) for name in columns
    )
    return f"has times, but no frame numbers. {_TIMES_CURE}" if timed and not {"onset", "offset"} <= columns else ""


def _challenge_rows(path: Path, form: str, first: int = 0) -> dict[str, tuple[Event, ...]]:
    """The events of a table of the challenges, in which a recording's first frame has the number ``first``."""
    header = [cell.strip() for cell in first_rows(path)[0]]
    names = {column.casefold(): column for column in header}
    vid, onset, offset, last = (names[column] for column in FORMS[form][-4:])
    table = open_table(path, (vid, onset, offset, last))
    found: dict[str, list[Event]] = {}
    faults = []
    for line, row in table.rows:
        where = f"{path}, line {line}"
        name = row[vid].strip()
        if form == "str":
            name = f"{row[names['subject']].strip()}/{name}"
        try:
            said = row[last].strip()
            kind = "micro" if form == "str" else _kind(said, where)
            start, end = (_frame(row[column], column, where) for column in (onset, offset))
            if start < first:
                raise ManifestError(
                    f"{where}: {onset} is {start}, but the first frame has the number {first}. Correct it, or give the "
                    f"number of the first frame with {how('--first-frame', 'first_frame')}."
                )
            event = Event(kind, start, None, end, label=said.casefold() if form == "str" and said else None)
        except HtnetError as error:
            text = str(error)
            faults.append(text if text.startswith(where) else f"{where}: {text}")
            continue
        found.setdefault(name, []).append(event)
    _refuse(faults, path)
    return {name: tuple(events) for name, events in found.items()}


def _kind(text: str, where: str) -> str:
    if short := next((kind for kind, name in TYPES.items() if name == text.casefold()), None):
        return short
    for kind in EVENT_KINDS:
        if re.fullmatch(rf"{kind}([-_ ]?expression)?", text.casefold()):
            return kind
    raise ManifestError(f"{where}: the kind is {text!r}. {did_you_mean(text, (*EVENT_KINDS, *TYPES.values()))}")


def _frame(text: str, column: str, where: str) -> int:
    number = re.fullmatch(r"([+-]?[0-9]+)([.,]0*)?", text.strip())
    # "3.600" and "3,000" may be thousands, so three digits are not read as decimals.
    if number is None or len(number[2] or "") == 4:
        raise ManifestError(f"{where}: {column} is {text.strip()!r}; give a frame number (a whole number).")
    return int(number[1])


def _other_columns(table: CsvTable) -> list[str]:
    """A note on columns that are not read; a name that is nearly that of a missing column is refused."""
    others = [name for name in table.columns if name not in TABLE_COLUMNS]
    absent = [name for name in TABLE_COLUMNS if name not in table.columns]
    for name in others:
        key = re.sub(r"[\s_-]+", "_", name.casefold())
        for known in absent:
            if key not in _OTHER_NAMES and edits(key, known) <= (1 if len(known) < 6 else 2):
                raise ManifestError(
                    f"{table.path}, line 1: there is a column {name!r}, but no column {known!r}. Correct its name, or "
                    "give it one that differs more."
                )
    return [f"{table.path}: the columns {', '.join(map(repr, others))} are not read."] if others else []


def _frames_of(event: Event) -> tuple[str, int, int, int | None]:
    """What two events of a recording cannot share: kind, frames and face."""
    return event.kind, event.onset, event.offset, event.track


def _add(event: Event, events: list[Event], earlier: Sequence[tuple[int, Event]], who: str) -> None:
    """Add the event of a row to those of its recording.

    Rows for the same frames with other action units, as of a second coder, are one event with the units of all.

    Args:
        event: the event of the row.
        events: the events of the recording so far, which are changed.
        earlier: line and event of each earlier row with the same `_frames_of`.
        who: place and recording of the row, for messages.

    Raises:
        ManifestError: an earlier row has no other units, or contradicts this one.
    """
    if not earlier:
        events.append(event)
        return
    what = f"{who} has the same event ({event.kind}, frames {event.onset} to {event.offset}) on line"
    faces = "if they are of two faces, number these in the column 'track'."
    for line, other in earlier:
        for name in _DETAILS:
            one, two = getattr(other, name), getattr(event, name)
            if None not in (one, two) and one != two:
                column = "emotion" if name == "label" else name
                raise ManifestError(f"{what} {line}, where {column} is {one}, not {two}. Use one value; {faces}")
        units, others = set(event.action_units), set(other.action_units)
        if not units or not others or units == others:
            raise ManifestError(f"{what} {line}. Delete one; {faces}")
    at = next(k for k, other in enumerate(events) if _frames_of(other) == _frames_of(event))
    known = events[at]
    details = {name: getattr(event if getattr(known, name) is None else known, name) for name in _DETAILS}
    sides: dict[int, tuple[float, float]] = {}
    for unit in (*known.action_units, *event.action_units):
        left, right = sides.get(unit.number, (0.0, 0.0))
        sides[unit.number] = max(left, unit.subject_left), max(right, unit.subject_right)
    both = tuple(UnitPrediction(number, *values) for number, values in sides.items())
    events[at] = replace(known, **details, action_units=both)


def _drift(event: Event, fps: float | None, where: str) -> list[tuple[float, str]]:
    """How far the event's times are from those of its frames at the frame rate: the seconds, and a sentence on them.

    Raises:
        ManifestError: they are in another unit, such as milliseconds.
    """
    found = []
    frames = {"start": event.onset, "peak": event.apex, "end": event.offset}
    for name, frame in frames.items():
        time = getattr(event, name)
        if time is None or frame is None:
            continue
        expected = frame / (fps or _SLOWEST)
        rate = f"{fps:g} frames" if fps else "as few as one frame"
        said = f"{name} is {time:g} s, but frame {frame} at {rate} per second is at {expected:g} s."
        if time > _OTHER_UNIT * expected + 60:
            raise ManifestError(f"{where}: {said} Give times in seconds from the start of the recording.")
        if fps and off_the_rate(time, expected, fps):
            found.append((abs(time - expected), f"{where}: {said}"))
    return found


def _number(row: Mapping[str, str], column: str, where: str) -> float | None:
    if not row[column]:
        return None
    try:
        if "_" in row[column]:  # Python reads 1_0 as 10
            raise ValueError
        return float(row[column].replace(",", "."))
    except ValueError:
        raise ManifestError(f"{where}: {column} is {row[column]!r}; give a number.") from None


def _recording(row: Mapping[str, str], folder: Path, where: str) -> Recording:
    given = row["path"] or row["recording"]
    place = folder / as_there(folder, given)
    if re.fullmatch(r"[1-9][.,]000", row["fps"]):
        raise ManifestError(
            f"{where}: fps is {row['fps']!r}, which may be {row['fps'][0]} or {row['fps'][0]}000. Write it without "
            "zeros after the separator, or without the separator."
        )
    fps = _number(row, "fps", where)
    frames = _frame(row["frames"], "frames", where) if row["frames"] else None
    known = place if row["path"] or os.path.exists(place) else None
    return Recording(row["recording"], (), known, row["dataset"], row["subject"], fps, frames)


def _refuse_other(known: Recording, own: Recording, where: str) -> None:
    for name in _OWN:
        one, other = getattr(known, name), getattr(own, name)
        if one != other:
            raise ManifestError(
                f"{where}: {name} of the recording {own.name!r} is {other!s}, but {one!s} in an earlier row. Use the "
                "same value."
            )


def _event(row: Mapping[str, str], where: str, notes: list[str]) -> Event:
    frames = {
        name: _frame(row[name], name, where) if row[name] or name != "apex" else None
        for name in ("onset", "apex", "offset")
    }
    text, told = keep_readable(row["action_units"], where, row["recording"])
    notes += told
    if row["emotion"] and (why := no_value(row["emotion"])):
        raise ManifestError(f"{where}: the emotion {row['emotion']!r} {why}. Leave the cell empty if there is none.")
    try:
        return Event(
            _kind(row["kind"], where),
            frames["onset"] or 0,
            frames["apex"],
            frames["offset"] or 0,
            _number(row, "start", where),
            _number(row, "peak", where),
            _number(row, "end", where),
            _number(row, "confidence", where),
            label=row["emotion"].casefold() or None,
            action_units=annotated_units(text),
            track=_frame(row["track"], "track", where) if row["track"] else None,
            expression=_number(row, "expression", where),
        )
    except InputError as error:
        text = str(error)
        raise ManifestError(text if text.startswith(where) else f"{where}: {text}") from error


def _refuse_beyond(event: Event, recording: Recording, where: str) -> None:
    """Refuse an event that ends after the last frame of its recording."""
    if recording.frames is not None and event.offset >= recording.frames:
        raise ManifestError(
            f"{where}: an event lasts from frame {event.onset} to {event.offset}, but the recording "
            f"{recording.name!r} has {recording.frames} frames, counted from 0. Correct the event or the column "
            "'frames'."
        )


def _refuse_frames(row: Mapping[str, str], where: str) -> None:
    said = [name for name in ("onset", "apex", "offset", "emotion", "action_units") if row[name]]
    if said:
        raise ManifestError(
            f"{where}: {said[0]} is {row[said[0]]!r}, but there is no kind. Give one of {', '.join(EVENT_KINDS)}."
        )


def annotated_units(text: str) -> tuple[UnitPrediction, ...]:
    """Annotated action units as predictions with probability 1 on the annotated sides; all alternatives are included.

    Raises:
        InputError: the text cannot be parsed.
    """
    sides: dict[int, list[float]] = {}
    for unit in (unit for term in parse_action_units(text) for unit in term):
        both = sides.setdefault(unit.number, [0.0, 0.0])
        for k, side in enumerate(("left", "right")):
            both[k] = max(both[k], float(unit.side in (side, None)))
    return tuple(UnitPrediction(number, *both) for number, both in sides.items())


def _refuse(faults: Sequence[str], path: Path) -> None:
    if faults:
        what = "1 row is" if len(faults) == 1 else f"{len(faults)} rows are"
        shown = "\n  ".join(faults[:10]) + ("\n  ..." if len(faults) > 10 else "")
        raise ManifestError(f"{path}: {what} invalid. Correct or delete them.\n  {shown}")
