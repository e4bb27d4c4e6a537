"""The temperature goes with the weights, and changes probabilities alone."""

import json

import numpy as np
import pytest
import torch

import htnet
from htnet import Predictor
from htnet.core.errors import WeightsError
from htnet.core.types import PreprocessSpec
from htnet.hub import read_config, save_pretrained
from htnet.training import load_flow_set, predict_set
from tests.support.flows import write_flow_set
from tests.support.pairs import face_pair, tiny_model


def calibrated(temperature, **settings):
    model = tiny_model(**settings)
    model.temperature = temperature
    return model


def change(folder, **fields):
    """Change fields of the config; None takes a field out."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **fields}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8")


def test_it_is_saved_and_loaded(tmp_path, rng):
    temperature = float(rng.uniform(0.5, 3))
    folder = save_pretrained(calibrated(temperature), tmp_path / "w")
    assert read_config(folder / "config.json")["temperature"] == temperature
    assert htnet.load_pretrained(folder).temperature == temperature
    assert f"| Temperature | {temperature:.4g}, by which scores are divided" in (folder / "README.md").read_text(
        "utf-8"
    )
    again = save_pretrained(htnet.load_pretrained(folder), tmp_path / "again")
    assert read_config(again / "config.json")["temperature"] == temperature


def test_folders_from_before_have_none(tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path)
    assert "Temperature" not in (folder / "README.md").read_text("utf-8")
    assert read_config(folder / "config.json")["temperature"] == 1.0
    change(folder, temperature=None, provenance=None)  # the temperature is the older field
    assert "temperature" not in read_config(folder / "config.json")
    assert htnet.load_pretrained(folder).temperature == 1.0


@pytest.mark.parametrize("value", [0, -2.0, float("nan"), float("inf"), "1.5", True, [1.0]])
def test_bad_values_are_refused(tmp_path, value):
    folder = save_pretrained(tiny_model(), tmp_path / "w")
    change(folder, temperature=value)
    with pytest.raises(WeightsError, match=r"w/config.json has the temperature .*must be positive and finite"):
        htnet.load_pretrained(folder)
    with pytest.raises(WeightsError, match="The model has the temperature"):
        save_pretrained(calibrated(value), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_optimized_models_keep_it(tmp_path):
    model = calibrated(1.7)
    optimized = htnet.optimize(model, "bfloat16")
    assert optimized.temperature == 1.7
    assert htnet.load_pretrained(save_pretrained(optimized, tmp_path)).temperature == 1.7
    assert htnet.optimize(optimized, compile=False).temperature == 1.7


def test_another_classifier_has_none():
    model = calibrated(1.7)
    model.reset_classifier(5)
    assert model.temperature == 1.0


@pytest.mark.parametrize("temperature", [0.1, 1.0, 2.5, 1e6])
def test_predictions_use_it_and_keep_their_label(temperature):
    pair = face_pair()
    plain, warm = (Predictor(calibrated(t), landmarks="template") for t in (1.0, temperature))
    warm.model.load_state_dict(plain.model.state_dict())
    raw, found = plain.pair(*pair), warm.pair(*pair)
    with torch.no_grad():
        image = torch.from_numpy(raw.input.image)[None]
        scores = warm.model(image)
        assert torch.equal(scores, plain.model(image)), "forward gives the scores as they are"
    expected = (scores[0].double() / temperature).softmax(0)
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-6)
    assert found.label == raw.label
    assert (found.probabilities != raw.probabilities) == (temperature != 1.0)


def test_labels_survive_a_temperature_that_rounds_the_probabilities_to_one_value():
    model = calibrated(1e9, num_classes=3)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.1, 0.3, 0.2]))
    found = Predictor(model, landmarks="template").pair(*face_pair())
    assert len(set(found.probabilities.values())) == 1
    assert found.label == model.labels[1]


def test_probabilities_of_a_set_are_those_of_the_predictor(tmp_path):
    """What is called a probability is one number, whichever way it is asked for."""
    model = calibrated(1.0, spec=PreprocessSpec())
    manifest = write_flow_set(tmp_path, 2, 2)
    data = load_flow_set(manifest, model.preprocess_spec)
    raw = predict_set(model, data)
    with torch.no_grad():
        assert torch.equal(raw, model(data.inputs()).softmax(dim=1)), "a model that is not calibrated yet"
    model.temperature = 3.0
    found = predict_set(model, data)
    assert not torch.allclose(found, raw, atol=1e-3)
    answers = [list(p.probabilities.values()) for p in Predictor(model).manifest(manifest)]
    np.testing.assert_allclose(found, answers, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(found, model.probabilities(model(data.inputs())))
