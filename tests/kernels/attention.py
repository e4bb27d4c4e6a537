"""What the tests of block attention share: the truth, inputs and comparisons."""

import os
from importlib.util import find_spec

import pytest
import torch

from htnet.kernels import block_attention

TOKENS = (1, 4, 9, 16, 49, 64, 196)
HEAD_DIMS = (16, 32, 64, 85, 128)
#: Of a value of the size of the largest one. float32: sums of up to 196 x 128 products, each rounded to 6e-8. The
#: 16-bit types: inputs are exact on both sides, but weights, their gradients and the result are rounded to 2^-9 and
#: 2^-12, which the sums of a backward pass carry on a few times.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def triton_works():
    return find_spec("triton") is not None and (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1")


needs_triton = pytest.mark.skipif(not triton_works(), reason="needs Triton, and CUDA or TRITON_INTERPRET=1")


def device_for(backend):
    return "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"


def truth(q, k, v, bias=None, mask=None):
    """Attention in float64, written out row by row; 0 where nothing may be read."""
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias.double()
    if mask is not None:
        scores = torch.where(mask, scores, -torch.inf)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True).clamp_min(-1e300))
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total > 0, total, 1) @ v


def near_mask(side):
    """Tokens of a square block that touch, by their places."""
    place = [(i // side, i % side) for i in range(side**2)]
    return torch.tensor([[max(abs(a - c), abs(b - d)) <= 1 for c, d in place] for a, b in place])


def random_inputs(shape, dtype, device="cpu"):
    return [torch.randn(shape, device=device).to(dtype).requires_grad_() for _ in range(3)]


def assert_near(found, expected, tolerance, what):
    found, expected = found.detach(), expected.detach()
    size = max(float(expected.abs().max()), 1e-3)
    worst = float((found.double() - expected).abs().max()) / size
    # Written so that NaN is refused.
    assert worst <= tolerance, f"{what} differs by {worst:.3g} of its size"


def check(inputs, backend, *, bias=None, mask=None, weight=None):
    """Output and gradients of a backend against float64.

    Args:
        inputs: queries, keys and values; views are compared with copies of what they show.
        backend: what computes.
        bias: added to the scores; its gradient is compared where it requires one.
        mask: as `block_attention` takes it.
        weight: gradient of the output; random unless given.
    """
    dtype = inputs[0].dtype
    tensors = [*inputs, *([bias] if bias is not None and bias.requires_grad else [])]
    doubles = [t.detach().double().requires_grad_() for t in tensors]
    out = block_attention(*inputs, bias=bias, mask=mask, backend=backend)
    assert out.dtype == dtype
    assert out.shape == inputs[0].shape
    side = round(inputs[0].shape[2] ** 0.5)
    plain_mask = near_mask(side).to(out.device) if isinstance(mask, str) else mask
    expected = truth(*doubles[:3], doubles[3] if len(doubles) > 3 else bias, plain_mask)
    assert_near(out, expected, TOLERANCE[dtype], "output")
    weight = torch.randn_like(out) if weight is None else weight
    found = torch.autograd.grad(out, tensors, weight, allow_unused=True)
    wanted = torch.autograd.grad(expected, doubles, weight.double())
    largest = max(float(w.abs().max()) for w in wanted)
    for name, ours, theirs in zip("qkvb", found, wanted, strict=False):
        if ours is None:  # one_token reads neither queries nor keys: their true gradient is 0
            assert theirs.abs().max() < 1e-12
        elif float(theirs.abs().max()) < 1e-9 * largest:  # with one key the gradient is rounding
            assert float(ours.abs().max()) <= TOLERANCE[dtype] * largest
        else:
            assert_near(ours, theirs, TOLERANCE[dtype], f"gradient of {name}")
    return out
