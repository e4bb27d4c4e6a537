"""Cubic sampling, and frames moved by a known displacement field."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from htnet.core.arrays import plain_array
from htnet.core.errors import FlowError, FrameError
from htnet.core.types import ByteArray, FloatArray

#: Maximum number of fixed-point steps of `displace`, and the remaining misplacement (px) that it accepts.
_INVERSION_STEPS = 100
_INVERSION_TOLERANCE = 1e-3


def _catmull_rom(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the samples at -1, 0, 1, 2 for a position ``t`` in [0, 1)."""
    t2 = t * t
    t3 = t2 * t
    return (
        0.5 * (2 * t2 - t3 - t),
        0.5 * (3 * t3 - 5 * t2 + 2),
        0.5 * (4 * t2 - 3 * t3 + t),
        0.5 * (t3 - t2),
    )


def sample_cubic(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Sample images between their pixels by cubic convolution with a = -1/2 (Keys 1981).

    OpenCV and PyTorch use a = -3/4, which misplaces even a linear ramp by up to 0.05 px; that is
    half of a faint micro-expression. With a = -1/2 ramps and parabolas come out exactly.

    Args:
        images: (B, C, H, W) float.
        x: (B, H', W') columns, px; positions outside take the value of the nearest border.
        y: (B, H', W') rows, px.

    Returns:
        (B, C, H', W').
    """
    B, C, H, W = images.shape
    x, y = x.clamp(0, W - 1), y.clamp(0, H - 1)
    left, top = x.floor(), y.floor()
    weights_x, weights_y = _catmull_rom(x - left), _catmull_rom(y - top)
    column, row = left.long(), top.long()
    columns = [(column + k).clamp_(0, W - 1) for k in (-1, 0, 1, 2)]
    flat = images.reshape(B, C, H * W)
    out = images.new_zeros(B, C, *x.shape[1:])
    for k, weight_y in zip((-1, 0, 1, 2), weights_y, strict=True):
        start = (row + k).clamp_(0, H - 1).mul_(W)
        for place, weight_x in zip(columns, weights_x, strict=True):
            index = (start + place).view(B, 1, -1).expand(B, C, -1)
            out.addcmul_(flat.gather(2, index).view(out.shape), (weight_x * weight_y).unsqueeze(1))
    return out


def _checked_field(displacement: FloatArray, shape: tuple[int, ...]) -> Tensor:
    """The displacement as (1, 2, H, W) float64."""
    field = plain_array(displacement, "The displacement has", FlowError)
    if field.shape != (2, *shape) or not np.issubdtype(field.dtype, np.floating):
        raise FlowError(
            f"Displacement has shape {field.shape}, type {field.dtype}; give float "
            f"(2, {shape[0]}, {shape[1]}) = (x, y) in px, of the frame's size."
        )
    if not np.isfinite(field).all():
        raise FlowError(
            f"Displacement contains {int((~np.isfinite(field)).sum())} NaN or infinite values; replace them by "
            "finite px."
        )
    return torch.from_numpy(field.astype(np.float64))[None]


def displace(frame: ByteArray, displacement: FloatArray) -> ByteArray:
    """Make the apex frame in which each onset pixel x lies at ``x + displacement(x)``.

    Each apex pixel y looks up the onset at the x with x + displacement(x) = y, found by the fixed
    point x <- y - displacement(x). The true flow from ``frame`` to the result is ``displacement``.

    Args:
        frame: (H, W) or (H, W, 3) uint8, the onset.
        displacement: (2, H, W) float, px; [0] to the right, [1] downward.

    Returns:
        uint8, shaped like ``frame``. Pixels that move in from outside repeat the border.

    Raises:
        FrameError: ``frame`` is not a uint8 image.
        FlowError: ``displacement`` has another size, is not finite, or folds the image over (it
            has no inverse).
    """
    frame = plain_array(frame, "The frame has", FrameError)
    if frame.dtype != np.uint8 or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)):
        raise FrameError(f"Frame has shape {frame.shape}, type {frame.dtype}; give uint8 of shape (H, W) or (H, W, 3).")
    H, W = frame.shape[:2]
    field = _checked_field(displacement, (H, W))
    rows = torch.arange(H, dtype=torch.float64).view(1, H, 1).expand(1, H, W)
    columns = torch.arange(W, dtype=torch.float64).view(1, 1, W).expand(1, H, W)
    x, y, miss = columns, rows, float("inf")
    for _ in range(_INVERSION_STEPS):
        moved = sample_cubic(field, x, y)
        new_x, new_y = columns - moved[:, 0], rows - moved[:, 1]
        miss = max(float((new_x - x).abs().max()), float((new_y - y).abs().max()))
        x, y = new_x, new_y
        if miss < _INVERSION_TOLERANCE:
            break
    else:
        raise FlowError(
            f"Displacement (longest {float(field.norm(dim=1).max()):.3g} px) cannot be inverted: after "
            f"{_INVERSION_STEPS} steps it still misses by {miss:.3g} px, so it folds the image over. "
            "Make it smaller or smoother: it must change by less than 1 px from one pixel to the next."
        )
    planes = torch.from_numpy(frame.reshape(H, W, -1).astype(np.float64)).permute(2, 0, 1)[None]
    moved = sample_cubic(planes, x, y)[0].permute(1, 2, 0).round_().clamp_(0, 255)
    return moved.to(torch.uint8).numpy().reshape(frame.shape)
