"""Other engines that run a fused model on the CPU, and a short measurement to choose the fastest."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from htnet.acceleration.graph import Graph, draw, export_onnx, export_program
from htnet.acceleration.packing import large_weights, widened
from htnet.core.errors import HtnetError, ModelError, cause, did_you_mean
from htnet.core.global_state import usual_settings
from htnet.core.optional import installed, require
from htnet.models import EmotionModel
from htnet.models.input_range import refuse_not_finite, require_tensor

#: Engines by name, and the extra of each.
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
#: Weight types that each engine accepts, by `OptimizedModel.precision`.
PRECISIONS = {"onnxruntime": ("float32", "int8"), "openvino": ("float32",)}
#: Metadata key that tells onnxruntime's quantizer that a graph is prepared for it.
PREPARED = "onnx.quant.pre_process"
#: Values for ``backend`` of `htnet.optimize`; "auto" is the fastest of those that are installed.
BACKENDS = ("torch", *EXTRAS, "auto")
#: Calls with one image that "auto" measures for each backend, after one that is not measured.
CALLS = 7

Arrays = dict[str, npt.NDArray[np.float32]]


class Engine(Protocol):
    """A graph that is ready to run; several threads may run it at once.

    Attributes:
        reads: the inputs that the graph has; the exporter leaves out one that changes nothing, such as one behind
            weights of 0.
    """

    reads: frozenset[str]

    def run(self, inputs: Arrays) -> Arrays:
        """All outputs of the graph by name, from its inputs by name; one image or more."""


class OnnxRuntime:
    """A graph run by onnxruntime."""

    def __init__(self, proto: Any, threads: int) -> None:
        ort = require("onnxruntime", EXTRAS["onnxruntime"], "The backend 'onnxruntime'")
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Threads that wait in a busy loop would take the processor from PyTorch's threads.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without VNNI instructions its int8 products overflow, unless exact ones are requested (onnxruntime PR 12088).
        options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self._session.get_outputs()]
        self.reads = frozenset(put.name for put in self._session.get_inputs())

    def run(self, inputs: Arrays) -> Arrays:
        """See `Engine`."""
        return dict(zip(self._names, self._session.run(self._names, inputs), strict=True))


class OpenVino:
    """A graph run by OpenVINO, in float32 on every processor."""

    def __init__(self, proto: Any, threads: int) -> None:
        ov = require("openvino", EXTRAS["openvino"], "The backend 'openvino'")
        core = ov.Core()
        # On processors with AMX its default is bfloat16, which changes labels.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        self._compiled = core.compile_model(core.read_model(proto.SerializeToString()), "CPU", settings)
        self.reads = frozenset(name for put in self._compiled.inputs for name in put.names)

    def run(self, inputs: Arrays) -> Arrays:
        """See `Engine`."""
        # A request serves one thread at a time, and the next call overwrites its outputs.
        found = self._compiled.create_infer_request().infer(inputs)
        return {name: np.array(found[output]) for output in self._compiled.outputs for name in output.names}


ENGINES: Mapping[str, Callable[[Any, int], Engine]] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


def check_backend(backend: str) -> None:
    """Check that a backend exists and is installed.

    Raises:
        ModelError: no backend has that name.
        MissingExtraError: the backend is not installed.
    """
    if backend not in BACKENDS:
        raise ModelError(f"backend is {backend!r}. {did_you_mean(str(backend), BACKENDS)}")
    if backend in EXTRAS:
        for module in (backend, "onnx", "onnxscript"):
            require(module, EXTRAS[backend], f"The backend {backend!r}")


class _Written:
    """A serialized ONNX model with the interface that the engines expect."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def SerializeToString(self) -> bytes:  # noqa: N802 # as protobuf calls it
        return self._content


def quantized(proto: Any, weights: Sequence[Tensor] | None = None) -> Any:
    """Quantize a graph for onnxruntime: products in int8, with one scale per row of the weights.

    The inputs of the products are rounded too, to 8 bits between the smallest and the largest value of each call
    (``quantize_dynamic``), so no calibration is needed. Weights that are already integers up to 127 times the scale of
    their row do not change.

    Args:
        proto: the graph in float32.
        weights: weights (out, in) of the matrix products to quantize; None for all that onnxruntime can quantize,
            including convolutions.

    Raises:
        MissingExtraError: the extra "onnx" is not installed.
        ModelError: onnxruntime cannot quantize the graph, or there is no room for its temporary files.
    """
    tools = require("onnxruntime.quantization", EXTRAS["onnxruntime"], "int8 of the backend 'onnxruntime'")
    chosen = None if weights is None else _products_of(proto, weights)
    if chosen == []:
        return proto  # an empty list would mean all products to onnxruntime
    # Without this mark onnxruntime asks for a preparation, which would fuse what is fused already.
    if all(known.key != PREPARED for known in proto.metadata_props):
        proto.metadata_props.add(key=PREPARED, value="onnxruntime.quant")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            tools.quantize_dynamic(
                proto, path, per_channel=True, weight_type=tools.QuantType.QInt8, nodes_to_quantize=chosen
            )
            return _Written(path.read_bytes())
    except Exception as error:
        raise ModelError(
            f"onnxruntime could not quantize the graph ({cause(error)}). Use backend='torch', or dtype='float32'."
        ) from error


def _products_of(proto: Any, weights: Sequence[Tensor]) -> list[str]:
    """The names of the matrix products with these weights (out, in), found by value: exporters keep no names."""
    numpy_helper = require("onnx.numpy_helper", EXTRAS["onnxruntime"], "int8 of the backend 'onnxruntime'")
    constants = {value.name: value for value in proto.graph.initializer}
    known: dict[tuple[int, ...], list[npt.NDArray[np.float32]]] = {}
    for weight in weights:
        known.setdefault(tuple(weight.T.shape), []).append(weight.detach().T.numpy())
    found = []
    for node in proto.graph.node:
        constant = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if constant is not None and (same_shape := known.get(tuple(constant.dims))):
            values = numpy_helper.to_array(constant)
            if any(np.array_equal(values, weight) for weight in same_shape):
                found.append(node.name)
    return found


class EngineRunner:
    """A fused model that runs in another engine.

    Engines keep the weights in their own layout, so memory holds one more copy of them.
    """

    def __init__(self, graph: Graph, proto: Any, backend: str) -> None:
        self.backend, self._name, self.inputs = backend, graph.model_name, graph.inputs
        with self._own_errors("does not take"):
            self._engine = ENGINES[backend](proto, torch.get_num_threads())

    @contextmanager
    def _own_errors(self, what: str) -> Iterator[None]:
        """Tell errors of the engine in htnet's words."""
        try:
            yield
        except HtnetError:
            raise
        except Exception as error:
            raise ModelError(
                f"The backend {self.backend!r} {what} {self._name} ({cause(error)}). Use backend='torch'."
            ) from error

    def __call__(self, x: Tensor, extras: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """All outputs by name.

        Args:
            x: checked images (B, channels, H, W) float32, one or more.
            extras: extra inputs of the model, by name.

        Raises:
            ModelError: the images are not on the CPU, or an extra input does not fit.
        """
        if x.device.type != "cpu":
            raise ModelError(
                f"{self._name} runs in {self.backend}, on the CPU, but got images on {x.device}. Give images on the "
                "CPU, or optimize without backend."
            )
        arrays = {"image": array_of(self._name, self.backend, x)}
        for info in self.inputs[1:]:
            sizes, value = info.sizes(x.shape[0]), extras.get(info.name)
            if value is not None:
                require_tensor(self._name, info.name, value, x.device)
            if value is None and info.name == "motion":
                value = x.new_zeros(sizes)  # the models treat zeros as no motion
            if value is None or tuple(value.shape) != sizes:
                got = f"no {info.name}" if value is None else f"{info.name} of shape {tuple(value.shape)}"
                raise ModelError(f"{self._name} got {got} for {x.shape[0]} images; give {sizes}.")
            refuse_not_finite(self._name, info.name, value, "finite numbers")
            arrays[info.name] = array_of(self._name, self.backend, value.float())
        read = {name: value for name, value in arrays.items() if name in self._engine.reads}
        with self._own_errors("could not run"):
            return {name: torch.from_numpy(values) for name, values in self._engine.run(read).items()}


def array_of(name: str, backend: str, x: Tensor) -> npt.NDArray[np.float32]:
    """The values of a tensor, for an engine.

    Args:
        name: of the model.
        backend: the engine.
        x: float32, on the CPU.

    Raises:
        ModelError: the tensor has no values of its own.
    """
    try:
        return x.detach().resolve_neg().numpy()
    except (RuntimeError, TypeError):
        raise ModelError(
            f"{name} runs in {backend}, which reads plain tensors; torch.vmap and the other transforms of torch.func "
            "give none. Optimize it without backend."
        ) from None


def make_engine(model: EmotionModel, backend: str) -> EngineRunner:
    """Load a model into an engine, with as many threads as PyTorch uses.

    Args:
        model: an optimized model, of a precision that the engine accepts.
        backend: one of `EXTRAS`.

    Raises:
        MissingExtraError: the engine is not installed.
        ModelError: the model cannot be exported, or the engine does not accept its precision.
    """
    check_backend(backend)
    if (precision := _precision_of(model)) not in PRECISIONS[backend]:
        raise ModelError(
            f"{model.name} is in {precision}, but the backend {backend!r} accepts only "
            f"{' and '.join(PRECISIONS[backend])}. Optimize the original in one of these, or without backend."
        )
    return EngineRunner(*_written(model), backend)


def _precision_of(model: EmotionModel) -> str:
    return cast(str, model.precision)  # of an optimized model


def _written(model: EmotionModel) -> tuple[Graph, Any]:
    """The graph of a model and its ONNX form, quantized where the model is."""
    with usual_settings(float32=True):
        net = widened(cast(nn.Module, model.network)) if _precision_of(model) == "int8" else None
        graph = Graph(model, net=net)
        proto = export_onnx(graph, export_program(graph))
        return graph, proto if net is None else quantized(proto, large_weights(net))


def fastest(model: EmotionModel, plain: Callable[..., Any]) -> tuple[EngineRunner | None, dict[str, float]]:
    """Find the fastest way to run a model with one image, among the installed engines that accept its precision.

    Args:
        model: an optimized model.
        plain: runs it in PyTorch, given images, and extra inputs by name.

    Returns:
        The engine (None for PyTorch), and the milliseconds of one call (median of `CALLS`) by backend, which are empty
        if there is no engine to compare.

    Raises:
        ModelError: the model cannot be exported.
    """
    takes = [name for name in EXTRAS if _precision_of(model) in PRECISIONS[name]]
    ready = [name for name in takes if all(map(installed, (name, "onnx", "onnxscript")))]
    if not ready:
        return None, {}
    graph, proto = _written(model)
    runners = {name: EngineRunner(graph, proto, name) for name in ready}
    inputs = runners[ready[0]].inputs
    with usual_settings(float32=True):
        image, *rest = draw(inputs, 1)
    extras = {info.name: value for info, value in zip(inputs[1:], rest, strict=True)}
    ways: dict[str, Callable[[], object]] = {
        "torch": lambda: plain(image, **extras),
        **{name: lambda run=run: run(image, extras) for name, run in runners.items()},  # type: ignore[misc]
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    with usual_settings(float32=True):
        for number in range(1 + CALLS):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if number:
                    times[name].append((time.perf_counter() - start) * 1e3)
    found = {name: round(median(values), 3) for name, values in times.items()}
    return runners.get(min(found, key=found.__getitem__)), found
