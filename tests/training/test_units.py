"""A head of action units: shapes, training, mirroring, what is refused."""

import dataclasses

import pytest
import torch

from htnet.core.errors import InputError, ModelError, RecipeError
from htnet.models import create_model
from htnet.training import Recipe, Training, train_model, train_vmapped
from htnet.training.augment import mirror_extras
from htnet.training.losses import unit_losses
from tests.training.test_trainer import random_set

UNITS = (4, 12)


def set_with_units(samples=96):
    """Unit 4 lights the upper half of a channel and unit 12 the lower, each on one side or both."""
    data = random_set(samples)
    units = torch.randint(0, 2, (samples, 2, 2)).float()
    images = torch.zeros(samples, 3, 28, 28)
    for row, rows in enumerate((slice(0, 14), slice(14, 28))):
        for side, columns in enumerate((slice(0, 14), slice(14, 28))):
            images[:, 0, rows, columns] = 200 * units[:, row, side, None, None]
    images += 20 * torch.rand_like(images)
    return dataclasses.replace(data, images=images.to(torch.uint8), units=units)


def test_scores_beside_the_emotions():
    model = create_model("htnet_tiny", action_units=UNITS).eval()
    images = torch.rand(3, 3, 28, 28) * 255
    scores, units = model(images, return_units=True)
    assert scores.shape == (3, 3)
    assert units.shape == (3, 2, 2)
    torch.testing.assert_close(scores, model(images))
    pooled = model.forward_head(model.forward_features(images), pre_logits=True)
    expected = pooled @ model.unit_head.weight.T + model.unit_head.bias
    torch.testing.assert_close(units.flatten(1), expected)


def test_every_parameter_receives_a_gradient():
    model = create_model("htnet_tiny", action_units=UNITS)
    scores, units = model(torch.rand(3, 3, 28, 28), return_units=True)
    (scores.square().sum() + units.square().sum()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert all(".qk." in name for name in missing)


@pytest.mark.slow
def test_head_learns_units_and_sides():
    train, fresh = set_with_units(), set_with_units()
    recipe = Recipe(epochs=25, batch_size=16, lr=2e-3, precision="float32")
    recipe = dataclasses.replace(recipe, augmentation=dataclasses.replace(recipe.augmentation, shift=0))
    model, _ = train_model("htnet_tiny", train, recipe, settings={"action_units": UNITS})
    with torch.no_grad():
        _, units = model(fresh.inputs(), return_units=True)
    assert ((units > 0) == fresh.units.bool()).float().mean() > 0.95


def test_weight_of_the_units():
    data = set_with_units(16)
    recipe = Recipe(epochs=1, batch_size=16, ema_decay=0.0, augmentation=None, shuffle=False, schedule="constant")
    heads = []
    for weight in (0.0, 1.0):
        changed = dataclasses.replace(recipe, units_weight=weight, weight_decay=0.0)
        model, _ = train_model("htnet_tiny", data, changed, settings={"action_units": UNITS})
        heads.append(model.unit_head.weight)
    fresh, _ = train_model(
        "htnet_tiny", data, dataclasses.replace(recipe, lr=1e-12, weight_decay=0.0), settings={"action_units": UNITS}
    )
    torch.testing.assert_close(heads[0], fresh.unit_head.weight, rtol=0, atol=1e-7)
    assert (heads[1] - heads[0]).abs().max() > 1e-4


def test_loss_by_hand():
    logits, active = torch.randn(5, 2, 2), torch.randint(0, 2, (5, 2, 2)).float()
    chance = logits.sigmoid()
    expected = -(active * chance.log() + (1 - active) * (1 - chance).log()).mean((1, 2)) * 0.7
    torch.testing.assert_close(unit_losses(Recipe(units_weight=0.7), logits, active), expected)


def test_mirroring_swaps_the_sides():
    units = torch.rand(4, 2, 2)
    which = torch.tensor([True, False, True, False])
    found = mirror_extras({"units": units}, which, 28)["units"]
    assert torch.equal(found[0], units[0][:, [1, 0]])
    assert torch.equal(found[1], units[1])


def test_models_without_the_head_leave_units_alone():
    data = set_with_units(16)
    recipe = Recipe(epochs=1, batch_size=8)
    plain, _ = train_model("htnet_tiny", dataclasses.replace(data, units=None), recipe)
    model, _ = train_model("htnet_tiny", data, recipe)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_what_does_not_fit_is_refused():
    data, recipe = set_with_units(16), Recipe(epochs=1, batch_size=8)
    with pytest.raises(ModelError, match="has no head for action units"):
        create_model("htnet_tiny")(torch.rand(1, 3, 28, 28), return_units=True)
    with pytest.raises(ModelError, match="each once"):
        create_model("htnet_tiny", action_units=(4, 4))
    with pytest.raises(ModelError, match=r"action_units is \(0,\)"):
        create_model("htnet_tiny", action_units=(0,))
    with pytest.raises(InputError, match=r"has 2 action units, but the model scores 1: \(4,\)"):
        train_model("htnet_tiny", data, recipe, settings={"action_units": (4,)})
    with pytest.raises(InputError, match="one model at a time"):
        train_vmapped("htnet_tiny", [Training(data)], recipe, settings={"action_units": UNITS})
    with pytest.raises(RecipeError, match="units_weight is -1"):
        Recipe(units_weight=-1)
