"""TV-L1 optical flow: checks of the input, and dispatch to a backend.

Zach, Pock and Bischof, "A duality based approach for realtime TV-L1 optical flow", DAGM 2007;
Sanchez, Meinhardt-Llopis and Facciolo, "TV-L1 optical flow estimation", IPOL 2013, article 26.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htnet.core.arrays import refuse_masked
from htnet.core.errors import FlowError, FrameError
from htnet.core.lazy import loading
from htnet.core.optional import require
from htnet.core.parallel import refuse_after_fork
from htnet.core.types import ByteArray, FloatArray
from htnet.preprocess.depth import BLACK
from htnet.preprocess.flow.tvl1_parameters import MIN_SIDE, TVL1Parameters
from htnet.preprocess.flow.tvl1_routing import choose_tvl1
from htnet.preprocess.flow.tvl1_solver import Steps, solve

#: Pixels that are iterated together on the CPU; more do not fit in its cache.
CACHED_PIXELS = 60_000
#: Up to this many pixels per frame, one thread is faster than several: each step takes microseconds, and threads that
#: share a core or have to wait for one cost more time than they save.
ONE_THREAD_PIXELS = 300_000


def _as_batch(frame: Tensor | ByteArray | FloatArray, name: str) -> Tensor:
    """A frame or batch of frames as float32 (B, 1, H, W), 0..255."""
    refuse_masked(frame, f"The {name} has", FrameError)
    if isinstance(frame, np.ndarray) and frame.dtype.kind in "biuf":
        long = frame.dtype.kind == "f" and frame.dtype.itemsize > 8  # long double, which PyTorch has not
        plain = np.dtype(np.float64) if long else frame.dtype.newbyteorder("=")
        frame = torch.from_numpy(frame.astype(plain))  # a copy, writable and contiguous
    if not isinstance(frame, Tensor) or frame.layout != torch.strided or frame.is_meta:
        kind = getattr(frame, "dtype", type(frame).__name__)
        if isinstance(frame, Tensor):
            kind = "on the device meta" if frame.is_meta else f"of the layout {frame.layout}"
        raise FrameError(f"The {name} is {kind}; give a NumPy array or a tensor of uint8 or float.")
    pixels, shape = frame, tuple(frame.shape)
    if pixels.ndim not in (2, 3):
        raise FrameError(f"The {name} has shape {shape}; give gray frames, (H, W) or (B, H, W).")
    if min(shape[-2:]) < MIN_SIDE or 0 in shape:
        hint = " It looks like a color frame: convert it to gray first." if shape[-1] in (3, 4) else ""
        raise FrameError(f"The {name} has shape {shape}; give frames of {MIN_SIDE}x{MIN_SIDE} px or more.{hint}")
    if pixels.dtype == torch.uint8 and pixels.device.type == "cpu":
        # Converted by NumPy, because PyTorch would use its threads for this.
        pixels = torch.from_numpy(pixels.numpy().astype(np.float32))
    elif pixels.dtype == torch.uint8:
        pixels = pixels.float()
    elif pixels.is_floating_point():
        if not bool(torch.isfinite(pixels).all()):
            raise FrameError(f"The {name} contains NaN or infinite pixels; replace them first.")
        low, high = float(pixels.min()), float(pixels.max())
        if low < 0 or high > 1:
            raise FrameError(
                f"The {name} is {pixels.dtype} with values {low:g}..{high:g}; float frames must lie in 0..1. "
                "Divide by 255, or give uint8."
            )
        pixels = pixels.float() * 255
    else:
        raise FrameError(f"The {name} has type {pixels.dtype}; give uint8 0..255 or float 0..1.")
    return pixels.reshape(-1, 1, *shape[-2:])


def _refuse_black(onset: Tensor, apex: Tensor) -> None:
    """Refuse float pairs that are almost black, as 12-bit values are after a division by 65535."""
    tops = torch.maximum(onset.amax((1, 2, 3)), apex.amax((1, 2, 3))) / 255
    black = (tops > 0) & (tops < BLACK)
    if bool(black.any()):
        number = int(black.nonzero()[0])
        raise FrameError(
            f"Onset and apex {f'of pair {number} ' if len(tops) > 1 else ''}are almost black: the largest value is "
            f"{float(tops[number]):.1%} of white. Divide values of 12 bits by 4095, of 10 bits by 1023."
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread, for the calling thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _solver(backend: str, device: torch.device) -> Callable[[Tensor, Tensor, TVL1Parameters], Tensor]:
    """The function that computes flow with a backend; the backend's module is imported on first use."""
    backend = choose_tvl1(device.type, backend)
    if backend == "numba":
        with loading():
            from htnet.preprocess.flow import tvl1_numba

        return tvl1_numba.solve
    if backend == "triton":
        require("triton", "triton", "The TV-L1 backend 'triton'")
        with loading():
            from htnet.preprocess.flow import tvl1_triton

        steps = Steps(relax=tvl1_triton.relax)
    elif backend == "compile":
        with loading():
            from htnet.preprocess.flow import tvl1_compiled

        steps = tvl1_compiled.STEPS
    else:
        steps = Steps()

    def flows(start: Tensor, end: Tensor, p: TVL1Parameters) -> Tensor:
        together = max(1, CACHED_PIXELS // start[0].numel()) if device.type == "cpu" else len(start)
        if backend == "compile":
            together = 1
        parts = zip(start.split(together), end.split(together), strict=True)
        small = device.type == "cpu" and start[0].numel() <= ONE_THREAD_PIXELS
        with _one_thread() if small else nullcontext():
            return torch.cat([solve(first, second, p, steps) for first, second in parts])

    return flows


@torch.no_grad()
def tvl1_flow(
    onset: Tensor | ByteArray | FloatArray,
    apex: Tensor | ByteArray | FloatArray,
    *,
    backend: str = "auto",
    **parameters: Any,
) -> Tensor:
    """TV-L1 optical flow from onset to apex.

    Minimizes the sum over pixels of ``lambda |apex(x + w(x)) - onset(x)| + |grad u| + |grad v|``
    for w = (u, v), scale by scale. Each pair stops by its own change, so its answer does not depend
    on the rest of the batch. No gradient is kept through it. Mean end-point error on warped 8-bit
    faces (means over 21 fields of mean length 0.1 to 3 px): 0.10 px; scikit-image's TV-L1 0.19 px
    (attachment 5: 0.36 px).

    Args:
        onset: (H, W) or (B, H, W) gray frames, uint8 0..255 or float 0..1, NumPy or PyTorch.
        apex: frames of the same shape on the same device.
        backend: "auto" (see `htnet.preprocess.explain_tvl1`), "numba" (machine code, on the CPU; compiled once on a
            machine, which takes ten seconds or more), "triton" (iterations as fused kernels, CUDA), "compile"
            (torch.compile on the CPU; the first call takes half a minute and needs a C++ compiler) or "eager" (plain
            PyTorch, the reference for the others).
        **parameters: fields of `TVL1Parameters`.

    Returns:
        (2, H, W) or (B, 2, H, W) float32 on the frames' device: u to the right and v downward, px.

    Raises:
        FrameError: a frame has a wrong shape, type or range, contains NaN or masked pixels or is under 16 px; or float
            frames are almost black, as after a wrong division.
        FlowError: onset and apex differ in shape or device.
        InputError: a parameter is unknown or impossible, or the backend cannot run on the frames' device.
        MissingExtraError: the backend is not installed.
        RunError: numba cannot compile the loops here; or this process was forked from one that had already computed
            flow, see `htnet.core.parallel.refuse_after_fork`.
    """
    refuse_after_fork()
    p = TVL1Parameters.from_names(**parameters)
    start, end = _as_batch(onset, "onset"), _as_batch(apex, "apex")
    if tuple(onset.shape) != tuple(apex.shape) or start.device != end.device:
        raise FlowError(
            f"Onset {tuple(onset.shape)} on {start.device} and apex {tuple(apex.shape)} on {end.device} do "
            "not match; give frames of one size on one device."
        )
    if not all(frame.dtype in (np.uint8, torch.uint8) for frame in (onset, apex)):
        _refuse_black(start, end)
    flow = _solver(backend, start.device)(start, end, p)
    return flow[0] if onset.ndim == 2 else flow
