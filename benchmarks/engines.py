"""htnet_base in PyTorch, onnxruntime and OpenVINO, unfolded and folded: batches 1, 4 and 128, one thread and two."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import htnet
from benchmarks.inference import TOLERANCE
from benchmarks.measure import bar, compare, interleave
from benchmarks.reference_htnet import ReferenceHTNet
from benchmarks.verify import agree
from htnet.acceleration.engines import ENGINES, quantized
from htnet.acceleration.graph import Graph, export_onnx, export_program
from htnet.core.optional import require
from htnet.models import HTNet, create_model, reference_state

#: Rounds by number of images.
ROUNDS = {1: 9, 4: 7, 128: 3}
THREADS = (1, 2)
#: What int8 of an engine, which rounds the activations too, may differ by to be timed, relative to the largest score.
INT8_TOLERANCE = 0.1

Way = Callable[[Tensor], Tensor]


def run(quick: bool) -> dict[str, Any]:
    """Check the scores of all ways, then time them; processor time with one thread, wall time with two."""
    torch.manual_seed(0)
    model = create_model("htnet_tiny" if quick else "htnet_base").eval()
    assert isinstance(model, HTNet)
    rounds = dict.fromkeys((1, 4), 2) if quick else ROUNDS
    side = model.config.image_size
    images = torch.rand(max(rounds), model.config.channels, side, side).mul(255)
    folded = htnet.optimize(model)
    protos = {name: _exported(net) for name, net in (("unfolded", model), ("folded", folded))}
    int8 = {name: quantized(proto) for name, proto in protos.items()}
    before, figures, differences = torch.get_num_threads(), {}, {}
    try:
        for threads in THREADS:
            torch.set_num_threads(threads)
            ways = _ways(model, folded, protos, int8, threads)
            differences[f"threads_{threads}"] = _verify(ways, images)
            figures[f"threads_{threads}"] = {
                f"batch_{count}": _time(ways, images[:count], times, threads) for count, times in rounds.items()
            }
    finally:
        torch.set_num_threads(before)
    return {
        "device": "cpu",
        "model": model.name,
        "clock": {"threads_1": "processor time", "threads_2": "wall time"},
        "versions": {name: require(name, "onnx", "The benchmark").__version__ for name in ENGINES},
        "largest_relative_difference": differences,
        **figures,
        "not_measured": "OpenVINO in bfloat16, and in int8 by a quantizer of its own",
        "bars": _bars(model.name, figures),
    }


def _exported(model: nn.Module) -> Any:
    graph = Graph(model)  # type: ignore[arg-type] # both are models of htnet
    return export_onnx(graph, export_program(graph))


def _ways(
    model: HTNet, folded: nn.Module, protos: Mapping[str, Any], int8: Mapping[str, Any], threads: int
) -> dict[str, Way]:
    reference = ReferenceHTNet(model.config).eval()
    reference.load_state_dict(reference_state(model))
    ways: dict[str, Way] = {
        "reference": reference,
        "htnet_eager": model,
        "htnet_folded_plain": folded.exportable(),  # type: ignore[operator] # an optimized model
        "htnet_float32": folded,
        "htnet_bfloat16": htnet.optimize(model, "bfloat16"),
        "htnet_int8": htnet.optimize(model, "int8"),
        "htnet_int8_onnxruntime": htnet.optimize(model, "int8", backend="onnxruntime"),
    }
    for engine, make in ENGINES.items():
        for form, proto in protos.items():
            ways[f"{engine}_{form}"] = _in_engine(make(proto, threads))
    for form, proto in int8.items():
        ways[f"onnxruntime_{form}_int8"] = _in_engine(ENGINES["onnxruntime"](proto, threads))
    return ways


def _in_engine(engine: Any) -> Way:
    return lambda images: torch.from_numpy(np.asarray(engine.run({"image": images.numpy()})["scores"]))


def _verify(ways: dict[str, Way], images: Tensor) -> dict[str, float]:
    """Largest relative difference of every way from the reference; more than accepted ends the benchmark.

    Only int8 of an engine is left out instead: it is taken from ``ways``, and its difference says why.
    """
    found = {}
    for name, way in list(ways.items()):
        limit = next((t for key, t in TOLERANCE.items() if key in name), TOLERANCE["float32"])
        engine = name.endswith("_int8") and not name.startswith("htnet")
        with torch.no_grad():
            found[name] = max(
                agree(
                    {"scores": way(some)},
                    {"scores": ways["reference"](some)},
                    float("inf") if engine else limit,
                    f"outputs of {name}",
                )
                for some in (images[:1], images[:4])
            )
        if engine and found[name] > INT8_TOLERANCE:
            del ways[name]
    return found


def _time(ways: Mapping[str, Way], images: Tensor, rounds: int, threads: int) -> dict[str, Any]:
    clock = time.process_time if threads == 1 else time.perf_counter
    with torch.inference_mode():
        sides = {name: lambda way=way: way(images) for name, way in ways.items()}
        return compare(interleave(sides, rounds, clock=clock), "reference")


def _bars(name: str, figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was wanted at batch 1 with each number of threads; a bar that was missed stays in the list."""
    bars = []
    for threads, found in figures.items():
        ms = {side: value["median"] for side, value in found["batch_1"]["ms"].items()}
        said = f"{name}, batch 1, {threads.replace('_', ' ')}"
        ours = min(
            ms[side] for side in ms if side == "htnet_float32" or side in ("onnxruntime_folded", "openvino_folded")
        )
        int8 = min(ms["htnet_int8"], ms["htnet_int8_onnxruntime"])
        engines = min(ms["onnxruntime_unfolded"], ms["openvino_unfolded"])
        bars += [
            bar(f"{said}: eager, times as fast as the reference", 1.0, ms["reference"] / ms["htnet_eager"]),
            bar(f"{said}: optimize float32 by the fastest backend, as the reference", 2.2, ms["reference"] / ours),
            bar(f"{said}: the same, as the better engine on the unfolded graph", 1.3, engines / ours),
            bar(f"{said}: optimize int8 by the fastest backend, as the reference", 6.0, ms["reference"] / int8),
        ]
    return bars
