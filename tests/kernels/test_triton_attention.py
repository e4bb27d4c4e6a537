"""The Triton kernels: on a CUDA device, else in Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from htnet.kernels import block_attention
from tests.kernels.attention import HEAD_DIMS, TOKENS, check, device_for, needs_triton, random_inputs

DEVICE = device_for("triton")


@pytest.fixture
def poisoned(monkeypatch):
    """Memory for the kernels' results contains NaN beforehand; returns the shapes that were asked for."""
    from htnet.kernels import triton_attention

    asked, original = [], triton_attention._empty

    def empty(*shape, like, dtype=None):
        asked.append(shape)
        return original(*shape, like=like, dtype=dtype).fill_(torch.nan)

    monkeypatch.setattr(triton_attention, "_empty", empty)
    return asked


def blocks_for(tokens):
    """So few sequences that the interpreter is done soon, but more than one tile of them where it can be."""
    return {1: 17, 4: 6, 9: 3, 16: 2}.get(tokens, 1)


def slow(*values):
    """Parameters of a test that the interpreter of Triton takes long for."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(
    ("tokens", "head_dim"), [*((t, 16) for t in TOKENS), *((t, d) for t in (4, 49) for d in HEAD_DIMS[1:]), (196, 85)]
)
def test_outputs_and_gradients_equal_float64(tokens, head_dim, poisoned):
    heads = 1 if tokens == 196 else 3
    check(random_inputs((blocks_for(tokens), heads, tokens, head_dim), torch.float32, DEVICE), "triton")
    assert len(poisoned) >= 5


@needs_triton
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("tokens", "head_dim"), [(1, 16), (4, 85), (9, 16), (16, 32), (49, 85), slow(64, 16), slow(196, 85)]
)
def test_16_bit_types_with_bias_and_neighbors(tokens, head_dim, dtype, poisoned):
    inputs = random_inputs((blocks_for(tokens), 2, tokens, head_dim), dtype, DEVICE)
    bias = torch.randn(2, tokens, tokens, device=DEVICE, requires_grad=True)
    check(inputs, "triton", bias=bias, mask="neighbors")
    assert (blocks_for(tokens), 2, tokens, tokens) in poisoned


@needs_triton
@pytest.mark.parametrize("tokens", [2, 3, 5, 17, 33, 63, 65, slow(100)])
def test_tokens_that_fill_no_tile(tokens, poisoned):
    check(random_inputs((3 if tokens < 64 else 1, 1, tokens, 7), torch.float32, DEVICE), "triton")


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize(("tokens", "head_dim"), [slow(256, 256), (64, 256)])
def test_largest_sizes(tokens, head_dim, poisoned):
    check(random_inputs((1, 1, tokens, head_dim), torch.float16, DEVICE), "triton")


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_broken_sequence_spoils_no_other(bad):
    """Sequences share a tile, in which 0 x NaN is NaN."""
    for position in range(3):
        good = [t.detach() for t in random_inputs((6, 1, 4, 16), torch.float32, DEVICE)]
        inputs = [t.clone() for t in good]
        inputs[position][2, 0, 1, 3] = bad
        for t in (*good, *inputs):
            t.requires_grad_()
        results = []
        for tensors in (good, inputs):
            out = block_attention(*tensors, backend="triton")
            results.append([out, *torch.autograd.grad(out.sum(), tensors)])
        others = [0, 1, 3, 4, 5]
        for clean, found in zip(*results, strict=True):
            assert torch.equal(clean[others], found[others])
        # Infinity times a negative query is a score of -inf, which may leave the answer finite.
        own, expected = results[1][0][2], block_attention(*inputs, backend="reference")[2]
        assert torch.isfinite(own).all() == torch.isfinite(expected).all()
        assert bad == torch.inf or not torch.isfinite(own).all()


@needs_triton
def test_a_broken_gradient_spoils_no_other():
    q, k, v = random_inputs((6, 1, 4, 16), torch.float32, DEVICE)
    out = block_attention(q, k, v, backend="triton")
    weight = torch.ones_like(out)
    clean = torch.autograd.grad(out, [q, k, v], weight, retain_graph=True)
    weight[2, 0, 0, 0] = torch.nan
    for expected, found in zip(clean, torch.autograd.grad(out, [q, k, v], weight), strict=True):
        assert torch.equal(expected[[0, 1, 3, 4, 5]], found[[0, 1, 3, 4, 5]])
        assert found[2].isnan().any()


@needs_triton
def test_second_derivatives_are_refused():
    q, k, v = random_inputs((2, 1, 4, 16), torch.float32, DEVICE)
    out = block_attention(q, k, v, backend="triton")
    (grad,) = torch.autograd.grad(out.square().sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


@needs_triton
def test_the_operator_is_registered_right():
    from htnet.kernels.triton_attention import _operator

    q, k, v = random_inputs((3, 2, 4, 16), torch.float32, DEVICE)
    for bias in (None, torch.randn(2, 1, 4, device=DEVICE, requires_grad=True).view(1, 2, 1, 4)):
        torch.library.opcheck(_operator, (q, k, v, bias, 0.25, 2), test_utils=("test_schema", "test_faketensor"))


@needs_triton
def test_tiles_hold_whole_sequences_and_all_of_them():
    from htnet.kernels.triton_attention import WHOLE_TOKENS, tiling

    for tokens in range(1, 257):
        for head_dim in (1, 16, 85, 256):
            for itemsize, backward in ((2, False), (2, True), (4, False), (4, True)):
                t = tiling(tokens, head_dim, itemsize, backward)
                assert t.keys >= t.group * tokens
                assert min(t.rows, t.keys, t.chunk) >= 16  # what a matrix instruction takes
                assert {n & (n - 1) for n in (t.rows, t.keys, t.chunk, t.warps)} == {0}
                assert tokens > WHOLE_TOKENS or t.rows == t.keys
                assert t.programs(1000, tokens) * t.group * min(t.rows, tokens * t.group) >= 1000 * tokens / t.group


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_kernels_compile_for_hopper(tmp_path):
    """The interpreter takes what the compiler refuses, so the kernels are compiled too: that needs no device."""
    from tests.kernels import compile_ahead

    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1"}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-m", compile_ahead.__name__]
    root = Path(compile_ahead.__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 5
    for kernel, shared, size in lines:
        # What every device of compute capability 8.0 or more has for a program.
        assert int(shared) <= 99 * 1024, kernel
        assert int(size) > 0, kernel
