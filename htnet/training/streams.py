"""Random numbers: PyTorch's global generators, seeded for a training and put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run with PyTorch's global generators seeded, and put them back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


class GlobalStream:
    """The state of the global generators, as a part of a checkpoint."""

    def __init__(self, device: torch.device) -> None:
        """Those of the CPU, and of ``device`` if it is a CUDA device."""
        self.device = device

    def state_dict(self) -> dict[str, Any]:
        """The state they are in."""
        cuda = self.device.type == "cuda"
        return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state(self.device) if cuda else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put them into a state."""
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)


class Streams:
    """One state of the global generators a training, so that each of many draws as if it ran alone."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        """Begin each at its seed."""
        self.current = GlobalStream(device)
        self.states = []
        for seed in seeds:
            with seeded(seed, device):
                self.states.append(self.current.state_dict())

    @contextmanager
    def of(self, index: int) -> Iterator[None]:
        """Draw from the stream of training ``index``."""
        before = self.current.state_dict()
        self.current.load_state_dict(self.states[index])
        try:
            yield
            self.states[index] = self.current.state_dict()
        finally:
            self.current.load_state_dict(before)

    def state_dict(self) -> dict[str, Any]:
        """The states, as a part of a checkpoint."""
        return {"states": list(self.states)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up those of a checkpoint."""
        self.states = list(state["states"])
