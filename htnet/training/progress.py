"""The state of an unfinished training on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from htnet.core.errors import RunError
from htnet.core.files import whole_file


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of an unfinished training is kept.

    Attributes:
        path: file; removed when training ends.
        every: least number of seconds between two writes.
    """

    path: Path
    every: float = 60.0


class Part(Protocol):
    """Something whose state a training goes on from."""

    def state_dict(self) -> Any:
        """The state, of tensors and plain values."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Take up a state."""
        ...


class Progress:
    """Everything a training needs to go on where it stopped."""

    def __init__(self, checkpoint: Checkpoint | None, what: str, parts: Mapping[str, Part]) -> None:
        """Take up the checkpoint's state if there is one.

        Args:
            checkpoint: where it is kept; None keeps nothing.
            what: tells this training from any other.
            parts: what has a state, by name.

        Raises:
            RunError: the file belongs to another training.
        """
        self.checkpoint, self.what, self.parts = checkpoint, what, parts
        self.epoch = 0
        self.records: list[Any] = []
        self._load()
        self._written = time.monotonic()

    def save_now_and_then(self) -> None:
        """Write the state, unless it was written a moment ago."""
        if self.checkpoint is None or time.monotonic() - self._written < self.checkpoint.every:
            return
        state = {"what": self.what, "epoch": self.epoch, "records": self.records}
        state |= {name: part.state_dict() for name, part in self.parts.items()}
        with whole_file(self.checkpoint.path) as place:
            torch.save(state, place)
        self._written = time.monotonic()

    def done(self) -> None:
        """Remove the file: training has ended."""
        if self.checkpoint is not None:
            self.checkpoint.path.unlink(missing_ok=True)

    def _load(self) -> None:
        if self.checkpoint is None or not self.checkpoint.path.is_file():
            return
        try:
            state = torch.load(self.checkpoint.path, map_location="cpu", weights_only=True)
            whole = isinstance(state, dict) and {"what", "epoch", "records", *self.parts} <= set(state)
        except Exception as error:  # PyTorch raises many types for a damaged file
            raise RunError(f"{self.checkpoint.path} is cut off or damaged. {self._anew()}") from error
        if not whole:
            raise RunError(f"{self.checkpoint.path} is not the state of an unfinished training. {self._anew()}")
        if state["what"] != self.what:
            raise RunError(
                f"{self.checkpoint.path} holds an unfinished training of another model, recipe, seed, data set or "
                "version of PyTorch. "
                "Delete it to start anew, or give what it was started with to go on."
            )
        self.epoch, self.records = state["epoch"], state["records"]
        for name, part in self.parts.items():
            part.load_state_dict(state[name])

    def _anew(self) -> str:
        return "Delete it to start this training anew."
