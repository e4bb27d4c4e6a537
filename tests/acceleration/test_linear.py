"""Products of fixed weights, against float64."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from htnet.acceleration import algebra
from htnet.acceleration.layers import (
    FEW_ROWS,
    Convolution,
    FusedLinear,
    Int8Linear,
    PatchEmbed,
    quantize,
)
from htnet.acceleration.packing import PackedLinear, can_pack
from tests.acceleration.support import relative

#: Rounding of bfloat16: 8 bits.
BFLOAT = 2**-8


@pytest.mark.parametrize("rows", [(1,), (1, 1, 1), (3, 2, 2), (FEW_ROWS + 1,), (40,)])
@pytest.mark.parametrize(("width", "out"), [(64, 32), (128, 3), (65, 7), (7, 12), (255, 16), (48, 1)])
@pytest.mark.parametrize("kind", ["float64", "float32", "bfloat16", "int8"])
def test_products(kind, width, out, rows):
    weight, bias = torch.randn(out, width, dtype=torch.float64), torch.randn(out, dtype=torch.float64)
    if kind == "int8":
        layer, dtype, tolerance = Int8Linear(weight, bias), torch.bfloat16, 3 * BFLOAT
        values, scale = quantize(weight)
        weight = values.double() * scale.double()[:, None]
    else:
        dtype = getattr(torch, kind)
        layer = FusedLinear(weight, bias, dtype)
        if kind != "float64":
            layer = PackedLinear(layer)
        tolerance = {"float64": 1e-14, "float32": 1e-6, "bfloat16": 2 * BFLOAT}[kind]
    x, to = torch.randn(*rows, width).to(dtype), torch.randn(*rows, out).to(dtype)
    plain = F.linear(x.double(), weight.to(dtype).double(), bias.to(dtype).double())
    largest = max(1.0, float((x.double().abs() @ weight.abs().T).max() / plain.abs().max()))
    with torch.no_grad():
        for found, truth in (
            (layer(x), plain),
            (layer.gelu(x), F.gelu(plain)),
            (layer.added(x, to), plain + to.double()),
        ):
            assert found.dtype == dtype
            assert found.shape == truth.shape
            assert float((found.double() - truth).abs().max() / plain.abs().max()) < tolerance * largest


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_packed_and_plain_again(dtype):
    if not can_pack(dtype):
        pytest.skip("this PyTorch has no packed products")
    weight, bias = torch.randn(16, 24), torch.randn(16)
    layer = PackedLinear(FusedLinear(weight, bias, dtype))
    x = torch.randn(2, 24).to(dtype)
    first = layer(x)
    assert [(name, value.shape) for name, value in layer.named_parameters()] == [("weight", (16, 24)), ("bias", (16,))]
    assert layer.weight.is_mkldnn, "one copy of the weights is enough"
    assert torch.equal(layer.state_dict()["weight"], weight.to(dtype))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.to("cpu")):
        assert other.weight.is_mkldnn
        assert torch.equal(other(x), first)
    again = layer.unpacked()
    layer.unpack()
    assert torch.equal(layer.weight, weight.to(dtype))
    assert not layer.weight.requires_grad
    assert type(again) is FusedLinear
    assert torch.equal(again.weight, weight.to(dtype))
    assert torch.allclose(again(x).float(), first.float(), rtol=0.05, atol=0.05)


def test_weights_that_are_put_in_the_place_of_packed_ones_are_read():
    """They were ignored in silence, by a new parameter and by `functional_call`."""
    layer = PackedLinear(FusedLinear(torch.randn(16, 24), torch.randn(16), torch.float32))
    x, weight = torch.randn(2, 24), torch.randn(16, 24)
    layer(x)
    truth = F.linear(x, weight, layer.bias)
    assert torch.allclose(torch.func.functional_call(layer, {"weight": weight}, (x,)), truth, atol=1e-5)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    assert torch.allclose(layer(x), truth, atol=1e-5)
    weight.mul_(2)
    assert torch.allclose(layer(x), F.linear(x, weight, layer.bias), atol=1e-5)


def test_without_packed_products_the_plain_ones_serve(monkeypatch):
    weight, bias, x = torch.randn(16, 24), torch.randn(16), torch.randn(2, 24)
    truth = PackedLinear(FusedLinear(weight, bias, torch.float32))(x)
    monkeypatch.setattr("htnet.acceleration.packing.can_pack", lambda dtype: False)
    layer = PackedLinear(FusedLinear(weight, bias, torch.float32))
    assert torch.allclose(layer(x), truth, atol=1e-5)
    assert torch.allclose(layer.gelu(x), F.gelu(truth), atol=1e-5)
    assert torch.allclose(layer.added(x, truth), 2 * truth, atol=1e-5)
    assert not layer.weight.is_mkldnn


def test_packed_products_are_looked_for(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not can_pack.__wrapped__(torch.float32)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not can_pack.__wrapped__(torch.bfloat16)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not can_pack.__wrapped__(torch.float32)


def test_quantized_weights_are_off_by_half_a_step():
    weight = torch.randn(9, 33, dtype=torch.float64) * torch.logspace(-6, 6, 9, dtype=torch.float64)[:, None]
    weight[4] = 0
    values, scale = quantize(weight)
    assert values.dtype == torch.int8
    assert scale.dtype == torch.bfloat16
    assert values.abs().max() <= 127
    step = scale.double()[:, None]
    # The largest may lie up to a rounding of its scale beyond 127 steps.
    limit = torch.maximum(0.5 * step, weight.abs().amax(1, keepdim=True) * BFLOAT)
    assert ((values.double() * step - weight).abs() <= limit * 1.0001).all()
    assert (scale.double() * 127 <= weight.abs().amax(1) * (1 + BFLOAT)).logical_or(weight.abs().amax(1) == 0).all()
    assert values[4].count_nonzero() == 0


def test_int8_products_never_read_past_the_input(monkeypatch):
    """PyTorch's product reads whole vectors, whatever the width: other widths must not reach it."""
    monkeypatch.setattr(torch, "_weight_int8pack_mm", lambda x, w, s: pytest.fail(f"width {x.shape[-1]}"))
    for width in (1, 7, 33, 255):
        Int8Linear(torch.randn(4, width), torch.randn(4))(torch.randn(1, width).bfloat16())
    Int8Linear(torch.randn(4, 64), torch.randn(4))(torch.randn(FEW_ROWS + 1, 64).bfloat16())


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_convolution(size, monkeypatch):
    conv = nn.Conv2d(6, 10, 3, padding=1).double()
    x = torch.randn(5, 6, size, size, dtype=torch.float64)
    weight, bias = algebra.affine(conv)
    layer = Convolution(FusedLinear(weight.permute(0, 2, 3, 1).flatten(1), bias, torch.float64))
    with torch.no_grad():
        assert torch.allclose(layer(x), conv(x), atol=1e-12)
        monkeypatch.setattr("htnet.acceleration.layers.LAID_OUT", 2 * 9 * 6 * size**2)  # two samples at a time
        assert torch.allclose(layer(x), conv(x), atol=1e-12)


def test_patches_by_hand():
    weight, bias = torch.randn(4, 2, 3, 3, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    image = torch.randn(2, 2, 6, 9, dtype=torch.float64)
    found = PatchEmbed(weight, bias, torch.float64, torch.float64)(image)
    assert found.shape == (2, 2, 3, 4)
    for row in range(2):
        for column in range(3):
            patch = image[:, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert torch.allclose(found[:, row, column], torch.einsum("bcpq,ocpq->bo", patch, weight) + bias)


def randomized(norm):
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.double()


def test_norm_into_the_layer_after_it():
    norm, layer = randomized(nn.LayerNorm(12)), nn.Linear(24, 5).double()
    x = torch.randn(3, 2, 12, dtype=torch.float64)
    truth = layer(norm(x).flatten(1))  # two normed parts side by side
    weight, bias = algebra.after_norm(layer, norm)
    plain = F.layer_norm(x, (12,)).flatten(1)
    assert relative(F.linear(plain, weight, bias), truth) < 1e-13


def test_batch_norm_into_the_convolution_before_it():
    conv, norm = nn.Conv2d(3, 6, 3, bias=False).double(), randomized(nn.BatchNorm2d(6)).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    x = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    assert relative(F.conv2d(x, *algebra.batch_normed(conv, norm)), norm(conv(x))) < 1e-13


def test_padded_heads_change_nothing():
    heads, width, dim = 3, 5, 11
    value, proj = nn.Linear(dim, heads * width).double(), nn.Linear(heads * width, dim).double()
    x = torch.randn(4, dim, dtype=torch.float64)
    weight, bias = algebra.pad_rows(algebra.affine(value), heads)
    assert weight.shape == (heads * 8, dim)
    back, shift = algebra.pad_columns(algebra.affine(proj), heads)
    found = F.linear(F.linear(x, weight, bias), back, shift)
    assert relative(found, proj(value(x))) < 1e-13
    # Whole heads stay together: each is followed by its own zeros.
    split = F.linear(x, weight, bias).unflatten(1, (heads, 8))
    assert torch.allclose(split[..., :width], value(x).unflatten(1, (heads, width)))
    assert split[..., width:].count_nonzero() == 0
