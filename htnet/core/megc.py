"""Tables of events in the formats of the spotting challenges (MEGC).

The sources are files that entrants published:

- MEGC 2022: columns ``vid``, ``pred_onset``, ``pred_offset`` and ``type`` (genbing99/MTSN-Spot-ME-MaE,
  ``samm_pred.csv``).
- MEGC 2023: columns ``vid``, ``onset``, ``offset`` and ``type``
  (qin123xyz/MEGC2023_macro-and-micro-expression-spotting). The types of both years are "me" and "mae".
- Spot-then-recognize (MEGC 2024 and 2025): columns ``subject``, ``video``, ``onset``, ``offset`` and ``emotion``, of
  micro-expressions only (genbing99/STRS-Metric, hitheyuhong/MEGC2024-CODE).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from os import PathLike
from types import MappingProxyType

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import InputError
from htnet.core.events import EXPRESSION_KINDS, Event, events_by_name
from htnet.core.fields import one_of, whole
from htnet.core.files import check_outputs, write_text
from htnet.core.paths import as_path

#: Columns of each format.
FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "megc2022": ("vid", "pred_onset", "pred_offset", "type"),
        "megc2023": ("vid", "onset", "offset", "type"),
        "str": ("subject", "video", "onset", "offset", "emotion"),
    }
)
#: Number of a recording's first frame; the files of SAMM Long Videos and CAS(ME)^2 are numbered from 1.
FIRST_FRAME = 1
#: Names of the kinds of events in the challenges.
TYPES: Mapping[str, str] = MappingProxyType({"micro": "me", "macro": "mae"})


def write_megc(
    path: str | PathLike[str],
    events: Mapping[str, Iterable[Event]],
    *,
    form: str = "megc2022",
    first_frame: int = FIRST_FRAME,
    overwrite: bool = False,
) -> int:
    """Write micro- and macro-expressions in a format of the challenges; other events are left out.

    Args:
        path: the CSV file; missing folders are created.
        events: the events of each recording, by name; for "str" the name is ``subject/video``.
        form: one of `FORMS`. "str" contains only micro-expressions, whose emotion must be known.
        first_frame: number of a recording's first frame in the table. The challenges number frames as the files of
            their data sets, from 1; `Event` counts from 0.
        overwrite: replace a file that exists.

    Returns:
        The number of rows.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the format is unknown, ``events`` are not events by name, a micro-expression has no emotion or a
            name has no subject (for "str"), or the file cannot be written.
    """
    one_of(FORMS).check("form", form)
    whole(0).check("first_frame", first_frame)
    by_name = events_by_name(events, "events")
    path = as_path(path, "path")
    check_outputs(path, overwrite=overwrite)
    kinds = ("micro",) if form == "str" else EXPRESSION_KINDS
    rows = [
        _row(name, event, form, first_frame)
        for name, found in by_name.items()
        for event in sorted(found, key=lambda event: (event.onset, event.offset))
        if event.kind in kinds
    ]
    text = io.StringIO(newline="")
    CsvWriter(text).writerows([FORMS[form], *rows])
    write_text(path, text.getvalue())
    return len(rows)


def _row(name: str, event: Event, form: str, first: int) -> tuple[str | int, ...]:
    span = event.onset + first, event.offset + first
    if form != "str":
        return name, *span, TYPES[event.kind]
    subject, _, video = name.partition("/")
    if not video:
        raise InputError(f"The recording {name!r} names no subject. The form 'str' needs names such as s15/0401.")
    if not event.emotion:
        raise InputError(f"The micro-expression at frame {event.onset} of {name!r} has no emotion, which 'str' needs.")
    return subject, video, *span, event.emotion
