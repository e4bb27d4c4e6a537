"""Generated images in the batches of a training on real ones."""

import dataclasses

import pytest
import torch

from htnet.core.errors import InputError, RecipeError
from htnet.core.types import PreprocessSpec
from htnet.evaluation import loso
from htnet.models import create_model
from htnet.synthesis import ACTION_UNITS
from htnet.training import (
    Checkpoint,
    Recipe,
    Training,
    TrainingJob,
    generated_samples,
    generated_set,
    get_recipe,
    load_flow_set,
    predict_set,
    train_model,
    train_vmapped,
    train_weights,
    with_units,
)
from tests.support.flows import write_flow_set
from tests.training.test_trainer import random_set

MIXED = Recipe(epochs=2, batch_size=8, lr=2e-3, generated=6)


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    generated_samples._pool.cache_clear()
    monkeypatch.setattr(generated_samples, "POOL", 600)
    yield
    generated_samples._pool.cache_clear()


def train(data, recipe=MIXED, name="flow_mlp", units=True, **more):
    settings = with_units(name, recipe, {}) if units else {}
    return train_model(name, data, recipe, seed=1, settings=settings, **more)[0]


@pytest.mark.parametrize("units", [True, False])
def test_generated_samples_come_at_the_end(units):
    data = random_set(10)
    model = create_model("flow_mlp", **(with_units("flow_mlp", MIXED, {}) if units else {}))
    samples_in_batch = generated_samples.GeneratedSamples(dataclasses.replace(MIXED, augmentation=None), model, data)
    mean, std = data.statistics()
    real = data.batch(torch.arange(4), None, mean, std)
    images, targets, more = samples_in_batch.append(*real, mean, std)
    assert torch.equal(images[:4], real[0])
    assert torch.equal(targets[:4], real[1])
    pool = samples_in_batch.pool.inputs()
    for image, label in zip(images[4:], targets[4:], strict=True):
        (at,) = (pool == image).flatten(1).all(1).nonzero().T.tolist()
        assert samples_in_batch.pool.labels[at[0]] == label
    assert len(images) == 10
    assert ({"units"} if units else set()) == set(more)
    if units:
        assert more["units"].shape == (6, 15, 2)


def test_the_loss_is_that_of_both(monkeypatch):
    """One step of plain gradient descent, against the loss written down by hand."""
    from htnet.training import trainer

    recipe = dataclasses.replace(
        MIXED, epochs=1, generated_weight=0.3, units_weight=0.7, augmentation=None, ema_decay=0.0
    )
    data, batches = random_set(8), []
    join = generated_samples.GeneratedSamples.append

    def note(self, *arguments):
        batches.append(join(self, *arguments))
        return batches[-1]

    def descent(parameters, recipe, steps):
        return torch.optim.SGD(parameters, lr=0.1), None

    monkeypatch.setattr(generated_samples.GeneratedSamples, "append", note)
    monkeypatch.setattr(trainer, "make_optimizer", descent)
    started = []

    def keep(model):
        started.append({key: value.clone() for key, value in model.state_dict().items()})
        return "same"

    trained = train(data, recipe, start=keep)
    ((images, targets, more),) = batches
    model = create_model("flow_mlp", **trained.config.to_dict())
    model.load_state_dict(started[0])
    scores, units = model(images, return_units=True)
    logs, chances, active = scores.log_softmax(1), units[8:].sigmoid(), more["units"]
    losses = -logs[torch.arange(14), targets]
    bce = -(active * chances.log() + (1 - active) * (1 - chances).log()).mean()
    loss = losses[:8].mean() + 0.3 * (losses[8:].mean() + 0.7 * bce)
    loss.backward()
    for (name, parameter), value in zip(model.named_parameters(), trained.parameters(), strict=True):
        torch.testing.assert_close(value.detach(), parameter.detach() - 0.1 * parameter.grad, msg=name)


@pytest.mark.slow
def test_emotions_and_units_are_learned_from_generated_samples():
    recipe = dataclasses.replace(MIXED, epochs=12, generated=64, generated_weight=3.0)
    model = train(random_set(80), recipe)
    fresh = generated_set(300, 5, spec=PreprocessSpec(layout="whole"))
    assert (predict_set(model, fresh).argmax(1) == fresh.labels).float().mean() > 0.75
    with torch.no_grad():
        smile = model(fresh.inputs(), return_units=True)[1][:, ACTION_UNITS.index(12)].amax(1)
    active = fresh.units[:, ACTION_UNITS.index(12)].amax(1) > 0
    pairs = (smile[active][:, None] > smile[~active][None]).float().mean()  # the area under the ROC curve
    assert pairs > 0.85


def test_an_interrupted_training_gives_the_same(tmp_path):
    data, checkpoint = random_set(20), Checkpoint(tmp_path / "state.pt", every=0)

    def stop(epoch, model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, on_epoch=stop, checkpoint=checkpoint)
    resumed, undisturbed = train(data, checkpoint=checkpoint), train(data)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), undisturbed.parameters(), strict=True))


def test_models_without_units_can_be_shown_generated_samples():
    assert not with_units("ststnet", MIXED, {})
    assert with_units("flow_mlp", Recipe(), {"hidden": 4}) == {"hidden": 4}
    assert with_units("flow_mlp", MIXED, {"action_units": ()}) == {"action_units": ()}
    train(random_set(10), name="ststnet")
    assert not train(random_set(10), units=False).action_units


def test_evaluation_and_weights_have_units(tmp_path):
    manifest = write_flow_set(tmp_path / "data", subjects=2)
    recipe = dataclasses.replace(MIXED, epochs=1)
    result = loso(manifest, "flow_mlp", recipe, out=tmp_path / "run", workers=1, progress=False)
    assert result.summary["run"]["config"]["action_units"] == list(ACTION_UNITS)
    data = load_flow_set(manifest, PreprocessSpec(layout="whole"))
    model = train_weights(manifest, data, tmp_path / "w", TrainingJob("flow_mlp", recipe))
    assert model.action_units == ACTION_UNITS
    assert "| Generated images | 6 by htnet.synthesis in every batch |" in (tmp_path / "w" / "README.md").read_text()


def test_what_does_not_fit_is_refused(tmp_path):
    data = random_set(10)
    with pytest.raises(InputError, match="one model at a time"):
        train_vmapped("flow_mlp", [Training(data)], MIXED)
    with pytest.raises(InputError, match="reads points68"):
        train(data, name="mhssa_gcn_small")
    with pytest.raises(InputError, match="trains action units on the 6 generated flow images that it adds"):
        train(generated_set(10))
    with pytest.raises(InputError, match="have the action units"):
        train_model("flow_mlp", data, MIXED, settings={"action_units": (1, 2)})
    two = dataclasses.replace(data, labels=data.labels.clamp_max(1))
    with pytest.raises(InputError, match="but the samples are of class_0, class_1"):
        train_model("flow_mlp", two, MIXED, settings={"num_classes": 2})
    manifest = write_flow_set(tmp_path / "data", subjects=2)
    turned = dataclasses.replace(manifest, classes=manifest.classes[::-1])
    with pytest.raises(InputError, match="samples are of surprise, positive, negative"):
        loso(turned, "flow_mlp", get_recipe("mixed"), out=tmp_path / "run")
    with pytest.raises(InputError, match="one model at a time"):
        loso(manifest, "flow_mlp", MIXED, out=tmp_path / "run", vmap_folds=2, progress=False)
    for changes in ({"generated": -1}, {"generated": True}, {"generated_weight": -0.1}):
        with pytest.raises(RecipeError, match=next(iter(changes))):
            Recipe(**changes)
