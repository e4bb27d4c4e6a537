"""Where an optimized model spends its time, beside the plain products of the same shapes: what no fusion goes below."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import interleave
from htnet.acceleration.layers import FusedLinear
from htnet.acceleration.packing import PackedLinear

#: Rows, what is summed over, and columns; how many of them.
Shape = tuple[int, int, int, int]
#: Products of a profile: operator to the places of its two factors among its inputs, and whether the second is
#: (columns, width).
FACTORS = {
    "mkldnn::_linear_pointwise": (0, -1, True),
    "aten::addmm": (1, 2, False),
    "aten::mm": (0, 1, False),
    "aten::bmm": (0, 1, False),
    "aten::baddbmm": (1, 2, False),
}


def profile_of(
    way: Callable[[], object],
    reference_ms: float,
    calls: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Any]:
    """Time of every operator of a call, and of its products alone.

    Args:
        way: the call; without gradients.
        reference_ms: of the reference's form, in the same clock.
        calls: that are profiled, and rounds of the products alone.
        clock: of the products alone.

    Returns:
        JSON-ready: milliseconds by operator and of all; GFLOP of the products; milliseconds of the same products alone,
        each the faster of PyTorch's own and oneDNN's packed one; GFLOP a second of these; and how many times as fast as
        the reference a model would be that did nothing else.
    """
    with torch.no_grad():
        way()
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as recorded:
            for _ in range(calls):
                way()
        times: Counter[str] = Counter()
        shapes: Counter[Shape] = Counter()
        for entry in recorded.key_averages(group_by_input_shape=True):
            times[entry.key] += entry.self_cpu_time_total / 1e3 / calls
            if entry.key in FACTORS:
                shapes[_shape(entry.key, entry.input_shapes)] += entry.count
        counts = {shape: count / calls for shape, count in shapes.items()}
        alone = {shape: _alone(shape, calls, clock) for shape in counts}
    gflop = sum(2 * prod(shape) * count for shape, count in counts.items()) / 1e9
    floor = sum(alone[shape] * count for shape, count in counts.items())
    return {
        "ms": {name: _short(ms) for name, ms in times.most_common(8)} | {"all": _short(sum(times.values()))},
        "products": {
            "gflop": _short(gflop),
            "ms_alone": _short(floor),
            "gflop_per_s_alone": _short(gflop / floor * 1e3),
            "times_as_fast_if_nothing_else": _short(reference_ms / floor),
        },
    }


def _shape(name: str, inputs: Sequence[Sequence[int]]) -> Shape:
    left, right, transposed = FACTORS[name]
    # A sum or a bias may follow the weights of a packed product: they are the last matrix but those.
    weights = [s for s in inputs if len(s) == 2][-1] if right < 0 else inputs[right]
    a = inputs[left]
    count = a[0] if "bmm" in name else 1
    columns = weights[-2] if transposed else weights[-1]
    return prod(a[:-1]) // count, a[-1], columns, count


def _alone(shape: Shape, rounds: int, clock: Callable[[], float]) -> float:
    """Milliseconds of one such product, of the fastest way there is."""
    rows, width, columns, count = shape
    if not rows * width * columns * count:
        return 0.0
    if count > 1:
        a, b = torch.randn(count, rows, width), torch.randn(count, width, columns)
        out = torch.empty(count, rows, columns)
        ways: dict[str, Callable[[], object]] = {"bmm": lambda: torch.bmm(a, b, out=out)}
    else:
        x, weight, bias = torch.randn(rows, width), torch.randn(columns, width), torch.randn(columns)
        packed = PackedLinear(FusedLinear(weight, bias, torch.float32))
        ways = {"plain": lambda: F.linear(x, weight, bias), "packed": lambda: packed(x)}
    repeats = min(50, max(1, int(2e8 / (rows * width * columns * count))))
    times = interleave(ways, rounds, repeats=repeats, clock=clock)
    return min(median(own) for own in times.values())


def _short(value: float) -> float:
    return float(f"{value:.4g}")
