"""The computation of a model as one graph of tensors, for exporters and other engines."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from htnet.core.errors import ModelError, cause
from htnet.core.optional import require
from htnet.models import MHSSAGCN, EmotionModel
from htnet.models.base import parametrized_weights

#: The dimension that stays free.
BATCH = "batch"
#: Number of images in the example inputs of a graph: neither 0 nor 1, which exporters treat as constants.
EXAMPLES = 2
#: Frames of motion if there is no preprocessing spec. PyTorch exports an LSTM step by step, so their number is fixed.
CLIP_FRAMES = 16
#: Largest batch of an exported program: PyTorch's exporter requires a bound.
MOST_IMAGES = 2**20
#: ONNX operator set that is written; onnxruntime 1.17 and newer read it.
OPSET = 20

Shape = tuple[str | int, ...]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph, float32.

    Attributes:
        name: its name.
        shape: sizes; the first is `BATCH`.
    """

    name: str
    shape: Shape

    def sizes(self, batch: int) -> tuple[int, ...]:
        """The shape for a number of images."""
        return tuple(batch if isinstance(n, str) else n for n in self.shape)


class Graph(nn.Module):
    """A model with positional inputs only: the image and the extra inputs to the scores and the other outputs.

    Attributes:
        inputs: the inputs, in order.
        outputs: names of the outputs, in order: "scores", then "units" or the maps.
    """

    def __init__(self, model: EmotionModel, *, maps: bool = False, net: nn.Module | None = None) -> None:
        """Copy a model.

        Args:
            model: a model in float32; an optimized one in its folded form, in plain modules.
            maps: output the model's maps too.
            net: the network that computes the scores, in float32 and not shared, if it is not the model itself.

        Raises:
            ModelError: the model has no classifier, is not in float32, offers no maps, or contains a loop without a
                fixed number of steps.
        """
        super().__init__()
        offers = getattr(model, "offers_maps", "return_maps" in inspect.signature(model.forward).parameters)
        if maps and not offers:
            raise ModelError(f"{model.name} offers no maps. Leave maps out.")
        self.inputs = _inputs_of(model)
        self.units = bool(model.action_units)
        self.maps = maps
        self.model_name = model.name
        # An optimized model returns its network in plain modules; other models are plain already.
        if net is None:
            plain = getattr(model, "exportable", None)
            net = copy.deepcopy(model) if plain is None else plain()
        self.net = net.eval().requires_grad_(False).cpu()
        _check_types(self.net, model.name, optimized=hasattr(model, "exportable"))
        for part in self.net.modules():
            if isinstance(part, MHSSAGCN):
                part.by_squaring = True
            # PyTorch 2.13 cannot save a buffer that is an empty view of another tensor.
            part._buffers.update({key: None if b is None else b.clone() for key, b in part._buffers.items()})
        with torch.no_grad():
            self.outputs = tuple(name for name, _ in self._named(*self.examples()))

    def examples(self, batch: int = EXAMPLES) -> tuple[Tensor, ...]:
        """Random inputs that every model accepts."""
        return draw(self.inputs, batch)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The `inputs` to the `outputs`."""
        return tuple(value for _, value in self._named(*inputs))

    def _named(self, image: Tensor, *extras: Tensor) -> Iterator[tuple[str, Tensor]]:
        named = {info.name: value for info, value in zip(self.inputs[1:], extras, strict=True)}
        if self.maps:
            found = self.net(image, **named, return_maps=True)
            yield "scores", found.logits
            for field in dataclasses.fields(found):
                value = getattr(found, field.name)
                if isinstance(value, tuple):
                    yield from ((f"{field.name}_{i}", part) for i, part in enumerate(value))
                elif field.name != "logits" and value is not None:
                    yield field.name, value
        elif self.units:
            scores, units = self.net(image, **named, return_units=True)
            yield from (("scores", scores), ("units", units))
        else:
            yield "scores", self.net(image, **named)


def draw(inputs: Sequence[TensorInfo], batch: int) -> tuple[Tensor, ...]:
    """Random values for the inputs of a graph, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    image, *extras = (torch.rand(info.sizes(batch), generator=generator) for info in inputs)
    # Points lie in the image, which has 28 px or more; motion is a few px.
    return (image * 255, *(values * 20 + 4 for values in extras))


def _inputs_of(model: EmotionModel) -> tuple[TensorInfo, ...]:
    c = model.config
    if not c.num_classes:
        raise ModelError(f"{model.name} has no classifier. Give it one: model.reset_classifier(number of classes).")
    if getattr(c, "scaling", None) == "smacof":
        raise ModelError(
            f"{model.name} scales distances by SMACOF, whose number of steps depends on the values; a graph has no "
            "such loop. Build it with scaling='classical'."
        )
    spec = model.preprocess_spec
    frames = CLIP_FRAMES if spec is None else spec.clip_frames
    shapes: dict[str, Shape] = {
        "points": (BATCH, 5, 2),
        "points68": (BATCH, 68, 2),
        "motion": (BATCH, frames, getattr(c, "motion_features", 0)),
    }
    # Weights trained without clips never learned from motion.
    extras = [name for name in model.extra_inputs if name != "motion" or frames]
    image = TensorInfo("image", (BATCH, c.channels, c.image_size, c.image_size))
    return (image, *(TensorInfo(name, shapes[name]) for name in extras))


def _check_types(net: nn.Module, name: str, *, optimized: bool) -> None:
    numbers = {t.dtype for t in (*net.parameters(), *net.buffers()) if t.is_floating_point() or t.dtype == torch.int8}
    # "int8" before the bfloat16 around it.
    if others := sorted((str(dtype).removeprefix("torch.") for dtype in numbers - {torch.float32}), reverse=True):
        own = "the model it was optimized from" if optimized else "the float32 model, model.float()"
        raise ModelError(
            f"{name} is in {others[0]}, but graphs are written in float32: engines have their own ways of using fewer "
            f"bits. Give {own}, or htnet.optimize(model, 'float32') of it."
        )


def export_program(graph: Graph) -> torch.export.ExportedProgram:
    """Export the graph by `torch.export`, with a free batch size.

    Raises:
        ModelError: the model cannot be exported, or not with a free batch size.
    """
    free = {0: torch.export.Dim(BATCH, min=1, max=MOST_IMAGES)}
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(graph, graph.examples(), dynamic_shapes=((free,) * len(graph.inputs),))
    except Exception as error:
        raise ModelError(
            _computed(graph, error)
            or f"{graph.model_name} cannot be exported by torch.export with a free batch size ({cause(error)}). A "
            "model of your own must not branch on values, nor use len() of a batch (x.shape[0] instead)."
        ) from error


def export_onnx(graph: Graph, program: torch.export.ExportedProgram) -> Any:
    """Export the graph as an ``onnx.ModelProto``, and check its free dimensions.

    Raises:
        MissingExtraError: the extra "onnx" is not installed.
        ModelError: ONNX has no form of an operation, or a dimension that must stay free was written as a constant.
    """
    for module in ("onnx", "onnxscript"):
        require(module, "onnx", "Writing ONNX")
    try:
        with _quiet():
            written = torch.onnx.export(
                program,
                input_names=[info.name for info in graph.inputs],
                output_names=list(graph.outputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise ModelError(
            _computed(graph, error)
            or f"{graph.model_name} cannot be written as ONNX ({cause(error)}): one of its operations has no form "
            "there. Use format='torch', or backend='torch'."
        ) from error
    assert written is not None
    proto = written.model_proto
    _name_dimensions(proto)
    check_free(shapes_of_onnx(proto), graph)
    return proto


def _computed(graph: Graph, error: Exception) -> str:
    """The message if weights that are computed at every call may be the cause; "" otherwise."""
    if not (names := parametrized_weights(graph.net)):
        return ""
    return (
        f"{graph.model_name} has weights that torch.nn.utils.parametrize computes at every call "
        f"({', '.join(names[:4])}), and its graph cannot be written with them ({cause(error)}). Put them together "
        "first: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
    )


def shapes_of_onnx(proto: Any) -> dict[str, list[str | int]]:
    """Sizes of all inputs and outputs of an ONNX model, by name; free sizes are given as names."""
    return {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }


def check_free(shapes: dict[str, list[str | int]], graph: Graph) -> None:
    """Check the dimensions of an exported graph.

    Args:
        shapes: sizes by name of input or output; a free one is a string.
        graph: the graph that was exported.

    Raises:
        ModelError: an input or output is missing, or a dimension that must stay free is a constant.
    """
    for info in graph.inputs:
        if list(map(type, shapes.get(info.name, ()))) != list(map(type, info.shape)):
            raise ModelError(
                f"The exporter wrote the input {info.name} of {graph.model_name} as {shapes.get(info.name)} instead "
                f"of {list(info.shape)}: the file would accept one batch size only. A model of your own must not use "
                "len() of a batch (x.shape[0] instead)."
            )
    fixed = [name for name in graph.outputs if not isinstance(shapes.get(name, [0])[0], str)]
    if fixed:
        raise ModelError(
            f"The exporter wrote the output {fixed[0]} of {graph.model_name} with a fixed batch size: "
            f"{shapes.get(fixed[0])}."
        )


def _name_dimensions(proto: Any) -> None:
    """Name the free dimension `BATCH` instead of the exporter's symbol, in inputs and outputs."""
    for value in (*proto.graph.input, *proto.graph.output):
        if value.type.tensor_type.shape.dim and value.type.tensor_type.shape.dim[0].dim_param:
            value.type.tensor_type.shape.dim[0].dim_param = BATCH


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what exporters print about packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
