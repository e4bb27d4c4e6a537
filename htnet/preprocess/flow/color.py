"""Pictures of a flow field by the Middlebury color code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from htnet.core.fields import real, whole
from htnet.core.types import ByteArray, Float64Array, FloatArray, Flow

#: Baker et al. give the wheel 55 steps: red to yellow 15, to green 6, to cyan 4, to blue 11, to magenta 13, to
#: red 6. The eye distinguishes these hues about equally well.
_PLACES = (0, 15, 21, 25, 36, 49, 55)
_HUES = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255), (255, 0, 0))
#: Factor that darkens flow beyond the largest length, and the relative length up to which it counts as rounding.
_BEYOND = 0.75
_EDGE = 1 + 1e-6


def color_wheel(uv: FloatArray | torch.Tensor, max_px: float | None = None) -> ByteArray:
    """Picture of a flow: hue is direction, saturation is length (the Middlebury color code).

    After Baker et al., A Database and Evaluation Methodology for Optical Flow, IJCV 92(1), 2011: no motion is
    white, ``max_px`` is a full hue, and longer flow is darkened. Right is red, down yellow, left cyan to
    blue, up violet. See `color_wheel_legend`.

    Args:
        uv: (2, H, W) float, px.
        max_px: length of the full hue, px; by default the longest in the field. Give it if pictures are to be
            compared.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        FlowError: the shape is wrong, or a value is NaN or infinite.
        InputError: ``max_px`` is not a positive number.
    """
    given: Any = uv
    u, v = Flow(given, "color wheel").uv.astype(np.float64)
    length = np.hypot(u, v)
    if max_px is None:
        max_px = float(length.max(initial=0.0)) or 1.0
    return _paint(np.arctan2(v, u), length / real(gt=0).check("max_px", max_px))


def color_wheel_legend(size: int = 101) -> ByteArray:
    """The key to `color_wheel`: the color of each direction and length, on white.

    Args:
        size: side of the picture, px, 3 or more. The disc's edge is the full hue.

    Returns:
        (size, size, 3) uint8, RGB.

    Raises:
        InputError: the size is impossible.
    """
    whole(3).check("size", size)
    across = np.linspace(-1.0, 1.0, size)
    length = np.hypot(across[None], across[:, None])
    picture = _paint(np.arctan2(across[:, None], across[None]), length)
    picture[length > _EDGE] = 255
    return picture


def _paint(angle: Float64Array, length: Float64Array) -> ByteArray:
    """Colors of directions (radians) and lengths (1 is the full hue): (..., 3) uint8."""
    place = angle % (2 * np.pi) * (_PLACES[-1] / (2 * np.pi))
    hue = np.stack([np.interp(place, _PLACES, channel) for channel in zip(*_HUES, strict=True)], axis=-1)
    length = length[..., None]
    color = np.where(length <= _EDGE, 255 - length * (255 - hue), hue * _BEYOND)
    return np.rint(color.clip(0, 255)).astype(np.uint8)
