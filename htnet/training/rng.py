"""RNG state: PyTorch's global generators, seeded for a training and restored afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from htnet.core.rng import global_rng


@contextmanager
def seeded_rng(seed: int, device: torch.device) -> Iterator[None]:
    """Run with PyTorch's global generators seeded, and restore them afterwards."""
    with global_rng(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class RngState:
    """State of the global generators for one training, so that each of several trainings draws as if it ran alone."""

    def __init__(self, seed: int, device: torch.device) -> None:
        """Begin with a seed for the generators of the CPU and, if ``device`` is a CUDA device, of that device."""
        self._device = device
        with seeded_rng(seed, device):
            self._state = self._read()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Draw from this state; afterwards the generators are restored. Other trainings wait meanwhile."""
        with global_rng():
            before = self._read()
            self._write(self._state)
            try:
                yield
                self._state = self._read()
            finally:
                self._write(before)

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        self._state = dict(state)

    def _read(self) -> dict[str, Any]:
        cuda = self._device.type == "cuda"
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(self._device) if cuda else None}

    def _write(self, state: Mapping[str, Any]) -> None:
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self._device)
