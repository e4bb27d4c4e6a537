"""The page of the leaderboard, its short form in README.md, and the comparisons of its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.leaderboard_rows import HOURS_A_SEED, PROTOCOLS, ROWS, SEEDS, TEN, Row
from benchmarks.measure import ROOT
from benchmarks.results_table import GROUPS, RESULTS, fill
from htnet.evaluation.bootstrap import RESAMPLES, interval, resampled_confusions
from htnet.evaluation.metrics import score, uf1_of_each
from htnet.evaluation.store import write_atomic

PAGE = ROOT / "docs" / "leaderboard.md"
BEGIN, END = "<!-- leaderboard:begin -->", "<!-- leaderboard:end -->"
#: The page with the short table, and how many models it shows.
SHORT_PAGE, SHORT = ROOT / "README.md", 6
CLASSES = 3
#: Hours of each row, by ``--estimate``.
HOURS = RESULTS / "leaderboard_hours.json"


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows that are done, by their UF1 under "last", the highest first."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}
    known = {name: row for name, row in found.items() if name in ROWS}
    return dict(sorted(known.items(), key=lambda item: -item[1]["protocols"]["last"]["mean"]["full"]["uf1"]))


def _of_people(answers: dict[str, Any], chosen: Sequence[str] | None) -> tuple[list[int], list[str]]:
    """Places of the samples of some people, given as DATASET/SUBJECT, and whose each is; None: of all."""
    names = [f"{d}/{s}" for d, s in zip(answers["datasets"], answers["subjects"], strict=True)]
    places = [place for place, name in enumerate(names) if chosen is None or name in chosen]
    return places, [names[place] for place in places]


def drawn_uf1(
    answers: dict[str, Any], protocol: str, chosen: Sequence[str] | None = None
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(R,) UF1 over resampled subjects, the mean over the seeds; draws are the same for every row of a set.

    Args:
        answers: of a row.
        protocol: one of `PROTOCOLS`.
        chosen: people whose samples count, as DATASET/SUBJECT; None: all.
    """
    places, people = _of_people(answers, chosen)
    truth = [int(answers["truth"][place]) for place in places]
    seeds = [[int(line[place]) for place in places] for line in answers["predicted"][protocol].values()]
    return np.mean(
        [uf1_of_each(resampled_confusions(truth, line, people, CLASSES, RESAMPLES)) for line in seeds], axis=0
    )


def difference(
    one: dict[str, Any], other: dict[str, Any], protocol: str = "last", chosen: Sequence[str] | None = None
) -> dict[str, float]:
    """UF1 of a row less that of another over the same resampled subjects: interval, and a two-sided p value."""
    return gained(drawn_uf1(one["answers"], protocol, chosen) - drawn_uf1(other["answers"], protocol, chosen))


def gained(draws: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    """The interval of differences (R,) over resampled subjects, and a two-sided p value."""
    low, high = interval(draws)
    p = 2 * min(float((draws <= 0).mean()), float((draws >= 0).mean()))
    return {"low": low, "high": high, "p": min(1.0, max(p, 1 / RESAMPLES))}


def _score(entry: dict[str, Any], group: str = "full") -> str:
    return f"{entry['mean'][group]['uf1']:.3f} / {entry['mean'][group]['uar']:.3f}"


def _published(row: Row, intervals: Mapping[str, Sequence[float]] | None = None) -> str:
    """The paper's figures; with intervals of UF1 by protocol, also those that include the paper's UF1."""
    if row.published is None:
        return "–"
    uf1, uar = row.published.scores[0]
    where = ""
    if intervals is not None:
        inside = [f"`{name}`" for name, (low, high) in intervals.items() if low <= uf1 <= high]
        where = f", {'in ' + ' and '.join(inside) if inside else 'in none'}"
    return f"{uf1:g} / {uar:g}{where}"


def _count(found: dict[str, Any]) -> str:
    return "–" if found["parameters"] is None else f"{found['parameters']:,}"


def seeds_of(found: dict[str, Any]) -> int:
    """Number of seeds that a row was trained with."""
    return len(found["answers"]["predicted"]["last"])


def _name(row: Row, found: dict[str, Any]) -> list[str]:
    """Model and recipe; the recipe with what differs from other rows: precision, number of seeds."""
    whose = "the paper’s" if row.paper else "ours"
    precision = found["recipe"].get("precision", "float32")  # as it was trained, not as it would be now
    fewer_bits = "" if precision == "float32" else f", in {precision}"
    count = seeds_of(found)
    seeds = "" if count >= SEEDS or row.model == "svm" else f", {count} seed{'s' if count > 1 else ''}"
    return [f"{row.family} (`{row.model}`)", f"`{row.recipe}`, {whose}{fewer_bits}{seeds}"]


def _honest(row: Row, found: dict[str, Any], below: dict[str, Any] | None) -> list[str]:
    last = found["protocols"]["last"]
    low, high = last["interval"]["full"]["uf1"]
    against = "" if below is None else f"{difference(found, below)['p']:.2g}"
    sets = [_score(last, group) for group in list(GROUPS)[1:]]
    return [*_name(row, found), f"**{_score(last)}**", f"{low:.2f} to {high:.2f}", against, *sets]


def _beside(row: Row, found: dict[str, Any]) -> list[str]:
    last, nested, leaking = (found["protocols"][name] for name in ("last", "nested", "best_on_test"))
    intervals = {name: found["protocols"][name]["interval"]["full"]["uf1"] for name in ("last", "best_on_test")}
    low, high = intervals["best_on_test"]
    scores = [_score(last), _score(nested), _score(leaking), f"{low:.2f} to {high:.2f}", _published(row, intervals)]
    return [*_name(row, found), *scores, *_cost(found)]


def _cost(found: dict[str, Any]) -> list[str]:
    """Parameters, milliseconds an image, calibration."""
    error = found["protocols"]["last"]["calibration"]["raw"]["expected_calibration_error"]
    return [_count(found), f"{found['ms_an_image']:g}", f"{error:.3f}"]


def _hours(name: str) -> str:
    """The measured hours of a row for each seed, or nothing."""
    kept = json.loads(HOURS.read_text("utf-8")) if HOURS.is_file() else {}
    return f" ({kept[name]['hours_a_seed']:.1f})" if name in kept else ""


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {' | '.join(line)} |" for line in lines)]


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: the honest figures, then what they are compared with, one line a row."""
    if not rows:
        return "No row is done yet."
    every, rows = rows, {name: row for name, row in rows.items() if not ROWS[name].ten}
    first = ["model", "recipe"]
    honest = [*first, "Full", "95 % interval of UF1", "p against the next row", *list(GROUPS.values())[1:]]
    beside = [*first, "`last`", "`nested`", "`best_on_test` (**leaks**)"]
    beside += ["95 % interval of its UF1", "published", "parameters", "ms per image", "ECE"]
    names = list(rows)
    following = [rows[name] for name in names[1:]]
    lines = [_honest(ROWS[n], rows[n], below) for n, below in zip(names, [*following, None], strict=True)]
    missing = [f"`{name}`{_hours(name)}" for name in ROWS if name not in every]
    sources = sorted({row.published.source for row in ROWS.values() if row.published})
    parts = [
        f"UF1 / UAR under `last`, mean over {SEEDS} seeds unless fewer are stated (nothing is random in the SVM). "
        f"Intervals and p values: bootstrap over subjects with {RESAMPLES} draws, the same draws for all rows:",
        "",
        *_markdown(honest, lines),
        "",
        "The same rows under all protocols, beside the papers' figures (UF1 / UAR on Full; the published UF1 is in the "
        "95 % intervals of the protocols that are named), and their cost:",
        "",
        *_markdown(beside, [_beside(ROWS[name], rows[name]) for name in names]),
        "",
        f"Published figures: {'; '.join(sources)}.",
    ]
    if len(every) > len(rows):
        parts += ["", *_of_ten(every)]
    if missing:
        parts += ["", f"Not trained yet (hours of one processor for each seed): {', '.join(missing)}."]
    return "\n".join(parts)


def short_table(rows: dict[str, dict[str, Any]]) -> str:
    """Markdown: the best row of each of the `SHORT` best families under "last"."""
    best: dict[str, str] = {}
    for name in rows:  # the best first
        if not ROWS[name].ten:
            best.setdefault(ROWS[name].family, name)
    head = ["model", "recipe", "no selection", "95 % interval of UF1", "**leaks**", "published", "parameters"]
    lines = []
    for name in list(best.values())[:SHORT]:
        row, found = ROWS[name], rows[name]["protocols"]
        low, high = found["last"]["interval"]["full"]["uf1"]
        scores = [f"**{_score(found['last'])}**", f"{low:.2f} to {high:.2f}", _score(found["best_on_test"])]
        lines.append([*_name(row, rows[name]), *scores, _published(row), _count(rows[name])])
    return "\n".join([f"UF1 / UAR, mean over {SEEDS} seeds unless fewer are stated.", "", *_markdown(head, lines)])


def scores_of(row: dict[str, Any], protocol: str, people: Sequence[str]) -> list[float]:
    """UF1 of each seed over the samples of some people, as DATASET/SUBJECT."""
    kept = row["answers"]
    chosen, _ = _of_people(kept, people)
    truth = [int(kept["truth"][place]) for place in chosen]
    return [
        score(truth, [int(line[place]) for place in chosen], CLASSES).uf1
        for line in kept["predicted"][protocol].values()
    ]


def _of_ten(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The tables of the rows that are trained for ten people only, beside all others on the same people."""
    found = {
        name: {protocol: float(np.mean(scores_of(row, protocol, TEN))) for protocol in PROTOCOLS}
        for name, row in rows.items()
    }
    names = sorted(found, key=lambda name: -found[name]["last"])
    lines = []
    for name, below in zip(names, [*names[1:], None], strict=True):
        row, own, answers = ROWS[name], found[name], rows[name]["answers"]
        low, high = interval(drawn_uf1(answers, "last", TEN))
        leaking = interval(drawn_uf1(answers, "best_on_test", TEN))
        lines.append(
            [
                *_name(row, rows[name]),
                f"**{own['last']:.3f}**" if row.ten else f"{own['last']:.3f}",
                f"{low:.2f} to {high:.2f}",
                "" if below is None else f"{difference(rows[name], rows[below], chosen=TEN)['p']:.2g}",
                f"{own['nested']:.3f}",
                f"{own['best_on_test']:.3f}",
                f"{leaking[0]:.2f} to {leaking[1]:.2f}",
                _published(row, {"last": (low, high), "best_on_test": leaking}),
            ]
        )
    first = ["model", "recipe"]
    head = [*first, "`last`", "95 % interval", "p against the next row", "`nested`", "`best_on_test` (**leaks**)"]
    head += ["95 % interval of it", "published, all people"]
    costs = [[*_name(ROWS[name], rows[name]), *_cost(rows[name])] for name in names if ROWS[name].ten]
    return [
        f"Rows in bold take more than {HOURS_A_SEED:g} hours per seed on one processor. They are tested on ten people "
        f"only, drawn from the set's list before anything was trained: {', '.join(TEN)}. The table shows the UF1 of "
        "all rows on the samples of these ten. It is not comparable with the tables above: ten people have wide "
        "intervals, and the published figures are of all 68.",
        "",
        *_markdown(head, lines),
        "",
        "The rows in bold, their cost and their calibration on the ten:",
        "",
        *_markdown([*first, "parameters", "ms per image", "ECE"], costs),
    ]


def write_page(folder: Path) -> None:
    """Rewrite the tables of the page and of README.md."""
    rows = read_rows(folder)
    for page, shown in ((PAGE, table(rows)), (SHORT_PAGE, short_table(rows))):
        write_atomic(page, fill(page.read_text("utf-8"), shown, str(page), BEGIN, END))
