"""The report of an analysis: one self-contained HTML file that opens offline and can be printed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from html import escape
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from htnet._version import __version__
from htnet.core.errors import refuse_type
from htnet.core.events import EVENT_KINDS, EXPRESSION_KINDS, Event
from htnet.core.files import check_outputs, write_text
from htnet.core.provenance import restriction
from htnet.core.recordings import unit_text
from htnet.core.schema import plain
from htnet.core.types import EXPRESSION_THRESHOLD, FloatArray
from htnet.core.words import counted
from htnet.pipeline.analysis import Analysis, FollowedFace
from htnet.pipeline.page import check_name, class_bars, notes_of_faces, page, part
from htnet.recordings import FaceTrack

#: Curves of a report: name, unit, the curves of `FaceTrack.curves` that are drawn (the subject's left is the image's
#: right), and the smallest range that is shown, so that noise does not fill the chart.
_CURVES = (
    ("brows", "px up", ("right_brow", "left_brow"), (-1.5, 1.5)),
    ("eyes", "opening", ("right_eye_opening", "left_eye_opening"), (0.0, 1.2)),
    ("mouth corners", "px up", ("right_mouth_corner_up", "left_mouth_corner_up"), (-1.5, 1.5)),
    ("mouth", "px opened", ("mouth_opening",), (-1.5, 1.5)),
    ("head", "px a second", ("head_speed",), (0.0, 30.0)),
)
# Number of points beyond which curves are thinned: of several rows only the smallest and the largest value are kept.
_MOST_ROWS = 40_000


def write_report(found: Analysis, path: str | PathLike[str], *, faces: bool = True, overwrite: bool = False) -> Path:
    """Write the report of an analysis as one HTML file.

    It has a zoomable timeline of all events and curves, the values of each event, and for micro- and macro-expressions
    pictures of onset, apex and flow, if the analysis has them.

    Args:
        found: the analysis. Curves are drawn if it has them.
        path: the file, .html; missing folders are created.
        faces: show pictures of faces. Without them only the flow is shown, and the report says so.
        overwrite: replace a file that exists.

    Returns:
        The path of the file.

    Raises:
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: the name has another ending, or the file cannot be written.
    """
    refuse_type("found", found, Analysis, "what htnet.analyze returns, and the path after it")
    path = check_name(path)
    check_outputs(path, overwrite=overwrite)
    write_text(path, report_text(found, faces=faces))
    return path


def report_text(found: Analysis, *, faces: bool = True) -> str:
    """The report as HTML, see `write_report`."""
    text = json.dumps(_data(found), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    body = Template(part("report.html")).substitute(
        rows="\n".join(_row(k, event) for k, event in enumerate(found.events)),
        faces="\n".join(_face_row(face) for face in found.faces),
        cards="\n".join(
            _card(found, k, faces) for k, event in enumerate(found.events) if event.kind in EXPRESSION_KINDS
        ),
        # Escaped so that no text can close the script element.
        data=text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    )
    tiles = "\n".join(_tiles(found))
    return page(
        found.sample,
        _facts(found),
        body,
        warnings=found.warnings,
        notes=_notes(found, faces),
        more=f'<div class="tiles" role="group" aria-label="kinds of events that are shown">\n{tiles}\n</div>\n',
        js=part("report.js"),
    )


def _notes(found: Analysis, faces: bool) -> str:
    """What the report leaves out."""
    said = notes_of_faces(faces)
    if found.curves is None:
        said += "<p>There are no curves: the analysis was read from its document, which has none.</p>"
    return said


def _facts(found: Analysis) -> str:
    height, width = found.size
    rate = "" if found.fps is None else f", {found.fps:g} frames per second"
    model = "no model used" if found.model is None else f"model {found.model['weights'] or found.model['architecture']}"
    # Older documents do not state the license.
    if found.model is not None and (terms := restriction(found.model.get("license", ""))):
        model += f", {terms}"
    return (
        f"{found.video or found.source} · {_clock(found.duration)}, {counted(found.frames, 'frame')}{rate}, "
        f"{width}x{height} px · {counted(len(found.faces), 'face')} · {model} · htnet {__version__}"
    )


def _tiles(found: Analysis) -> Iterator[str]:
    counts = found.counts()
    for kind in EVENT_KINDS:
        yield (
            f'<button type="button" class="tile" data-kind="{kind}" aria-pressed="true"><i class="dot {kind}"></i>'
            f"<b>{counts.get(kind, 0)}</b> {kind}</button>"
        )


def _row(k: int, event: Event) -> str:
    cells = [
        (f'<i class="dot {event.kind}"></i> {event.kind}', ""),
        (str(event.track or 0), ""),
        *((_moment(number, time), "number") for number, time in _moments(event)),
        (_duration(event), "number"),
        (_share(event.confidence), "number"),
        (escape(event.label or ""), ""),
        (escape(unit_text(event.shown_units).replace("+", " + ")), ""),
    ]
    inside = "".join(f'<td class="{name}">{cell}</td>' if name else f"<td>{cell}</td>" for cell, name in cells)
    return f'<tr data-event="{k}" tabindex="0">{inside}</tr>'


def _face_row(face: FollowedFace) -> str:
    gaps = ", ".join(f"{gap.reason} {_clock(gap.start)} to {_clock(gap.end)}" for gap in face.gaps)
    times = (face.start, face.end, face.measured)
    numbers = "".join(f'<td class="number">{_clock(time)}</td>' for time in times)
    return f'<tr><td>{face.track}</td>{numbers}<td style="white-space:normal">{escape(gaps) or "none"}</td></tr>'


def _card(found: Analysis, k: int, faces: bool) -> str:
    event = found.events[k]
    track = f", face {event.track}" if len(found.faces) > 1 else ""
    numbers = [
        *((name, _moment(*at)) for name, at in zip(("onset", "apex", "offset"), _moments(event), strict=True)),
        ("duration", _duration(event)),
        ("confidence", _share(event.confidence)),
    ]
    said = ""
    if event.probabilities:
        none = "" if event.expression is None or event.expression >= EXPRESSION_THRESHOLD else ": no expression"
        numbers += [
            ("expression", _share(event.expression) + none),
            ("emotion", escape(event.label or "")),
            ("action units", _units(event) or "none"),
        ]
        said = class_bars(event.probabilities)
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in numbers if value)
    return (
        f'<article class="card" id="event-{k}"><h3><i class="dot {event.kind}"></i>{event.kind} at '
        f"{_clock(event.start or 0.0, 2)}{track}</h3>{_pictures(found, k, faces)}{said}"
        f'<table class="numbers">{table}</table></article>'
    )


def _pictures(found: Analysis, k: int, faces: bool) -> str:
    pictures = found.pictures.get(k)
    if pictures is None:
        return ""
    shown = [("onset", pictures.onset), ("apex", pictures.apex)] if faces else []
    shown.append((f"flow, longest {pictures.longest:.1f} px", pictures.flow))
    figures = [
        f'<figure><img alt="{name}" src="data:image/jpeg;base64,{base64.b64encode(content).decode()}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, content in shown
        if content
    ]
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else ""


def _units(event: Event) -> str:
    sides = {"subject_left": " (subject's left)", "subject_right": " (subject's right)", "both": ""}
    return "<br>".join(
        f"AU{unit.number} {escape(unit.name)} {unit.probability:.2f}{escape(sides[unit.side])}"
        for unit in sorted(event.shown_units, key=lambda unit: -unit.probability)
    )


def _data(found: Analysis) -> dict[str, Any]:
    """The data that the timeline draws."""
    curves = {} if found.curves is None else {track.number: track for track in found.curves.tracks}
    times = {} if found.curves is None else _frame_times(found.curves.tracks)
    return {
        "duration": round(found.duration, 4),
        "events": [
            {
                "kind": event.kind,
                "track": event.track or 0,
                "start": _seconds(event.start, event.onset, found),
                "end": _seconds(event.end, event.offset, found),
                "confidence": event.confidence,
                "text": _told(event),
            }
            for event in found.events
        ],
        "faces": [_face(face, curves.get(face.track)) for face in found.faces],
        "missing": [
            {"start": part.start, "end": part.end, "text": f"no frames: {part.reason} {part.detail}".strip()}
            for part in found.missing
        ],
        "cuts": [times.get(number, number / found.fps if found.fps else 0.0) for number in found.cuts],
    }


def _face(face: FollowedFace, track: FaceTrack | None) -> dict[str, Any]:
    gaps = [{"reason": gap.reason, "start": gap.start, "end": gap.end} for gap in face.gaps]
    drawn: dict[str, Any] = {"track": face.track, "start": face.start, "end": face.end, "gaps": gaps}
    if track is None:
        return {**drawn, "times": [], "curves": []}
    curves = track.curves
    thin = max(1, -(-2 * len(track) // _MOST_ROWS))
    shown = []
    for name, unit, parts, (low, high) in _CURVES:
        values = [curves[part] for part in parts]
        known = np.concatenate([part[np.isfinite(part)] for part in values])
        ends = np.percentile(known, [0.2, 99.8]) if len(known) else np.array([low, high])
        lines = [{"name": part, "values": _thinned(one, thin)} for part, one in zip(parts, values, strict=True)]
        low, high = min(low, float(np.floor(ends[0]))), max(high, float(ends[1].round(1)))
        shown.append({"name": name, "unit": unit, "low": low, "high": round(high, 1), "lines": lines})
    return {**drawn, "times": _thinned_times(track, thin), "curves": shown}


def _thinned(values: FloatArray, thin: int) -> list[float | None]:
    """Values to two decimals, thinned to the smallest and the largest of each ``thin`` rows; None if one is missing."""
    if thin == 1:
        kept = values
    else:
        rows = np.pad(values, (0, -len(values) % thin), mode="edge").reshape(-1, thin)
        kept = np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1).ravel()
    found: list[float | None] = plain(np.round(kept.astype(np.float64), 2))
    return found


def _thinned_times(track: FaceTrack, thin: int) -> list[float]:
    if thin == 1:
        return [round(time, 4) for time in track.times.tolist()]
    rows = np.pad(track.times, (0, -len(track) % thin), mode="edge").reshape(-1, thin)
    return [round(time, 4) for time in rows[:, [0, thin // 2]].ravel().tolist()]


def _frame_times(tracks: tuple[FaceTrack, ...]) -> dict[int, float]:
    """Times of the first frames of faces, by frame number; faces begin anew at a cut."""
    return {int(track.frames[0]): float(track.times[0]) for track in tracks if len(track)}


def _seconds(time: float | None, frame: int, found: Analysis) -> float:
    return time if time is not None else frame / found.fps if found.fps else 0.0


def _moments(event: Event) -> tuple[tuple[int | None, float | None], ...]:
    return (event.onset, event.start), (event.apex, event.peak), (event.offset, event.end)


def _moment(number: int | None, time: float | None) -> str:
    if number is None:
        return ""
    return f"frame {number}" if time is None else f"{_clock(time, 2)} ({number})"


def _told(event: Event) -> str:
    said = [event.kind, event.label or "", "" if event.confidence is None else f"confidence {event.confidence:.2f}"]
    moment = "" if event.start is None else f"{_clock(event.start, 2)}, {_duration(event)}"
    return ", ".join(part for part in (*said, moment) if part)


def _duration(event: Event) -> str:
    if event.start is None or event.end is None:
        return counted(event.frames, "frame")
    return f"{event.end - event.start:.2f} s"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _clock(time: float, digits: int = 1) -> str:
    """Minutes and seconds, as players show them."""
    minutes = int(round(time, digits) // 60)
    return f"{minutes}:{time - 60 * minutes:0{3 + digits}.{digits}f}"
