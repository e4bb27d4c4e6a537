"""Block attention against PyTorch's: the same shapes with every backend, after a check that results agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measure import Times, compare, interleave, memory_bandwidth
from benchmarks.verify import agree
from htnet.core.errors import InputError
from htnet.kernels import block_attention, explain, reference_attention

Way = Callable[[Tensor, Tensor, Tensor], Tensor]

HEADS = 3
#: Tokens a sequence has; head widths, 85 being the published one.
TOKENS = (1, 4, 9, 16, 49, 64, 196)
HEAD_DIMS = (16, 32, 64, 85, 128)
#: Values of queries (and of keys, values, output) in a shape: on a GPU several times what its cache holds.
VALUES = {"cpu": 2**21, "cuda": 2**26}
#: Largest difference that is accepted, relative to the largest value of each tensor.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
#: PyTorch's own backends on a GPU; which of them support a shape is determined by trying.
SDPA = {
    "sdpa_flash": SDPBackend.FLASH_ATTENTION,
    "sdpa_efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa_math": SDPBackend.MATH,
}
#: The bars, see issue 5: times as fast as the best of PyTorch's backends.
BAR, BAR_FEW_TOKENS, FEW_TOKENS = 1.0, 2.0, 16


@dataclass(frozen=True)
class Setting:
    """What is timed on a device.

    Attributes:
        device: "cpu" or "cuda".
        tokens: numbers of tokens.
        head_dims: head widths.
        dtypes: types of queries, keys and values.
        values: values of queries in a shape.
        rounds: figures for each way.
        compiled: head widths at which the plain form is compiled too, which takes seconds a shape.
    """

    device: str
    tokens: tuple[int, ...]
    head_dims: tuple[int, ...]
    dtypes: tuple[torch.dtype, ...]
    values: int
    rounds: int
    compiled: tuple[int, ...]

    def shapes(self) -> Iterator[tuple[torch.dtype, tuple[int, int, int, int]]]:
        """Type and (blocks, heads, tokens, head_dim)."""
        for dtype in self.dtypes:
            for tokens in self.tokens:
                for head_dim in self.head_dims:
                    yield dtype, (max(1, self.values // (HEADS * tokens * head_dim)), HEADS, tokens, head_dim)


def run(quick: bool) -> dict[str, Any]:
    """All shapes on the CPU."""
    dtypes = (torch.float32, torch.bfloat16)
    if quick:
        return _run(Setting("cpu", (1, 9), (16, 85), dtypes, 2**14, 3, compiled=()))
    return _run(Setting("cpu", TOKENS, HEAD_DIMS, dtypes, VALUES["cpu"], 9, compiled=(85,)))


def run_gpu(quick: bool) -> dict[str, Any]:
    """All shapes on one CUDA device."""
    if not torch.cuda.is_available():
        raise InputError("The benchmark attention_gpu needs a CUDA device; there is none here.")
    dtypes = (torch.bfloat16, torch.float32)
    if quick:
        return _run(Setting("cuda", (1, 9), (16, 85), dtypes, 2**20, 3, compiled=()))
    return _run(Setting("cuda", TOKENS, HEAD_DIMS, dtypes, VALUES["cuda"], 15, compiled=HEAD_DIMS))


def _run(setting: Setting) -> dict[str, Any]:
    bandwidth = _bandwidth(setting)
    shapes = [_shape(shape, dtype, setting, bandwidth) for dtype, shape in setting.shapes()]
    name = {"gpu": torch.cuda.get_device_name()} if setting.device == "cuda" else {}
    return {
        "device": setting.device,
        **name,
        "tolerance": {str(dtype): TOLERANCE[dtype] for dtype in setting.dtypes},
        "bandwidth_gb_per_s": bandwidth,
        "bar": {"every_shape": BAR, f"up_to_{FEW_TOKENS}_tokens_on_cuda": BAR_FEW_TOKENS},
        "met_at": {
            direction: f"{sum(s[direction]['met'] for s in shapes)} of {len(shapes)} shapes"
            for direction in ("forward", "forward_and_backward")
        },
        "shapes": shapes,
    }


def _shape(
    shape: tuple[int, int, int, int], dtype: torch.dtype, setting: Setting, bandwidth: dict[str, float]
) -> dict[str, Any]:
    """One shape: agreement of all ways that take it, then times."""
    generator = torch.Generator(setting.device).manual_seed(0)
    make = partial(torch.randn, shape, generator=generator, device=setting.device)
    q, k, v, grad = (make().to(dtype) for _ in range(4))
    ways = _ways(setting, (q, k, v), grad)
    exact = _results(ways["reference"], *(t.double() for t in (q, k, v, grad)))
    # In the type that is measured, so that what is nothing but its rounding counts as 0.
    truth = {name: value.to(dtype) for name, value in exact.items()}
    what = f"attention {shape} {dtype}"
    worst = {
        name: agree(_results(way, q, k, v, grad), truth, TOLERANCE[dtype], f"{what} by {name}")
        for name, way in ways.items()
    }
    inputs = tuple(t.requires_grad_() for t in (q, k, v))
    repeats = 1 if setting.device == "cuda" else max(1, 2**19 // q.numel())
    timed = partial(_times, rounds=setting.rounds, repeats=repeats)
    return {
        "shape": shape,
        "dtype": str(dtype).removeprefix("torch."),
        "ours": explain(*inputs).backend,
        "largest_relative_difference": worst,
        # Forward reads three tensors and writes one; backward reads these three and a gradient, and writes three.
        "forward": _summary(timed(ways, inputs, None), 4 * q.nbytes, shape, setting, bandwidth),
        "forward_and_backward": _summary(timed(ways, inputs, grad), 11 * q.nbytes, shape, setting, bandwidth),
    }


def _ways(setting: Setting, inputs: tuple[Tensor, Tensor, Tensor], grad: Tensor) -> dict[str, Way]:
    """What is compared: the plain form, PyTorch's attention, the compiled plain form, and ours."""
    ways: dict[str, Way] = {"reference": _plain}
    if setting.device == "cuda":
        for name, backend in SDPA.items():
            way = partial(_sdpa, backend=backend)
            if _takes(way, inputs, grad):
                ways[name] = way
    else:
        ways["sdpa"] = _sdpa
    if inputs[0].shape[-1] in setting.compiled:
        torch.compiler.reset()  # else the plain form is compiled for a few shapes only
        ways["compiled"] = torch.compile(_plain, dynamic=False)
    return {**ways, "htnet": block_attention}


def _plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return reference_attention(q, k, v, None, q.shape[-1] ** -0.5)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, backend: SDPBackend | None = None) -> Tensor:
    with nullcontext() if backend is None else sdpa_kernel(backend):
        return F.scaled_dot_product_attention(q, k, v)


def _takes(way: Way, inputs: tuple[Tensor, Tensor, Tensor], grad: Tensor) -> bool:
    """Whether a backend of PyTorch's computes a shape, forward and backward."""
    try:
        _results(way, *inputs, grad)
    except RuntimeError:  # PyTorch says no other way that a backend does not take something
        return False
    return True


def _results(way: Way, q: Tensor, k: Tensor, v: Tensor, grad: Tensor) -> dict[str, Tensor]:
    """Output and gradients."""
    inputs = [t.detach().requires_grad_() for t in (q, k, v)]
    out = way(*inputs)
    out.backward(grad)
    # With one token ours reads neither queries nor keys: their gradient is none, which is 0.
    grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in inputs]
    return dict(zip(("out", "q", "k", "v"), [out.detach(), *grads], strict=True))


def _times(
    ways: dict[str, Way], inputs: tuple[Tensor, Tensor, Tensor], grad: Tensor | None, *, rounds: int, repeats: int
) -> Times:
    """Milliseconds of forward or, given a gradient, of forward and backward."""

    def once(way: Way) -> None:
        if grad is None:
            with torch.no_grad():
                way(*inputs)
        else:
            out = way(*inputs)
            torch.autograd.grad(out, inputs, grad, allow_unused=True)
        if inputs[0].is_cuda:
            torch.cuda.synchronize()

    calls: dict[str, Callable[[], object]] = {name: partial(once, way) for name, way in ways.items()}
    return interleave(calls, rounds, repeats=repeats, warmup=2)


def _summary(
    times: Times, moved: int, shape: tuple[int, ...], setting: Setting, bandwidth: dict[str, float]
) -> dict[str, Any]:
    """Times, the floor of memory beside them, and whether the bar is met."""
    summary = compare(times, "reference")
    best = min((name for name in times if name.startswith("sdpa")), key=lambda name: median(times[name]))
    # Rounded first, so the bar is judged by the figure that is written down.
    ratio = float(f"{median(times[best]) / median(times['htnet']):.4g}")
    wanted = BAR_FEW_TOKENS if setting.device == "cuda" and shape[2] <= FEW_TOKENS else BAR
    floor = moved / 1e6 / max(bandwidth.values())
    return {
        **summary,
        "memory_floor": {"megabytes": round(moved / 1e6, 3), "ms": float(f"{floor:.4g}")},
        "times_the_floor": {name: float(f"{median(own) / floor:.4g}") for name, own in times.items()},
        "best_sdpa": best,
        "times_as_fast_as_best_sdpa": ratio,
        "bar": wanted,
        "met": ratio > wanted if wanted == BAR else ratio >= wanted,
    }


def _bandwidth(setting: Setting) -> dict[str, float]:
    """GB/s of the device's memory."""
    if setting.device == "cpu":
        return memory_bandwidth(megabytes=8 if setting.rounds < 5 else 1000, rounds=setting.rounds)
    source = torch.ones(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)
        torch.cuda.synchronize()

    return {"copy": round(2 * source.nbytes / 1e6 / median(interleave({"copy": copy}, 9, warmup=3)["copy"]), 2)}
