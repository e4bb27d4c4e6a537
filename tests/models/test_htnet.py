import dataclasses

import pytest
import torch

from benchmarks.reference_htnet import ReferenceHTNet
from htnet.core.errors import ModelError
from htnet.models import HTNet, HTNetConfig, convert_state, create_model, reference_state
from tests.support.golden import load_golden
from tests.support.paths import needs_shared

SETTINGS = {
    "one token": {"dim": 24, "heads": 5, "block_repeats": (1, 2, 1)},
    "four tokens": {"dim": 16, "heads": 3, "block_repeats": (1, 1, 2), "image_size": 56},
    "nine tokens, two levels": {
        "dim": 16,
        "heads": 2,
        "num_hierarchies": 2,
        "block_repeats": (2, 1),
        "image_size": 42,
        "num_classes": 5,
    },
}


@needs_shared
@pytest.mark.parametrize("name", ["htnet_seq1", "htnet_seq4"])
def test_matches_the_published_implementation(name):
    state, inputs, outputs, config = load_golden(name)
    model = convert_state(state, heads=config["heads"])
    for key, value in config.items():
        assert getattr(model.config, key) == (tuple(value) if isinstance(value, list) else value)
    with torch.no_grad():
        assert (model(inputs["image"]) - outputs["logits"]).abs().max() < 1e-4


@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_reference_form_in_float64(setting):
    model = HTNet(HTNetConfig(**SETTINGS[setting])).double()
    reference = ReferenceHTNet(model.config).double()
    reference.load_state_dict(reference_state(model))
    image = torch.rand(3, 3, model.config.image_size, model.config.image_size, dtype=torch.float64) * 255
    expected = reference(image)
    torch.testing.assert_close(model(image), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("setting", SETTINGS)
def test_gradients_equal_the_reference_form(setting):
    model = HTNet(HTNetConfig(**SETTINGS[setting])).double()
    reference = ReferenceHTNet(model.config).double()
    reference.load_state_dict(reference_state(model))
    image = torch.randn(2, 3, model.config.image_size, model.config.image_size, dtype=torch.float64)
    for net in (model, reference):
        net(image).square().sum().backward()
    theirs = dict(reference.named_parameters())
    for level in range(model.config.num_hierarchies):
        qkv = theirs[f"layers.{level}.0.layers.0.0.fn.to_qkv.weight"].grad.flatten(1)
        attn = model.levels[level].layers[0].attn
        inner = attn.v.weight.shape[0]
        torch.testing.assert_close(attn.v.weight.grad, qkv[2 * inner :], rtol=1e-7, atol=1e-9)
        if model.attention_is_trivial:
            assert attn.qk.weight.grad is None
            assert qkv[: 2 * inner].abs().max() == 0
        else:
            torch.testing.assert_close(attn.qk.weight.grad, qkv[: 2 * inner], rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(
            model.levels[level].pos_emb.grad, theirs[f"layers.{level}.0.pos_emb"].grad, rtol=1e-7, atol=1e-9
        )


@pytest.mark.slow
def test_published_size():
    model = create_model("htnet_base")
    assert sum(p.numel() for p in model.parameters()) == 139_582_982
    assert model.attention_is_trivial
    assert model.levels[0].layers[0].attn.v.weight.shape == (255, 256)


def test_heads_cannot_matter_with_one_token():
    """The paper's ablation over heads measured noise: only the rounding of the inner width changes."""
    one = create_model("htnet_tiny", heads=1)
    four = create_model("htnet_tiny", heads=4)
    four.load_state_dict(one.state_dict())
    image = torch.rand(2, 3, 28, 28) * 255
    assert torch.equal(one.eval()(image), four.eval()(image))
    wide_one, wide_four = (create_model("htnet_tiny", heads=h, image_size=56) for h in (1, 4))
    wide_four.load_state_dict(wide_one.state_dict())
    image = torch.randn(2, 3, 56, 56)
    assert not wide_four.attention_is_trivial
    assert not torch.allclose(wide_one.eval()(image), wide_four.eval()(image))


def test_standardisation_is_part_of_the_model():
    plain = create_model("htnet_tiny").eval()
    scaled = create_model("htnet_tiny", mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 8.0)).eval()
    scaled.load_state_dict(plain.state_dict())
    image = torch.rand(2, 3, 28, 28) * 255
    by_hand = (image - torch.tensor([10.0, 20, 30]).view(3, 1, 1)) / torch.tensor([2.0, 4, 8]).view(3, 1, 1)
    torch.testing.assert_close(scaled(image), plain(by_hand))


def test_dropout_acts_in_training_only():
    model = create_model("htnet_tiny", dropout=0.5)
    image = torch.rand(2, 3, 28, 28) * 255
    assert not torch.equal(model(image), model(image))
    model.eval()
    assert torch.equal(model(image), model(image))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"image_size": 30}, "multiple of 28"),
        ({"block_repeats": (1, 1)}, "3 hierarchies"),
        ({"heads": 0}, "heads is 0"),
        ({"heads": 65}, "at most 64"),
        ({"dim": 2.5}, "dim is 2.5"),
        ({"num_classes": True}, "num_classes is True"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"std": (1, 0, 1)}, "each a number above 0"),
        ({"mean": (1, 2)}, "2 values for 3 channels"),
        ({"block_repeats": (1, 0, 1)}, "block_repeats is \\(1, 0, 1\\)"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(ModelError, match=message):
        create_model("htnet_small", **setting)


def test_wrong_input_shape_is_named():
    with pytest.raises(ModelError, match=r"\(1, 3, 56, 56\)"):
        create_model("htnet_tiny")(torch.zeros(1, 3, 56, 56))
    with pytest.raises(ModelError, match="strain, v, u"):
        create_model("htnet_tiny")(torch.zeros(3, 28, 28))


def test_config_survives_json():
    config = HTNetConfig(dim=48, mean=(1.0, 2.0, 3.0))
    assert HTNetConfig(**config.to_dict()) == config
    assert dataclasses.is_dataclass(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dim = 3
