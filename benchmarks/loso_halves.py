"""``python -m benchmarks.loso_halves RUN ...``: the scores of leave-one-subject-out runs by halves of the subjects.

Choices were made on the development half (`benchmarks.halves`). A model that gained from them more than it deserves is
better there than on the untouched half *by more than models are about which nothing was chosen there*. So every run is
scored on both halves, from its ``predictions.csv``, and merged into ``benchmarks/results/subject_halves.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.halves import subjects, who
from benchmarks.measure import provenance
from benchmarks.results_table import RESULTS
from htnet.evaluation.bootstrap import draw_groups, interval
from htnet.evaluation.metrics import confusion_matrix, uf1, uf1_of_each
from htnet.evaluation.store import to_json, write_atomic

OUT = RESULTS / "subject_halves.json"
PARTS = ("full", "development", "untouched")


def scores(run: Path) -> dict[str, Any]:
    """UF1 of the protocol "last" on all subjects and on each half: every seed, mean, and 95 % over subjects.

    Args:
        run: folder of `htnet.evaluation.loso`.
    """
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    run_of = summary["run"]
    return {
        "model": run_of["model"],
        "recipe": run_of["recipe"]["name"],
        "started_from": "generated data" if "started_from" in run_of else None,
        "layout": run_of["preprocess"]["layout"],
        "last": _by_part(list(_last(run).values()), summary["classes"]),
    }


def ensemble(runs: Sequence[Path]) -> dict[str, Any]:
    """The same of the mean of all runs' probabilities, over all their seeds."""
    classes = json.loads((runs[0] / "summary.json").read_text("utf-8"))["classes"]
    chances: dict[str, Any] = {}
    members = [rows for run in runs for rows in _last(run).values()]
    weights = [1 / len(_last(run)) for run in runs for _ in _last(run)]  # every run counts the same
    for rows, weight in zip(members, weights, strict=True):
        for row in rows:
            own = np.array([float(row[f"probability_{name}"]) for name in classes])
            chances[row["sample"]] = chances.get(row["sample"], 0) + weight * own
    answers = [{**row, "prediction": classes[int(chances[row["sample"]].argmax())]} for row in members[0]]
    return {"ensemble": [_key(scores(run)) for run in runs], "last": _by_part([answers], classes)}


def table(runs: dict[str, Any]) -> str:
    """The rows of the docs: models one by one, then ensembles."""
    rows = ["| UF1, `last` | seeds | all 442 | development half | untouched half | gap |", "| --- " * 6 + "|"]
    for name, entry in runs.items():
        last = entry["last"]
        full, development, untouched = (last[part]["uf1"] for part in PARTS)
        low, high = last["full"]["uf1_95"]
        seeds = "ensemble" if "ensemble" in entry else len(last["full"]["uf1_of_seeds"])
        rows.append(
            f"| {name} | {seeds} | {full:.3f} ({low:.2f} to {high:.2f}) | {development:.3f} | {untouched:.3f} | "
            f"{development - untouched:.3f} |"
        )
    return "\n".join(rows)


def _key(found: dict[str, Any]) -> str:
    return f"`{found['model']}`, `{found['recipe']}`" + (", from generated data" if found["started_from"] else "")


def _last(run: Path) -> dict[int, list[dict[str, str]]]:
    """The rows of the protocol "last" by seed."""
    by_seed: dict[int, list[dict[str, str]]] = defaultdict(list)
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["protocol"] == "last":
                by_seed[int(row["seed"])].append(row)
    return by_seed


def _by_part(seeds: Sequence[Sequence[dict[str, str]]], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    half, found = subjects("development"), {}
    for part in PARTS:
        kept = [
            [r for r in rows if part == "full" or (_person(r) in half) == (part == "development")] for rows in seeds
        ]
        each = [uf1(_confusions(rows, classes)[0].sum(0)) for rows in kept]
        drawn = np.mean([_drawn(rows, classes) for rows in kept], axis=0)
        found[part] = {
            "samples": len(kept[0]),
            "uf1_of_seeds": [round(value, 4) for value in each],
            "uf1": round(float(np.mean(each)), 4),
            "uf1_95": [round(value, 4) for value in interval(drawn)],
        }
    return found


def _person(row: dict[str, str]) -> str:
    return who(row["dataset"], row["subject"])


def _confusions(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> tuple[Any, list[str]]:
    """One confusion matrix a person, (people, C, C), and who they are."""
    people = sorted({_person(row) for row in rows})
    own: dict[str, tuple[list[int], list[int]]] = {name: ([], []) for name in people}
    for row in rows:
        truth, answers = own[_person(row)]
        truth.append(classes.index(row["truth"]))
        answers.append(classes.index(row["prediction"]))
    return np.stack([confusion_matrix(*own[name], len(classes)) for name in people]), people


def _drawn(rows: Sequence[dict[str, str]], classes: Sequence[str]) -> Any:
    """UF1 of people drawn with replacement, (resamples,); the draws are the same for every seed of a run."""
    confusions, people = _confusions(rows, classes)
    _, times = draw_groups(people)
    return uf1_of_each(np.einsum("rp,pij->rij", times, confusions))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of htnet loso")
    parser.add_argument("--ensemble", action="store_true", help="the mean of the runs' probabilities, as one model")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    before = json.loads(args.out.read_text("utf-8"))["runs"] if args.out.is_file() else {}
    if args.ensemble:
        found = ensemble(args.runs)
        before["mean of " + " and ".join(found["ensemble"])] = found
    else:
        before |= {_key(found): found for found in map(scores, args.runs)}
    before = dict(sorted(before.items(), key=lambda item: "ensemble" in item[1]))
    print(table(before))
    write_atomic(args.out, to_json({"what": __doc__.split("\n\n")[1], "runs": before, "machine": provenance()}))


if __name__ == "__main__":
    main()
