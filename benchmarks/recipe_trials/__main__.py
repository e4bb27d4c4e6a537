"""Run trials of recipes on the development half: ``python -m benchmarks.recipe_trials mlp small-synthetic``.

Each trial's scores replace those of its name in ``benchmarks/results/recipe_trials.json``, from which
``python -m benchmarks.synthesis_page`` makes the tables of docs/synthesis.md. Weights that trials start from are
trained first, once, and kept in ``--runs``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.recipe_trials.classical import run_classical
from benchmarks.recipe_trials.finetune import Half, Predictions, read_half, run_trial, zero_shot
from benchmarks.recipe_trials.listed import GROUPS, TRIALS
from benchmarks.recipe_trials.scores import OUT, entry, merge, read
from benchmarks.recipe_trials.settings import Classical, Pretraining, Tried, described
from htnet.core.errors import HtnetError, InputError, did_you_mean


def predictions(tried: Tried, half: Half, seeds: int, runs: Path) -> Predictions:
    """Probabilities of every sample, for every readout and seed."""
    if isinstance(tried, Pretraining):
        return zero_shot(tried, half, seeds, runs)
    if isinstance(tried, Classical):
        return run_classical(tried, half, seeds, runs)
    return run_trial(tried, half, seeds, runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe_trials", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="trials; those without scores so far if none is given")
    parser.add_argument("--list", action="store_true", help="show the trials")
    parser.add_argument("--seeds", type=int, default=3, help="trainings with other random numbers (default 3)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for weights that trials start from")
    parser.add_argument("--out", type=Path, default=OUT, help="file of scores")
    args = parser.parse_args(arguments)
    if args.list:
        for title, group in GROUPS.items():
            print(title, *(f"  {name:<26} {trial.what}" for name, trial in group.items()), sep="\n")
        return 0
    # Sums of another number of threads round otherwise, and trials were made with one.
    torch.set_num_threads(1)
    try:
        run(args.names, args.seeds, args.runs, args.out)
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(names: Sequence[str], seeds: int, runs: Path, out: Path) -> None:
    """Run trials and keep their scores.

    Raises:
        InputError: an unknown name, fewer than 1 seed, or fewer seeds than a trial's kept scores have.
    """
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; give 1 or more.")
    done = read(out)
    for name in names:
        if name not in TRIALS:
            raise InputError(f"Unknown trial: {name!r}. {did_you_mean(name, TRIALS)}")
        if done.get(name, {}).get("seeds", 0) > seeds:
            raise InputError(
                f"{out} has {name} with {done[name]['seeds']} seeds, which {seeds} would replace. Give --seeds "
                f"{done[name]['seeds']} or more, or another file by --out."
            )
    halves: dict[bool, Half] = {}
    for name in names or [name for name in TRIALS if name not in done]:
        tried = TRIALS[name]
        everyone = not isinstance(tried, Pretraining) and tried.everyone
        if everyone not in halves:
            halves[everyone] = read_half(everyone)
        half = halves[everyone]
        start, tested = time.perf_counter(), half.tested
        found = predictions(tried, half, seeds, runs)
        scored = entry(described(tried), found, half.truth[tested], half.sets[tested], time.perf_counter() - start)
        merge(name, scored, out)
        shown = {readout: own["mean"] for readout, own in scored["readouts"].items()}
        print(f"{name} ({scored['seconds']} s, {scored['seeds']} seeds): UF1 {shown}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
