"""Convolutions by tiles compute what convolutions compute."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import htnet
from htnet.acceleration import tiled
from htnet.acceleration.layers import Convolution, FusedLinear
from htnet.acceleration.packing import PackedLinear
from htnet.acceleration.tiled import TiledConvolution
from tests.acceleration.support import lively, relative
from tests.support.contract import example

CHANNELS, WIDTH = 64, 96


@pytest.fixture
def conv():
    weight = torch.randn(WIDTH, 9 * CHANNELS) / (9 * CHANNELS) ** 0.5
    return TiledConvolution(PackedLinear(FusedLinear(weight, torch.randn(WIDTH), torch.float32, large=True)))


@pytest.fixture
def by_tiles(monkeypatch):
    """How many samples each call of the tiles was given."""
    seen = []
    plain = TiledConvolution._tiled
    monkeypatch.setattr(TiledConvolution, "_tiled", lambda self, x, *made: seen.append(len(x)) or plain(self, x, *made))
    return seen


def truth(conv, x):
    weight = conv.product.dense().double().view(WIDTH, 3, 3, CHANNELS).permute(0, 3, 1, 2)
    return F.conv2d(x.double(), weight, conv.product.bias.double(), padding=1)


@pytest.mark.parametrize("shape", [(16, 4, 4), (4, 8, 8), (5, 7, 7), (2, 16, 13), (1, 15, 16)])
def test_equals_a_convolution(conv, by_tiles, shape):
    batch, height, width = shape
    x = torch.randn(batch, height, width, CHANNELS).permute(0, 3, 1, 2)
    found = conv(x)
    assert by_tiles == [batch]
    assert relative(found, truth(conv, x)) < 5e-6


def test_tiles_follow_weights_that_are_changed_in_place(by_tiles):
    """They kept those of the first call."""
    weight = torch.randn(WIDTH, 9 * CHANNELS) / (9 * CHANNELS) ** 0.5
    conv = TiledConvolution(FusedLinear(weight, torch.randn(WIDTH), torch.float32, large=True))
    x = torch.randn(2, 16, 13, CHANNELS).permute(0, 3, 1, 2)
    conv(x)
    with torch.no_grad():
        conv.product.weight.mul_(1.5)
    assert relative(conv(x), truth(conv, x)) < 5e-6
    conv.product.weight.data.mul_(1.5)  # not counted by PyTorch
    assert relative(conv(x), truth(conv, x)) < 5e-6
    conv.product.weight = nn.Parameter(torch.randn_like(weight) / 24, requires_grad=False)
    assert relative(conv(x), truth(conv, x)) < 5e-6
    assert by_tiles == [2, 2, 2, 2]


@pytest.mark.parametrize("shape", [(15, 4, 4), (16, 2, 2), (16, 5, 5), (1, 12, 12)])
def test_few_tiles_and_odd_sides_are_laid_out(conv, by_tiles, shape):
    batch, height, width = shape
    x = torch.randn(batch, height, width, CHANNELS).permute(0, 3, 1, 2)
    assert relative(conv(x), truth(conv, x)) < 5e-6
    assert not by_tiles


def test_large_batches_in_parts(conv, by_tiles, monkeypatch):
    monkeypatch.setattr(tiled, "AT_ONCE", 36 * 4 * WIDTH * 3)
    x = torch.randn(7, 8, 8, CHANNELS).permute(0, 3, 1, 2)
    assert relative(conv(x), truth(conv, x)) < 5e-6
    assert by_tiles == [3, 2, 2]


def test_other_weights_are_made_anew(conv):
    x = torch.randn(16, 4, 4, CHANNELS).permute(0, 3, 1, 2)
    conv(x)
    state = {name: torch.randn_like(value) for name, value in conv.state_dict().items()}
    assert sorted(state) == ["product.bias", "product.weight"]
    conv.load_state_dict(state)
    assert relative(conv(x), truth(conv, x)) < 5e-6
    expected = conv(x)
    for other in (copy.deepcopy(conv), pickle.loads(pickle.dumps(conv)), conv.to("cpu")):
        assert other._made is None
        assert torch.equal(other(x), expected)


def test_optimized_models_have_them(by_tiles):
    model = lively("htnet_small")
    images, _ = example(model, 16)
    optimized = htnet.optimize(model)
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        assert relative(optimized(images), exact(images.double())) < 1e-5
    assert by_tiles
    # What compilers and exporters are given, and fewer bits, are plain products.
    for other in (htnet.optimize(model, compile=True), htnet.optimize(model, "bfloat16"), htnet.optimize(exact)):
        kinds = {type(part) for part in other.network.modules()}
        assert Convolution in kinds
        assert TiledConvolution not in kinds
    assert not any(isinstance(part, Convolution) for part in optimized.exportable().modules())
