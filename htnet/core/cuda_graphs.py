"""Capture of a call as a CUDA graph, which launches all its kernels at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor

Key = TypeVar("Key", bound=Hashable)
Out = TypeVar("Out")
#: Warm-up runs before the capture, as PyTorch's documentation asks for: libraries select their algorithms in them.
WARM_UP = 3


class CapturedCall(Generic[Key, Out]):
    """A call captured for input tensors of fixed shapes.

    The call must be CUDA-graph-safe: its operations must not depend on the values, and it must not use random numbers
    or update running statistics.
    """

    def __init__(self, call: Callable[[Mapping[Key, Tensor]], Out], inputs: Mapping[Key, Tensor]) -> None:
        """Run the call `WARM_UP` times on copies of the inputs, then capture it."""
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
