"""Write events as tiers for ELAN (https://archive.mpi.nl/tla/elan) in its Annotation Format, version 3.0 (``.eaf``).

There is one tier per kind of event, and one per action unit and side. Times are whole milliseconds. Annotations of one
ELAN tier must not overlap, so overlapping events of one kind go to a second tier. Every annotation has two time slots
of its own, as in files that ELAN writes: two annotations that share a slot would move together when one is edited.
Slots are sorted by time.

Sources: elements and attributes are those of version 3.0 files written by ELAN, and of parts of the schema of version
2.3 that public code quotes; the schema of version 3.0 itself could not be looked up. The file is written with Python's
own XML library, because pympi-ling 1.71 writes time slots unsorted and rejects NumPy numbers.
"""

from __future__ import annotations

import math
import mimetypes
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from xml.etree import ElementTree

from htnet._version import __version__
from htnet.core.errors import InputError
from htnet.core.events import EVENT_KINDS, Event, event_tuple
from htnet.core.facs import SHOWN_UNITS
from htnet.core.fields import checked_fps, real
from htnet.core.files import check_outputs, whole_file
from htnet.core.paths import as_path
from htnet.core.recordings import relative_path

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_TYPE = "event"
#: Tier constraints that ELAN defines; every file lists all of them.
_CONSTRAINTS = (
    ("Time_Subdivision", "Time subdivision of parent annotation's time interval, no time gaps allowed"),
    ("Symbolic_Subdivision", "Symbolic subdivision of a parent annotation. Annotations refer to a parent"),
    ("Symbolic_Association", "1-1 association with a parent annotation"),
    ("Included_In", "Time alignable annotations within the parent annotation's time interval, gaps are allowed"),
)
#: Characters that XML 1.0 cannot contain.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class _Mark:
    """One annotation: start and end in whole milliseconds, and its text."""

    start: int
    end: int
    text: str


def write_elan(
    path: str | PathLike[str],
    events: Iterable[Event],
    media: str | PathLike[str] | None = None,
    *,
    fps: float | None = None,
    media_start: float = 0.0,
    overwrite: bool = False,
) -> None:
    """Write events as an ``.eaf`` file that ELAN opens.

    An annotation lasts from the event's onset to its offset, at least one millisecond. Its text is the emotion, if
    there is one, and the confidence. Action units with a probability of at least `htnet.core.facs.SHOWN_UNITS` are
    written to tiers such as "AU12 subject_left"; the text of their annotations is the probability. If the recording
    shows several faces, each face has its own tiers.

    Args:
        path: the file; missing folders are created.
        events: what to write.
        media: the video. The file links to it by its absolute path and by its path relative to the file's folder. A
            folder of frames is not linked, because ELAN plays only files.
        fps: frames per second, needed for events without times.
        media_start: time at which a player shows the first frame of the video, s, if its sound begins before. It is
            written as the video's offset (``TIME_ORIGIN``), by which ELAN shifts it.
        overwrite: replace a file that exists.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: ``events`` are not events, one has no times and ``fps`` is not given, one begins before the
            recording, ``media_start`` is negative, ``fps`` is not positive, or the file cannot be written.
    """
    path = as_path(path, "path")
    found = event_tuple(events, "events")
    real(ge=0).check("media_start", media_start)
    checked_fps(fps)
    check_outputs(path, overwrite=overwrite, inputs=(media,))
    tiers = _tiers(found, fps)
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"htnet {__version__}",
            "DATE": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    count = sum(len(marks) for _, _, marks in tiers)
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if media is not None and not os.path.isdir(as_path(media, "media")):
        offset = {"TIME_ORIGIN": str(shift)} if (shift := round(1000 * media_start)) else {}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", {**_media(as_path(media, "media"), path), **offset})
    ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(count)
    _add_tiers(root, tiers)
    ElementTree.SubElement(
        root, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID=_TYPE, TIME_ALIGNABLE="true"
    )
    for name, description in _CONSTRAINTS:
        ElementTree.SubElement(root, "CONSTRAINT", DESCRIPTION=description, STEREOTYPE=name)
    ElementTree.register_namespace("xsi", _XSI)
    ElementTree.indent(root)
    with whole_file(path) as place:
        ElementTree.ElementTree(root).write(place, encoding="UTF-8", xml_declaration=True)


_Tier = tuple[str, str, list[_Mark]]


def _tiers(events: Iterable[Event], fps: float | None) -> list[_Tier]:
    """Name, participant and annotations of each tier: first the kinds of events, then the action units."""
    found = sorted(events, key=lambda event: (event.onset, event.offset))
    several = any(event.track is not None for event in found)
    tracks = sorted({event.track or 0 for event in found}) if several else []
    marks: dict[tuple[int, int, str], list[_Mark]] = {}
    for face in tracks or [0]:
        for k, kind in enumerate(EVENT_KINDS):
            marks[face, k, kind] = []
    for event in found:
        start, end = _times(event, fps)
        face = event.track or 0
        marks.setdefault((face, EVENT_KINDS.index(event.kind), event.kind), []).append(_Mark(start, end, _text(event)))
        for unit in event.shown_units:
            for side in ("subject_left", "subject_right"):
                value = getattr(unit, side)
                if value >= SHOWN_UNITS:
                    name = f"AU{unit.number} {side}"
                    key = (face, 100 * unit.number + (side == "subject_right"), name)
                    marks.setdefault(key, []).append(_Mark(start, end, f"{value:.2f}"))
    tiers: list[_Tier] = []
    for (face, _, name), of_it in sorted(marks.items()):
        whole = f"{name} (face {face})" if several else name
        for k, row in enumerate(_apart(of_it), 1):
            tiers.append((whole if k == 1 else f"{whole} #{k}", f"face {face}" if several else "", row))
    return tiers


def _apart(marks: Sequence[_Mark]) -> list[list[_Mark]]:
    """Distribute annotations over as few rows as possible so that none overlap within a row."""
    rows: list[list[_Mark]] = [[]]
    for mark in sorted(marks, key=lambda mark: (mark.start, mark.end)):
        row = next((row for row in rows if not row or row[-1].end <= mark.start), None)
        if row is None:
            row = []
            rows.append(row)
        row.append(mark)
    return rows


def _times(event: Event, fps: float | None) -> tuple[int, int]:
    times = []
    for frame, time in ((event.onset, event.start), (event.offset, event.end)):
        seconds = frame / fps if time is None and fps else time
        if seconds is None or not math.isfinite(seconds):
            raise InputError(
                f"The event at frame {event.onset} has no time, which ELAN needs. Give the frames per second (fps)."
            )
        if seconds < 0:
            raise InputError(f"The event at frame {event.onset} begins at {seconds:g} s, before the recording does.")
        times.append(math.floor(seconds * 1000 + 0.5))
    return times[0], max(times[1], times[0] + 1)


def _text(event: Event) -> str:
    parts = [event.label or "", "" if event.confidence is None else f"{event.confidence:.2f}"]
    return " ".join(part for part in parts if part) or event.kind


def _media(media: Path, path: Path) -> dict[str, str]:
    """The attributes by which an ELAN file links to a video.

    Blanks and non-ASCII letters are not percent-encoded. ELAN does not encode them either
    (``FileUtility.pathToURLString``), and it looks for the file by the text after ``file:`` without decoding it
    (``fileExists``), so it would not find ``%20``.
    """
    relative = relative_path(media, path.parent)
    if not Path(relative).is_absolute() and not relative.startswith(".."):
        relative = f"./{relative}"
    whole = media.absolute().as_posix()
    if _NO_XML.search(whole) or _NO_XML.search(relative):
        raise InputError(f"The name of the video {whole!r} contains characters that an ELAN file cannot. Rename it.")
    return {
        "MEDIA_URL": f"file://{'' if whole.startswith('/') else '/'}{whole}",
        "MIME_TYPE": mimetypes.guess_type(media.name)[0] or "video/*",
        "RELATIVE_MEDIA_URL": relative,
    }


def _add_tiers(root: ElementTree.Element, tiers: Sequence[_Tier]) -> None:
    ends = [(time, t, m, side) for t, (_, _, marks) in enumerate(tiers) for m, mark in enumerate(marks)
            for side, time in enumerate((mark.start, mark.end))]  # fmt: skip
    order = ElementTree.SubElement(root, "TIME_ORDER")
    slots: dict[tuple[int, int, int], str] = {}
    for k, (time, *place) in enumerate(sorted(ends), 1):
        slots[tuple(place)] = f"ts{k}"  # type: ignore[index]
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{k}", TIME_VALUE=str(time))
    number = 0
    for t, (name, participant, marks) in enumerate(tiers):
        tier = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=name)
        if participant:
            tier.set("PARTICIPANT", participant)
        for m, mark in enumerate(marks):
            number += 1
            annotation = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION")
            annotation.attrib.update(
                ANNOTATION_ID=f"a{number}", TIME_SLOT_REF1=slots[t, m, 0], TIME_SLOT_REF2=slots[t, m, 1]
            )
            ElementTree.SubElement(annotation, "ANNOTATION_VALUE").text = _NO_XML.sub("\ufffd", mark.text)
