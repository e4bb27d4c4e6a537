"""Other engines that run a fused model on the CPU, and the choice between them by a short measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.acceleration.graph import Graph, draw, export_onnx, export_program
from htnet.core.errors import ModelError, did_you_mean
from htnet.core.optional import installed, require
from htnet.models import EmotionModel

#: Engines by name, and the extra of each.
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
#: What ``backend`` of `htnet.optimize` can be; "auto" is the fastest of those that are installed.
BACKENDS = ("torch", *EXTRAS, "auto")
#: Calls with one image that "auto" measures for each backend, after one that is not measured.
CALLS = 7

Arrays = dict[str, npt.NDArray[np.float32]]


class Engine(Protocol):
    """A graph that is ready to run; several threads may run it at once."""

    def run(self, inputs: Arrays) -> Arrays:
        """All outputs of the graph by name, from its inputs by name; one image or more."""


class OnnxRuntime:
    """A graph run by onnxruntime."""

    def __init__(self, proto: Any, threads: int) -> None:
        ort = require("onnxruntime", EXTRAS["onnxruntime"], "The backend 'onnxruntime'")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that wait in a loop would take the processor from PyTorch's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> Arrays:
        """See `Engine`."""
        return dict(zip(self._names, self._session.run(self._names, inputs), strict=True))


class OpenVino:
    """A graph run by OpenVINO, in float32 on every processor."""

    def __init__(self, proto: Any, threads: int) -> None:
        ov = require("openvino", EXTRAS["openvino"], "The backend 'openvino'")
        core = ov.Core()
        # On processors with AMX its own choice is bfloat16, which changes labels.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        self._compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU", settings)

    def run(self, inputs: Arrays) -> Arrays:
        """See `Engine`."""
        # A request runs for one thread at a time, and its outputs are written over by the next call.
        found = self._compiled.create_infer_request().infer(inputs)
        return {name: np.array(found[output]) for output in self._compiled.outputs for name in output.names}


ENGINES: Mapping[str, Callable[[Any, int], Engine]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


def check_backend(backend: str) -> None:
    """Refuse a backend that there is not.

    Raises:
        ModelError: no backend has that name.
        MissingExtraError: it is not installed.
    """
    if backend not in BACKENDS:
        raise ModelError(f"backend is {backend!r}. {did_you_mean(str(backend), BACKENDS)}")
    if backend in EXTRAS:
        for module in (backend, "onnx", "onnxscript"):
            require(module, EXTRAS[backend], f"The backend {backend!r}")


class EngineRunner:
    """A fused model in another engine.

    Engines keep the weights in an order of their own: there is one more copy of them in memory.
    """

    def __init__(self, graph: Graph, proto: Any, backend: str) -> None:
        self.backend, self._name, self.inputs = backend, graph.model_name, graph.inputs
        self._engine = ENGINES[backend](proto, torch.get_num_threads())

    def __call__(self, x: Tensor, extras: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """All outputs by name.

        Args:
            x: checked images (B, channels, H, W) float32, one or more.
            extras: what else the model reads, by name.

        Raises:
            ModelError: the images are not on the CPU, or an extra input does not fit.
        """
        if x.device.type != "cpu":
            raise ModelError(
                f"{self._name} runs in {self.backend}, on the CPU, and got images on {x.device}. Give images on the "
                "CPU, or optimize without backend."
            )
        arrays = {"image": x.detach().numpy()}
        for info in self.inputs[1:]:
            sizes, value = info.sizes(x.shape[0]), extras.get(info.name)
            if value is None and info.name == "motion":
                value = x.new_zeros(sizes)  # which counts as no motion
            if value is None or tuple(value.shape) != sizes or not bool(torch.isfinite(value).all()):
                got = (
                    f"no {info.name}" if value is None else f"{info.name} of shape {tuple(value.shape)}, or not finite"
                )
                raise ModelError(f"{self._name} got {got} for {x.shape[0]} images; give {sizes}, finite.")
            arrays[info.name] = value.detach().float().cpu().numpy()
        return {name: torch.from_numpy(values) for name, values in self._engine.run(arrays).items()}


def make_engine(model: EmotionModel, backend: str) -> EngineRunner:
    """An engine with a model in it, with as many threads as PyTorch has.

    Args:
        model: an optimized model in float32.
        backend: one of `EXTRAS`.

    Raises:
        MissingExtraError: the engine is not installed.
        ModelError: the model cannot be exported.
    """
    check_backend(backend)
    graph = Graph(model)
    return EngineRunner(graph, export_onnx(graph, export_program(graph)), backend)


def fastest(model: EmotionModel, plain: Callable[..., Any]) -> tuple[EngineRunner | None, dict[str, float]]:
    """The fastest way to run a model with one image, of those that are installed.

    Args:
        model: an optimized model in float32.
        plain: runs it in PyTorch: images, and extra inputs by name.

    Returns:
        The engine, None for PyTorch, and the milliseconds of one call (median of `CALLS`) by backend.

    Raises:
        ModelError: the model cannot be exported.
    """
    ready = [name for name in EXTRAS if all(map(installed, (name, "onnx", "onnxscript")))]
    if not ready:
        return None, {}
    graph = Graph(model)
    proto = export_onnx(graph, export_program(graph))
    runners = {name: EngineRunner(graph, proto, name) for name in ready}
    inputs = runners[ready[0]].inputs
    image, *rest = draw(inputs, 1)
    extras = {info.name: value for info, value in zip(inputs[1:], rest, strict=True)}
    ways: dict[str, Callable[[], object]] = {
        "torch": lambda: plain(image, **extras),
        **{name: lambda run=run: run(image, extras) for name, run in runners.items()},  # type: ignore[misc]
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    with torch.no_grad():
        for number in range(1 + CALLS):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if number:
                    times[name].append((time.perf_counter() - start) * 1e3)
    found = {name: round(median(values), 3) for name, values in times.items()}
    return runners.get(min(found, key=found.__getitem__)), found
