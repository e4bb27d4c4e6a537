"""The tables of the page on the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.leaderboard_rows import ROWS
from benchmarks.measure import ROOT
from benchmarks.results_table import fill
from htnet.evaluation.store import write_atomic

PAGE = ROOT / "docs" / "ceiling.md"
#: Names of learners, rows, data sets and readings of action units on the page.
TITLES = {
    "svm": "SVM on 7 x 7 cells",
    "svm-cells": "SVM on 7 x 7 cells",
    "flow_mlp-mixed": "FlowMLP (`mixed`)",
    "casme2": "CASME II",
    "smic": "SMIC",
    "samm": "SAMM",
    "full": "Full",
    "prototypes of EMFACS": "EMFACS prototypes",
    "best of all readings (sees the labels)": "best possible reading (sees the labels)",
}
SETS = ("smic", "casme2", "samm")


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {' | '.join(line)} |" for line in lines)]
    return "\n".join(rows)


def _title(name: str) -> str:
    row = None if name in TITLES else ROWS.get(name)
    return TITLES.get(name, name) if row is None else f"{row.family} (`{row.recipe}`)"


def _curves(found: dict[str, Any]) -> str:
    sizes = [str(size) for size in found["sizes"]]
    lines = []
    for name, own in found["learners"].items():
        means = [f"{sum(own['uf1'][size]) / len(own['uf1'][size]):.3f}" for size in sizes]
        lines.append([_title(name), str(len(own["uf1"][sizes[0]])), *means])
    fits = []
    for name, own in [*found["learners"].items(), ("mean of all three", found["pooled"])]:
        told = [f"{point['foretold']:.3f} / {point['measured']:.3f}" for point in own["held_out"].values()]
        ahead = [
            f"{point['uf1']:.2f} ({point['interval'][0]:.2f} to {point['interval'][1]:.2f})"
            for n, point in own["foretold"].items()
            if n != "67"
        ]
        law = own["law"]
        fits.append(
            [_title(name), f"{law['a']:.3f} - {law['b']:.2f} / n^{law['c']:.2f}", f"{own['error']:.3f}", *told, *ahead]
        )
    held = [f"{size} people: predicted / measured" for size in next(iter(found["learners"].values()))["held_out"]]
    more = [f"{n} people" for n in found["pooled"]["foretold"] if n != "67"]
    return "\n\n".join(
        [
            _markdown(["UF1 by number of people", "draws", *sizes], lines),
            f"Fitted to at most {found['fitted_up_to']} people:",
            _markdown(["", "fitted", "error of the fit", *held, *more], fits),
        ]
    )


def _stability(found: dict[str, Any]) -> str:
    labels = [name for name in next(iter(found.values())) if name not in ("in place", "any of them")]
    lines = [
        [
            _title(name),
            f"{own['in place']['uf1']:.3f}",
            *(f"{own[label]['changed']:.0%} ({own[label]['uf1']:.3f})" for label in labels),
            f"{own['any of them']['changed']:.0%}",
        ]
        for name, own in found.items()
    ]
    return _markdown(["", "UF1 in place", *labels, "any of these"], lines)


def _detail(found: dict[str, Any]) -> str:
    lines = [[label, *(f"{own[name]:.3f}" for name in ("full", *SETS))] for label, own in found.items()]
    return _markdown(["cells, or channels in cells of 4 px", "Full", *(TITLES[name] for name in SETS)], lines)


def _mixture(found: dict[str, Any]) -> str:
    lines = [[label, *(f"{own[name]:.3f}" for name in ("full", *SETS))] for label, own in found.items()]
    return _markdown(["trained on", "Full", *(TITLES[name] for name in SETS)], lines)


def _units(found: dict[str, Any]) -> str:
    head = ["class read from the annotated action units", "UF1", "accuracy", "CASME II", "SAMM"]
    lines = [
        [_title(name), f"{own['uf1']:.3f}", f"{own['right']:.0%}", f"{own['casme2']:.3f}", f"{own['samm']:.3f}"]
        for name, own in found["readers"].items()
    ]
    flow = [
        [_title(n), *(f"{own[key]:.3f}" for key in ("uf1", "casme2", "samm", "against_units"))]
        for n, own in found["flow"].items()
    ]
    against = "; ".join(
        f"{count} {what.replace(' labeled,', ' by label,')}"
        for what, count in sorted(found["contradictions"].items(), key=lambda i: -i[1])
    )
    told = (
        f"{found['samples']} samples have action units ({found['without_units']} have none: SMIC's sheet lists none). "
        f"The nearest prototype is undecided for {found['table_undecided']} samples and contradicts the label of "
        f"{found['table_contradicts_label']}: {against}. {found['combinations_of_several_samples']} combinations of "
        f"units occur more than once; {found['of_them_with_several_labels']} of them have several labels, in "
        f"{found['samples_in_those']} samples."
    )
    beside = [
        "class predicted from flow, same samples",
        "UF1",
        "CASME II",
        "SAMM",
        "UF1 against the class that logistic regression reads from the units",
    ]
    gains = sorted(own["against_units"] - own["uf1"] for own in found["flow"].values())
    relabeled = (
        f"If the samples were relabeled with the class that logistic regression reads from the units, UF1 would change "
        f"by {gains[0]:+.3f} to {gains[-1]:+.3f}, and be higher for {sum(gain > 0 for gain in gains)} of {len(gains)} "
        "models."
    )
    return "\n\n".join([_markdown(head, lines), told, _markdown(beside, flow), relabeled])


def _agreement(found: dict[str, Any]) -> str:
    groups = [
        [kind, _title(name), str(bad), str(of), f"{bad / of:.0%}" if of else ""]
        for kind, own in found["groups"].items()
        for name, (bad, of) in own.items()
    ]
    low, middle, high = found["wrong_together_over_chance"]
    rows = ", ".join(f"{_title(name)} {value:.3f}" for name, value in found["rows"].items())
    units = ", ".join(f"{unit} ({count})" for unit, count in found["units_of_wrong"])
    majority, sides = found["majority"], found["units_of_one_wrong_answer"]
    mended = ", ".join(
        f"{_title(name)} {value:.3f}"
        for name, value in found["if_wrong_for_everyone_with_one_answer_were_mislabeled"].items()
    )
    said = (
        f"UF1 under `last`, by majority vote over each model's seeds: {rows}. All models are right on "
        f"{found['right_for_everyone']} samples and all are wrong on {found['wrong_for_everyone']}. If their errors "
        f"were independent, all would be wrong on {found['expected_if_independent']:.0f}. On "
        f"{found['with_one_answer']} of these samples all predict the same wrong class. Two models are wrong together "
        f"{low:g} to {high:g} times as often as by chance (median {middle:g}). Of the {found['with_one_answer']} "
        f"samples, the action units support the label in {sides['label']} and the predicted class in "
        f"{sides['answer']}. They are undecided or support the third class in {sides['neither']}, and are not known "
        f"for {sides['no units']}."
    )
    together = (
        f"Majority vote of the models: UF1 {majority['full']:.3f} (development half {majority['development']:.3f}, "
        f"other half {majority['untouched']:.3f}; SMIC {majority['smic']:.3f}, CASME II {majority['casme2']:.3f}, "
        f"SAMM {majority['samm']:.3f}). If every sample for which all predict the same wrong class were "
        f"mislabeled, UF1 would be: {mended}."
    )
    if (chosen := found.get("ensemble")) is not None:
        members = ", ".join(map(_title, chosen["rows"]))
        together += (
            f"\n\nMeans of class probabilities: of all {chosen['tried']} combinations of two models or more, the one "
            f"with the best UF1 on the development half is {members}. UF1 {chosen['full']:.3f} (development half "
            f"{chosen['development']:.3f}, other half {chosen['untouched']:.3f}; SMIC {chosen['smic']:.3f}, CASME II "
            f"{chosen['casme2']:.3f}, SAMM {chosen['samm']:.3f})."
        )
        one = chosen["beside_one"]
        together += (
            f" Its 95 % interval over resampled people is {one['interval'][0]:.2f} to {one['interval'][1]:.2f}. It is "
            f"{one['gain']:+.3f} from {_title(one['row'])}, the best single model ({one['gain_interval'][0]:+.3f} to "
            f"{one['gain_interval'][1]:+.3f}, p = {one['p']:.2g}). UF1 of the development half, and so of all people, "
            "is too high by the choice; that of the other half is not."
        )
        if count := chosen["as_good"]["count"]:
            low, high = chosen["as_good"]["full"]
            others = "Another combination of more models scores" if count == 1 else f"{count} others score"
            together += (
                f" {others} the same on the development half (0.0001); by UF1 on all people these equal choices range "
                f"from {low:.3f} to {high:.3f}."
            )
    shares = _markdown(["", "", "all models wrong", "samples", "share"], groups)
    return "\n\n".join([said, shares, f"Most frequent action units where all models are wrong: {units}.", together])


PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "curves": _curves,
    "stability": _stability,
    "detail": _detail,
    "mixture": _mixture,
    "units": _units,
    "agreement": _agreement,
}


def marks(part: str) -> tuple[str, str]:
    """What stands before and after the tables of a part."""
    return f"<!-- ceiling:{part}:begin -->", f"<!-- ceiling:{part}:end -->"


def table(part: str, found: dict[str, Any]) -> str:
    """Markdown of one part."""
    return PARTS[part](found)


def write_page(found: dict[str, Any]) -> None:
    """Rewrite the tables of the parts that are measured."""
    text = PAGE.read_text("utf-8")
    for part in PARTS:
        if part in found:
            text = fill(text, table(part, found[part]), str(PAGE), *marks(part))
    write_atomic(PAGE, text)
