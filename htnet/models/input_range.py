"""Checks of the values of model inputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.masked import MaskedTensor

from htnet.core.errors import ModelError
from htnet.core.warn import warn_user

#: Images with values below this are not in 0..255. Interpolation does not undershoot 0 that far; images in -1..1, and
#: standardized ones, do.
_LEAST = -0.5


def require_tensor(name: str, what: str, x: object, device: torch.device | None, *, real: bool = True) -> None:
    """Refuse anything but a plain dense tensor of real numbers on the model's device.

    Args:
        name: name of the model.
        what: name of the input, for the message.
        x: the input.
        device: where it must be; None for anywhere.
        real: refuse complex numbers; False if the caller checks the type itself.

    Raises:
        ModelError: it is no tensor, a nested, sparse, quantized, masked or complex one, or on another device.
    """
    if not isinstance(x, Tensor):
        raise ModelError(f"{name} got {what} as {type(x).__name__}; give a tensor: torch.as_tensor(values).")
    if isinstance(x, MaskedTensor):
        raise ModelError(f"{name} got {what} as a masked tensor; give a plain one: tensor.to_tensor(value).")
    if x.is_nested:
        raise ModelError(f"{name} got {what} as a nested tensor; give a dense one: tensor.to_padded_tensor(0).")
    if x.layout != torch.strided:
        raise ModelError(f"{name} got {what} as a tensor of layout {x.layout}; give a dense one: tensor.to_dense().")
    if x.is_quantized:
        raise ModelError(f"{name} got {what} as a quantized tensor; give tensor.dequantize().")
    if real and x.is_complex():
        raise ModelError(f"{name} got {what} of {x.dtype}; give real numbers, float32.")
    if device is not None and x.device != device:
        raise ModelError(
            f"{name} got {what} on the device {x.device}, and its weights are on {device}. Move one to the other."
        )


def refuse_not_finite(name: str, what: str, x: Tensor, give: str) -> None:
    """Refuse NaN and infinity on the CPU. On a GPU, the check would have to wait for the GPU.

    Values are not checked while a graph is made of the call (`torch.compile`, `torch.export`, `torch.jit.trace`), nor
    inside `torch.vmap`.

    Args:
        name: name of the model.
        what: name of the input, for the message.
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


def refuse_bad_output(name: str, what: str, x: Tensor, dtype: torch.dtype) -> None:
    """Refuse NaN and infinity in the output of a model, on every device, except while a graph is made of the call.

    Args:
        name: name of the model.
        what: name of the output, for the message.
        x: the output.
        dtype: the type that the model computed it in.

    Raises:
        ModelError: a value is NaN or infinite.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    bounds = _bounds(x)
    if bounds is not None and not all(map(math.isfinite, bounds)):
        cure = "so are its weights. Load or train them again."
        if dtype == torch.float16:
            cure = "numbers became too large for float16, or its weights are NaN. Use float32 or bfloat16."
        raise ModelError(f"{name} computed {what} that are NaN or infinite: {cure}")


def look_at_range(name: str, x: Tensor) -> None:
    """Warn about images that were divided by 255 or standardized, and refuse NaN and infinity. Waits for a GPU.

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
    """Smallest and largest value, both NaN if any value is; None if there are no values or they cannot be read."""
    if not (x.is_floating_point() and x.numel()):
        return None
    try:
        found = x.detach()  # it may require gradients, as for integrated gradients
        return float(found.min()), float(found.max())
    except RuntimeError:  # inside torch.vmap, or the tensor has no values
        return None
