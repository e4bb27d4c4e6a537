"""The tables of docs/synthesis.md: ``python -m benchmarks.synthesis_page`` rewrites them."""

from __future__ import annotations

import dataclasses
import json
from statistics import mean
from typing import Any

from benchmarks import loso_halves
from benchmarks.measure import ROOT
from benchmarks.synthesis_zero_shot import LOG
from benchmarks.synthetic_scores import OUTS
from htnet.evaluation.bootstrap import RESAMPLES
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


_CALIBRATION = ("expected_calibration_error", "log_loss")


def zero_shot() -> str:
    """Scores on real samples of models that were trained on generated ones alone."""
    found = json.loads(OUTS["synthetic"].read_text("utf-8"))
    parts = {"full": "all 442", "smic": "SMIC", "casme2": "CASME II", "samm": "SAMM"}
    parts |= {"development": "development half", "untouched": "untouched half"}
    seeds = list(found["seeds"].values())
    rows = [f"| UF1 / UAR | {' | '.join(parts.values())} |", "| --- |" + " --- |" * len(parts)]
    for seed, own in found["seeds"].items():
        cells = [f"{own['emotions'][part]['uf1']:.3f} / {own['emotions'][part]['uar']:.3f}" for part in parts]
        rows.append(f"| seed {seed} | {' | '.join(cells)} |")
    means = [
        " / ".join(f"{mean(own['emotions'][part][m] for own in seeds):.3f}" for m in ("uf1", "uar")) for part in parts
    ]
    low, high = (mean(own["emotions"]["full"]["uf1_95"][k] for own in seeds) for k in (0, 1))
    error = mean(own["emotions"]["expected_calibration_error"] for own in seeds)
    raw, cooled = (
        [mean(own["calibration"]["untouched"][way][what] for own in seeds) for what in _CALIBRATION]
        for way in ("raw", "after_temperature")
    )
    rows += [f"| **mean** | {' | '.join(means)} |", ""]
    rows += [
        f"UF1 of all: 95 % interval over subjects {low:.2f} to {high:.2f} (bootstrap, mean over seeds). Expected "
        f"calibration error {error:.2f}: the models are overconfident. A temperature fitted on the development half, "
        f"which is stored with the weights, reduces it from {raw[0]:.2f} to {cooled[0]:.2f} on the untouched half, and "
        f"the log loss from {raw[1]:.2f} to {cooled[1]:.2f}.",
        "",
        "| F1 of action units | ours | always | by frequency |",
        "| --- | --- | --- | --- |",
    ]
    units = seeds[0]["action_units"]["units"]
    ways = ("ours", "always", "frequency")
    for unit in units:
        cells = [f"{mean(own['action_units']['all']['f1'][str(unit)][way] for own in seeds):.2f}" for way in ways]
        rows.append(f"| AU{unit} | {' | '.join(cells)} |")
    for name, part in (("all", "all"), ("development half", "development"), ("untouched half", "untouched")):
        cells = [f"{mean(own['action_units'][part]['macro_f1'][way] for own in seeds):.3f}" for way in ways]
        rows.append(f"| **mean, {name}** | {' | '.join(cells)} |")
    worst = max(p for own in seeds for p in own["action_units"]["all"]["p_not_better_than"].values())
    shown = f"{worst:.4f}" if worst else f"below {1 / RESAMPLES:.4f}"
    rows += ["", f"Paired bootstrap over subjects, ours no better than a baseline: p {shown} for every seed."]
    return "\n".join(rows)


def _plain(value: Any) -> str:
    return json.dumps(value).replace('"', "").replace("[", "(").replace("]", ")")


def written(text: str) -> str:
    """The page with the tables as they should be."""
    parts = {"constants": constants(), "search": search(), "zero-shot": zero_shot()}
    parts["halves"] = loso_halves.table(json.loads(loso_halves.OUT.read_text("utf-8"))["runs"])
    for name, table in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
