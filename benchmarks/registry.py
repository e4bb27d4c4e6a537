"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import flow, models, spotting, startup, training, zoo
from htnet.errors import InputError, did_you_mean


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
        Benchmark("flow", flow.run, "TV-L1 against OpenCV's and scikit-image's: error and speed, CPU"),
        Benchmark("flow_gpu", flow.run_gpu, "TV-L1 on a CUDA device: pairs a second"),
        Benchmark("models", models.run, "HTNet against the reference's form: inference and training step, CPU"),
        Benchmark(
            "spotting", spotting.run, "onset, apex and offset of 200 generated clips against the known ones, CPU"
        ),
        Benchmark("startup", startup.run, "import htnet beside import torch, in fresh processes"),
        Benchmark("training", training.run, "folds an hour: one by one, in processes, stacked; CPU"),
        Benchmark("training_gpu", training.run_gpu, "the published LOSO on a CUDA device: minutes and scores"),
        Benchmark("zoo", zoo.run, "models of the zoo against the references' forms: inference and training step, CPU"),
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
