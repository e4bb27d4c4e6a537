"""The page that all reports share: one self-contained HTML file that opens offline and can be printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from os import PathLike
from pathlib import Path
from string import Template

from htnet._version import __version__
from htnet.core.assets import ASSETS
from htnet.core.errors import InputError
from htnet.core.paths import as_path
from htnet.core.schema import Warned
from htnet.core.words import counted

_FOLDER = ASSETS / "report"


def page(
    title: str,
    facts: str,
    body: str,
    *,
    warnings: Sequence[Warned] = (),
    notes: str = "",
    more: str = "",
    css: str = "",
    js: str = "",
) -> str:
    """A report as HTML.

    Args:
        title: the heading, plain text.
        facts: a line below the heading, plain text.
        body: HTML of the body.
        warnings: warnings of the result.
        notes: HTML above the warnings.
        more: HTML below the warnings, at the end of the head.
        css: name of a style sheet in the assets, added to that of all reports.
        js: script of the page.
    """
    return Template(part("page.html")).substitute(
        version=__version__,
        title=escape(title),
        facts=escape(facts),
        notes=notes,
        warnings=warning_list(warnings),
        more=more,
        body=body.strip(),
        css=part("report.css") + (part(css) if css else ""),
        js=js + part("frame.js"),
    )


def part(name: str) -> str:
    """The text of a file in the assets of reports."""
    return (_FOLDER / name).read_text("utf-8")


def check_name(path: str | PathLike[str]) -> Path:
    """The path of a report.

    Raises:
        InputError: it does not end in .html.
    """
    path = as_path(path, "path")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"A report cannot be written as {path.name!r}; give a name that ends in .html.")
    return path


def notes_of_faces(faces: bool) -> str:
    """A note in reports that leave out pictures of faces; empty for others."""
    return "" if faces else "<p>Pictures of faces were left out; the flow pictures show only motion.</p>"


def warning_list(warnings: Sequence[Warned]) -> str:
    """The warnings of a result as HTML; empty if there are none."""
    if not warnings:
        return ""
    items = "".join(f"<li><b>{escape(w.code)}</b>: {escape(w.message)}</li>" for w in warnings)
    title = counted(len(warnings), "warning")
    return f'<details class="warnings" open><summary>{title}</summary><ul>{items}</ul></details>'


def class_bars(probabilities: Mapping[str, float]) -> str:
    """A bar for each class."""
    rows = [
        f'<span>{escape(name)}</span><div class="track"><i style="width:{100 * value:.0f}%"></i></div>'
        f"<span>{value:.2f}</span>"
        for name, value in probabilities.items()
    ]
    return f'<div class="bars">{"".join(rows)}</div>'
