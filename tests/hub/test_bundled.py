"""The weights that ship with htnet are what the registry and their card say."""

import json

import pytest
import torch

import htnet
from htnet.data import read_composite
from htnet.hub import find_pretrained, read_config
from htnet.hub.folder import sha256_of
from htnet.preprocess import crop_regions
from htnet.training import load_flow_set, predict_set
from htnet.types import PreprocessSpec
from tests.support.paths import COMPOSITE, ROOT, needs_shared

SPEC = find_pretrained("composite")
RESULT = ROOT / "benchmarks" / "results" / "loso_htnet_small_default.json"


@pytest.fixture(scope="module")
def model():
    return htnet.load_pretrained("composite")


def test_file_registry_and_card_agree(model):
    config = read_config(SPEC.folder / "config.json")
    weights = SPEC.folder / "model.safetensors"
    assert SPEC.sha256 == config["weights"]["sha256"] == sha256_of(weights)
    assert weights.stat().st_size <= 15e6
    assert config["model"] == SPEC.model == model.name
    assert model.labels == ("negative", "positive", "surprise")
    card = (SPEC.folder / "README.md").read_text("utf-8")
    assert "research" in SPEC.licence
    assert SPEC.licence in card
    assert "LOSO last" in card
    assert "best_on_test" not in card  # a leaking score is no property of the weights


def test_metrics_are_those_of_the_committed_run():
    run = json.loads(RESULT.read_text("utf-8"))
    mean = run["protocols"]["last"]["mean"]["full"]
    assert SPEC.metrics == {"LOSO last, Full UF1": round(mean["uf1"], 4), "LOSO last, Full UAR": round(mean["uar"], 4)}
    config = read_config(SPEC.folder / "config.json")
    assert config["recipe"] == run["run"]["recipe"]
    # A field that was added later has its default in both.
    assert PreprocessSpec.from_dict(config["preprocess"]) == PreprocessSpec.from_dict(run["run"]["preprocess"])
    assert config["training"]["metrics"]["LOSO last, full, uf1"] == mean["uf1"]


@needs_shared
def test_it_knows_its_training_set_in_the_published_channel_order_only(model):
    """The seen samples are read right; swapping u and strain, as reading RGB for BGR would, breaks it."""
    data = load_flow_set(read_composite(COMPOSITE), model.preprocess_spec)
    right = (predict_set(model, data).argmax(1) == data.labels).float().mean()
    assert right > 0.9
    swapped = crop_regions(data.images.flip(1).float(), data.points, data.spec.layout)
    with torch.no_grad():
        wrong = (model(swapped).argmax(1) == data.labels).float().mean()
    assert wrong < 0.7
