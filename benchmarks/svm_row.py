"""A support vector machine on 7 x 7 cells, all subjects left out in turn: a row beside the networks.

``python -m benchmarks.svm_row`` reads the licensed composite set and writes ``benchmarks/results/svm_cells.json``. The
machine is that of `benchmarks.classical`, on the face as it is and mirrored, with scikit-learn's default C of 1.
Nothing in it is random.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.classical import Classical, Half, run_classical
from benchmarks.halves import subjects, who
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.types import EMOTIONS
from htnet.data import leave_one_subject_out, open_data
from htnet.evaluation.metrics import score
from htnet.evaluation.store import to_json, write_atomic
from htnet.models import get_entry
from htnet.training import load_flow_set

OUT = RESULTS / "svm_cells.json"
MACHINE = Classical(
    "radial SVM on 7 x 7 cells, images standardized one by one, mirrored", "svm", penalty=1.0, shifts=()
)


def row(data: Half, machine: Classical = MACHINE) -> dict[str, Any]:
    """Scores of all left-out samples, of each data set, and of each half of the subjects.

    Args:
        data: samples and folds; every sample is left out once.
        machine: settings.
    """
    [chances] = run_classical(machine, data, 1, Path()).values()
    truth, answers = data.truth[data.tested], chances.argmax(1)
    half = np.full(len(data.data), "untouched", dtype=object)
    for fold in data.folds:
        if who(fold.dataset, fold.subject) in subjects("development"):
            half[list(fold.test)] = "development"
    groups = {"full": np.ones(len(truth), bool)}
    groups |= {name: data.sets[data.tested] == name for name in sorted(set(data.sets))}
    groups |= {name: half[data.tested] == name for name in ("development", "untouched")}
    return {name: _scores(truth[rows], answers[rows]) for name, rows in groups.items() if rows.any()}


def _scores(truth: npt.NDArray[np.int64], answers: npt.NDArray[np.int64]) -> dict[str, float]:
    found = score(truth, answers, len(EMOTIONS))
    return {"uf1": round(found.uf1, 4), "uar": round(found.uar, 4)}


def read_all() -> Half:
    """All samples of the composite set, and a fold for each of its subjects."""
    manifest = open_data(COMPOSITE)
    data = load_flow_set(manifest, get_entry("flow_mlp").spec)
    return Half(data, list(leave_one_subject_out(manifest)), np.array([sample.dataset for sample in manifest]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args(arguments)
    torch.set_num_threads(1)
    data, start = read_all(), time.process_time()
    scores = row(data)
    seconds = round((time.process_time() - start) / len(data.folds), 3)
    kept = {"settings": MACHINE.settings(), "what": MACHINE.what, "subjects": len(data.folds), "scores": scores}
    write_atomic(OUT, to_json({**kept, "seconds_per_subject": seconds, "machine": provenance()}))
    print(f"UF1 {scores['full']['uf1']}, UAR {scores['full']['uar']}, {seconds} s a subject")
    return 0


if __name__ == "__main__":
    sys.exit(main())
