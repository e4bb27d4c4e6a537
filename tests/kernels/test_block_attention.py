"""Block attention in plain PyTorch, and what is refused."""

import pytest
import torch

from htnet.core.errors import InputError
from htnet.kernels import BACKENDS, block_attention, neighbor_mask
from tests.kernels.attention import HEAD_DIMS, TOKENS, check, device_for, near_mask, needs_triton, random_inputs, truth

PLAIN = ("auto", "reference", "sdpa")
EVERY = [*PLAIN, pytest.param("triton", marks=needs_triton)]
#: With Triton's interpreter, which takes a second for each case.
MOSTLY = [*PLAIN, pytest.param("triton", marks=[needs_triton, pytest.mark.slow])]


@pytest.fixture(autouse=True)
def _device(request):
    """Tensors are made where the backend works."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    with torch.device(device_for(parameters.get("backend"))):
        yield


@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize(("tokens", "backend"), [*[(t, b) for t in TOKENS for b in PLAIN], (1, "one_token")])
def test_outputs_and_gradients_equal_float64(tokens, head_dim, backend):
    check(random_inputs((3, 2, tokens, head_dim), torch.float32), backend)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", PLAIN)
def test_other_types(backend, dtype):
    check(random_inputs((3, 2, 9, 85), dtype), backend, bias=torch.randn(2, 9, 9))


@pytest.mark.parametrize("backend", ["reference", "sdpa"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck(backend, masked):
    q, k, v = random_inputs((2, 1, 4, 3), torch.float64)
    bias = torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]]).bool() if masked else None
    torch.autograd.gradcheck(
        lambda *t: block_attention(*t[:3], bias=t[3], mask=mask, backend=backend), (q, k, v, bias), fast_mode=False
    )


@pytest.mark.parametrize("shape", [(5, 2, 4, 4), (2, 4, 4), (1, 4, 4), (4, 1), (5, 1, 1, 4), ()])
@pytest.mark.parametrize("backend", MOSTLY)
def test_bias_of_any_shape_that_fits_has_a_gradient(backend, shape):
    check(random_inputs((5, 2, 4, 12), torch.float32), backend, bias=torch.randn(shape, requires_grad=True))


@pytest.mark.parametrize("backend", EVERY)
def test_bias_of_another_type(backend):
    check(random_inputs((3, 2, 4, 16), torch.bfloat16), backend, bias=torch.randn(4, 4, requires_grad=True))


@pytest.mark.parametrize("shape", [(3, 2, 9, 9), (9, 9), (3, 1, 1, 9), (9, 1)])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("backend", MOSTLY)
def test_boolean_masks(backend, with_bias, shape):
    bias = torch.randn(3, 1, 9, 9, requires_grad=True) if with_bias else None
    check(random_inputs((3, 2, 9, 16), torch.float32), backend, bias=bias, mask=torch.rand(shape) > 0.4)


@pytest.mark.parametrize(
    ("backend", "side"),
    [
        *((backend, side) for backend in PLAIN for side in (1, 2, 3, 4, 7, 9)),
        *(pytest.param("triton", side, marks=needs_triton) for side in (1, 2, 3, 7)),
        pytest.param("triton", 9, marks=[needs_triton, pytest.mark.slow]),
    ],
)
def test_neighbors(backend, side):
    inputs = random_inputs((1 if side == 9 else 3, 1, side**2, 16), torch.float32)
    check(inputs, backend, mask="neighbors")
    check(inputs, backend, mask="neighbors", bias=torch.randn(side**2, side**2, requires_grad=True))


def test_the_neighborhood_is_the_tokens_that_touch():
    for side in (1, 2, 3, 5):
        assert torch.equal(neighbor_mask(side), near_mask(side))


@pytest.mark.parametrize("backend", EVERY)
def test_a_token_that_may_read_nothing_gets_zero(backend):
    q, k, v = random_inputs((2, 2, 5, 8), torch.float32)
    shut = torch.tensor([False, True, False, False, True])
    bias = torch.randn(5, 5).masked_fill(shut[:, None], -torch.inf).requires_grad_()
    mask = ~torch.eye(5, dtype=torch.bool)
    mask[2] = False
    out = check([q, k, v], backend, bias=bias, mask=mask)
    assert not out[:, :, [1, 2, 4]].any()
    assert out[:, :, [0, 3]].abs().amin() > 0
    grads = torch.autograd.grad(block_attention(q, k, v, bias=bias, mask=mask, backend=backend).sum(), [q, k, v, bias])
    assert all(bool(torch.isfinite(g).all()) for g in grads)
    assert not grads[0][:, :, [1, 2, 4]].any()
    assert not grads[3][[1, 2, 4]].any()


@pytest.mark.parametrize("backend", EVERY)
def test_one_token_may_be_forbidden(backend):
    q, k, v = random_inputs((2, 1, 1, 16), torch.float32)
    mask = torch.tensor([True, False]).view(2, 1, 1, 1)
    out = check([q, k, v], backend, mask=mask)
    assert torch.equal(out[0], v[0])
    assert not out[1].any()


@pytest.mark.parametrize("backend", EVERY)
def test_large_scores_do_not_overflow(backend):
    """exp of these scores is far beyond float32; the right answer is the value of the best key."""
    q, k, v = random_inputs((2, 2, 6, 16), torch.float32)
    with torch.no_grad():
        q *= 300
        k *= 300
    out = block_attention(q, k, v, backend=backend)
    best = (q.double() @ k.double().mT).argmax(-1)
    torch.testing.assert_close(out, v.gather(2, best[..., None].expand_as(v)))
    assert all(bool(torch.isfinite(g).all()) for g in torch.autograd.grad(out.sum(), [q, k, v]))


@pytest.mark.slow
@pytest.mark.parametrize("backend", EVERY)
def test_views_are_read_as_they_lie(backend):
    """Transposed, sliced, at an odd offset, broadcast, and with columns that are not next to each other."""
    base = torch.randn(4 * 9 * 2 * 3 * 20 + 7)
    q, k, v = base[7:].view(4, 9, 2, 60).transpose(1, 2).split(20, dim=-1)
    check([t.detach()[..., 1:18].requires_grad_() for t in (q, k, v)], backend)
    check([q.detach()[::2, :, 2:8].requires_grad_(), *random_inputs((2, 2, 6, 20), torch.float32)[:2]], backend)
    shared = torch.randn(1, 1, 9, 20).expand(4, 2, 9, 20).requires_grad_()
    check([shared, *random_inputs((4, 2, 9, 20), torch.float32)[:2]], backend)
    columns = torch.randn(4, 2, 20, 9).mT.requires_grad_()
    check(
        [columns, columns.detach().clone().requires_grad_(), shared], backend, weight=torch.ones(1).expand(4, 2, 9, 20)
    )


@pytest.mark.parametrize("backend", EVERY)
def test_scale(backend):
    q, k, v = random_inputs((2, 2, 4, 16), torch.float32)
    out = block_attention(q, k, v, scale=0.7, backend=backend)
    torch.testing.assert_close(out.double(), truth(q * 0.7 * 16**0.5, k, v), atol=1e-5, rtol=1e-5)
    assert torch.equal(
        block_attention(q, k, v, scale=16**-0.5, backend=backend), block_attention(q, k, v, backend=backend)
    )


@pytest.mark.parametrize("backend", EVERY)
def test_nothing_to_compute(backend):
    q = torch.randn(0, 2, 4, 16, requires_grad=True)
    out = block_attention(q, q, q, backend=backend)
    assert out.shape == q.shape
    out.sum().backward()
    assert q.grad.shape == q.shape


@pytest.mark.parametrize("backend", EVERY)
def test_autocast_casts_like_pytorch(backend):
    q, k, v = random_inputs((2, 2, 4, 16), torch.float32)
    with torch.autocast(q.device.type, torch.bfloat16):
        out = block_attention(q, k, v, bias=torch.zeros(4, 4), backend=backend)
        exact = block_attention(q.double(), k.double(), v.double(), backend="sdpa")
    assert out.dtype == torch.bfloat16
    assert exact.dtype == torch.float64
    torch.testing.assert_close(out.double(), truth(q, k, v), atol=3e-2, rtol=3e-2)
    out.float().sum().backward()
    assert q.grad.dtype == torch.float32


def test_shapes_alone():
    q = torch.empty(2, 2, 4, 16, device="meta")
    assert block_attention(q, q, q, mask="neighbors").shape == q.shape


@pytest.mark.slow
@pytest.mark.parametrize("backend", EVERY)
def test_torch_compile_takes_it_whole(backend):
    def step(q, k, v, bias):
        return block_attention(q.sin(), k, v, bias=bias, mask="neighbors", backend=backend).cos()

    q, k, v = random_inputs((3, 2, 4, 16), torch.float32)
    bias = torch.randn(4, 4, requires_grad=True)
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for ours, theirs in zip(*(gradients(f, q, k, v, bias) for f in (compiled, step)), strict=True):
        torch.testing.assert_close(ours, theirs)


def gradients(function, *tensors):
    out = function(*tensors)
    return out, *torch.autograd.grad(out.square().sum(), tensors)


Q = torch.randn(2, 2, 4, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Q, Q[:, :, :3], Q), r"\(2, 2, 3, 8\)"),
        ((Q[0], Q[0], Q[0]), r"\(2, 4, 8\)"),
        ((Q[:, :, :0],) * 3, "at least one token"),
        ((Q, Q.double(), Q), "k torch.float64"),
        ((Q.int(),) * 3, "torch.int32"),
        ((Q, Q.to("meta"), Q), "k on meta"),
    ],
)
def test_bad_inputs_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        block_attention(*arguments)


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"bias": torch.zeros(3, 4)}, r"bias is \(3, 4\).*\(2, 2, 4, 4\)"),
        ({"bias": torch.zeros(1, 2, 2, 4, 4)}, r"bias is \(1, 2, 2, 4, 4\)"),
        ({"bias": torch.ones(4, 4).bool()}, "boolean tensor as mask"),
        ({"bias": torch.zeros(4, 4, device="meta")}, "bias is on meta"),
        ({"mask": torch.zeros(4, 4)}, "mask is torch.float32.*as bias"),
        ({"mask": torch.ones(5).bool()}, r"mask is \(5,\)"),
        ({"mask": "near"}, "'near'; give a boolean tensor, 'neighbors'"),
        ({"scale": float("nan")}, "scale is nan"),
        ({"backend": "sdp"}, "Did you mean 'sdpa'"),
    ],
)
def test_bad_extras_are_refused(extras, message):
    with pytest.raises(InputError, match=message):
        block_attention(Q, Q, Q, **extras)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS[1:]])
def test_neighbors_need_a_square(backend):
    q = torch.randn(2, 2, 6, 8)
    with pytest.raises(InputError, match="6 tokens do not form one"):
        block_attention(q, q, q, mask="neighbors", backend=backend)
