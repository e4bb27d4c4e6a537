"""The iterations of TV-L1 as two fused kernels in Triton.

One iteration in plain PyTorch reads and writes each plane several times. Here the first kernel does the
whole primal step and the second the whole dual step, in place: the primal step of a pixel reads its own flow
and its neighbors' dual values, the dual step the reverse. Pairs that are done are skipped on the device, so
the host waits for it only once in `_LOOK` iterations.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from htnet.preprocess.flow.tvl1_parameters import TVL1Parameters

#: Pixels per program.
_BLOCK = 1024
#: Iterations between two checks whether any pair is not done.
_LOOK = 10


@triton.jit
def _primal(flow, dual, data, change, active, limit, height, width, block: tl.constexpr):  # type: ignore[no-untyped-def]
    pair, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    n = height * width
    at = part * block + tl.arange(0, block)
    here = at < n * tl.load(active + pair)
    x, y = at % width, at // width
    flow, dual, data = flow + pair * 2 * n + at, dual + pair * 4 * n + at, data + pair * 5 * n + at
    u, v = tl.load(flow, here, 0.0), tl.load(flow + n, here, 0.0)
    gx, gy = tl.load(data, here, 0.0), tl.load(data + n, here, 0.0)
    residual = tl.load(data + 4 * n, here, 0.0)
    residual += tl.load(data + 2 * n, here, 0.0) * u + tl.load(data + 3 * n, here, 0.0) * v
    step = tl.minimum(tl.maximum(residual, -limit), limit)
    left, above = here & (x > 0), here & (y > 0)
    new_u = u - step * gx + tl.load(dual, here, 0.0) + tl.load(dual + 2 * n, here, 0.0)
    new_u = new_u - tl.load(dual - 1, left, 0.0) - tl.load(dual + 2 * n - width, above, 0.0)
    new_v = v - step * gy + tl.load(dual + n, here, 0.0) + tl.load(dual + 3 * n, here, 0.0)
    new_v = new_v - tl.load(dual + n - 1, left, 0.0) - tl.load(dual + 3 * n - width, above, 0.0)
    tl.store(flow, new_u, here)
    tl.store(flow + n, new_v, here)
    moved = tl.where(here, (new_u - u) * (new_u - u) + (new_v - v) * (new_v - v), 0.0)
    tl.store(change + pair * tl.num_programs(1) + part, tl.sum(moved, 0))


@triton.jit
def _dual(flow, dual, active, tau, slope_scale, height, width, block: tl.constexpr):  # type: ignore[no-untyped-def]
    pair, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    n = height * width
    at = part * block + tl.arange(0, block)
    here = at < n * tl.load(active + pair)
    right, below = here & (at % width < width - 1), here & (at // width < height - 1)
    flow, dual = flow + pair * 2 * n + at, dual + pair * 4 * n + at
    for component in tl.static_range(2):
        w, q = flow + component * n, dual + component * n
        value = tl.load(w, here, 0.0)
        slope_x = tl.where(right, tl.load(w + 1, right, 0.0) - value, 0.0)
        slope_y = tl.where(below, tl.load(w + width, below, 0.0) - value, 0.0)
        length = 1.0 + slope_scale * tl.sqrt(slope_x * slope_x + slope_y * slope_y)
        tl.store(q, (tl.load(q, here, 0.0) + tau * slope_x) / length, here)
        tl.store(q + 2 * n, (tl.load(q + 2 * n, here, 0.0) + tau * slope_y) / length, here)


def relax(flow: Tensor, dual: Tensor, data: Tensor, p: TVL1Parameters) -> tuple[Tensor, Tensor]:
    """As `tvl1_solver.relax`, in float32: iterate each pair until it changes by less than epsilon."""
    flow, dual, data = flow.contiguous().clone(), dual.contiguous(), data.contiguous()
    pairs, _, H, W = flow.shape
    parts = triton.cdiv(H * W, _BLOCK)
    change = flow.new_empty(pairs, parts)
    active = torch.ones(pairs, dtype=torch.int32, device=flow.device)
    threshold = p.epsilon * math.sqrt(H * W)
    grid: Any = (pairs, parts)
    for number in range(1, p.iterations + 1):
        _primal[grid](flow, dual, data, change, active, p.lambda_ * p.theta, H, W, block=_BLOCK)
        _dual[grid](flow, dual, active, p.tau, p.tau / p.theta, H, W, block=_BLOCK)
        active.mul_(change.sum(1).sqrt() >= threshold)
        if number % _LOOK == 0 and not bool(active.any()):
            break
    return flow, dual
