"""The steps of TV-L1 through torch.compile, one pair at a time: for whole data sets on a CPU.

PyTorch generates, compiles and caches C++ code that does in one pass over the image what plain PyTorch does in twenty.
The first call takes half a minute, so this backend is used only on request.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.preprocess.flow.tvl1_parameters import TVL1Parameters
from htnet.preprocess.flow.tvl1_solver import Steps, linearize, median3


def advance(
    flow: Tensor, dual: Tensor, data: Tensor, limit: float, tau: float, slope_scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """One primal and one dual step of one pair, and the length of the flow's change.

    Args:
        flow: (1, 2, H, W), px.
        dual: (1, 2, 2, H, W), theta times the dual variable; (direction of slope, flow component).
        data: (1, 5, H, W), see `linearize`.
        limit: lambda theta.
        tau: step of the dual ascent.
        slope_scale: tau / theta.
    """
    residual = data[:, 4:] + data[:, 2:3] * flow[:, :1] + data[:, 3:4] * flow[:, 1:]
    new = flow - residual.clamp(-limit, limit) * data[:, :2] + dual[:, 0] + dual[:, 1]
    new = new - F.pad(dual[:, 0, :, :, :-1], (1, 0)) - F.pad(dual[:, 1, :, :-1], (0, 0, 1, 0))
    slope_x = F.pad(new[..., 1:] - new[..., :-1], (0, 1))
    slope_y = F.pad(new[..., 1:, :] - new[..., :-1, :], (0, 0, 0, 1))
    length = 1 + slope_scale * (slope_x * slope_x + slope_y * slope_y).sqrt()
    risen = torch.stack([dual[:, 0] + tau * slope_x, dual[:, 1] + tau * slope_y], dim=1)
    return new, risen / length[:, None], (new - flow).square().sum().sqrt()


_advance = torch.compile(advance, dynamic=True)


def _relax(flow: Tensor, dual: Tensor, data: Tensor, p: TVL1Parameters) -> tuple[Tensor, Tensor]:
    threshold = p.epsilon * math.sqrt(flow.shape[-2] * flow.shape[-1])
    for _ in range(p.iterations):
        flow, dual, change = _advance(flow, dual, data, p.lambda_ * p.theta, p.tau, p.tau / p.theta)
        if float(change) < threshold:
            break
    return flow, dual


#: For one pair at a time.
STEPS = Steps(torch.compile(linearize, dynamic=True), torch.compile(median3, dynamic=True), _relax)
