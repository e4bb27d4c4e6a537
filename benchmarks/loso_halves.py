"""``python -m benchmarks.loso_halves RUN ...``: the scores of leave-one-subject-out runs by halves of the subjects.

Choices were made on the development half (`benchmarks.halves`). A model that gained from them more than it deserves is
better there than on the untouched half *by more than models are about which nothing was chosen there*. So every run is
scored on both halves, from its ``predictions.csv``, and merged into ``benchmarks/results/loso_halves.json``.
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

from benchmarks.halves import subjects
from benchmarks.measure import provenance
from benchmarks.results_table import RESULTS
from htnet.bootstrap import draw_groups, interval
from htnet.evaluation.store import to_json, write_atomic
from htnet.metrics import confusion_matrix, uf1, uf1_of_each

OUT = RESULTS / "loso_halves.json"
PARTS = ("full", "development", "untouched")


def scores(run: Path) -> dict[str, Any]:
    """UF1 of the protocol "last" on all subjects and on each half: every seed, mean, and 95 % over subjects.

    Args:
        run: folder of `htnet.evaluation.loso`.
    """
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    classes, half = summary["classes"], subjects("development")
    by_seed: dict[int, list[dict[str, str]]] = defaultdict(list)
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["protocol"] == "last":
                by_seed[int(row["seed"])].append(row)
    found: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        kept = {
            seed: [r for r in rows if part == "full" or (_person(r) in half) == (part == "development")]
            for seed, rows in by_seed.items()
        }
        each = [uf1(_confusions(rows, classes)[0].sum(0)) for rows in kept.values()]
        drawn = np.mean([_drawn(rows, classes) for rows in kept.values()], axis=0)
        found[part] = {
            "samples": len(next(iter(kept.values()))),
            "uf1_of_seeds": [round(value, 4) for value in each],
            "uf1": round(float(np.mean(each)), 4),
            "uf1_95": [round(value, 4) for value in interval(drawn)],
        }
    run_of = summary["run"]
    return {
        "model": run_of["model"],
        "recipe": run_of["recipe"]["name"],
        "started_from": "generated data" if "started_from" in run_of else None,
        "layout": run_of["preprocess"]["layout"],
        "last": found,
    }


def _person(row: dict[str, str]) -> str:
    return f"{row['dataset']}-{row['subject']}"


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
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(arguments)
    before = json.loads(args.out.read_text("utf-8"))["runs"] if args.out.is_file() else {}
    for run in args.runs:
        found = scores(run)
        key = f"{found['model']} {found['recipe']}" + (" from generated data" if found["started_from"] else "")
        before[key] = found
        print(key, {part: entry["uf1"] for part, entry in found["last"].items()})
    write_atomic(args.out, to_json({"what": __doc__.split("\n\n")[1], "runs": before, "machine": provenance()}))


if __name__ == "__main__":
    main()
