"""Scores of a trial's predictions, and the file they are gathered in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import provenance
from benchmarks.results_table import RESULTS
from htnet.core.types import EMOTIONS
from htnet.evaluation.calibration import apply_temperature, fit_temperature, log_loss
from htnet.evaluation.metrics import score
from htnet.evaluation.store import to_json, write_atomic

OUT = RESULTS / "recipe_trials.json"
WHAT = (
    "Leave-one-subject-out among the 34 subjects of the development half (169 samples). The untouched half was never "
    "scored; it was read only where settings say 'everyone': there its samples are trained on too. "
    "UF1 of each seed and their mean; 'standard_error' from the deviation over seeds (n - 1), null for one; sets: mean "
    "UF1 of each; 'log_loss': after the one temperature that is best on these very predictions, for comparison only; "
    "'ensemble_uf1': of the seeds' mean probabilities. 'settings': what differs from the defaults of "
    "benchmarks/recipe_trials/settings.py. Readouts: 'plain' are the last weights, 'averaged' their moving average, "
    "'blend S' lies S of the way from the start to that, 'soup of N' is the mean of the weights of N seeds, '+mirror' "
    "the mean with the answer to the mirrored face, 'views' that over mirrored and moved faces."
)


def summarise(
    seeds: Mapping[int, npt.NDArray[np.float64]], truth: npt.NDArray[np.int64], sets: npt.NDArray[np.str_]
) -> dict[str, Any]:
    """Scores of one readout.

    Args:
        seeds: probabilities (N, 3) of each seed.
        truth: (N,) class indexes.
        sets: (N,) data set of each sample.
    """
    every = list(seeds.values())

    def uf1(chances: npt.NDArray[np.float64], part: npt.NDArray[np.bool_]) -> float:
        return score(truth[part], chances.argmax(1)[part], len(EMOTIONS)).uf1

    everybody = np.ones(len(truth), bool)
    own = [uf1(chances, everybody) for chances in every]
    losses = [log_loss(truth, apply_temperature(c, fit_temperature(truth, c))) for c in every]
    return {
        "uf1": [round(value, 4) for value in own],
        "mean": round(float(np.mean(own)), 4),
        "standard_error": round(float(np.std(own, ddof=1)) / len(own) ** 0.5, 4) if len(own) > 1 else None,
        "sets": {
            name: round(float(np.mean([uf1(chances, sets == name) for chances in every])), 4)
            for name in sorted(set(sets.tolist()))
        },
        "log_loss": round(float(np.mean(losses)), 4),
        "ensemble_uf1": round(uf1(np.mean(every, 0), everybody), 4) if len(every) > 1 else None,
    }


def entry(
    settings: Mapping[str, Any],
    predictions: Mapping[str, Mapping[int, npt.NDArray[np.float64]]],
    truth: npt.NDArray[np.int64],
    sets: npt.NDArray[np.str_],
    seconds: float,
    machine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is kept of a trial."""
    return {
        "settings": dict(settings),
        "seeds": max(len(seeds) for seeds in predictions.values()),
        "readouts": {name: summarise(seeds, truth, sets) for name, seeds in predictions.items()},
        "seconds": round(seconds),
        "machine": dict(machine or provenance()),
    }


def read(path: Path = OUT) -> dict[str, Any]:
    """The trials that were scored, by name."""
    return json.loads(path.read_text("utf-8"))["trials"] if path.is_file() else {}


def merge(name: str, scored: Mapping[str, Any], path: Path = OUT) -> None:
    """Put a trial's scores in place of earlier ones of that name."""
    write_atomic(path, to_json({"what": WHAT, "trials": dict(sorted({**read(path), name: scored}.items()))}))
