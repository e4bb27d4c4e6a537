"""Checks of the value range of image batches."""

from __future__ import annotations

import math

from torch import Tensor

from htnet.core.errors import ModelError
from htnet.core.warn import warn_user

#: Interpolation goes below 0 by less; images in -1..1, and standardized ones, by more.
_LEAST = -0.5


def look_at_range(name: str, x: Tensor) -> None:
    """Refuse NaN, and warn about images that were divided by 255 or standardized."""
    if not (x.is_floating_point() and x.numel()):
        return
    try:
        low, high = float(x.min()), float(x.max())  # both are NaN if a value is
        fractions = bool((x != x.round()).any())
    except RuntimeError:  # inside torch.vmap values cannot be looked at
        return
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ModelError(f"{name} got images with NaN or infinite values; give values 0..255.")
    if low < _LEAST or (0 < high <= 1 and fractions):
        said = "0..1, but reads 0..255. Multiply them by 255"
        if low < _LEAST:
            said = f"{low:g}..{high:g}, but reads 0..255. It standardizes them itself: give the original values"
        warn_user(f"{name} got images with values {said}, or give them as uint8.")
