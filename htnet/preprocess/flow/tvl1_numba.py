"""TV-L1 as machine code: the loops of `tvl1_loops`, each pair of a batch on one thread.

Python threads are created for each call. No pool outlives the call, so nothing hangs after a fork. None of numba's own
thread pools is started, because they do not support calls from several threads.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.native import native_function
from htnet.core.threads import spare_threads
from htnet.core.types import FloatArray
from htnet.preprocess.flow.tvl1_parameters import LIGHT_CELLS, TVL1Parameters, blur_weights

_PACKAGE = __name__.rpartition(".")[0]
# The compiled function: its module and name, the other modules that its code depends on, its number of arguments.
_LOOPS = (f"{_PACKAGE}.tvl1_loops", "solve", (f"{_PACKAGE}.tvl1_parameters", f"{_PACKAGE}.loops"), 8)
#: Elements before and after a row, in addition to the widest blur; the loops use the same number.
_MARGIN = 16


class _Plan:
    """Values shared by all pairs of one size: the length of the memory, and the settings in the form of the loops."""

    def __init__(self, height: int, width: int, p: TVL1Parameters) -> None:
        sizes = p.sizes(height, width)
        smooth = blur_weights(p.presmoothing) if p.presmoothing else [1.0]
        zoom = blur_weights(p.zoom_sigma)
        numbers = [p.lambda_ * p.theta, p.tau, p.tau / p.theta, p.epsilon, *smooth, *zoom]
        taken = [len(sizes), p.warps, p.iterations, p.median, p.illumination, len(smooth) - 1, len(zoom) - 1]
        self.sizes = np.array(sizes, dtype=np.int64)
        self.numbers = np.array(numbers, dtype=np.float32)
        self.counts = np.array(taken + [0] * len(sizes) * p.warps, dtype=np.int64)
        self.fixed_counts = len(taken)
        row = width + 2 * (max(len(smooth), len(zoom), LIGHT_CELLS + 1) - 1 + _MARGIN)
        pyramid = sum(2 * h * w + (h + 3) * (w + 3) for h, w in sizes)
        # Rows; flow twice, data, dual variable, warped apex and three images of the light; the pyramid.
        self.length = (7 + LIGHT_CELLS) * row + (4 + 4 + 4 + 1 + 3) * height * width + 2 * height + pyramid
        self.row = width + 1


def solve(onset: Tensor, apex: Tensor, p: TVL1Parameters) -> Tensor:
    """Flow of a batch. It does not depend on the rest of the batch or the number of threads, bit for bit.

    Args:
        onset: (B, 1, H, W) float, 0..255, on the CPU.
        apex: the same.
        p: settings.

    Returns:
        (B, 2, H, W), px.
    """
    return torch.from_numpy(solve_counted(onset.numpy(), apex.numpy(), p)[0])


def solve_counted(onset: FloatArray, apex: FloatArray, p: TVL1Parameters) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """`solve` for arrays.

    Returns:
        The flow, and the iterations of each warp: (B, scales, warps), from the coarsest scale.
    """
    function = native_function(*_LOOPS)
    pairs, _, height, width = onset.shape
    plan = _Plan(height, width, p)
    first, second = (np.ascontiguousarray(frames, dtype=np.float32) for frames in (onset, apex))
    flow = np.empty((pairs, 2, height, width), dtype=np.float32)
    iterations = np.empty((pairs, len(plan.sizes), p.warps), dtype=np.int64)
    numbers, errors = count(), list[BaseException]()

    def work() -> None:
        try:
            scratch, places = np.empty(plan.length, dtype=np.float32), np.empty(plan.row, dtype=np.int64)
            counts = plan.counts.copy()
            shared: list[npt.NDArray[Any]] = [scratch, places, plan.sizes, plan.numbers, counts]
            memory = [array.ctypes.data for array in shared]
            while (number := next(numbers)) < pairs and not errors:
                function(first[number].ctypes.data, second[number].ctypes.data, flow[number].ctypes.data, *memory)
                iterations[number] = counts[plan.fixed_counts :].reshape(iterations.shape[1:])
        except BaseException as error:  # raised again by the calling thread
            errors.append(error)

    with spare_threads(pairs - 1) as free:
        threads = list[threading.Thread]()
        try:
            for _ in range(free):
                thread = threading.Thread(target=work, daemon=True)
                with suppress(RuntimeError):  # no more threads available: the existing ones do all work
                    thread.start()
                    threads.append(thread)
            work()
            for thread in threads:
                thread.join()
        except BaseException as error:  # interrupted: helpers stop after their current pair
            errors.append(error)
            raise
    if errors:
        raise errors[0]
    return flow, iterations
