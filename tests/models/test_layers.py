import pytest
import torch
import torch.nn.functional as F

from htnet.models import layers
from htnet.models.layers import Downsample, linear


def by_hand(down, x):
    out = F.conv2d(x.permute(0, 3, 1, 2), down.conv.weight, down.conv.bias, padding=1)
    out = F.layer_norm(out.permute(0, 2, 3, 1), (out.shape[1],), down.norm.weight, down.norm.bias)
    return F.max_pool2d(out.permute(0, 3, 1, 2), 3, stride=2, padding=1).permute(0, 2, 3, 1)


# 12 output channels: up to 12 positions are one matrix product, more are a convolution.
@pytest.mark.parametrize(
    ("batch", "height", "width"), [(1, 1, 1), (1, 2, 2), (1, 4, 3), (2, 2, 3), (2, 4, 4), (5, 3, 5)]
)
def test_downsample_is_convolution_norm_and_pooling(batch, height, width):
    down = Downsample(5, 12).double()
    x = torch.randn(batch, height, width, 5, dtype=torch.float64, requires_grad=True)
    ours, truth = down(x), by_hand(down, x)
    torch.testing.assert_close(ours, truth, rtol=1e-10, atol=1e-12)
    weights = torch.randn_like(truth)
    inputs = [x, *down.parameters()]
    for own, expected in zip(
        torch.autograd.grad((ours * weights).sum(), inputs),
        torch.autograd.grad((truth * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("batch", "convolves"), [(3, False), (4, True)])
def test_few_positions_take_the_matrix_product(monkeypatch, batch, convolves):
    down = Downsample(5, 12)
    called = []
    monkeypatch.setattr(down.conv, "_conv_forward", lambda *a: called.append(a) or F.conv2d(*a, padding=1))
    down(torch.randn(batch, 2, 2, 5))
    assert bool(called) is convolves


def test_export_keeps_the_batch_size_free():
    down = Downsample(5, 12).eval()
    batch = torch.export.Dim("batch", min=2, max=512)
    program = torch.export.export(down, (torch.randn(2, 2, 2, 5),), dynamic_shapes=({0: batch},))
    for size in (2, 64):
        x = torch.randn(size, 2, 2, 5)
        torch.testing.assert_close(program.module()(x), down(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [(1,), (1, 1, 1), (2, 2), (16,), (17,)])
@pytest.mark.parametrize("out", [1024, 1020, 510, 255])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_equals_float64(rows, out, with_bias):
    """Numbers of rows on both sides of the switch, output widths that 8, 4, 2 and nothing divides."""
    x = torch.randn(*rows, 640, requires_grad=True)
    weight = torch.randn(out, 640, requires_grad=True)
    bias = torch.randn(out, requires_grad=True) if with_bias else None
    inputs = [t for t in (x, weight, bias) if t is not None]
    doubles = [t.detach().double().requires_grad_() for t in inputs]
    truth = doubles[0] @ doubles[1].t() + (doubles[2] if with_bias else 0)
    ours = linear(x, weight, bias)
    assert ours.shape == truth.shape
    torch.testing.assert_close(ours.double(), truth, rtol=1e-4, atol=2e-4)
    weights = torch.randn_like(truth)
    for own, expected in zip(
        torch.autograd.grad((ours.double() * weights).sum(), inputs),
        torch.autograd.grad((truth * weights).sum(), doubles),
        strict=True,
    ):
        torch.testing.assert_close(own.double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("rows", "dtype", "out", "banded"),
    [
        (16, torch.float32, 1024, True),
        (17, torch.float32, 1024, False),
        (1, torch.float64, 1024, False),
        (1, torch.float32, 64, False),
    ],
)
@pytest.mark.parametrize("intel", [True, False])
def test_few_rows_of_large_float32_weights_take_the_bands(monkeypatch, rows, dtype, out, banded, intel):
    called = []
    monkeypatch.setattr(layers, "is_intel", lambda: intel)
    real = torch.bmm
    monkeypatch.setattr(layers.torch, "bmm", lambda *a: called.append(a) or real(*a))
    linear(torch.randn(rows, 256, dtype=dtype), torch.randn(out, 256, dtype=dtype), None)
    assert bool(called) is banded


@pytest.mark.parametrize(("rows", "intel", "banded"), [(3, True, False), (3, False, True), (4, True, True)])
def test_the_fewest_rows_are_read_by_mkl_on_its_own_processors(monkeypatch, rows, intel, banded):
    called = []
    real = torch.bmm
    monkeypatch.setattr(layers.torch, "bmm", lambda *a: called.append(a) or real(*a))
    monkeypatch.setattr(layers, "is_intel", lambda: intel)
    x, weight, bias = torch.randn(rows, 256), torch.randn(1024, 256), torch.randn(1024)
    found = linear(x, weight, bias)
    assert bool(called) is banded
    torch.testing.assert_close(found.double(), x.double() @ weight.double().t() + bias.double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "out", "training", "convolves"),
    [
        (2048, 1020, False, True),
        (2048, 1020, True, False),
        pytest.param(8192, 1020, True, True, marks=pytest.mark.slow),
        (8192, 100, True, False),
    ],
)
@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
def test_very_many_rows_are_a_convolution(monkeypatch, rows, out, training, convolves):
    x = torch.randn(rows // 64, 8, 8, 40, requires_grad=True)
    weight, bias = torch.randn(out, 40, requires_grad=True), torch.randn(out, requires_grad=True)
    called = []
    real = torch.conv2d
    monkeypatch.setattr(layers.F, "conv2d", lambda *a: called.append(a) or real(*a))
    with torch.set_grad_enabled(training):
        found = linear(x, weight, bias)
    assert bool(called) is convolves
    truth = x.double() @ weight.double().t() + bias.double()
    torch.testing.assert_close(found.double(), truth.double(), rtol=1e-4, atol=1e-4)
    if training:
        weights = torch.randn_like(found)
        own = torch.autograd.grad((found * weights).sum(), (x, weight, bias))
        expected = torch.autograd.grad((truth * weights).sum(), (x, weight, bias))
        for a, b in zip(own, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-2)


def test_weights_of_another_class_meet_linear_only():
    """As quantized weights are, which are tensors of a class of their own."""

    class Quantized(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            if function is torch.nn.functional.linear:
                x, weight, bias = (a.as_subclass(torch.Tensor) for a in args)
                return torch.nn.functional.linear(x, weight, bias)
            pytest.fail(f"{function} of quantized weights")

    weight, bias = torch.randn(layers.MANY_WEIGHTS // 64, 64), torch.randn(layers.MANY_WEIGHTS // 64)
    for shape in ((1, 64), (2, layers.MANY_ROWS // 4, 1, 64)):
        x = torch.randn(shape)
        with torch.no_grad():
            found = layers.linear(x, weight.as_subclass(Quantized), bias)
        torch.testing.assert_close(found, torch.nn.functional.linear(x, weight, bias))
