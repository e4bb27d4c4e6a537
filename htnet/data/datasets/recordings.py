"""Long recordings whose expressions are annotated as intervals: SAMM Long Videos, CAS(ME)^2, CAS(ME)^3 (parts A, C)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from htnet.core.errors import ManifestError, respelled
from htnet.core.events import Event
from htnet.core.official import OFFICIAL, did_you_mean_set, official
from htnet.core.paths import as_path
from htnet.core.recordings import Recording
from htnet.data.corrections import describe, find_correction
from htnet.data.datasets.clips import check_root, find_clips, read_clip
from htnet.data.datasets.sheets import (
    ALIASES,
    SheetRow,
    Table,
    find_sheet,
    find_sheets,
    no_sheet,
    read_sheet,
    read_tables,
    sheet_row,
)
from htnet.data.intervals import Interval, Intervals
from htnet.data.recording_tables import RecordingSet, annotated_units

#: Published numbers of micro- and macro-expressions: SAMM Long Videos, arXiv 1911.01519; CAS(ME)^2, the later edition
#: (IEEE TAFFC 2018; that of 2016 had 53 and 250).
PUBLISHED: Mapping[str, tuple[int, int]] = {"samm_lv": (159, 343), "casme_sq": (57, 300)}
#: Frames per second, from the page of MEGC 2024 (https://megc2024.github.io/challenge.html).
RATES: Mapping[str, float] = {"samm_lv": 200.0, "casme_sq": 30.0, "casme3a": 30.0, "casme3c": 30.0}
_TITLES = {
    **{"samm_lv": "SAMM Long Videos", "casme_sq": "CAS(ME)^2"},
    **{"casme3a": "CAS(ME)^3 part A", "casme3c": "CAS(ME)^3 part C"},
}
_ALIASES = {**ALIASES, "type": ("type", "expressiontype")}
#: CAS(ME)^3 part C numbers each person's expressions in a column "count".
_PART_C = {**_ALIASES, "filename": ("count", "filename")}
#: In part A the column of the recording is "Filename" in the sheets of micro-expressions and "seq" in that of
#: macro-expressions.
_PART_A = {**_ALIASES, "filename": ("filename", "seq")}
#: Maximum length of a micro-expression of CAS(ME)^3 in frames: 0.5 s.
_LONGEST_MICRO = 15
#: CAS(ME)^2: the folder of each participant, and the number of each stimulus, used if the sheets "naming rule1" and
#: "naming rule2" of the workbook do not state them.
PARTICIPANTS: Mapping[int, int] = dict(enumerate((*range(15, 17), *range(19, 28), *range(29, 39), 40), 1))
STIMULI: Mapping[str, str] = {
    **{"anger1": "0401", "anger2": "0402", "disgust1": "0101", "disgust2": "0102", "happy1": "0502"},
    **{"happy2": "0503", "happy3": "0505", "happy4": "0507", "happy5": "0508"},
}
#: Column indexes in the sheet of CAS(ME)^2, which has no header.
SQUARE = {
    **{"subject": 0, "filename": 1, "onset": 2, "apex": 3, "offset": 4, "action_units": 5, "emotion": 6, "type": 7}
}


@dataclass
class _Found:
    """The intervals read so far, and notes on them."""

    dataset: str
    intervals: list[Interval] = field(default_factory=list)
    excluded: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, row: SheetRow, recording: str, subject: str, kind: str, label: str = "") -> None:
        """Add the interval of a row, or the reason why it is left out."""
        name = row.text["filename"]
        self.kinds[kind] += 1
        onset, apex, offset = (row.number(column) for column in ("onset", "apex", "offset"))
        # Frames are counted from 1; 0 and -1 stand for frames that are not annotated.
        apex, offset = apex or None, offset or None
        if not onset:
            self.excluded.append((name, f"onset {row.text['onset'] or 'not given'}, but frames are counted from 1"))
            return
        if offset is not None and offset < onset:
            self.excluded.append((name, f"offset {offset} before the onset {onset}"))
            return
        if apex is not None and not onset <= apex <= (offset or apex):
            self.notes.append(
                f"{row.where}: the apex {apex} of {name} ({recording}) is outside {onset} to {offset or 'its end'}."
            )
        units, notes = row.action_units(name)
        self.notes += notes
        self.intervals.append(
            Interval(recording, subject, kind, onset, apex, offset, units, label.casefold(), self.dataset, name)
        )


def read_intervals(name: str, root: str | PathLike[str], *, annotation: str | PathLike[str] | None = None) -> Intervals:
    """Read the expressions of a data set of long recordings.

    Frames that are not annotated are not guessed: such an apex or offset is None. The documentation's page on data sets
    shows each folder tree and sheet, and the sources.

    Args:
        name: "samm_lv" (SAMM Long Videos), "casme_sq" (CAS(ME)^2), "casme3a" or "casme3c" (CAS(ME)^3, parts A and C).
        root: the data set's folder, or any folder between it and the recordings.
        annotation: the sheet, ``.xlsx``, ``.xls`` (extra "datasets") or ``.csv``. By default the one in ``root``, a
            folder "annotation" in it, or the folder above; for "casme3a" all sheets there.

    Returns:
        The expressions in the sheet's order, and the recordings that exist.

    Raises:
        ManifestError: the name is unknown, or the folder tree or sheet is invalid.
        MissingExtraError: openpyxl or xlrd is needed but not installed.
    """
    if name not in _READERS:
        clips = next((one for one in OFFICIAL if respelled(name, [one.name])), None)
        if clips is not None and clips.name not in _READERS:
            raise ManifestError(
                f"{clips.title} has clips of one expression each, not long recordings: read it with "
                f"htnet.data.read_dataset({clips.name!r}, root). {did_you_mean_set(name, _READERS)}"
            )
        raise ManifestError(f"There is no reader of recordings for {name!r}. {did_you_mean_set(name, _READERS)}")
    root = as_path(root, "root")
    check_root(root, name)
    reader = _READERS[name]
    sheets = [as_path(annotation, "annotation")] if annotation is not None else _sheets(root, name)
    sheet = ", ".join(map(str, sheets))
    found = _Found(name)
    reader.read(sheets, found)
    tree = find_clips(root, reader.key, f"{_TITLES[name]} ({reader.form})")
    counted = found.kinds["micro"], found.kinds["macro"]
    if counted != PUBLISHED.get(name, counted):
        micro, macro = PUBLISHED[name]
        found.notes.append(
            f"{sheet} has {counted[0]} micro- and {counted[1]} macro-expressions, but {_TITLES[name]} was published "
            f"with {micro} and {macro}."
        )
    if found.excluded:
        found.notes.append(
            f"{len(found.excluded)} expressions are left out: "
            + ", ".join(f"{expression} ({reason})" for expression, reason in found.excluded)
            + "."
        )
    missing = sorted({interval.recording for interval in found.intervals} - set(tree.clips))
    return Intervals(
        tuple(found.intervals),
        dict(sorted(tree.clips.items())),
        str(sheet),
        tuple(found.excluded),
        tuple(missing),
        tuple(found.notes),
    )


def _sheets(root: Path, name: str) -> list[Path]:
    patterns = _READERS[name].patterns
    if name != "casme3a":
        return [find_sheet(root, patterns, _TITLES[name])]
    found = find_sheets(root, patterns)
    if not found:
        raise no_sheet(root, patterns, _TITLES[name])
    return found


def read_annotated_recordings(
    name: str, root: str | PathLike[str], *, annotation: str | PathLike[str] | None = None
) -> RecordingSet:
    """Read a data set of long recordings for `htnet.metrics.evaluate_spotting`.

    Frames have the numbers of the files, and the frame rates are the published ones. An expression without an annotated
    offset cannot be scored; it is left out and named in the notes, like those that `read_intervals` leaves out.

    Args:
        name: as in `read_intervals`.
        root: as in `read_intervals`.
        annotation: as in `read_intervals`.

    Raises:
        ManifestError: as in `read_intervals`.
        MissingExtraError: openpyxl or xlrd is needed but not installed.
    """
    found = read_intervals(name, root, annotation=annotation)
    notes = list(found.notes)
    events: dict[str, list[Event]] = {recording: [] for recording in (*found.recordings, *found.missing)}
    people: dict[str, str] = {}
    for one in found:
        people[one.recording] = one.subject
        if one.offset is None:
            notes.append(f"{one.name} ({one.recording}) has no offset and is not scored.")
            continue
        inside = one.apex is not None and one.onset <= one.apex <= one.offset
        units = annotated_units(one.action_units)
        apex = one.apex if inside else None
        events[one.recording].append(
            Event(one.kind, one.onset, apex, one.offset, label=one.label or None, action_units=units)
        )
    recordings = []
    for recording, all_of_it in events.items():
        folder = found.recordings.get(recording)
        numbers = None if folder is None else tuple(read_clip(folder).files)
        recordings.append(
            Recording(
                recording,
                tuple(all_of_it),
                folder,
                name,
                people.get(recording) or recording.partition("/")[0].partition("_")[0],
                RATES[name],
                len(numbers) if numbers else None,
                numbers,
            )
        )
    return RecordingSet(tuple(recordings), found.source, tuple(notes))


def _samm(sheets: Sequence[Path], found: _Found) -> None:
    for row in read_sheet(sheets[0], ["onset", "apex", "offset", "type"], _ALIASES):
        parts = re.fullmatch(r"0*([0-9]+)_0*([0-9]+)_.+", row.text["filename"])
        if parts is None:
            raise ManifestError(
                f"{row.where}: {row.text['filename']!r} is not an expression of SAMM Long Videos, such as "
                "006_1_2. Correct it."
            )
        subject = f"{int(parts[1]):03d}"
        found.add(row, f"{subject}_{int(parts[2])}", subject, _kind(row.text["type"], row.where))


def square_rows(sheet: Path) -> list[tuple[SheetRow, str, str]]:
    """The rows of CAS(ME)^2, each with its recording ("s15/0401") and its person ("s15").

    Raises:
        ManifestError: the sheet cannot be read, or has no such rows.
    """
    tables = read_tables(sheet)
    people, stimuli = dict(PARTICIPANTS), dict(STIMULI)
    for table in tables:
        for cells in table.rows:
            if len(cells) >= 3 and re.fullmatch("s[0-9]+", cells[1].casefold()) and cells[2].isdecimal():
                people[int(cells[2])] = int(cells[1][1:])
            elif len(cells) >= 2 and re.fullmatch("[0-9]{3,4}", cells[0]) and re.fullmatch("[a-z]+[0-9]+", cells[1]):
                stimuli[cells[1]] = f"{int(cells[0]):04d}"
    rows = []
    for table in tables:
        rows = [
            _square_row(table, index, people, stimuli) for index in range(len(table.rows)) if _is_square(table, index)
        ]
        if rows:
            lost = [i + 1 for i, cells in enumerate(table.rows) if any(cells[:3]) and not _is_square(table, i)]
            # The first row may be a header.
            if lost[1:] or (lost and lost != [1]):
                raise ManifestError(
                    f"{table.label}, row {lost[-1]} does not contain participant, expression (anger1_1), onset, "
                    "apex, offset, action units, emotion and kind. Correct it, or delete the row."
                )
            return rows
    raise ManifestError(
        f"{sheet} has no rows of participant, expression (anger1_1), onset, apex, offset, action units, emotion and "
        "kind (micro-expression or macro-expression). Give the sheet CAS(ME)^2code_final as annotation."
    )


def _is_square(table: Table, index: int) -> bool:
    cells = table.rows[index]
    return (
        len(cells) > SQUARE["type"]
        and cells[0].isdecimal()
        and re.fullmatch(r"[a-z]+[0-9]+_[0-9]+", cells[1].casefold()) is not None
        and "expression" in cells[SQUARE["type"]].casefold()
    )


def _square_row(
    table: Table, index: int, people: Mapping[int, int], stimuli: Mapping[str, str]
) -> tuple[SheetRow, str, str]:
    row = sheet_row(table, index, SQUARE, SQUARE)
    video = row.text["filename"].casefold().rpartition("_")[0]
    participant = int(row.text["subject"])
    if participant not in people or video not in stimuli:
        raise ManifestError(
            f"{row.where}: participant {participant} or stimulus {video!r} is unknown. Correct the row."
        )
    person = f"s{people[participant]}"
    return row, f"{person}/{stimuli[video]}", person


def _square(sheets: Sequence[Path], found: _Found) -> None:
    for row, recording, person in square_rows(sheets[0]):
        found.add(row, recording, person, _kind(row.text["type"], row.where), row.text["emotion"])


def _part_c(sheets: Sequence[Path], found: _Found) -> None:
    for row, kind in _with_kinds(sheets[0], read_sheet(sheets[0], ["subject", "onset", "offset"], _PART_C), found):
        subject = row.text["subject"]
        if not re.fullmatch("[0-9]+", subject):
            raise ManifestError(f"{row.where}: the subject is {subject!r}; give a number such as 1.")
        person = f"{int(subject):02d}"
        found.add(row, person, person, kind, row.text["emotion"])


def _part_a(sheets: Sequence[Path], found: _Found) -> None:
    """Add the rows of one sheet with both kinds, or of one sheet for each kind; emotions may come from any sheet."""
    needed = ["subject", "onset", "apex", "offset"]
    rows = {sheet: _with_kinds(sheet, read_sheet(sheet, needed, _PART_A), found) for sheet in sheets}
    both = [sheet for sheet, found_rows in rows.items() if any(row.text["type"] for row, _ in found_rows)]
    emotions = {_row_key(row): row.text["emotion"] for one in rows.values() for row, _ in one if row.text["emotion"]}
    taken: dict[str, Path] = {}
    for sheet in both or sheets:
        for kind in sorted({kind for _, kind in rows[sheet]}):
            if kind in taken:
                raise ManifestError(
                    f"{sheet.parent} contains several sheets of {kind}-expressions of CAS(ME)^3 part A "
                    f"({taken[kind].name}, {sheet.name}). Give one as annotation."
                )
            taken[kind] = sheet
        for row, kind in rows[sheet]:
            parts = re.fullmatch(r"spno\.?\s*0*([0-9]+)", row.text["subject"].casefold())
            if parts is None:
                raise ManifestError(f"{row.where}: the subject is {row.text['subject']!r}; give one such as spNO.1.")
            person = f"spNO.{parts[1]}"
            emotion = row.text["emotion"] or emotions.get(_row_key(row), "")
            found.add(_corrected(row, person, found), f"{person}/{row.text['filename'].lower()}", person, kind, emotion)


def _row_key(row: SheetRow) -> tuple[str, ...]:
    return tuple(row.text[name].casefold() for name in ("subject", "filename", "onset", "offset"))


def _corrected(row: SheetRow, person: str, found: _Found) -> SheetRow:
    """The row with a mistyped number corrected; a note is added."""
    name = row.text["filename"]
    known = find_correction("casme3", person, name, *(row.number(column) for column in ("onset", "apex", "offset")))
    if known is None:
        return row
    found.notes.append(describe(f"{person} {name}", known))
    meant = dict(zip(("onset", "apex", "offset"), map(str, known.meant), strict=True))
    return replace(row, text={**row.text, **meant})


def _with_kinds(sheet: Path, rows: Sequence[SheetRow], found: _Found) -> list[tuple[SheetRow, str]]:
    """Rows and their kinds; if a sheet states no kinds, the kind follows from the median length of its rows."""
    spans = [(row.number("onset"), row.number("offset")) for row in rows]
    lengths = sorted(offset - onset for onset, offset in spans if onset is not None and offset is not None)
    usual = "macro" if lengths and lengths[len(lengths) // 2] > _LONGEST_MICRO else "micro"
    if not any(row.text["type"] for row in rows):
        found.notes.append(
            f"{sheet} states no kinds: according to the median length of its rows they are {usual}-expressions."
        )
    return [(row, _kind(row.text["type"], row.where) if row.text["type"] else usual) for row in rows]


def _kind(text: str, where: str) -> str:
    for kind in ("micro", "macro"):
        if text.casefold().startswith(kind):
            return kind
    raise ManifestError(f"{where}: the kind is {text!r}; give micro or macro.")


def _samm_key(folder: Path) -> tuple[str, Path] | None:
    parts = re.fullmatch(r"0*([0-9]+)_0*([0-9]+)", folder.name)
    return (f"{int(parts[1]):03d}_{int(parts[2])}", folder.parent) if parts else None


def square_key(folder: Path) -> tuple[str, Path] | None:
    """Key of a recording of CAS(ME)^2, ``rawpic/s15/15_0401girlcrashing``."""
    person = re.fullmatch(r"s0*([0-9]+)", folder.parent.name.casefold())
    parts = re.match(r"0*([0-9]+)_([0-9]{4})", folder.name)
    if person is None or parts is None or int(person[1]) != int(parts[1]):
        return None
    return f"s{int(person[1])}/{parts[2]}", folder.parents[1]


def _part_c_key(folder: Path) -> tuple[str, Path] | None:
    person = folder.parents[1].name
    return (f"{int(person):02d}", folder.parents[2]) if folder.name == "color" and person.isdecimal() else None


def _part_a_key(folder: Path) -> tuple[str, Path] | None:
    person = re.fullmatch(r"spno\.?0*([0-9]+)", folder.parents[1].name.casefold())
    if folder.name.casefold() != "color" or person is None:
        return None
    return f"spNO.{person[1]}/{folder.parent.name.lower()}", folder.parents[2]


@dataclass(frozen=True)
class _Reader:
    patterns: Sequence[str]
    read: Callable[[Sequence[Path], _Found], None]
    key: Callable[[Path], tuple[str, Path] | None]
    form: str


_READERS: dict[str, _Reader] = {
    "samm_lv": _Reader(("samm_longvideos*",), _samm, _samm_key, "SAMM_longvideos/006_1/006_1_0001.jpg"),
    "casme_sq": _Reader(
        official("casme_sq").sheets,
        _square,
        square_key,
        "rawpic/s15/15_0401girlcrashing/img557.jpg",
    ),
    "casme3a": _Reader(official("casme3").sheets, _part_a, _part_a_key, "part_A/spNO.1/a/color/175.jpg"),
    "casme3c": _Reader(
        ("cas(me)3_part_c*", "cas(me)^3_part_c*", "casme3_part_c*"), _part_c, _part_c_key, "part_C/01/a/color/373.jpg"
    ),
}
#: Names that `read_intervals` accepts.
RECORDINGS = tuple(_READERS)
