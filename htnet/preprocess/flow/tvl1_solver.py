"""The steps of TV-L1 in plain PyTorch: pyramid, warps, median, light, iterations. The other backends do the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.preprocess.flow.tvl1_parameters import FLAT, GAINS, LIGHT_CELLS, LIGHT_STEPS, TVL1Parameters, blur_weights
from htnet.preprocess.flow.warp import sample_cubic


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 1, H, W) with repeated borders.

    Computed as shifted sums, because a convolution on CUDA would be rounded to TF32 by default.
    """
    half = blur_weights(sigma)
    radius = len(half) - 1
    weights = [*half[:0:-1], *half]
    for dim in (-1, -2):
        n = images.shape[dim]
        padding = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
        padded = F.pad(images, padding, mode="replicate")
        images = torch.zeros_like(images)
        for k, weight in enumerate(weights):
            images.add_(padded.narrow(dim, k, n), alpha=weight)
    return images


def median3(field: Tensor) -> Tensor:
    """3x3 median of each plane of (B, C, H, W), borders repeated.

    Columns of three are sorted once and shared by three windows. The median of nine is the median
    of (highest low, middle middle, lowest high) of the three sorted columns.
    """

    def middle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))

    H, W = field.shape[-2:]
    padded = F.pad(field, (1, 1, 1, 1), mode="replicate")
    a, b, c = (padded.narrow(-2, k, H) for k in range(3))
    low_ab, high_ab = torch.minimum(a, b), torch.maximum(a, b)
    low, high = torch.minimum(low_ab, c), torch.maximum(high_ab, c)
    mid = torch.maximum(low_ab, torch.minimum(high_ab, c))
    lows, mids, highs = ([plane.narrow(-1, k, W) for k in range(3)] for plane in (low, mid, high))
    return middle(
        torch.maximum(torch.maximum(lows[0], lows[1]), lows[2]),
        middle(*mids),
        torch.minimum(torch.minimum(highs[0], highs[1]), highs[2]),
    )


def match_light(moving: Tensor, fixed: Tensor) -> Tensor:
    """Match the illumination of one image to another, so that a change of light is not measured as motion.

    First one gain and one offset for the frame, reweighted toward least absolute deviations so that moving
    parts count little; then the median of the remaining difference in each of `LIGHT_CELLS` x `LIGHT_CELLS`
    cells, interpolated.

    Args:
        moving: (B, 1, H, W), the warped apex.
        fixed: (B, 1, H, W), the onset.

    Returns:
        (B, 1, H, W).
    """
    halved = min(moving.shape[-2:]) >= 16 * LIGHT_CELLS
    a, b = (F.avg_pool2d(image, 2) if halved else image for image in (moving, fixed))
    gain, offset = torch.ones_like(a[:, :, :1, :1]), torch.zeros_like(a[:, :, :1, :1])
    for _ in range(LIGHT_STEPS):
        weight = (a * gain + offset - b).abs_().add_(1).reciprocal_()
        total = weight.sum((2, 3), keepdim=True)
        mean_a, mean_b = ((weight * image).sum((2, 3), keepdim=True) / total for image in (a, b))
        about = a - mean_a
        spread = (weight * about * about).sum((2, 3), keepdim=True)
        slope = (weight * about * (b - mean_b)).sum((2, 3), keepdim=True) / spread.clamp(min=FLAT)
        gain = torch.where(spread > FLAT, slope.clamp(*GAINS), 1.0)
        offset = mean_b - gain * mean_a
    rest = a * gain + offset - b
    side = [length // LIGHT_CELLS for length in rest.shape[-2:]]
    cells = rest[..., : side[0] * LIGHT_CELLS, : side[1] * LIGHT_CELLS]
    cells = cells.unflatten(-1, (LIGHT_CELLS, side[1])).unflatten(-3, (LIGHT_CELLS, side[0]))
    medians = cells.transpose(-3, -2).flatten(-2).median(-1).values
    drift = F.interpolate(medians, size=moving.shape[-2:], mode="bilinear", align_corners=False)
    return moving * gain + offset - drift


def _pyramid(frames: Tensor, p: TVL1Parameters) -> list[Tensor]:
    """Frames from the finest to the coarsest scale."""
    scales = [blur(frames, p.presmoothing) if p.presmoothing else frames]
    for size in p.sizes(*frames.shape[-2:])[1:]:
        smooth = blur(scales[-1], p.zoom_sigma)
        scales.append(F.interpolate(smooth, size=size, mode="bilinear", align_corners=False))
    return scales


def _upscale(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow on a finer grid, in that grid's px."""
    factors = flow.new_tensor([size[1] / flow.shape[3], size[0] / flow.shape[2]])
    return F.interpolate(flow, size=size, mode="bilinear", align_corners=False) * factors.view(1, 2, 1, 1)


def linearize(onset: Tensor, apex: Tensor, flow: Tensor, light: bool = False) -> Tensor:
    """Data term around ``flow``: (B, 5, H, W) = gradient g, g / |g|^2, constant / |g|^2.

    The residual over |g|^2 of a flow w is then plane 4 + planes 2 and 3 times w. The gradient is
    that of the warped apex: warping the apex's gradient instead gave a larger error (0.149 px against
    0.100 px, chiefly at 3 px).
    """
    H, W = onset.shape[-2:]
    rows = torch.arange(H, device=flow.device, dtype=flow.dtype).view(1, H, 1)
    columns = torch.arange(W, device=flow.device, dtype=flow.dtype)
    warped = sample_cubic(apex, columns + flow[:, 0], rows + flow[:, 1])
    if light:
        warped = match_light(warped, onset)
    padded = F.pad(warped, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    gradient = torch.cat([across, down], dim=1).mul(0.5)
    squared = gradient.square().sum(1, keepdim=True)
    inverse = torch.where(squared > FLAT, squared.clamp(min=FLAT).reciprocal(), 0.0)
    constant = warped - onset - (gradient * flow).sum(1, keepdim=True)
    return torch.cat([gradient, gradient * inverse, constant * inverse], dim=1)


class _Scratch:
    """Buffers of one scale, reused by all its iterations."""

    def __init__(self, like: Tensor) -> None:
        B, _, H, W = like.shape
        self.next = torch.empty_like(like)
        self.step = like.new_empty(B, 1, H, W)
        # The last column (x) and the last row (y) stay zero: forward differences end there.
        self.slope = like.new_zeros(B, 2, 2, H, W)
        self.square = torch.empty_like(like)
        # Keeps squared lengths above 0, whose reciprocal root is infinite.
        self.tiny = like.new_full((1, 1, 1, 1), 1e-30).expand(B, 1, 1, 1)
        self.length = torch.empty_like(like)

    def keep(self, pairs: Tensor) -> None:
        """Shrink the buffers to the pairs that are not done."""
        for name, buffer in vars(self).items():
            setattr(self, name, buffer[: len(pairs)])


def _iterate(flow: Tensor, dual: Tensor, data: Tensor, s: _Scratch, p: TVL1Parameters) -> Tensor:
    """One primal and one dual step; ``dual`` is changed in place, the new flow is returned.

    ``dual`` is theta times the dual variable, (B, 2, 2, H, W) = (direction of slope, flow component).
    """
    limit = p.lambda_ * p.theta
    torch.addcmul(data[:, 4:], data[:, 2:3], flow[:, :1], out=s.step)
    s.step.addcmul_(data[:, 3:4], flow[:, 1:]).clamp_(-limit, limit)
    new = torch.addcmul(flow, s.step, data[:, :2], value=-1, out=s.next)
    # Divergence by backward differences, the negative adjoint of the forward slope below.
    new.add_(dual[:, 0]).add_(dual[:, 1])
    new[..., 1:].sub_(dual[:, 0, :, :, :-1])
    new[..., 1:, :].sub_(dual[:, 1, :, :-1])

    torch.sub(new[..., 1:], new[..., :-1], out=s.slope[:, 0, :, :, :-1])
    torch.sub(new[..., 1:, :], new[..., :-1, :], out=s.slope[:, 1, :, :-1])
    torch.addcmul(s.tiny, s.slope[:, 0], s.slope[:, 0], out=s.square)
    s.square.addcmul_(s.slope[:, 1], s.slope[:, 1])
    # x / sqrt(x): PyTorch's sqrt takes three times as long on the CPU.
    torch.rsqrt(s.square, out=s.length).mul_(s.square).mul_(p.tau / p.theta).add_(1)
    dual.add_(s.slope, alpha=p.tau).div_(s.length.unsqueeze(1))
    return new


def relax(flow: Tensor, dual: Tensor, data: Tensor, p: TVL1Parameters) -> tuple[Tensor, Tensor]:
    """Iterate each pair until it changes by less than epsilon; pairs that are done leave the batch."""
    out_flow, out_dual = torch.empty_like(flow), torch.empty_like(dual)
    places = torch.arange(flow.shape[0], device=flow.device)
    scratch = _Scratch(flow)
    threshold = p.epsilon * math.sqrt(flow.shape[-2] * flow.shape[-1])
    for _ in range(p.iterations):
        new = _iterate(flow, dual, data, scratch, p)
        changes = torch.linalg.vector_norm(torch.sub(new, flow, out=flow), dim=(1, 2, 3))
        flow, scratch.next = new, flow
        working = [change >= threshold for change in changes.tolist()]
        if all(working):
            continue
        kept = torch.tensor([i for i, w in enumerate(working) if w], device=flow.device, dtype=torch.long)
        done = torch.tensor([i for i, w in enumerate(working) if not w], device=flow.device, dtype=torch.long)
        out_flow[places[done]], out_dual[places[done]] = flow[done], dual[done]
        if not any(working):
            return out_flow, out_dual
        places, flow, dual, data = places[kept], flow[kept], dual[kept], data[kept]
        scratch.keep(kept)
    out_flow[places], out_dual[places] = flow, dual
    return out_flow, out_dual


class Steps(NamedTuple):
    """Steps that a backend may implement itself.

    Attributes:
        linearize: (onset, apex, flow, whether to match the light) to the data term, see `linearize`.
        median: see `median3`.
        relax: iterates one warp: (flow, dual, data, settings) to (flow, dual).
    """

    linearize: Callable[[Tensor, Tensor, Tensor, bool], Tensor] = linearize
    median: Callable[[Tensor], Tensor] = median3
    relax: Callable[[Tensor, Tensor, Tensor, TVL1Parameters], tuple[Tensor, Tensor]] = relax


def solve(onset: Tensor, apex: Tensor, p: TVL1Parameters, steps: Steps) -> Tensor:
    """Flow of a batch, coarse to fine.

    Args:
        onset: (B, 1, H, W) float, 0..255.
        apex: the same.
        p: settings.
        steps: the backend's steps.

    Returns:
        (B, 2, H, W), px.
    """
    scales = list(zip(_pyramid(onset, p), _pyramid(apex, p), strict=True))
    flow = onset.new_zeros(len(onset), 2, *scales[-1][0].shape[-2:])
    for first, second in reversed(scales):
        H, W = first.shape[-2:]
        if flow.shape[-2:] != (H, W):
            flow = _upscale(flow, (H, W))
        dual = first.new_zeros(len(first), 2, 2, H, W)
        for _ in range(p.warps):
            if p.median:
                flow = steps.median(flow)
            data = steps.linearize(first, second, flow, bool(p.illumination))
            flow, dual = steps.relax(flow, dual, data, p)
    return flow
