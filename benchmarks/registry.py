"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import (
    attention,
    attention_models,
    engines,
    flow,
    flow_bars,
    inference,
    models,
    spotting,
    startup,
    synthesis,
    training,
    zoo,
)
from htnet.core.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Benchmark:
    """One topic.

    Attributes:
        name: what the command line calls it.
        run: takes ``quick`` (small and short, for tests) and returns JSON-ready figures with the
            ``device`` they were taken on; raises before timing anything if outputs disagree.
        description: one line for lists.
    """

    name: str
    run: Callable[[bool], dict[str, Any]]
    description: str


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("attention", attention.run, "block attention against PyTorch's at every listed shape, CPU"),
        Benchmark("attention_gpu", attention.run_gpu, "the same on a CUDA device"),
        Benchmark("attention_models", attention_models.run, "Triton kernels at the models' shapes: errors, CPU"),
        Benchmark("attention_models_gpu", attention_models.run_gpu, "the same on a CUDA device: errors and times"),
        Benchmark("engines", engines.run, "htnet_base in PyTorch, onnxruntime and OpenVINO, unfolded and folded, CPU"),
        Benchmark("flow", flow.run, "TV-L1 against OpenCV's and scikit-image's: error and speed, CPU"),
        Benchmark("flow_bars", flow_bars.run, "flow, prediction and preparation beside OpenCV and commit 570cf1a, CPU"),
        Benchmark("flow_gpu", flow.run_gpu, "TV-L1 on a CUDA device: pairs per second"),
        Benchmark("inference", inference.run, "htnet.optimize against the reference's form, batches 1, 8 and 128, CPU"),
        Benchmark("inference_gpu", inference.run_gpu, "the same and CUDA graphs on a CUDA device, to batch 1024"),
        Benchmark("models", models.run, "HTNet against the reference's form: inference and training step, CPU"),
        Benchmark(
            "spotting", spotting.run, "onset, apex and offset of 200 generated clips against the known ones, CPU"
        ),
        Benchmark("startup", startup.run, "import htnet compared with import torch, in fresh processes"),
        Benchmark("synthesis", synthesis.run, "generated flow images per second at 28, 56 and 112 px, CPU"),
        Benchmark("training", training.run, "folds per hour: one by one, in processes, vmapped; CPU"),
        Benchmark("training_gpu", training.run_gpu, "the published LOSO on a CUDA device: minutes and scores"),
        Benchmark("zoo", zoo.run, "the other models against the references' forms: inference and training step, CPU"),
    )
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        InputError: there is none; the message gives the nearest names.
    """
    if name not in BENCHMARKS:
        raise InputError(f"Unknown benchmark: {name!r}. {did_you_mean(name, BENCHMARKS)}")
    return BENCHMARKS[name]
