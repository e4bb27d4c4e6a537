"""The state of an unfinished training, on disk."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

import torch
from torch import Tensor

from htnet.core.errors import RunError, refuse_short_memory
from htnet.core.fields import Checked, checked, flag, real
from htnet.core.files import whole_file
from htnet.training.curves import LearningCurves
from htnet.training.ranks import Ranks, only_first

#: Version of the file's layout; it is raised whenever older files can no longer be resumed.
FORMAT = 2


@dataclass(frozen=True)
class Checkpoint(Checked):
    """Where the state of an unfinished training is kept.

    Attributes:
        path: file.
        every: minimum number of seconds between two writes.
        remove: remove the file when training ends. If False, the caller removes it after storing the result, so that
            nothing is lost if the process is killed in between.
    """

    path: Path
    every: float = checked(60.0, real(ge=0))
    remove: bool = checked(True, flag())


class Stateful(Protocol):
    """Something whose state is needed to resume a training."""

    def state_dict(self) -> Any:
        """The state, of tensors and plain values."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Restore a state."""
        ...


class NamedTensors:
    """Tensors whose values are stored in a checkpoint and restored in place."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {name: tensor.detach() for name, tensor in self._tensors.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copy values into the tensors."""
        for name, tensor in self._tensors.items():
            tensor.copy_(state[name])


class TrainingState:
    """Everything needed to resume a training.

    Attributes:
        epoch: epochs that have ended.
        records: what ``on_epoch`` returned so far; one list per training.
        curves: loss and learning rate of each epoch so far, for each training.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        description: str,
        parts: Mapping[str, Stateful],
        trainings: int,
        ranks: Ranks | None = None,
    ) -> None:
        """Restore the state in the checkpoint file if there is one.

        Args:
            checkpoint: where the state is kept; None keeps nothing.
            description: text that identifies this training.
            parts: objects that have a state, by name.
            trainings: number of models that are trained.
            ranks: the processes of the training; only the first reads and writes the file.

        Raises:
            RunError: the file belongs to another training or another version of htnet.
        """
        self.checkpoint, self.description, self.parts = checkpoint, description, parts
        self._ranks = ranks
        self.epoch = 0
        self.records: list[list[Any]] = [[] for _ in range(trainings)]
        self.curves = LearningCurves([[] for _ in range(trainings)])
        self._load()
        self._written = time.monotonic()

    def save_now_and_then(self) -> None:
        """Write the state, unless it was written less than ``checkpoint.every`` seconds ago."""
        if self.checkpoint is None or not self._writes or time.monotonic() - self._written < self.checkpoint.every:
            return
        state = {"format": FORMAT, "what": self.description, "epoch": self.epoch, "records": self.records}
        state["curves"] = [[list(point) for point in curve] for curve in self.curves.read()]
        state |= {name: part.state_dict() for name, part in self.parts.items()}
        with whole_file(self.checkpoint.path, follow=False) as place, place.open("wb") as file:
            noted = _Noted(file)
            try:
                torch.save(state, cast(IO[bytes], noted))
            except Exception as error:
                raise noted.error or error from error
        self._written = time.monotonic()

    def done(self) -> None:
        """Remove the file at the end of the training, unless the caller will remove it."""
        if self.checkpoint is not None and self.checkpoint.remove and self._writes:
            self.checkpoint.path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the file of a training that cannot be resumed."""
        if self.checkpoint is not None and self._writes:
            self.checkpoint.path.unlink(missing_ok=True)

    @property
    def _writes(self) -> bool:
        return self._ranks is None or self._ranks.writes

    def _load(self) -> None:
        checkpoint = self.checkpoint
        state = None if checkpoint is None else only_first(self._ranks, lambda: self._read(checkpoint.path))
        if state is None:
            return
        self.epoch, self.records = state["epoch"], state["records"]
        # States written by versions that did not store curves have none.
        unknown = [[[math.nan, math.nan]] * self.epoch] * len(self.records)
        self.curves = LearningCurves(state.get("curves", unknown))
        for name, part in self.parts.items():
            part.load_state_dict(state[name])

    def _read(self, path: Path) -> dict[str, Any] | None:
        """Content of the file; None if there is no file."""
        if not os.path.isfile(path):
            return None
        anew = "Delete it to start this training from scratch."
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch raises many types for a damaged file
            refuse_short_memory(error, path)
            raise RunError(f"{path} is truncated or damaged. {anew}") from error
        if isinstance(state, dict) and {"what", "epoch"} <= set(state) and state.get("format") != FORMAT:
            raise RunError(
                f"{path} is the state of an unfinished training of another version of htnet, which this version "
                f"cannot resume. {anew}"
            )
        if not isinstance(state, dict) or not {"what", "epoch", "records"} <= set(state):
            raise RunError(f"{path} is not the state of an unfinished training. {anew}")
        if state["what"] != self.description or not set(self.parts) <= set(state):
            raise RunError(
                f"{path} contains an unfinished training of another model, recipe, seed, data set or version of "
                "PyTorch. "
                "Delete it to start from scratch, or use the original settings to resume it."
            )
        found: dict[str, Any] = state
        return found


class _Noted:
    """A file that keeps the error of a failed write, because PyTorch's writer hides it behind a RuntimeError."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()
