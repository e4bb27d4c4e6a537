"""Export of models to files for other programs: ONNX, PyTorch's exported program, OpenVINO."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from htnet.acceleration.engines import EXTRAS
from htnet.acceleration.graph import BATCH, Graph, check_free, export_onnx, export_program
from htnet.core.errors import InputError, ModelError, did_you_mean
from htnet.core.files import check_folder, whole_file
from htnet.core.global_state import usual_settings
from htnet.core.optional import require
from htnet.core.paths import as_path
from htnet.hub.folder import describe_model
from htnet.models import EmotionModel
from htnet.models.base import INPUT_KINDS, refuse_unusable_weights
from htnet.models.single_input import checked_model

#: Files of each format.
FORMATS = {"onnx": ("model.onnx",), "torch": ("model.pt2",), "openvino": ("model.xml", "model.bin")}
#: File beside the model with what a user needs to know. The model's file contains the same, under `METADATA_KEY`.
METADATA_FILE = "htnet.json"
METADATA_KEY = "htnet"
#: Largest accepted difference between outputs of the written file and of the model, relative to the largest magnitude
#: of an output.
TOLERANCE = 1e-4
#: Number of images that a written file is tested with; it differs from the number that it was exported with.
TESTED = 3
#: Largest size of an ONNX file that contains its weights, bytes (a limit of protobuf).
LARGEST = 2**31 - 1

Run = Callable[[tuple[torch.Tensor, ...]], list[Any]]


def export_model(
    model: EmotionModel,
    folder: str | PathLike[str],
    format: str = "onnx",
    *,
    maps: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a model as a file that runs without htnet.

    The file takes one or more float32 images, 0..255; it standardizes them itself. Its outputs are "scores" before the
    softmax and, if the model scores action units, "units"; with ``maps``, the model's maps take the place of "units".
    Every file is read back and tested: it must accept another number of images, and its outputs must equal the model's
    within 1e-4 of their largest magnitude.

    Programs that run the file must reject empty batches, which crash the process of onnxruntime 1.32 for some models.

    Args:
        model: a model in float32, with ``preprocess_spec``. A model from `htnet.optimize` (float32) is written in its
            folded form, which is smaller and faster.
        folder: the folder; created if needed.
        format: one of `FORMATS`: "onnx" (extra ``onnx``), "torch" (`torch.export.load`, which needs no extra) or
            "openvino" (extra ``openvino``).
        maps: output the maps too.
        overwrite: replace files in the folder.

    Returns:
        Path of the model's file. ``htnet.json`` beside it contains the labels, the temperature, the preprocessing and
        the inputs and outputs; the model's own metadata contain the same text.

    Raises:
        InputError: unknown format.
        MissingExtraError: the extra is not installed.
        ModelError: the model cannot be exported, is not in float32 or offers no maps, or the outputs of the written
            file differ from the model's.
        OverwriteError: the folder contains one of the files and ``overwrite`` is not given.
        WeightsError: the model has no preprocessing spec.
    """
    if format not in FORMATS:
        raise InputError(f"format is {format!r}. {did_you_mean(str(format), FORMATS)}")
    model = checked_model(model)
    refuse_unusable_weights(model, "export_model")
    folder = as_path(folder, "folder")
    check_folder(folder, (*FORMATS[format], METADATA_FILE), overwrite=overwrite)
    described = describe_model(model)
    if format != "torch":
        _require(format)
    with usual_settings(float32=True):
        graph = Graph(model, maps=maps)
        program = export_program(graph)
        metadata = json.dumps({**described, **_interface(model, graph)}, indent=1, ensure_ascii=False)
        contents, run = _WRITERS[format](graph, program, metadata)
        _verify(graph, run, format)
    for name, data in zip((*FORMATS[format], METADATA_FILE), (*contents, metadata.encode()), strict=True):
        with whole_file(folder / name, follow=False) as file:
            file.write_bytes(data)
    return folder / FORMATS[format][0]


def _require(format: str) -> None:
    modules = ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ("onnx", "onnxscript", "openvino")
    for module in modules:
        require(module, format, f"Export as {format}")


def _interface(model: EmotionModel, graph: Graph) -> dict[str, Any]:
    """Inputs and outputs, and the terms of use."""
    return {
        "inputs": [{"name": info.name, "shape": list(info.shape), "type": "float32"} for info in graph.inputs],
        "outputs": list(graph.outputs),
        "channels": INPUT_KINDS[model.input_kind],
        "range": [0, 255],
        "action_units": list(model.action_units),
        "license": model.license,
        "license_expression": model.license_expression,
    }


def _as_onnx(graph: Graph, program: torch.export.ExportedProgram, metadata: str) -> tuple[tuple[bytes, ...], Run]:
    proto = _with_metadata(graph, program, metadata)
    content = proto.SerializeToString()
    session = require("onnxruntime", EXTRAS["onnxruntime"], "Export as onnx").InferenceSession(
        content, providers=["CPUExecutionProvider"]
    )
    names = [info.name for info in graph.inputs]

    def run(values: tuple[torch.Tensor, ...]) -> list[Any]:
        found: list[Any] = session.run(list(graph.outputs), {n: v.numpy() for n, v in zip(names, values, strict=True)})
        return found

    return (content,), run


def _with_metadata(graph: Graph, program: torch.export.ExportedProgram, metadata: str) -> Any:
    proto = export_onnx(graph, program)
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata
    if (size := proto.ByteSize()) > LARGEST:
        raise ModelError(
            f"{graph.model_name} takes {size} bytes as ONNX, more than a file can hold. Use format='torch'."
        )
    return proto


def _as_program(graph: Graph, program: torch.export.ExportedProgram, metadata: str) -> tuple[tuple[bytes, ...], Run]:
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA_FILE: metadata})
    file.seek(0)
    loaded = torch.export.load(file).module()

    def run(values: tuple[torch.Tensor, ...]) -> list[Any]:
        with torch.no_grad():
            return [value.numpy() for value in loaded(*values)]

    return (file.getvalue(),), run


def _as_openvino(graph: Graph, program: torch.export.ExportedProgram, metadata: str) -> tuple[tuple[bytes, ...], Run]:
    ov = require("openvino", EXTRAS["openvino"], "Export as openvino")
    core = ov.Core()
    model = core.read_model(export_onnx(graph, program).SerializeToString())
    model.set_rt_info(metadata, [METADATA_KEY])
    check_free(
        {
            name: [BATCH if d.is_dynamic else d.get_length() for d in port.partial_shape]
            for port in (*model.inputs, *model.outputs)
            for name in port.names
        },
        graph,
    )
    # Not with save_model, which rounds weights to float16.
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in FORMATS["openvino"]]
        ov.serialize(model, *map(str, paths))
        contents = tuple(path.read_bytes() for path in paths)
        compiled = core.compile_model(core.read_model(paths[0]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(values: tuple[torch.Tensor, ...]) -> list[Any]:
        found = compiled({info.name: value.numpy() for info, value in zip(graph.inputs, values, strict=True)})
        return [found[name] for name in graph.outputs]

    return contents, run


_WRITERS = {"onnx": _as_onnx, "torch": _as_program, "openvino": _as_openvino}


def _verify(graph: Graph, run: Run, format: str) -> None:
    """Compare the outputs of the written file with the model's."""
    values = graph.examples(TESTED)
    with torch.no_grad():
        expected = [value.numpy() for value in graph(*values)]
    for name, own, other in zip(graph.outputs, expected, run(values), strict=True):
        off = float(np.abs(own - other).max() / max(np.abs(own).max(), np.finfo(np.float32).tiny))
        if own.shape != other.shape or not off <= TOLERANCE:
            raise ModelError(
                f"{name} of {graph.model_name} written as {format} differ from the model's by {off:.2g} of their "
                f"largest magnitude (accepted: {TOLERANCE}). Use another format, and report this."
            )
