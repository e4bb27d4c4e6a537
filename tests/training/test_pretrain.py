"""Weights of generated data, from training to the prediction's action units."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import htnet
from htnet.cli import main
from htnet.core.errors import InputError, ModelError
from htnet.core.facs import ACTION_UNIT_NAMES, UnitPrediction
from htnet.core.provenance import License, Provenance
from htnet.hub import GENERATED, load_pretrained, read_config
from htnet.pipeline.predictor import Predictor
from htnet.synthesis import ACTION_UNITS, SynthesisConfig, synthesize_flow
from htnet.training import TrainingJob, generated_set, job_of, predict_set, train_on_generated
from htnet.training.generated_samples import ACTIVE


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    out = tmp_path_factory.mktemp("generated") / "weights"
    train_on_generated(out, job_of("generated", model="htnet_tiny"), count=1536)
    return out


def test_set_holds_what_was_generated():
    data = generated_set(300, seed=4)
    made = synthesize_flow(300, seed=4)
    assert torch.equal(data.images, made.images)
    assert torch.equal(data.labels, made.labels)
    assert torch.equal(data.units, (made.units >= ACTIVE).float())
    assert 0.02 < data.units.mean() < 0.5
    assert generated_set(5, config=SynthesisConfig(size=56)).images.shape[-1] == 56


@pytest.mark.slow
def test_training_learns_emotions_and_units(weights):
    fresh = generated_set(512, seed=99)
    model = load_pretrained(weights)
    assert (predict_set(model, fresh).argmax(1) == fresh.labels).float().mean() > 0.5  # of three classes
    with torch.no_grad():
        _, units = model(fresh.inputs(), return_units=True)
    active, chance = fresh.units.bool(), units.sigmoid()
    # The unit that lifts the lip's corners is the plainest to see.
    row = ACTION_UNITS.index(12)
    assert roc_auc_score(active[:, row].flatten(), chance[:, row].flatten()) > 0.75


def test_card_says_that_nobody_is_in_them(weights):
    config = read_config(weights / "config.json")
    provenance = Provenance.from_dict(config["provenance"])
    assert provenance.only_generated
    assert provenance.licenses == {License.APACHE_2_0}
    assert SynthesisConfig.from_dict(config["training"]["synthesis"]) == SynthesisConfig()
    assert load_pretrained(weights).trained_on == GENERATED
    assert tuple(config["config"]["action_units"]) == ACTION_UNITS


def test_prediction_tells_units_and_sides(weights):
    made = synthesize_flow(1, seed=3)
    image = made.images[0].permute(1, 2, 0).numpy()
    model = load_pretrained(weights)
    found = Predictor(model).flow_image(np.ascontiguousarray(image))
    assert [u.number for u in found.action_units] == list(ACTION_UNITS)
    inputs = torch.from_numpy(found.input.image)[None]
    with torch.no_grad():
        scores = model(inputs, return_units=True)[1].sigmoid()[0]
    for unit, (image_left, image_right) in zip(found.action_units, scores.tolist(), strict=True):
        assert unit.subject_right == pytest.approx(image_left, abs=1e-6)  # the image's left is the subject's right
        assert unit.subject_left == pytest.approx(image_right, abs=1e-6)
    shown = json.loads(json.dumps(found.to_dict()))["action_units"]
    assert shown[0]["name"] == "inner brow raiser"
    assert shown[0]["probability"] == pytest.approx(max(shown[0]["subject_left"], shown[0]["subject_right"]))


@pytest.mark.parametrize(
    ("left", "right", "side"), [(0.9, 0.2, "subject_left"), (0.2, 0.9, "subject_right"), (0.9, 0.5, "both")]
)
def test_sides(left, right, side):
    unit = UnitPrediction(12, left, right)
    assert (unit.side, unit.probability, unit.name) == (side, 0.9, "lip corner puller")
    assert UnitPrediction(99, left, right).name == "action unit 99"
    assert set(ACTION_UNITS) <= set(ACTION_UNIT_NAMES)


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
def test_optimized_models_keep_the_units(weights, dtype):
    model = load_pretrained(weights)
    fast = htnet.optimize(model, dtype)
    images = generated_set(16, seed=8).inputs()
    with torch.no_grad():
        scores, units = model(images, return_units=True)
    found, sides = fast(images, return_units=True)
    limit = 1e-4 if dtype is None else 0.1
    torch.testing.assert_close(found, scores, rtol=limit, atol=limit)
    torch.testing.assert_close(sides, units, rtol=limit, atol=limit)
    with pytest.raises(ModelError, match="no head for action units"):
        htnet.optimize(htnet.create_model("htnet_tiny").eval())(images, return_units=True)


def test_command(tmp_path, capsys):
    out = tmp_path / "mine"
    assert main(["pretrain", "--out", str(out), "--model", "htnet_tiny", "--count", "64", "--epochs", "1"]) == 0
    assert f"weights in {out}" in capsys.readouterr().out
    assert load_pretrained(out).config.action_units == ACTION_UNITS


def test_other_models_are_refused(tmp_path):
    with pytest.raises(InputError, match="ststnet has no head for action units"):
        train_on_generated(tmp_path / "x", TrainingJob("ststnet"), count=8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 56}, "image_size=56, but of the generated images it is 28. .*config=SynthesisConfig"),
        ({"action_units": (1, 2)}, r"action_units=\(1, 2\), but"),
        ({"num_classes": 5}, "num_classes=5, but"),
    ],
)
def test_settings_that_contradict_the_images_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        train_on_generated(tmp_path / "w", job_of("generated", model="htnet_tiny", settings=settings), count=8)
    assert not (tmp_path / "w").exists()


def test_seeds_that_the_generator_cannot_take_are_named_as_given(tmp_path):
    for seed in (2**31 - 1, 2**64 - 1):
        with pytest.raises(InputError, match=f"seed is {seed}; give a whole number"):
            train_on_generated(tmp_path / "w", job_of("generated", model="htnet_tiny", seed=seed), count=8)
