"""Learning curves of the folds of a run, as one table and as files for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from htnet.core.csv_files import open_table
from htnet.core.errors import RunError, cause
from htnet.core.types import Float64Array
from htnet.data import Fold
from htnet.evaluation.store import RunStore
from htnet.training.curves import CURVE_FILE, TENSORBOARD_FOLDER, as_text, write_curve_rows, write_tensorboard

#: Values of an epoch. Those of subjects who were held out of the training part exist only for the protocol "nested".
MEASURES = ("loss", "lr", "held_out_uf1", "held_out_loss")
#: Columns of a run's `training.csv`. "fold" is the name of the fold's files; "dataset" and "subject" are what it leaves
#: out, and empty if it leaves out several. The stage "all" trains on the whole training part of a fold, "nested" on the
#: training part without the held-out subjects.
COLUMNS = ("seed", "fold", "dataset", "subject", "stage", "epoch", *MEASURES)


def write_curves(store: RunStore, folds: Sequence[Fold], seeds: Sequence[int]) -> None:
    """Write the learning curves of all folds as ``training.csv``. Folds from older versions have none."""
    rows = (
        [seed, fold.name, fold.dataset, fold.subject, stage, epoch, *as_text(row[name] for name in MEASURES)]
        for seed in seeds
        for fold in folds
        for stage, curve in _stages(store, seed, fold.name)
        for epoch, row in enumerate(curve, 1)
    )
    write_curve_rows(store.root / CURVE_FILE, COLUMNS, rows)


def fold_to_tensorboard(store: RunStore, seed: int, fold: str) -> None:
    """Write the learning curves of a finished fold for TensorBoard. Existing files are replaced."""
    for stage, curve in _stages(store, seed, fold):
        write_tensorboard(store.root / TENSORBOARD_FOLDER / f"seed-{seed}" / fold / stage, curve)


def read_curves(path: Path) -> dict[str, dict[str, Float64Array]]:
    """Read the learning curves from the ``training.csv`` of a run or of weights.

    Args:
        path: the file.

    Returns:
        For each stage ("" for weights), the values of those `MEASURES` that the file has, each (trainings, epochs), NaN
        if missing.

    Raises:
        RunError: it is not such a file.
    """
    file = open_table(path, ["epoch", "loss"], RunError)
    names = [name for name in MEASURES if name in file.columns]
    rows: dict[str, dict[tuple[str, str], list[list[float]]]] = {}
    for (_, row), numbers in zip(file.rows, file.numbers(names), strict=True):
        training = row.get("seed", ""), row.get("fold", "")
        values = [np.nan if number is None else number for number in numbers]
        rows.setdefault(row.get("stage", ""), {}).setdefault(training, []).append(values)
    found = {}
    for stage, trainings in rows.items():
        every = np.full((len(trainings), max(map(len, trainings.values())), len(names)), np.nan)
        for k, epochs in enumerate(trainings.values()):
            every[k, : len(epochs)] = epochs
        found[stage] = {name: np.asarray(every[..., i], np.float64) for i, name in enumerate(names)}
    return found


def _stages(store: RunStore, seed: int, fold: str) -> Iterator[tuple[str, Iterable[dict[str, float | None]]]]:
    """Each stage of a fold with its values, epoch by epoch."""
    stored = store.read_fold(seed, fold) or {}
    try:
        for stage, numbers in stored.get("curves", {}).items():
            none = [None] * len(numbers["loss"])
            columns = [numbers.get(name, none) for name in MEASURES]
            rows = [dict(zip(MEASURES, row, strict=True)) for row in zip(*columns, strict=True)]
            if not all(number is None or isinstance(number, int | float) for row in rows for number in row.values()):
                raise TypeError
            yield stage, rows
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        path = store.fold_path(seed, fold)
        raise RunError(f"{path} is damaged ({cause(error)}). Delete it; the fold will be run again.") from error
