"""Compiling a folded network."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor, nn

from htnet.core.errors import ModelError

#: What ``compile`` of `htnet.optimize` can be besides True, which is "default", and False or None.
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs", "cudagraphs")
#: Larger batches keep a GPU busy without a graph.
MOST_IMAGES = 64
#: Graphs kept, one for every shape of the input; the one not used for longest goes first.
MOST_GRAPHS = 16
#: Calls before a graph is captured, so that libraries have set themselves up.
_WARMUP = 3

Call = Callable[..., Tensor]


def make_runner(network: nn.Module, mode: str) -> Call:
    """The network compiled in one of `COMPILE_MODES`."""
    if mode == "cudagraphs":
        return GraphRunner(network)
    run = torch.compile(network.forward, mode=mode)
    if mode in ("default", "max-autotune-no-cudagraphs"):
        return run

    def kept(*args: Tensor | None, **kwargs: Tensor | None) -> Tensor:
        # The next replay of the graph writes over what this one gave.
        return run(*args, **kwargs).clone()

    return kept


class GraphRunner:
    """CUDA graphs of a network: all its kernels are started at once, which at batch 1 takes longest otherwise.

    Inputs are copied to where the graph reads them, answers from where it writes them. One thread at a time.
    """

    def __init__(self, call: Call) -> None:
        """Nothing is captured before the first call."""
        self._call = call
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *args: Tensor | None, **kwargs: Tensor | None) -> Tensor:
        """What the network gives.

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
        self._inputs = tuple(None if t is None else t.clone() for t in tensors)
        args, kwargs = self._inputs[:positional], dict(zip(names, self._inputs[positional:], strict=True))
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARMUP):
                call(*args, **kwargs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._output = call(*args, **kwargs)

    def replay(self, tensors: tuple[Tensor | None, ...]) -> Tensor:
        """The answer for inputs of the shapes that were captured."""
        for mine, given in zip(self._inputs, tensors, strict=True):
            if mine is not None and given is not None:
                mine.copy_(given, non_blocking=True)
        self._graph.replay()
        return self._output.clone()
