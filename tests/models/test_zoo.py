"""What all registered models have in common."""

import re

import pytest
import torch

from htnet.core.types import PreprocessSpec
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import create_model, get_entry, list_models
from htnet.preprocess import MEAN_SHAPE_28
from tests.support.paths import ROOT

#: Presets of hundreds of MB: for gradients they are built narrower, with every layer and input size as it is; for
#: saving, a smaller preset of the same architecture stands for them.
LARGE = {
    "htnet_base": {"dim": 12, "heads": 3},
    "htnet_palsy": {"dim": 12, "heads": 3},
    "htnet_enhanced": {"dim": 16, "heads": 4},
}
NAMES = sorted(set(list_models()) - LARGE.keys())
#: With one token a block nothing is ever read from queries and keys: they have no gradient (docs/models.md).
NEVER_READ = ".attn.qk."


def without_effect(model):
    """Parameters whose gradient is nothing but rounding, and may be exactly 0.

    The last level's positions: one scalar for all channels of a token, which every norm that follows removes.
    """
    levels = getattr(model, "levels", ())
    return {f"levels.{len(levels) - 1}.pos_emb"}


def example(model, batch=4):
    """A batch of all that a model reads."""
    c = model.config
    side = torch.arange(c.image_size, dtype=torch.float32)
    waves = torch.stack([torch.sin(side * f + torch.rand(1) * 6) for f in torch.rand(batch * c.channels)])
    images = (waves.view(batch, c.channels, -1, 1) + torch.randn(batch, c.channels, c.image_size, c.image_size)) * 60
    scale = c.image_size / 28
    points68 = torch.tensor(MEAN_SHAPE_28.tolist()) * scale + torch.randn(batch, 68, 2)
    known = {"points": torch.rand(batch, 5, 2) * c.image_size, "points68": points68, "motion": torch.rand(batch, 6, 64)}
    return images + 120, {name: known[name] for name in model.extra_inputs}


def build(name, **settings):
    return create_model(name, mean=(120.0,) * 3, std=(80.0,) * 3, **settings)


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_receives_a_gradient(name):
    model = build(name, **LARGE.get(name, {}))
    images, extras = example(model)
    scores = model(images, **extras)
    torch.nn.functional.cross_entropy(scores, torch.arange(4) % scores.shape[1]).backward()
    trivial = getattr(model, "attention_is_trivial", False)
    without, still = [], []
    for key, parameter in model.named_parameters():
        if parameter.grad is None:
            without.append(key)
        else:
            assert torch.isfinite(parameter.grad).all(), key
            if parameter.grad.abs().max() == 0 and key not in without_effect(model):
                still.append(key)
    excluded = [key for key in without if trivial and NEVER_READ in key]
    assert without == excluded
    assert not still
    if trivial and any(NEVER_READ in key for key, _ in model.named_parameters()):
        assert excluded, "the known exception is none any more: say so in the documentation"


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name, tmp_path):
    model = build(name).eval()
    model.preprocess_spec = PreprocessSpec(size=model.config.image_size)
    images, extras = example(model, 2)
    again = load_pretrained(save_pretrained(model, tmp_path / "weights"))
    with torch.no_grad():
        assert torch.equal(again(images, **extras), model(images, **extras))
    assert again.config == model.config


def documented_sizes():
    """Name to (number of parameters, half a unit of the last digit) in the table of docs/models.md."""
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    found = {}
    for name, number, unit in re.findall(r"^\| `(\w+)` \|.*\| ([0-9.]+) ([kM]) \|$", text, re.MULTILINE):
        scale = {"k": 1e3, "M": 1e6}[unit]
        digits = len(number.partition(".")[2])
        found[name] = (float(number) * scale, 0.5 * scale / 10**digits)
    return found


def test_every_model_is_in_the_table():
    assert set(documented_sizes()) == set(list_models())


@pytest.mark.parametrize("name", list_models())
def test_full_size_answers_and_has_its_documented_size(name):
    model = build(name).eval()
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    documented, rounding = documented_sizes()[name]
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(documented, abs=rounding)
    images, extras = example(model, 1)
    with torch.no_grad():
        scores = model(images, **extras)
    assert scores.shape == (1, len(model.labels))
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", list_models())
def test_entries_say_what_they_are(name):
    entry = get_entry(name)
    assert entry.description
    assert entry.model_class.extra_inputs is not None
