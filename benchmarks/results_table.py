"""The table of docs/results.md, from the runs in benchmarks/results.

``python -m benchmarks.results_table`` rewrites the part between the markers; ``--check`` only looks
and exits with 1 if a file is not up to date. Each ``loso_*.json`` is a copy of the ``summary.json`` of
an ``htnet loso`` run on the composite set, each ``lodo_*.json`` one of ``htnet lodo``; the latter get a
table of their own once there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from htnet.core.errors import HtnetError, InputError
from htnet.evaluation import PROTOCOLS
from htnet.evaluation.store import write_atomic
from htnet.models import get_entry

RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "docs" / "results.md",)
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"

#: Groups of a summary of the composite set, and their columns.
GROUPS = {"full": "Full", "smic": "SMIC", "casme2": "CASME II", "samm": "SAMM"}
SELECTION = {
    "last": "`last`: no selection",
    "nested": "`nested`: epoch chosen on other training subjects",
    "best_on_test": "`best_on_test`: **leaks**, epoch chosen on the test {tested}",
}
#: Beginning of the file names of each kind of run, and what a fold of it tests.
KINDS = {"subject": ("loso", "subject"), "dataset": ("lodo", "data set")}
LODO_HEADING = (
    "**Leave-one-database-out (LODO)**, not comparable with the table above: every fold trains on two of the data "
    "sets and tests on the third. A data set's column is the fold that tested it; Full pools the three."
)
#: UF1 / UAR as printed in the HTNet paper's table (arXiv 2307.14637), in the order of `GROUPS`.
PAPERS = (
    (
        "paper: **leaks**, its code chooses the epoch on the test subject",
        "HTNet",
        ("0.8603 / 0.8475", "0.8049 / 0.7905", "0.9532 / 0.9516", "0.8131 / 0.8124"),
    ),
    (
        "paper, as reported",
        "STSTNet",
        ("0.7353 / 0.7605", "0.6801 / 0.7013", "0.8382 / 0.8686", "0.6588 / 0.6810"),
    ),
)


def read_summaries(folder: Path, leave: str = "subject") -> list[dict[str, Any]]:
    """All ``loso_*.json`` of a folder, or ``lodo_*.json``, HTNet before STSTNet, else by file name."""
    found = [_read(path, leave) for path in sorted(folder.glob(f"{KINDS[leave][0]}_*.json"))]
    return sorted(found, key=lambda summary: _architecture(summary) != "HTNet")


def _read(path: Path, leave: str) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text("utf-8"))
        groups = {group for protocol in summary["protocols"].values() for group in protocol["mean"]}
        _architecture(summary)
        left_out = summary.get("leave", "subject")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a summary.json of htnet loso ({error!r}). Copy it again.") from error
    if groups != set(GROUPS):
        raise InputError(
            f"{path} has scores for {', '.join(sorted(groups))}, not for {', '.join(GROUPS)}: it is not a run on the "
            f"composite set. Give it a name that does not begin with {KINDS[leave][0]}_."
        )
    if left_out != leave:
        raise InputError(
            f"{path} is of a run that left one {left_out} out at a time, not one {leave}. Begin its name with "
            + " or ".join(f"{prefix}_ for one {kind}" for kind, (prefix, _) in KINDS.items())
            + "."
        )
    return summary


def _architecture(summary: dict[str, Any]) -> str:
    return get_entry(summary["run"]["model"]).model_class.__name__


def _cell(protocol: dict[str, Any], group: str) -> str:
    """UF1 / UAR; for Full with the standard deviation, which one seed does not have."""
    deviations = group == "full" and len(protocol["seeds"]) > 1
    return " / ".join(
        f"{protocol['mean'][group][metric]:.4f}" + (f" ± {protocol['std'][group][metric]:.4f}" if deviations else "")
        for metric in ("uf1", "uar")
    )


def _label(summary: dict[str, Any]) -> str:
    run = summary["run"]
    name, recipe, spec = run["model"], run["recipe"]["name"], run["preprocess"]
    regions = "whole face" if spec["layout"] == "whole" else f"{spec['layout']} regions at {spec['region_points']}"
    precision = run["recipe"].get("precision", "float32")
    how = "" if precision == "float32" else f" in {precision}"
    start = f", started from {_start(run['started_from'])}" if "started_from" in run else ""
    remark = f"; {summary['remark']}" if "remark" in summary else ""
    return f"{_architecture(summary)} (`{name}`, recipe `{recipe}`{how}, {regions}{start}{remark})"


def _start(started: dict[str, Any] | list[dict[str, Any]]) -> str:
    if isinstance(started, dict):
        return f"`{started['name']}`"
    names = sorted({f"`{one['name']}`" for one in started})
    return f"{len(started)} {' and '.join(names)}, one per seed"


def render(summaries: Sequence[dict[str, Any]]) -> str:
    """The Markdown tables: our runs protocol by protocol, then the papers' numbers."""
    if not summaries:
        return "No results yet: `benchmarks/results` contains no `loso_*.json`."
    papers = [(selection, model, "not stated", *cells) for selection, model, cells in PAPERS]
    tables = _tables(GROUPS.values(), [*_rows(summaries, "subject"), *papers])
    return f"UF1 / UAR, mean over seeds; for Full ± the standard deviation over seeds.\n\n{tables}"


def render_lodo(summaries: Sequence[dict[str, Any]]) -> str:
    """The same of runs that leave one database out, under a heading that says so; nothing where there are none."""
    if not summaries:
        return ""
    columns = [name if group == "full" else f"tested on {name}" for group, name in GROUPS.items()]
    return f"\n\n{LODO_HEADING}\n\n{_tables(columns, _rows(summaries, 'dataset'))}"


def _rows(summaries: Sequence[dict[str, Any]], leave: str) -> list[tuple[str, ...]]:
    tested = KINDS[leave][1]
    return [
        (
            SELECTION[name].format(tested=tested),
            _label(s),
            str(len(protocol["seeds"])),
            *(_cell(protocol, group) for group in GROUPS),
        )
        for name in PROTOCOLS
        for s in summaries
        if (protocol := s["protocols"].get(name)) is not None
    ]


def _tables(columns: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
    """A table for each epoch selection, under its name: shorter than one of all, and a column narrower."""
    columns, selections = tuple(columns), dict.fromkeys(row[0] for row in rows)
    return "\n\n".join(
        f"{selection}\n\n{_table(columns, [row[1:] for row in rows if row[0] == selection], ('model', 'seeds'))}"
        for selection in selections
    )


def _table(columns: Iterable[str], rows: Sequence[tuple[str, ...]], first: Sequence[str]) -> str:
    header = (*first, *columns)
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ("---",) * len(header), *rows])


def fill(text: str, table: str, source: str, begin: str = BEGIN, end: str = END) -> str:
    """``text`` with what lies between the markers replaced by ``table``."""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"{source} needs the line {begin} once and, after it, {end} once. Put them back.")
    return text[: text.index(begin)] + f"{begin}\n\n{table}\n\n" + text[text.index(end) :]


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files (default: %(default)s)")
    parser.add_argument("--pages", type=Path, nargs="+", default=PAGES, help="pages that show the whole table")
    args = parser.parse_args(arguments)
    try:
        table = render(read_summaries(args.results)) + render_lodo(read_summaries(args.results, "dataset"))
        pages = [(page, page.read_text("utf-8"), table) for page in args.pages]
        changed = [(page, new) for page, old, shown in pages if (new := fill(old, shown, str(page))) != old]
    except (HtnetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for page, new in changed:
        print(f"{page} is out of date" if args.check else f"{page} rewritten")
        if not args.check:
            write_atomic(page, new)
    return 1 if args.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
