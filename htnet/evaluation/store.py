"""A run folder that survives interruption: one atomic file per finished fold."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from htnet.core.csv_files import CsvWriter
from htnet.core.deprecated import RECIPE_FIELDS, RUN_KEYS, new_fields, new_keys
from htnet.core.errors import OverwriteError, RunError, cause
from htnet.core.files import check_folder, refuse_linked_folders, write_text
from htnet.core.limits import read_json
from htnet.core.parallel import locked

#: Entries of ``run.json`` that runs of older versions lack, which are resumed all the same.
_ADDED = ("folds_sha256",)
#: What an entry is called in messages.
_WORDS = {"folds_sha256": "division of the samples into folds (a subject, data set or split of a sample changed)"}
#: Files of a finished run.
RESULTS = ("summary.json", "predictions.csv", "training.csv")


def write_atomic(path: Path, text: str) -> None:
    """Write a file atomically: readers see the old or the new content, never a part, even after a power failure."""
    write_text(path, text, durable=True, follow=False)


def to_json(content: Any) -> str:
    """JSON text that is the same, byte for byte, for the same content."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def to_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV text with a header line."""
    out = io.StringIO()
    writer = CsvWriter(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


#: Trainings of a fold: "all" for the protocols "last" and "best_on_test", and "nested".
STAGES = ("all", "nested")


class RunStore:
    """The folder of one evaluation run.

    Layout: ``run.json`` (description of the run), ``folds/seed-S/FOLD.json`` (one per finished fold),
    ``partial/`` (checkpoints of unfinished folds), and at the end ``training.csv``, ``predictions.csv`` and
    ``summary.json``.
    """

    def __init__(self, root: Path) -> None:
        """Store the path of the folder. Nothing is written yet."""
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for this process, and remove incomplete files of a killed process.

        Raises:
            RunError: another process uses the folder.
        """
        with locked(self.root):
            seeds = [f"folds/{path.name}" for path in (self.root / "folds").glob("*")]
            refuse_linked_folders(self.root, ("folds", "partial", *seeds))
            yield

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Start the run, or resume one with the same settings.

        Raises:
            OverwriteError: the folder contains results of another kind.
            RunError: the folder contains a run with other settings.
        """
        text = to_json(settings)
        path = self.root / "run.json"
        if not os.path.isfile(path):
            check_folder(self.root, (*RESULTS, "folds"))  # results without a run.json
            write_atomic(path, text)
            return
        try:
            kept = read_json(path)
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path} is damaged ({cause(error)}). Delete {self.root} or choose another --out."
            ) from error
        wanted = json.loads(text)
        kept = new_keys(kept, RUN_KEYS) if isinstance(kept, dict) else {}
        if isinstance(kept.get("recipe"), dict):
            kept["recipe"] = new_fields(kept["recipe"], RECIPE_FIELDS)  # from an older version
        missing = {k for k in _ADDED if k not in kept}
        differ = sorted(k for k in {*kept, *wanted} - missing if kept.get(k) != wanted.get(k))
        if differ:
            other = ", ".join(_WORDS.get(k, k) for k in differ)
            raise RunError(
                f"{self.root} contains a run with another {other}; results of the two must not be mixed. "
                "Choose another --out, or delete that folder."
            )

    def check_seeds(self, seeds: Sequence[int], overwrite: bool) -> None:
        """Check that no results of seeds would be lost.

        Raises:
            OverwriteError: the folder has results of seeds that are not in ``seeds``, and ``overwrite`` is not given.
        """
        path = self.root / RESULTS[0]
        if overwrite or not os.path.isfile(path):
            return
        try:
            before = set(read_json(path)["run"]["seeds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OverwriteError(
                f"{path} exists and cannot be read ({cause(error)}). Delete it, or give --overwrite."
            ) from error
        if lost := sorted(before - set(seeds)):
            raise OverwriteError(
                f"{path} also contains results of the seeds {', '.join(map(str, lost))}, which would be lost. Request "
                "these seeds as well, or accept the loss: --overwrite (in Python overwrite=True)."
            )

    def fold_path(self, seed: int, fold: str) -> Path:
        """File of a finished fold."""
        return self.root / "folds" / f"seed-{seed}" / f"{fold}.json"

    def partial_path(self, seed: int, fold: str, stage: str) -> Path:
        """Checkpoint file of an unfinished training."""
        return self.root / "partial" / f"seed-{seed}-{fold}-{stage}.pt"

    def remove_unfinished(self) -> None:
        """Remove checkpoints that remain because the process was killed just after it had stored a fold."""
        for path in (self.root / "partial").glob("*.pt"):
            path.unlink(missing_ok=True)

    def read_fold(self, seed: int, fold: str) -> dict[str, Any] | None:
        """Result of a fold; None if it is not finished."""
        path = self.fold_path(seed, fold)
        if not os.path.isfile(path):
            return None
        try:
            return read_json(path)
        except ValueError as error:
            raise RunError(f"{path} is damaged ({cause(error)}). Delete it; the fold will be run again.") from error

    def write_fold(self, seed: int, fold: str, result: Mapping[str, Any]) -> None:
        """Write the result of a finished fold, and remove the checkpoints of its trainings.

        The checkpoints may be from another process, whose run was interrupted.
        """
        write_atomic(self.fold_path(seed, fold), to_json(result))
        for stage in STAGES:
            self.partial_path(seed, fold, stage).unlink(missing_ok=True)
