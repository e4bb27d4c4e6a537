"""Compilation of a fused network."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor, nn

from htnet.core.cuda_graphs import CapturedCall
from htnet.core.errors import ModelError

#: Modes for ``compile`` of `htnet.optimize`; True means "default", and False or None plain calls.
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs", "cudagraphs")
#: Larger batches keep a GPU busy without a graph.
MOST_IMAGES = 64
#: Number of graphs that are kept, one for every input shape; the least recently used one is dropped first.
MOST_GRAPHS = 16

Call = Callable[..., Tensor]


def make_runner(network: nn.Module, mode: str) -> Call:
    """The network compiled in one of `COMPILE_MODES`."""
    if mode == "cudagraphs":
        return GraphRunner(network)
    run = torch.compile(network.forward, mode=mode)
    if mode in ("default", "max-autotune-no-cudagraphs"):
        return run

    def kept(*args: Tensor | None, **kwargs: Tensor | None) -> Tensor:
        # The next replay of the graph overwrites this output.
        return run(*args, **kwargs).clone()

    return kept


class GraphRunner:
    """CUDA graphs of a network: all its kernels are launched at once; otherwise launches dominate the time at batch 1.

    Inputs are copied into the graph's input buffers, and outputs out of its output buffers. Runs one thread at a time.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *args: Tensor | None, **kwargs: Tensor | None) -> Tensor:
        """Run the network.

        Raises:
            ModelError: the image is not on a CUDA device.
        """
        image = args[0]
        assert image is not None
        if not image.is_cuda:
            raise ModelError(
                f'compile="cudagraphs" got an image on {image.device}; move it and the model to a CUDA device, or '
                "optimize without it."
            )
        if len(image) > MOST_IMAGES:
            return self._call(*args, **kwargs)
        names = tuple(sorted(kwargs))
        tensors = (*args, *(kwargs[name] for name in names))
        key = (image.device, names, tuple(None if t is None else (t.shape, t.dtype) for t in tensors))
        with self._lock, torch.cuda.device(image.device):
            if key not in self._graphs:
                while len(self._graphs) >= MOST_GRAPHS:
                    self._graphs.popitem(last=False)
                self._graphs[key] = _Graph(self._call, len(args), names, tensors)
            self._graphs.move_to_end(key)
            return self._graphs[key].replay(tensors)


class _Graph:
    """One captured call."""

    def __init__(self, call: Call, positional: int, names: tuple[str, ...], tensors: tuple[Tensor | None, ...]) -> None:
        places = range(len(tensors))

        def run(inputs: Mapping[int, Tensor]) -> Tensor:
            args = [inputs.get(i) for i in places[:positional]]
            return call(*args, **{name: inputs.get(positional + i) for i, name in enumerate(names)})

        self._call = CapturedCall(run, self._given(tensors))

    def replay(self, tensors: tuple[Tensor | None, ...]) -> Tensor:
        """The output for inputs of the captured shapes."""
        return self._call(self._given(tensors)).clone()

    @staticmethod
    def _given(tensors: tuple[Tensor | None, ...]) -> dict[int, Tensor]:
        return {i: tensor for i, tensor in enumerate(tensors) if tensor is not None}
