"""What all registered models have in common."""

import re
from shutil import which

import pytest
import torch

from htnet.core.wings import WINGS, installed_wings
from htnet.models import get_entry, list_models
from tests.support.contract import LARGE, ModelContract, build, cases, check_gradients, example
from tests.support.paths import ROOT


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
    models, documented = set(list_models()), set(documented_sizes())
    assert models <= documented
    assert models == documented or set(installed_wings()) < set(WINGS)


def smallest_of_each_class():
    """The registered name with the fewest parameters of every model class."""
    sizes = documented_sizes()
    found = {}
    for name in sorted(list_models(), key=lambda name: -sizes[name][0]):
        found[get_entry(name).model_class] = name
    return sorted(found.values())


@cases(**{name: {} for name in smallest_of_each_class()})
class TestEveryModel(ModelContract):
    pass


@cases(
    four_tokens={"name": "htnet_tiny", "image_size": 56},
    gated={"name": "htnet_dual_stream", "fusion": "gated"},
    rcn_searched={"name": "rcn_f"},
)
class TestVariants(ModelContract):
    """Settings that change what is computed."""


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="needs a C++ compiler")
@torch.no_grad()
def test_a_model_is_compiled_to_machine_code():
    """The contract compiles all of them as far as that."""
    model = build("ststnet").eval()
    images, _ = example(model, 3)
    torch._dynamo.reset()
    torch.testing.assert_close(torch.compile(model)(images), model(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", list_models())
def test_gradients_at_full_depth(name):
    check_gradients(build(name, **LARGE.get(name, {})))


@pytest.mark.slow
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
