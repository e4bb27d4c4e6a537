"""All models on the MEGC 2019 composite set, by their papers' recipes and by ours, under all protocols in one run.

``python -m benchmarks.leaderboard`` trains the rows that are missing, or those that are named, and goes on where it was
interrupted; each row is written to ``benchmarks/results/leaderboard`` when it is done. ``--estimate`` tells first how
many hours each row takes, ``--hours`` leaves out longer ones, ``--seeds 1`` trains one seed of each, to which a later
call adds the others, ``--table`` only rewrites the page. Rows that take more than three hours per seed leave out ten
people only, who were drawn beforehand, and are in a table of their own. ``--keep-folds`` copies the finished folds of
rows that lack seeds into the repository, so that a clone on another machine goes on with them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.ceiling_learners import read_composite, svm
from benchmarks.leaderboard_rows import PROTOCOLS, ROWS, SEEDS, TEN, Row
from benchmarks.leaderboard_table import HOURS, seeds_of, write_page
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.errors import HtnetError, InputError, did_you_mean
from htnet.data import open_data
from htnet.evaluation import LosoResult, loso
from htnet.evaluation.report import SampleResult, summarize
from htnet.evaluation.store import to_json, write_atomic
from htnet.models import create_model, get_entry
from htnet.training import FlowSet, get_recipe, load_flow_set, train_model

FOLDER = RESULTS / "leaderboard"
#: Finished folds of rows that lack seeds, by row; a run whose folder is missing goes on with them.
FOLDS = RESULTS / "leaderboard_folds"
#: Folds of the composite set.
SUBJECTS = 68


def estimate(row: Row, data: FlowSet) -> float:
    """Hours of processor time that a seed of a row takes, from two epochs here.

    "last" and "best_on_test" are one training of a fold; "nested" is a second one, of 80 % of it.
    """
    recipe, seconds = get_recipe(row.recipe, precision=row.precision), []
    for epochs in (1, 2):
        start = time.process_time()
        train_model(row.model, data, replace(recipe, epochs=epochs))
        seconds.append(time.process_time() - start)
    # The second training starts warm, so the difference would be too small.
    epoch = seconds[1] / 2
    folds = len(TEN) if row.ten else SUBJECTS
    return epoch * recipe.epochs * 1.8 * folds / 3600


def train(row: Row, out: Path, options: dict[str, Any], seeds: int = SEEDS) -> dict[str, Any]:
    """Train so many seeds of a row, or what is missing of them, and return what is kept of it."""
    kept, folder = FOLDS / row.name, out / row.name
    if kept.is_dir() and not folder.exists():
        shutil.copytree(kept, folder)
    result = loso(
        open_data(COMPOSITE),
        row.model,
        get_recipe(row.recipe, precision=row.precision),
        out=out / row.name,
        protocols=PROTOCOLS,
        seeds=seeds,
        subjects=TEN if row.ten else None,
        **options,
    )
    summary = result.summary
    model = create_model(row.model)
    return {
        "row": row.name,
        "model": row.model,
        "recipe": summary["run"]["recipe"],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "ms_an_image": milliseconds(row.model),
        **provenance(),
        "protocols": {
            name: {key: entry[key] for key in ("leaks", "mean", "std", "interval", "calibration")}
            for name, entry in summary["protocols"].items()
        },
        "people": "ten" if row.ten else "all",
        "answers": _answers(result),
    }


def train_svm(row: Row) -> dict[str, Any]:
    """The row of the support vector machine: nothing is random in it and nothing selected, so all protocols are one."""
    data = read_composite()
    samples: list[SampleResult] = []
    for person in data.subjects:
        asked = data.rows([person])
        others = [place for place in range(len(data.flows)) if place not in set(asked)]
        answer, tested = svm(data.flows.subset(others), 0), data.flows.subset(asked)
        for place, chances in zip(asked, answer(tested), strict=True):
            own, truth = data.manifest.samples[place], int(data.truth[place])
            who = (own.sample, own.dataset, own.subject, 0)
            samples += [
                SampleResult(*who, name, truth, int(chances.argmax()), tuple(map(float, chances))) for name in PROTOCOLS
            ]
    summary = summarize(samples, data.manifest, [0], {"model": row.model})
    one = data.flows.subset([0])
    return {
        "row": row.name,
        "model": row.model,
        "recipe": {"name": row.recipe},
        "parameters": None,
        "ms_an_image": _median_ms(lambda: answer(one)),
        **provenance(),
        "protocols": {
            name: {key: entry[key] for key in ("leaks", "mean", "std", "interval", "calibration")}
            for name, entry in summary["protocols"].items()
        },
        "people": "all",
        "answers": _answers(LosoResult(summary, tuple(samples), Path())),
    }


def _answers(result: LosoResult) -> dict[str, Any]:
    """Every sample's truth and subject, the predicted class by protocol and seed, a digit a sample, and what the seeds
    say together under "last": the mean of their probabilities, in thousandths.
    """
    first = [s for s in result.samples if (s.protocol, s.seed) == (result.samples[0].protocol, result.samples[0].seed)]
    order = {sample.sample: number for number, sample in enumerate(sorted(first, key=lambda s: s.sample))}
    predicted: dict[str, dict[str, list[str]]] = {}
    for s in result.samples:
        line = predicted.setdefault(s.protocol, {}).setdefault(str(s.seed), ["?"] * len(order))
        line[order[s.sample]] = str(s.prediction)
    by_name = sorted(first, key=lambda s: s.sample)
    return {
        "samples": [s.sample for s in by_name],
        "datasets": [s.dataset for s in by_name],
        "subjects": [s.subject for s in by_name],
        "truth": "".join(str(s.truth) for s in by_name),
        "predicted": {
            protocol: {seed: "".join(line) for seed, line in seeds.items()} for protocol, seeds in predicted.items()
        },
        "thousandths": [
            [round(1000 * float(p)) for p in np.mean(own, 0)]
            for own in (
                [s.probabilities for s in result.samples if s.protocol == "last" and s.sample == sample.sample]
                for sample in by_name
            )
        ],
    }


def milliseconds(name: str) -> float:
    """Median time of the set's first image, one thread, without optimization."""
    model, manifest = create_model(name).eval(), open_data(COMPOSITE)
    one = load_flow_set(
        replace(manifest, samples=manifest.samples[:1]), get_entry(name).spec, extras=model.extra_inputs
    )
    image, extras, threads = one.inputs(), one.extras(model.extra_inputs), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return _median_ms(lambda: model(image, **extras))
    finally:
        torch.set_num_threads(threads)


def _median_ms(call: Callable[[], object], calls: int = 30) -> float:
    """Median processor time of a call, ms."""
    times = []
    for _ in range(calls):
        start = time.process_time()
        call()
        times.append((time.process_time() - start) * 1e3)
    return float(f"{np.median(times):.3g}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"one of {', '.join(ROWS)}; all that are missing")
    parser.add_argument("--out", type=Path, default=Path("runs/leaderboard"), help="folder of the runs")
    parser.add_argument(
        "--seeds",
        type=int,
        default=SEEDS,
        help="number of seeds of each row (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--engine", default="local", help="local, or ray for a cluster's nodes (default: %(default)s)")
    parser.add_argument("--address", help="HOST:PORT of the Ray cluster")
    parser.add_argument("--hours", type=float, help="leave out rows that are estimated to take longer in this call")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--estimate", action="store_true", help="only measure and keep the hours of each row")
    only.add_argument("--table", action="store_true", help="only rewrite the page from the rows that are done")
    only.add_argument(
        "--keep-folds",
        action="store_true",
        help="only copy the finished folds of rows that lack seeds from --out into the repository",
    )
    args = parser.parse_args(arguments)
    if args.seeds < 1:
        parser.error(f"--seeds is {args.seeds}; give 1 or more")
    if args.workers < 1:
        parser.error(f"--workers is {args.workers}; give 1 or more")
    if args.hours is not None and not args.hours > 0:
        parser.error(f"--hours is {args.hours:g}; give a number above 0, or --estimate to train nothing")
    try:
        if args.keep_folds:
            keep_folds(_named(args.rows), args.out)
            return 0
        if not args.table:
            _train_all(args)
        write_page(FOLDER)
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _seeds_done(row: Row) -> float:
    """Number of seeds of the committed row; the SVM has no seeds, so it is done whatever their number."""
    path = FOLDER / f"{row.name}.json"
    if not path.is_file():
        return 0
    return float("inf") if row.model == "svm" else seeds_of(json.loads(path.read_text("utf-8")))


def _named(names: Sequence[str]) -> list[Row]:
    """The rows of these names; all for none."""
    if unknown := [name for name in names if name not in ROWS]:
        raise InputError(f"There is no row {unknown[0]!r}. {did_you_mean(unknown[0], ROWS)}")
    return [ROWS[name] for name in names or ROWS]


def keep_folds(rows: Sequence[Row], out: Path) -> None:
    """Copy the finished folds of rows that lack seeds from the folder of the runs; remove those of complete rows."""
    for row in rows:
        run, kept = out / row.name / "run.json", FOLDS / row.name
        if _seeds_done(row) >= SEEDS:
            shutil.rmtree(kept, ignore_errors=True)
            continue
        folds = sorted(run.parent.glob("folds/seed-*/*.json"))
        if not folds:
            continue
        if (kept / run.name).is_file() and (kept / run.name).read_bytes() != run.read_bytes():
            shutil.rmtree(kept)  # folds of other settings
        for path in (run, *folds):
            copy = kept / path.relative_to(run.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        print(f"{row.name}: {len(folds)} folds kept", flush=True)


def _train_all(args: argparse.Namespace) -> None:
    data: dict[Any, FlowSet] = {}
    for row in _named(args.rows):
        if args.estimate and row.model == "svm":
            continue
        if not (args.rows or args.estimate) and _seeds_done(row) >= args.seeds:
            continue
        if (args.estimate or args.hours) and row.model != "svm":
            spec = get_entry(row.model).spec
            if spec not in data:
                data[spec] = load_flow_set(open_data(COMPOSITE), spec)
            hours = estimate(row, data[spec])
            print(f"{row.name}: about {hours:.2f} hours of one processor for each seed", flush=True)
            if args.estimate:
                _keep_hours(row, hours)
            if args.estimate or (args.hours and hours * args.seeds / args.workers > args.hours):
                continue
        start = time.perf_counter()
        options = {"workers": args.workers, "engine": args.engine, "address": args.address, "progress": False}
        found = train_svm(row) if row.model == "svm" else train(row, args.out, options, args.seeds)
        found["minutes_of_this_call"] = round((time.perf_counter() - start) / 60, 2)
        print(f"{row.name}: {json.dumps(found['protocols']['last']['mean']['full'])}", flush=True)
        if row.model != "svm" and (done := _seeds_done(row)) > args.seeds:
            print(f"{row.name}: not written, because the row has {done:.0f} seeds; they stay", flush=True)
            continue
        write_atomic(FOLDER / f"{row.name}.json", to_json(found))


def _keep_hours(row: Row, hours: float) -> None:
    """Write the hours of a row down; they are kept with the processor they were measured on."""
    kept = json.loads(HOURS.read_text("utf-8")) if HOURS.is_file() else {}
    kept[row.name] = {"hours_a_seed": round(hours, 2), **provenance()}
    write_atomic(HOURS, to_json(kept))


if __name__ == "__main__":
    sys.exit(main())
