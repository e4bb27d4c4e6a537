"""Checks of the values of model inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from htnet.core.errors import ModelError
from htnet.core.warn import warn_user

#: Interpolation goes below 0 by less; images in -1..1, and standardized ones, by more.
_LEAST = -0.5


def refuse_not_finite(name: str, what: str, x: Tensor, give: str) -> None:
    """Refuse NaN and infinity where a look waits for nothing: on the CPU.

    Values are not looked at while a graph is made of the call (`torch.compile`, `torch.export`, `torch.jit.trace`), nor
    inside `torch.vmap`.

    Args:
        name: of the model.
        what: the input is, for the message.
        x: the input.
        give: what to give instead.

    Raises:
        ModelError: a value is NaN or infinite.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    bounds = _bounds(x)
    if bounds is not None and not all(map(math.isfinite, bounds)):
        raise ModelError(f"{name} got {what} with NaN or infinite values; give {give}.")


def look_at_range(name: str, x: Tensor) -> None:
    """Warn about images that were divided by 255 or standardized, and refuse NaN; a GPU is waited for.

    Raises:
        ModelError: a value is NaN or infinite.
    """
    if (bounds := _bounds(x)) is None:
        return
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ModelError(f"{name} got images with NaN or infinite values; give values 0..255.")
    if low < _LEAST or (0 < high <= 1 and bool((x != x.round()).any())):
        said = "0..1, but reads 0..255. Multiply them by 255"
        if low < _LEAST:
            said = f"{low:g}..{high:g}, but reads 0..255. It standardizes them itself: give the original values"
        warn_user(f"{name} got images with values {said}, or give them as uint8.")


def _bounds(x: Tensor) -> tuple[float, float] | None:
    """Smallest and largest value, both NaN if a value is; None where there are none or they cannot be looked at."""
    if not (x.is_floating_point() and x.numel()):
        return None
    try:
        found = x.detach()  # gradients may be asked for, as integrated gradients do
        return float(found.min()), float(found.max())
    except RuntimeError:  # inside torch.vmap, or the tensor has no values
        return None
