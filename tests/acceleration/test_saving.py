"""Optimized models can be saved, loaded, copied and pickled."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
import torch

import htnet
from htnet.acceleration import OptimizedModel, optimized_like
from htnet.core.errors import InputError, ModelError, WeightsError
from htnet.core.types import PreprocessSpec
from htnet.hub import save_pretrained
from htnet.models import create_model
from tests.acceleration.support import lively
from tests.support.contract import NAMES, example

SMALL = [name for name in NAMES if name != "mhssa_gcn" and not name.endswith("_small")]


def optimized(name, dtype):
    model = lively(name)
    model.preprocess_spec = PreprocessSpec(size=model.config.image_size)
    model.labels = tuple(f"class {i}" for i in range(model.config.num_classes))
    return htnet.optimize(model, dtype)


def same(found, model):
    images, extras = example(model, 2)
    answer = model(images, **extras)
    assert isinstance(found, OptimizedModel)
    assert torch.equal(found(images, **extras), answer)
    state, expected = found.state_dict(), model.state_dict()
    assert list(state) == list(expected)
    for key, value in expected.items():
        assert state[key].dtype == value.dtype, key
        assert torch.equal(state[key], value), key
    for attribute in ("config", "name", "labels", "preprocess_spec", "architecture", "precision", "extra_inputs"):
        assert getattr(found, attribute) == getattr(model, attribute)


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
@pytest.mark.parametrize("name", SMALL)
def test_saved_and_loaded(name, dtype, tmp_path):
    model = optimized(name, dtype)
    for state in ("fresh", "used"):  # `same` uses it: the weights are packed then
        same(htnet.load_pretrained(save_pretrained(model, tmp_path / state)), model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_types_of_the_model_s_own(dtype, tmp_path):
    model = lively("htnet_tiny").to(dtype)
    model.preprocess_spec = PreprocessSpec()
    same(htnet.load_pretrained(save_pretrained(htnet.optimize(model), tmp_path)), htnet.optimize(model))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["htnet_tiny", "mhssa_gcn_small"])
def test_copies(name, dtype, way):
    model = optimized(name, dtype)
    images, extras = example(model, 2)
    answer = model(images, **extras)
    same(way(model), model)
    assert torch.equal(model(images, **extras), answer)


def test_state_can_be_loaded_after_use():
    model, other = (optimized("htnet_tiny", "bfloat16") for _ in range(2))
    images, _ = example(model, 2)
    assert not torch.equal(model(images), other(images))
    other.load_state_dict(model.state_dict())
    same(other, model)


def test_folder_says_what_it_holds(tmp_path):
    model = optimized("htnet_tiny", "int8")
    config = json.loads((save_pretrained(model, tmp_path) / "config.json").read_text("utf-8"))
    assert config["architecture"] == "HTNet"
    assert config["optimized"] == "int8"
    # Versions that know no optimized models refuse the format, and say that they are too old.
    assert config["format"] == 2


def test_dtype_of_an_optimized_folder_is_fixed(tmp_path):
    save_pretrained(optimized("htnet_tiny", "bfloat16"), tmp_path)
    with pytest.raises(InputError, match=r"contains an optimized model in bfloat16.*leave dtype=torch.float16"):
        htnet.load_pretrained(tmp_path, dtype=torch.float16)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("bfloat", ModelError, "Did you mean 'bfloat16'"),
        (None, WeightsError, "lacks optimized"),
        (8, WeightsError, "lacks"),
    ],
)
def test_unknown_precision(tmp_path, value, error, message):
    file = save_pretrained(optimized("htnet_tiny", "bfloat16"), tmp_path) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "optimized": value}), "utf-8")
    with pytest.raises(error, match=message):
        htnet.load_pretrained(tmp_path)


def test_precisions_by_name():
    for name in ("float32", "bfloat16", "int8", "float16", "float64"):
        assert optimized_like(create_model("htnet_tiny"), name).precision == name
    with pytest.raises(ModelError, match="optimized precision is 'int9'"):
        optimized_like(create_model("htnet_tiny"), "int9")


def test_import_of_htnet_loads_nothing_of_it():
    code = (
        "import sys, htnet; assert not [m for m in sys.modules if m.startswith(('htnet.acceleration', 'htnet.models'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
