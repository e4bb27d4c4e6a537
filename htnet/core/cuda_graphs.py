"""Capturing a call as a CUDA graph, which starts all its kernels at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)
Out = TypeVar("Out")
#: Runs before a graph is captured, as PyTorch asks for, so libraries have made their choices.
WARM_UP = 3


class CapturedCall(Generic[Key, Out]):
    """One call, captured for the shapes that it was given.

    The call must be CUDA-graph-safe: the same operations whatever the values, no random numbers, no running statistics.
    """

    def __init__(self, call: Callable[[Mapping[Key, Tensor]], Out], inputs: Mapping[Key, Tensor]) -> None:
        """Run the call on copies of the inputs until libraries have settled, then capture it."""
        self._inputs = {key: tensor.clone() for key, tensor in inputs.items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                call(self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = call(self._inputs)

    def __call__(self, inputs: Mapping[Key, Tensor]) -> Out:
        """The result of the call for these inputs; the next replay overwrites it."""
        for key, tensor in inputs.items():
            self._inputs[key].copy_(tensor, non_blocking=True)
        self._graph.replay()
        return self._output
