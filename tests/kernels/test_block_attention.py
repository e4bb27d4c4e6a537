import pytest
import torch

from htnet.errors import InputError
from htnet.kernels import block_attention, choose_backend


def truth(q, k, v, bias=None):
    """Attention in float64, written out row by row."""
    q, k, v = q.double(), k.double(), v.double()
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + bias.double()
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    return weights / weights.sum(-1, keepdim=True) @ v


@pytest.mark.parametrize("tokens", [1, 4, 9, 16, 49])
@pytest.mark.parametrize("head_dim", [16, 85])
@pytest.mark.parametrize("backend", ["auto", "reference", "sdpa", "one_token"])
def test_outputs_and_gradients_equal_float64(tokens, head_dim, backend):
    if backend == "one_token" and tokens > 1:
        pytest.skip("one_token takes one token; its refusal is tested below")
    inputs = [torch.randn(6, 3, tokens, head_dim, requires_grad=True) for _ in range(3)]
    doubles = [t.detach().double().requires_grad_() for t in inputs]
    out, expected = block_attention(*inputs, backend=backend), truth(*doubles)
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn_like(expected)
    (out.double() * weight).sum().backward()
    (expected * weight).sum().backward()
    for ours, theirs in zip(inputs, doubles, strict=True):
        if ours.grad is None:  # one_token reads neither queries nor keys: their true gradient is 0
            assert theirs.grad.abs().max() < 1e-12
            continue
        torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["auto", "reference", "sdpa"])
def test_bias_forbids_pairs(backend):
    q, k, v = (torch.randn(2, 2, 5, 8) for _ in range(3))
    bias = torch.zeros(5, 5).masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf"))
    out = block_attention(q, k, v, bias=bias, backend=backend)
    torch.testing.assert_close(out.double(), truth(q, k, v, bias), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out[:, :, 0], v[:, :, 0])


def test_routing():
    assert choose_backend(1, has_bias=False) == "one_token"
    assert choose_backend(1, has_bias=True) == "sdpa"
    assert choose_backend(4, has_bias=False) == "sdpa"
    v = torch.randn(2, 2, 1, 4)
    assert block_attention(torch.full_like(v, 1e30), v, v) is v


def test_refusals():
    q = torch.randn(2, 2, 4, 8)
    with pytest.raises(InputError, match="one_token"):
        block_attention(q, q, q, backend="one_token")
    with pytest.raises(InputError, match="Did you mean 'sdpa'"):
        block_attention(q, q, q, backend="sdp")
    with pytest.raises(InputError, match=r"\(2, 2, 3, 8\)"):
        block_attention(q, q[:, :, :3], q)
