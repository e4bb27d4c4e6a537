"""What bfloat16 changes in a row of the leaderboard, beside what another seed changes.

``python -m benchmarks.leaderboard_precision ROW`` leaves out the ten people of the leaderboard one at a time, in
float32 with two seeds and in bfloat16 with the first of them, and times an epoch of all samples in both. It writes
``benchmarks/results/leaderboard_precision.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.leaderboard_rows import ROWS, TEN, Row
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.errors import HtnetError, InputError, did_you_mean
from htnet.data import open_data
from htnet.evaluation import loso
from htnet.evaluation.metrics import score
from htnet.evaluation.report import SampleResult
from htnet.evaluation.store import to_json, write_atomic
from htnet.models import get_entry
from htnet.training import get_recipe, load_flow_set, train_model

OUT = RESULTS / "leaderboard_precision.json"


def compare(one: Sequence[SampleResult], other: Sequence[SampleResult]) -> dict[str, float]:
    """Share of equal predictions, and the mean absolute difference of the probabilities."""
    first, second = ({s.sample: s for s in run} for run in (one, other))
    if first.keys() != second.keys() or not first:
        raise InputError("The runs are not of the same samples; give two runs of one set.")
    pairs = [(first[name], second[name]) for name in sorted(first)]
    return {
        "same_predictions": float(np.mean([a.prediction == b.prediction for a, b in pairs])),
        "mean_difference": float(np.mean([np.abs(np.subtract(a.probabilities, b.probabilities)) for a, b in pairs])),
    }


def epoch_seconds(row: Row, repeats: int = 5) -> dict[str, float]:
    """Median processor time of an epoch of all samples in each precision, taken in turns, seconds."""
    data = load_flow_set(open_data(COMPOSITE), get_entry(row.model).spec)
    times: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    # The first turn is the warm-up.
    for turn in range(repeats + 1):
        for precision, own in times.items():
            recipe = replace(get_recipe(row.recipe, precision=precision), epochs=1)
            start = time.process_time()
            train_model(row.model, data, recipe)
            if turn:
                own.append(time.process_time() - start)
    return {precision: float(f"{np.median(own):.3g}") for precision, own in times.items()}


def measure(name: str, out: Path) -> dict[str, Any]:
    """Train the row of the ten people in both precisions; runs in ``out`` are continued."""
    if name not in ROWS or ROWS[name].model == "svm":
        networks = [row.name for row in ROWS.values() if row.model != "svm"]
        raise InputError(f"There is no row {name!r} of a network. {did_you_mean(name, networks)}")
    row, runs = ROWS[name], {}
    for precision, seeds in (("float32", 2), ("bfloat16", 1)):
        result = loso(
            open_data(COMPOSITE),
            row.model,
            get_recipe(row.recipe, precision=precision),
            out=out / f"{name}-{precision}",
            protocols=("last",),
            seeds=seeds,
            subjects=TEN,
            workers=1,
            progress=False,
        )
        for seed in range(seeds):
            runs[f"{precision}, seed {seed}"] = [s for s in result.samples if s.seed == seed]
    first = runs["float32, seed 0"]
    return {
        "row": name,
        "people": list(TEN),
        **provenance(),
        "uf1": {key: score([s.truth for s in run], [s.prediction for s in run], 3).uf1 for key, run in runs.items()},
        "against_float32_seed_0": {key: compare(first, run) for key, run in runs.items() if run is not first},
        "seconds_an_epoch": epoch_seconds(row),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", metavar="ROW", help="row of a network")
    parser.add_argument("--out", type=Path, default=Path("runs/leaderboard-precision"), help="folder of the runs")
    args = parser.parse_args(arguments)
    try:
        kept = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
        write_atomic(OUT, to_json({**kept, args.row: measure(args.row, args.out)}))
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
