"""Trainings whose loss is NaN or infinite are stopped, and name the samples of the batch."""

import dataclasses
import math
import pickle

import pytest
import torch

from htnet.cli import main
from htnet.core.errors import NonFiniteLossError
from htnet.core.types import PreprocessSpec
from htnet.evaluation import loso
from htnet.pipeline.estimators import HTNetClassifier
from htnet.training import (
    Checkpoint,
    Recipe,
    Training,
    TrainingJob,
    load_flow_set,
    train_model,
    train_vmapped,
    train_weights,
)
from tests.support.flows import write_flow_set

#: So large a step that the second forward pass overflows.
WILD = Recipe(epochs=3, batch_size=4, lr=1e30, schedule="constant", ema_decay=0.0)


@pytest.fixture
def manifest(tmp_path):
    return write_flow_set(tmp_path / "set", 3, 4)


@pytest.fixture
def data(manifest):
    return load_flow_set(manifest, PreprocessSpec())


def check(caught, names, size=4):
    error = caught.value
    assert len(error.samples) == len(set(error.samples)) == size
    assert set(error.samples) <= set(names)
    assert all(repr(name) in str(error) for name in error.samples)
    assert error.epoch >= 1
    assert error.step >= 1
    assert "smaller lr than 1e+30" in str(error)


def test_training_a_model(manifest, data, tmp_path):
    kept = tmp_path / "state.pt"
    with pytest.raises(NonFiniteLossError) as caught:
        train_model("htnet_tiny", data, WILD, checkpoint=Checkpoint(kept, every=0.0))
    check(caught, [sample.sample for sample in manifest])
    assert not kept.exists()
    # Workers send their errors to the process that started them.
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (str(sent), vars(sent)) == (str(caught.value), vars(caught.value))


def test_training_many_at_once(manifest, data):
    with pytest.raises(NonFiniteLossError) as caught:
        train_vmapped("flow_mlp", [Training(data, 0), Training(data, 1)], WILD, settings={"dropout": 0.0})
    check(caught, [sample.sample for sample in manifest])


def test_the_losses_of_a_gpu_are_read_after_the_epoch(data, monkeypatch):
    from htnet.training import finite

    init = finite.LossWatch.__init__

    def later(self, members, steps, device, discard):
        init(self, members, steps, torch.device("meta"), discard)
        self._losses = torch.zeros(steps, len(members))

    with pytest.raises(NonFiniteLossError) as now:
        train_model("htnet_tiny", data, WILD)
    monkeypatch.setattr(finite.LossWatch, "__init__", later)
    with pytest.raises(NonFiniteLossError) as caught:
        train_model("htnet_tiny", data, WILD)
    assert str(caught.value) == str(now.value)


def test_weights_that_the_last_step_spoils(data):
    def spoil(epoch, model):
        model.classifier.weight.data[0, 0] = math.nan

    calm = dataclasses.replace(WILD, epochs=1, lr=1e-3)
    with pytest.raises(NonFiniteLossError, match="diverged in its last step"):
        train_model("htnet_tiny", data, calm, on_epoch=spoil)


def test_inputs_that_are_no_numbers_are_told(data):
    motion = torch.zeros(len(data), 8, 64)
    motion[5, 0, 0] = math.nan
    data = dataclasses.replace(data, motion=motion, spec=dataclasses.replace(data.spec, clip_frames=8))
    with pytest.raises(NonFiniteLossError) as caught:
        train_model("htnet_dual_stream", data, dataclasses.replace(WILD, lr=1e-3))
    assert f"NaN or infinite points or motion features: {data.names[5]!r}. " in str(caught.value)
    assert data.names[5] in caught.value.samples


def test_an_evaluation_names_the_fold(manifest, tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"^Fold .*, seed 0: The loss of epoch \d") as caught:
        loso(manifest, "htnet_tiny", WILD, out=tmp_path / "run", progress=False)
    check(caught, [sample.sample for sample in manifest])
    assert not list((tmp_path / "run").rglob("*.pt"))
    assert not list((tmp_path / "run" / "folds").rglob("*.json"))


@pytest.mark.slow
def test_workers_tell_it_too(manifest, tmp_path):
    with pytest.raises(NonFiniteLossError, match=r"^Fold ") as caught:
        loso(manifest, "htnet_tiny", WILD, out=tmp_path / "run", progress=False, workers=2)
    check(caught, [sample.sample for sample in manifest])


def test_fine_tuning_writes_no_weights(manifest, data, tmp_path):
    job = TrainingJob("htnet_small", WILD, start="synthetic")
    with pytest.raises(NonFiniteLossError) as caught:
        train_weights(manifest, data, tmp_path / "out", job)
    check(caught, [sample.sample for sample in manifest])
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert not (tmp_path / "out" / ".training.pt").exists()


def test_the_command_tells_it(manifest, tmp_path, capsys):
    recipe = tmp_path / "wild.json"
    recipe.write_text('{"name": "wild", "epochs": 3, "batch_size": 4, "lr": 1e30, "schedule": "constant"}', "utf-8")
    words = ["train", "--data", manifest.source, "--out", str(tmp_path / "out"), "--recipe", str(recipe)]
    assert main([*words, "--model", "htnet_tiny"]) != 0
    said = capsys.readouterr().err
    assert "The samples of its batch are" in said
    assert "Traceback" not in said


def test_an_estimator(rng):
    images = rng.integers(0, 256, (12, 28, 28, 3)).astype("uint8")
    with pytest.raises(NonFiniteLossError, match="'number "):
        HTNetClassifier("htnet_tiny", recipe=WILD).fit(images, [0, 1, 2] * 4)
