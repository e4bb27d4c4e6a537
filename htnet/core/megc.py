"""Tables of events in the forms of the spotting challenges (MEGC).

Sources, all of them files that entrants published: MEGC 2022 takes the columns ``vid``, ``pred_onset``, ``pred_offset``
and ``type`` (genbing99/MTSN-Spot-ME-MaE, ``samm_pred.csv``), MEGC 2023 ``vid``, ``onset``, ``offset`` and ``type``
(qin123xyz/MEGC2023_macro-and-micro-expression-spotting), with "me" and "mae" as types; spot-then-recognize (MEGC 2024
and 2025) ``subject``, ``video``, ``onset``, ``offset`` and ``emotion``, of micro-expressions alone
(genbing99/STRS-Metric, hitheyuhong/MEGC2024-CODE).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from os import PathLike
from types import MappingProxyType

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import InputError
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.fields import one_of
from htnet.core.files import check_outputs, write_text
from htnet.core.paths import as_path

#: Columns of each form.
FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "megc2022": ("vid", "pred_onset", "pred_offset", "type"),
        "megc2023": ("vid", "onset", "offset", "type"),
        "str": ("subject", "video", "onset", "offset", "emotion"),
    }
)
#: Number of a recording's first frame: the files of SAMM Long Videos and CAS(ME)^2 are numbered from 1.
FIRST_FRAME = 1
#: How the challenges call the kinds.
TYPES: Mapping[str, str] = MappingProxyType({"micro": "me", "macro": "mae"})


def write_megc(
    path: str | PathLike[str],
    events: Mapping[str, Iterable[Event]],
    *,
    form: str = "megc2022",
    first_frame: int = FIRST_FRAME,
    overwrite: bool = False,
) -> int:
    """Write micro- and macro-expressions as the challenges take them; other events are left out.

    Args:
        path: the CSV file; missing folders are created.
        events: name of the recording to its events; for "str" the name is ``subject/video``.
        form: one of `FORMS`. "str" contains micro-expressions whose emotion is known.
        first_frame: number of a recording's first frame in the table. The challenges count as the files of their sets
            are numbered, which begins at 1; `Event` counts from 0.
        overwrite: replace a file that exists.

    Returns:
        The number of rows.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: an unknown form, a micro-expression without emotion or a name without subject for "str", or the
            file cannot be written.
    """
    one_of(FORMS).check("form", form)
    path = as_path(path, "path")
    check_outputs(path, overwrite=overwrite)
    kinds = ("micro",) if form == "str" else EXPRESSION_KINDS
    rows = [
        _row(name, event, form, first_frame)
        for name, found in events.items()
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
        raise InputError(f"The recording {name!r} names no subject. The form 'str' takes names such as s15/0401.")
    if not event.emotion:
        raise InputError(f"The micro-expression at frame {event.onset} of {name!r} has no emotion, as 'str' needs it.")
    return subject, video, *span, event.emotion
