"""`create_model` as people know it from timm: trained weights, channels, names of the wrong kind."""

from pathlib import Path

import pytest
import torch

import htnet
from htnet.core.errors import ModelError, UnknownModelError, UnknownWeightsError, WeightsError
from htnet.models import HTNet, create_model, get_entry, is_model, list_models


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "pretrained", "weights"),
    [
        ("htnet_small", True, "synthetic"),
        ("htnet_small", "composite-htnet", "composite-htnet"),
        ("flow_mlp", "composite", "composite"),
        ("ststnet", True, "composite-ststnet"),
        ("flow_mlp", True, "synthetic-mlp"),
    ],
)
def test_with_trained_weights(name, pretrained, weights):
    model, expected = create_model(name, pretrained), htnet.load_pretrained(weights)
    assert same(model, expected)
    assert model.training
    assert (model.labels, model.temperature) == (expected.labels, expected.temperature)
    assert model.provenance == expected.provenance


def test_settings_of_trained_weights():
    model = create_model("htnet_small", pretrained=True, num_classes=5, dropout=0.25)
    expected = htnet.load_pretrained("synthetic")
    assert torch.equal(model.patch_embed.weight, expected.patch_embed.weight)
    assert (model.head.weight.shape, model.config.dropout, len(model.labels)) == ((5, 256), 0.25, 5)
    assert model.trained_people == expected.trained_people
    assert create_model("htnet_small", pretrained=True, num_classes=0).get_classifier()(torch.ones(1)) == 1
    for settings in ({"dim": 96}, {"in_chans": 1}, {"image_size": 56}, {"num_class": 3}):
        with pytest.raises(ModelError, match="do not fit|setting of|mean has"):
            create_model("htnet_small", pretrained=True, **settings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: create_model("synthetic"),
            UnknownModelError,
            r"create_model\('htnet_small', pretrained='synthetic'\)",
        ),
        (lambda: create_model("composite"), UnknownModelError, r"htnet.load_pretrained\('composite'\)"),
        (
            lambda: htnet.load_pretrained("htnet_small"),
            UnknownWeightsError,
            r"create_model\('htnet_small', pretrained='composite-htnet'\)",
        ),
        (
            lambda: create_model("htnet_tiny", pretrained="synthetic"),
            UnknownWeightsError,
            r"create_model\('htnet_small', pretrained='synthetic'\)",
        ),
        (
            lambda: create_model("htnet_tiny", pretrained=True),
            UnknownWeightsError,
            "no published.*flow_mlp",
        ),
        (lambda: create_model("htnet_small", pretrained="syntetic"), UnknownWeightsError, "Did you mean 'synthetic'"),
        (lambda: create_model("htnet_small", "lab/repo"), UnknownWeightsError, r"load_pretrained\('lab/repo'\)"),
        (lambda: create_model("htnet_tiny", in_chans=2, channels=3), ModelError, "in_chans=2 and channels=3 differ"),
        (lambda: create_model("htnet_tiny", pretrained=Path("weights/mine")), ModelError, r"load_pretrained\(folder\)"),
        (lambda: create_model("htnet_tiny", pretrained=0), ModelError, "pretrained is 0; give True, False"),
        (lambda: create_model("htnet_small", pretrained=True, in_chans=1), ModelError, "do not fit channels=1"),
        (lambda: create_model("htnet_tiny", in_chans="3"), ModelError, "channels is '3'"),
        (lambda: create_model(["htnet_tiny"]), UnknownModelError, "The model is of type list; give the name"),
        (lambda: get_entry(create_model("flow_mlp")), UnknownModelError, "The model is of type FlowMLP; give the name"),
        (lambda: create_model("flow_mlp", in_chans=1), ModelError, "u_channel=None if it is none"),
        (lambda: htnet.load_pretrained(None), WeightsError, "not as an object of type NoneType"),
        (lambda: htnet.load_pretrained(create_model("htnet_tiny")), WeightsError, "It is a model already"),
        (lambda: create_model("htnet_tiny", num_classes=-1), ModelError, "num_classes is -1"),
        (lambda: create_model("htnet_tiny", num_classes=False), ModelError, "num_classes is False"),
    ],
)
def test_wrong_calls_print_the_right_one(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_none_is_no_weights():
    assert create_model("htnet_small", pretrained=None).provenance is None


def test_flow_without_its_horizontal_part_has_no_sign_to_turn():
    model = create_model("flow_mlp", in_chans=1, u_channel=None).eval()
    image = torch.rand(2, 1, 28, 28) * 255
    torch.testing.assert_close(model(image), model(image.flip(-1)))


def test_lists():
    assert list_models(pretrained=True) == ["flow_mlp", "htnet_dual_stream", "htnet_small", "ststnet"]
    assert list_models("htnet_*", pretrained=True) == ["htnet_dual_stream", "htnet_small"]
    assert is_model("htnet_base")
    assert not is_model("composite")
    assert not is_model(["htnet_base"])
    assert htnet.is_model("htnet_base")


def test_from_pretrained_of_the_class():
    assert same(HTNet.from_pretrained("synthetic"), htnet.load_pretrained("synthetic"))
    assert not HTNet.from_pretrained("synthetic").training
    with pytest.raises(ModelError, match=r"contains a STSTNet, not a HTNet.*load_pretrained\('composite-ststnet'\)"):
        HTNet.from_pretrained("composite-ststnet")
    assert HTNet.from_pretrained("synthetic", num_classes=4).config.num_classes == 4
