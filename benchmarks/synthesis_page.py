"""The tables of docs/synthesis.md: ``python -m benchmarks.synthesis_page`` writes them anew."""

from __future__ import annotations

import dataclasses
import json
from statistics import mean
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.synthesis_zero_shot import LOG
from htnet.synthesis import SOURCES, SynthesisConfig

PAGE = ROOT / "docs" / "synthesis.md"


def constants() -> str:
    """Field, default and source of every constant but the combinations, which have a table of their own."""
    config = SynthesisConfig()
    rows = ["| field | default | where it comes from |", "| --- | --- | --- |"]
    for field in dataclasses.fields(config):
        rows.append(f"| `{field.name}` | {_shown(field.name, getattr(config, field.name))} | {SOURCES[field.name]} |")
    rows += ["", "| emotion | combinations of action units (weight within the emotion) |", "| --- | --- |"]
    for emotion in dict.fromkeys(e for e, _, _ in config.expressions):
        own = [f"{'+'.join(map(str, units))} ({weight:g})" for e, units, weight in config.expressions if e == emotion]
        rows.append(f"| {emotion} | {', '.join(own)} |")
    return "\n".join(rows)


def _shown(name: str, value: Any) -> str:
    if name == "expressions":
        return "below"
    if name == "shares":
        return ", ".join(f"{share:.3f}" for share in value)
    if isinstance(value, tuple):
        return ", ".join(_shown(name, part) if not isinstance(part, tuple) else str(part) for part in value)
    return f"{value:g}"


def search() -> str:
    """Everything that was tried: one row for each entry of the log, means over its seeds."""
    log = json.loads(LOG.read_text("utf-8"))
    rows = [
        "| state | changed against its first constants | trained | seeds | UF1 | SMIC | CASME II | SAMM | log loss |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for trial in log["trials"]:
        runs, settings = trial["runs"], trial["settings"]
        changes = ", ".join(f"{name} {_plain(value)}" for name, value in trial["changes"].items()) or "nothing"
        trained = f"{settings['model']}, {settings['count']} x {settings['epochs']}"
        figures = [f"{mean(run[part]['uf1'] for run in runs):.3f}" for part in ("full", "smic", "casme2", "samm")]
        losses = [run["balanced_log_loss"] for run in runs if "balanced_log_loss" in run]
        figures.append(f"{mean(losses):.3f}" if losses else "not kept")
        rows.append(" | ".join([f"| {trial['generator']}", changes, trained, str(len(runs)), *figures]) + " |")
    return "\n".join(rows)


def _plain(value: Any) -> str:
    return json.dumps(value).replace('"', "").replace("[", "(").replace("]", ")")


def written(text: str) -> str:
    """The page with the tables as they should be."""
    for name, table in (("constants", constants()), ("search", search())):
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
