"""Gradients of one batch; on a CUDA device as a captured graph, which starts all its kernels at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Runs before a graph is captured, as PyTorch asks for, so that libraries have made their choices.
_WARM_UP = 3


@dataclass(frozen=True, eq=False)
class _Captured:
    """A captured pass: what it reads, and where it leaves the gradients."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    gradients: list[Tensor | None]


class Gradients:
    """Fills ``.grad`` of parameters from one batch after the other.

    On the CPU, or with ``capture=False``, each call runs the loss and its backward pass. Otherwise both are captured
    once for every set of shapes and replayed, which pays where a step is many small kernels: then the loss must do the
    same operations whatever the values, draw no random numbers and keep no running statistics.
    """

    def __init__(self, loss: Callable[[Mapping[str, Tensor]], Tensor], over: Sequence[Tensor], capture: bool) -> None:
        """Use the scalar ``loss`` of named input tensors, and the parameters ``over``."""
        self.loss, self.over, self.capture = loss, list(over), capture
        self._captured: dict[tuple[tuple[str, torch.Size], ...], _Captured] = {}

    def __call__(self, inputs: Mapping[str, Tensor]) -> None:
        """Replace the gradients by those of this batch; parameters that the loss does not reach get None."""
        if not self.capture:
            self._clear()
            self.loss(inputs).backward()
            return
        key = tuple((name, tensor.shape) for name, tensor in inputs.items())
        if key not in self._captured:
            self._captured[key] = self._record(inputs)
        found = self._captured[key]
        for name, tensor in inputs.items():
            found.inputs[name].copy_(tensor)
        found.graph.replay()
        for parameter, gradient in zip(self.over, found.gradients, strict=True):
            parameter.grad = gradient

    def _clear(self) -> None:
        for parameter in self.over:
            parameter.grad = None

    def _record(self, inputs: Mapping[str, Tensor]) -> _Captured:
        own = {name: tensor.clone() for name, tensor in inputs.items()}
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                self._clear()
                self.loss(own).backward()
        torch.cuda.current_stream().wait_stream(aside)
        self._clear()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.loss(own).backward()
        return _Captured(graph, own, [parameter.grad for parameter in self.over])
