"""Learning curves: loss and learning rate of each epoch, as CSV and for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import OverwriteError
from htnet.core.files import whole_file
from htnet.core.optional import require
from htnet.core.paths import as_path
from htnet.models import EmotionModel
from htnet.training.job import EpochReport

#: The learning curve in a weights folder, and those of all folds in a run folder.
CURVE_FILE = "training.csv"
#: Where the commands write the files for TensorBoard, in a weights folder or a run folder.
TENSORBOARD_FOLDER = "tensorboard"
#: Prefix of TensorBoard's event files.
_EVENTS = "events.out.tfevents."


class LearningCurves:
    """The learning curves of one training, or of several that run at once.

    Losses stay on the device until `read` is called, because reading one waits for the device.
    """

    def __init__(self, known: Sequence[Iterable[Sequence[float]]]) -> None:
        """Begin with the known (loss, learning rate) of past epochs, for each training."""
        self._known = [[(loss, lr) for loss, lr in curve] for curve in known]
        self._pending: list[tuple[Tensor, int, float]] = []

    def add(self, losses: Tensor, steps: int, lr: float) -> None:
        """Add an epoch.

        Args:
            losses: one for each training, summed over the steps.
            steps: number of steps.
            lr: learning rate at the end.
        """
        self._pending.append((losses, steps, lr))

    def read(self) -> list[list[tuple[float, float]]]:
        """For each training the loss (mean over the steps) and the learning rate of each epoch."""
        for losses, steps, lr in self._pending:
            for curve, loss in zip(self._known, losses.reshape(-1).tolist(), strict=True):
                curve.append((loss / steps, lr))
        self._pending.clear()
        return self._known


class TensorBoard:
    """Callback of a training that writes its learning curve for TensorBoard.

    The folder then has one event file with the scalars "loss" and "lr" of every epoch, including those before a
    training was resumed.
    """

    def __init__(self, folder: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write into ``folder``, which is created if needed.

        Args:
            folder: where to write.
            overwrite: replace existing event files, such as those of a training that is resumed.

        Raises:
            MissingExtraError: tensorboard is not installed.
            OverwriteError: the folder contains event files and ``overwrite`` is not given.
        """
        _writer_class()  # before anything is trained
        self._folder, self._written = as_path(folder, "folder"), 0
        self._writer: Any = None
        refuse_events(self._folder, overwrite)

    def __call__(self, report: EpochReport, model: EmotionModel) -> None:
        """Write the epochs that have not been written yet."""
        if self._writer is None:
            self._writer = _new_writer(self._folder)
        for epoch, (loss, lr) in enumerate(report.curve[self._written :], self._written + 1):
            _add(self._writer, epoch, {"loss": loss, "lr": lr})
        self._written = len(report.curve)
        self._writer.flush()
        if report.epoch == report.epochs:
            self.close()

    def close(self) -> None:
        """Close the file; called automatically after the last epoch."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def boards_of(weights: str | PathLike[str], wanted: bool) -> list[TensorBoard]:
    """The TensorBoard callback of a weights folder, as a list; empty unless ``wanted``.

    Raises:
        MissingExtraError: it is wanted, and tensorboard is not installed.
    """
    # The folder belongs to these weights, whose own files have been checked.
    return [TensorBoard(as_path(weights, "weights") / TENSORBOARD_FOLDER, overwrite=True)] if wanted else []


def write_tensorboard(folder: str | PathLike[str], rows: Iterable[Mapping[str, float | None]]) -> None:
    """Write the scalars of a finished training for TensorBoard; existing event files are replaced.

    Args:
        folder: where to write; it is created if needed.
        rows: for each epoch, from the first on, its numbers by name; None is left out.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    writer = _new_writer(as_path(folder, "folder"))
    for epoch, row in enumerate(rows, 1):
        _add(writer, epoch, row)
    writer.close()


def check_tensorboard(wanted: bool) -> None:
    """Check that TensorBoard is installed if it is wanted, before anything is trained.

    Raises:
        MissingExtraError: it is wanted, and tensorboard is not installed.
    """
    if wanted:
        _writer_class()


def refuse_events(folder: Path, overwrite: bool) -> None:
    """Raise `OverwriteError` if a folder contains event files, unless ``overwrite``."""
    if not overwrite and os.path.isdir(folder) and (found := sorted(folder.glob(f"{_EVENTS}*"))):
        raise OverwriteError(
            f"{found[0]} already exists, and TensorBoard would mix two curves. Choose another folder, or give "
            "overwrite=True to replace it."
        )


def write_curve(path: Path, report: EpochReport, model: EmotionModel) -> None:
    """Write the learning curve of one training as CSV; a callback once ``path`` is bound."""
    rows = ([k, *as_text(point)] for k, point in enumerate(report.curve, 1))
    write_curve_rows(path, ["epoch", "loss", "lr"], rows)


def write_curve_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table of learning curves."""
    with whole_file(path, follow=False) as place, place.open("w", encoding="utf-8", newline="") as file:
        writer = CsvWriter(file)
        writer.writerow(header)
        writer.writerows(rows)


def as_text(point: Iterable[float | None]) -> list[str]:
    """Numbers as text: nine digits restore a float32 exactly, and None is empty."""
    return ["" if number is None else f"{number:.9g}" for number in point]


def _new_writer(folder: Path) -> Any:
    for file in folder.glob(f"{_EVENTS}*"):
        file.unlink()
    return _writer_class()(str(folder))


def _writer_class() -> Any:
    require("tensorboard", "tensorboard", "Writing learning curves for TensorBoard")
    return require("torch.utils.tensorboard", "tensorboard", "Writing learning curves for TensorBoard").SummaryWriter


def _add(writer: Any, epoch: int, numbers: Mapping[str, float | None]) -> None:
    for name, value in numbers.items():
        if value is not None:
            writer.add_scalar(name, value, epoch)
