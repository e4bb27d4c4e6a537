"""Optical flow: error on faces with known motion and pairs per second, compared with OpenCV and scikit-image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import cv2
import numpy as np
import skimage
import torch
from skimage.registration import optical_flow_tvl1

from benchmarks.flow_cases import Pair, pairs
from benchmarks.flow_contrib import Contrib
from benchmarks.measure import compare, interleave
from htnet.core.errors import InputError
from htnet.preprocess import compute_flow, tvl1_flow

SIDES = (112, 224, 448)
SEEDS = (0, 1, 2)
SPEED_SEED = 3
#: Every so manyth pair of the batch is timed singly: all kinds of case in turn.
SPACING = 4
#: The two implementations that htnet must not be worse than, at their defaults.
RIVALS = ("opencv_dualtvl1", "skimage_tvl1")
BATCH = 16
GPU_BATCHES = (1, 16, 256)


def run(quick: bool) -> dict[str, Any]:
    """Errors first, then times at 224 px."""
    contrib = Contrib()
    try:
        sides, seeds = ((112,), (0,)) if quick else (SIDES, SEEDS)
        error = {str(side): _errors([pair for seed in seeds for pair in pairs(side, seed)], contrib) for side in sides}
        speed = _speed(112 if quick else 224, contrib, rounds=2 if quick else 7)
    finally:
        contrib.close()
    return {
        "device": "cpu",
        "versions": {
            "opencv_contrib": contrib.version,
            "opencv": cv2.__version__,
            "scikit_image": skimage.__version__,
            "numpy": np.__version__,
        },
        "mean_end_point_error_px": error,
        "no_worse_than_the_better_tvl1": {
            side: {kind: row["htnet"] <= min(row[name] for name in RIVALS) for kind, row in table.items()}
            for side, table in error.items()
        },
        **speed,
    }


def _skimage(attachment: float) -> Callable[[Pair], Any]:
    def flow(pair: Pair) -> Any:
        v, u = optical_flow_tvl1(pair.onset, pair.apex, attachment=attachment)
        return np.stack([u, v])

    return flow


#: How each side gets the flow of one pair.
METHODS: dict[str, Callable[[Pair], Any]] = {
    "htnet": lambda pair: tvl1_flow(pair.onset, pair.apex).numpy(),
    "skimage_tvl1": _skimage(15),
    "skimage_tvl1_attachment_5": _skimage(5),
    "farneback": lambda pair: compute_flow(pair.onset, pair.apex, "farneback").uv,
    "dis": lambda pair: compute_flow(pair.onset, pair.apex, "dis").uv,
}


def _errors(cases: Sequence[Pair], contrib: Contrib) -> dict[str, dict[str, float]]:
    """Mean end-point error, px, by kind of case and method."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    theirs = contrib.flows([pair.onset for pair in cases], [pair.apex for pair in cases])
    for pair, flow in zip(cases, theirs, strict=True):
        row = found[pair.kind]
        for name, made in {"opencv_dualtvl1": flow, **{name: way(pair) for name, way in METHODS.items()}}.items():
            row[name].append(float(np.hypot(*(made - pair.truth)).mean()))
    return {kind: {name: round(fmean(v), 4) for name, v in row.items()} for kind, row in found.items()}


def _speed(side: int, contrib: Contrib, rounds: int) -> dict[str, Any]:
    """Times of pairs one at a time, and of a batch, which only htnet takes at once."""
    cases = pairs(side, SPEED_SEED)[:BATCH]
    onsets, apexes = (np.stack([getattr(pair, name) for pair in cases]) for name in ("onset", "apex"))
    difference = (
        (tvl1_flow(onsets, apexes) - tvl1_flow(onsets, apexes, backend="compile")).norm(dim=1).mean((1, 2)).max()
    )
    if not difference < 5e-3:
        raise InputError(f"The compiled flow differs from the plain one by {difference:.3g} px on average.")
    single: dict[str, Callable[[], object]] = {"opencv_dualtvl1": contrib.compute}
    contrib.load(onsets[::SPACING], apexes[::SPACING])
    singles = cases[::SPACING]
    ways = {**METHODS, "htnet_compiled": lambda pair: tvl1_flow(pair.onset, pair.apex, backend="compile")}
    single |= {name: lambda way=way: [way(pair) for pair in singles] for name, way in ways.items()}
    one = compare(interleave(single, rounds), "opencv_dualtvl1")
    contrib.load(onsets, apexes)
    batch = {
        "opencv_dualtvl1": contrib.compute,
        "htnet": lambda: tvl1_flow(onsets, apexes),
        "htnet_compiled": lambda: tvl1_flow(onsets, apexes, backend="compile"),
    }
    many = compare(interleave(batch, max(2, rounds - 2)), "opencv_dualtvl1")
    for summary, count in ((one, len(singles)), (many, BATCH)):
        summary["pairs_a_second"] = {name: round(1e3 * count / t["median"], 2) for name, t in summary["ms"].items()}
    return {
        "largest_difference_of_compiled_px": round(float(difference), 5),
        f"one_pair_at_a_time_{side}px": {"pairs": len(singles), **one},
        f"batch_{BATCH}_{side}px": many,
    }


def run_gpu(quick: bool) -> dict[str, Any]:
    """Pairs a second on one CUDA device, fused and plain, after agreement with the CPU."""
    if not torch.cuda.is_available():
        raise InputError("The benchmark flow_gpu needs a CUDA device; there is none here.")
    cases = [pair for seed in range(2) for pair in pairs(224, seed)]
    onset, apex = (torch.from_numpy(np.stack([getattr(pair, name) for pair in cases])) for name in ("onset", "apex"))
    truth = tvl1_flow(onset, apex)
    backends = ("eager", "triton")
    error = {}
    for backend in backends:
        flow = tvl1_flow(onset.cuda(), apex.cuda(), backend=backend).cpu()
        error[backend] = round(float((flow - truth).norm(dim=1).mean()), 6)
        if not error[backend] < 5e-3:
            raise InputError(
                f"The flow of {backend} on the GPU differs from the CPU's by {error[backend]} px on average."
            )
    speed = {}
    for batch in (1, 16) if quick else GPU_BATCHES:
        first, second = (f.repeat(-(-batch // len(f)), 1, 1)[:batch].cuda() for f in (onset, apex))

        def once(backend: str, first: torch.Tensor = first, second: torch.Tensor = second) -> None:
            tvl1_flow(first, second, backend=backend)
            torch.cuda.synchronize()

        times = interleave({b: lambda b=b: once(b) for b in backends}, 3 if quick else 9, warmup=2)
        summary = compare(times, "eager")
        summary["pairs_a_second"] = {name: round(1e3 * batch / t["median"], 1) for name, t in summary["ms"].items()}
        speed[f"batch_{batch}_224px"] = summary
    return {
        "device": "cuda",
        "gpu": torch.cuda.get_device_name(),
        "mean_difference_from_the_cpu_px": error,
        **speed,
    }
