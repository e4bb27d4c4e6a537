"""Block attention at every shape that the models have: the Triton kernels, PyTorch's attention and flex attention.

Without a CUDA device the kernels run in Triton's interpreter, and only their errors are told. With one, times are
also told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from benchmarks.measure import ROOT, compare, interleave
from benchmarks.verify import agree
from htnet.acceleration.graph import Graph, draw
from htnet.core.errors import InputError
from htnet.kernels import block_attention, reference_attention
from htnet.kernels.masks import additive, map_side, neighbor_mask
from htnet.models import create_model, dual_stream, layers, list_models, mhssa_gcn

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
#: What is added to the scores or hides some of them.
VARIANTS = ("plain", "bias", "mask", "neighbors", "neighbors and bias")
#: Largest difference from float64, relative to the largest value of each tensor: 196 x 128 products of float32 rounded
#: to 6e-8 each; weights and results of 16 bits rounded to 2^-9 and 2^-12.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
#: Images at once on a GPU.
BATCH = 256

#: Queries, keys, values, bias and boolean mask to the output.
Way = Callable[..., Tensor]


@dataclass(frozen=True)
class Shape:
    """One shape of queries.

    Attributes:
        models: which have it.
        blocks: sequences of one image.
        heads: heads.
        tokens: tokens of a sequence.
        head_dim: width of a head.
    """

    models: tuple[str, ...]
    blocks: int
    heads: int
    tokens: int
    head_dim: int


def model_shapes() -> list[Shape]:
    """All shapes of all registered models with more than one token, each once; seen by running the models."""
    seen: dict[tuple[int, ...], set[str]] = {}
    for name in list_models():
        model = create_model(name).eval()

        def noted(q: Tensor, *others: Tensor, name: str = name, **settings: Any) -> Tensor:
            if q.shape[2] > 1:
                seen.setdefault((q.shape[0] // 2, *q.shape[1:]), set()).add(name)
            return block_attention(q, *others, **settings)

        with torch.no_grad(), _all_patched(noted):
            inputs = Graph(model).inputs
            image, *more = draw(inputs, 2)
            model(image, **{info.name: value for info, value in zip(inputs[1:], more, strict=True)})
    return [Shape(tuple(sorted(names)), *sizes) for sizes, names in sorted(seen.items())]


class _all_patched:  # noqa: N801 # used like a function
    """Within it, the models' attention is another function."""

    def __init__(self, other: Callable[..., Tensor]) -> None:
        self._patches = [patch.object(module, "block_attention", other) for module in (layers, mhssa_gcn, dual_stream)]

    def __enter__(self) -> None:
        for one in self._patches:
            one.start()

    def __exit__(self, *told: object) -> None:
        for one in self._patches:
            one.stop()


def run(quick: bool) -> dict[str, Any]:
    """Errors in Triton's interpreter, in a process of its own: it is chosen when Triton is imported."""
    command = [sys.executable, "-m", "benchmarks.attention_models", *(["--quick"] if quick else [])]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"benchmarks.attention_models ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return {"device": "cpu", "kernels": "Triton's interpreter", **json.loads(done.stdout.splitlines()[-1])}


def run_gpu(quick: bool) -> dict[str, Any]:
    """Errors and times on one CUDA device."""
    if not torch.cuda.is_available():
        raise InputError("The benchmark attention_models_gpu needs a CUDA device; there is none here.")
    return {"device": "cuda", "gpu": torch.cuda.get_device_name(), **measured("cuda", quick)}


def measured(device: str, quick: bool) -> dict[str, Any]:
    """All cases and the worst of them; on a GPU with times."""
    rows = list(cases(device, quick))
    names = {dtype: str(dtype).removeprefix("torch.") for dtype in DTYPES}
    found = {
        "torch": torch.__version__,
        "tolerance": {names[dtype]: limit for dtype, limit in TOLERANCE.items()},
        "largest_relative_difference": {
            name: max((row["htnet"] for row in rows if row["dtype"] == name), default=0.0) for name in names.values()
        },
        "cases": len(rows),
    }
    if device == "cuda":
        found["faster_than_sdpa_and_flex"] = f"{sum(row['times_as_fast_as_best'] >= 1 for row in rows)} of {len(rows)}"
    return {**found, "rows": rows}


def cases(device: str, quick: bool) -> Iterator[dict[str, Any]]:
    """Each case as soon as it is known, the largest shapes first; types and variants take turns within a shape."""
    for shape, dtype, variant in _cases(device, quick):
        torch.manual_seed(0)
        yield _case(shape, dtype, variant, device)


def _cases(device: str, quick: bool) -> Iterator[tuple[Shape, torch.dtype, str]]:
    """Shapes, types and variants; the interpreter needs each number of tokens and width only once."""
    shapes: dict[tuple[int, ...], Shape] = {}
    for shape in model_shapes():
        key = (shape.tokens, shape.head_dim)
        shapes.setdefault(key if device == "cpu" else (*key, shape.heads, shape.blocks), shape)
    some = sorted(shapes.values(), key=lambda shape: -shape.tokens * shape.head_dim * shape.blocks)
    for shape in some[-2:] if quick else some:
        for dtype in DTYPES:
            for variant in VARIANTS:
                if "neighbors" not in variant or round(shape.tokens**0.5) ** 2 == shape.tokens:
                    yield shape, dtype, variant


def _case(shape: Shape, dtype: torch.dtype, variant: str, device: str) -> dict[str, Any]:
    """Errors of every way against float64, forward and backward, and on a GPU their times."""
    # In the interpreter more than one tile, the last of them not full.
    blocks = shape.blocks * BATCH if device == "cuda" else 3
    heads = shape.heads if device == "cuda" else 2
    sizes = (blocks, heads, shape.tokens, shape.head_dim)
    q, k, v, grad = (torch.randn(sizes, device=device).to(dtype) for _ in range(4))
    bias = torch.randn(1, heads, shape.tokens, shape.tokens, device=device) if "bias" in variant else None
    mask = None
    if variant == "mask":
        mask = torch.rand(1, heads, shape.tokens, shape.tokens, device=device) < 0.7
        # PyTorch's ways give NaN where a token may read nothing.
        mask = mask | torch.eye(shape.tokens, dtype=torch.bool, device=device)
    elif "neighbors" in variant:
        mask = neighbor_mask(map_side(shape.tokens), torch.device(device))
    ours = "neighbors" if "neighbors" in variant else mask
    ways: dict[str, Way] = {
        "htnet": lambda q, k, v, bias, _: block_attention(q, k, v, bias=bias, mask=ours, backend="triton"),
        "sdpa": _sdpa,
        "flex": partial(_flex, call=_compiled_flex() if device == "cuda" else flex_attention),
    }
    precise = None if bias is None else bias.double()
    exact = _results(_exact, q.double(), k.double(), v.double(), precise, mask, grad.double())
    row: dict[str, Any] = {
        "models": shape.models,
        "shape": sizes,
        "dtype": str(dtype).removeprefix("torch."),
        "variant": variant,
    }
    for name, way in list(ways.items()):
        try:
            found = _results(way, q, k, v, bias, mask, grad)
        except Exception as error:  # what a way of PyTorch's refuses it tells in many classes
            if name == "htnet":
                raise
            del ways[name]
            if device == "cuda":
                row[name] = f"refused: {type(error).__name__}"
                continue
            # Flex attention has no backward pass on the CPU.
            name, found = f"{name}, forward", {"out": way(q, k, v, bias, mask).double()}
        limit = TOLERANCE[dtype] if name == "htnet" else float("inf")
        what = f"{name}, {sizes} {dtype} {variant}"
        row[name] = float(f"{agree(found, {key: exact[key] for key in found}, limit, what):.3g}")
    return {**row, **_times(ways, (q, k, v), bias, mask, grad)} if device == "cuda" else row


def _exact(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    whole = None if mask is None else mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    return reference_attention(q, k, v, bias, q.shape[-1] ** -0.5, whole)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    bias = None if bias is None else bias.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, additive(bias, mask, q.dtype))


@cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention)


def _flex(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None, call: Any) -> Tensor:
    whole = None if mask is None else mask.reshape((1,) * (4 - mask.ndim) + mask.shape).expand(1, q.shape[1], -1, -1)

    def score(value: Tensor, _: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        if bias is not None:
            value = value + bias[0, head, row, column]
        return value if whole is None else torch.where(whole[0, head, row, column], value, -float("inf"))

    out: Tensor = call(q, k, v, score_mod=score)
    return out


def _results(
    way: Way, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None, grad: Tensor
) -> dict[str, Tensor]:
    """Output and gradients, in float64."""
    inputs = [t.detach().requires_grad_() for t in (q, k, v, *(() if bias is None else (bias,)))]
    out = way(*inputs[:3], inputs[3] if bias is not None else None, mask)
    grads = torch.autograd.grad(out, inputs, grad)
    return {name: t.double() for name, t in zip(("out", "q", "k", "v", "bias"), (out.detach(), *grads), strict=False)}


def _times(
    ways: dict[str, Way], inputs: tuple[Tensor, ...], bias: Tensor | None, mask: Tensor | None, grad: Tensor
) -> dict[str, Any]:
    """Milliseconds of forward and backward on a GPU."""
    given = [t.detach().requires_grad_() for t in inputs]
    added = None if bias is None else bias.detach().requires_grad_()
    wanted = given if added is None else [*given, added]

    def once(way: Way) -> None:
        torch.autograd.grad(way(*given, added, mask), wanted, grad)
        torch.cuda.synchronize()

    calls: dict[str, Callable[[], object]] = {name: partial(once, way) for name, way in ways.items()}
    times = interleave(calls, 15, warmup=3)
    others = [median(found) for name, found in times.items() if name != "htnet"]
    ratio = min(others) / median(times["htnet"]) if others else float("nan")
    return {**compare(times, "htnet"), "times_as_fast_as_best": float(f"{ratio:.4g}")}


if __name__ == "__main__":
    print(json.dumps(measured("cpu", "--quick" in sys.argv[1:])))
