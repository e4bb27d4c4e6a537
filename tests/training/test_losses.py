import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from htnet.core.errors import RecipeError
from htnet.core.types import PreprocessSpec
from htnet.preprocess import template_points
from htnet.training import FlowSet, Recipe, focal_loss, get_recipe, margin_loss, recipe_loss, train_model
from htnet.training.losses import proposal_losses, recipe_losses


def scores(batch=7, classes=4):
    return 4 * torch.randn(batch, classes, dtype=torch.float64), torch.randint(0, classes, (batch,))


def by_hand(logits, labels, alpha, gamma):
    """Sample by sample, in plain Python."""
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = math.exp(row[label]) / sum(math.exp(x) for x in row)
        total -= alpha * (1 - p) ** gamma * math.log(p)
    return total / len(logits)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (1.0, 0.5), (0.7, 3.5)])
def test_focal_equals_the_formula(alpha, gamma):
    logits, labels = scores()
    assert float(focal_loss(logits, labels, alpha=alpha, gamma=gamma)) == pytest.approx(
        by_hand(logits, labels, alpha, gamma), rel=1e-9
    )


def test_defaults_are_the_published_ones():
    logits, labels = scores()
    assert float(focal_loss(logits, labels)) == pytest.approx(by_hand(logits, labels, 0.25, 2.0), rel=1e-9)
    assert recipe_loss(get_recipe("focal"), logits, labels) == focal_loss(logits, labels)


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_gamma_zero_is_cross_entropy(alpha):
    logits, labels = scores()
    logits.requires_grad_()
    ours, theirs = focal_loss(logits, labels, alpha=alpha, gamma=0), alpha * F.cross_entropy(logits, labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


def test_shares_of_classes_weigh_their_terms():
    logits, labels = scores()
    other = (labels + 1) % 4
    hard = torch.stack([F.one_hot(x, 4) for x in (labels, other)]).double()
    torch.testing.assert_close(focal_loss(logits, hard[0]), focal_loss(logits, labels))
    mixed = focal_loss(logits, 0.3 * hard[0] + 0.7 * hard[1])
    torch.testing.assert_close(mixed, 0.3 * focal_loss(logits, labels) + 0.7 * focal_loss(logits, other))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_sure_answers_have_finite_gradients(gamma):
    """Probabilities of exactly 1 and 0 in float32, right and wrong."""
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 1, 0]), gamma=gamma)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().max() == 0, "nothing is left to learn from it"
    assert logits.grad[1].abs().max() > 0


def test_easy_samples_count_less():
    logits, labels = torch.tensor([[3.0, 0.0], [0.2, 0.0]], dtype=torch.float64), torch.tensor([0, 0])
    easy, hard = (focal_loss(logits[i : i + 1], labels[:1], alpha=1) for i in (0, 1))
    plain = [F.cross_entropy(logits[i : i + 1], labels[:1]) for i in (0, 1)]
    assert easy / hard < 0.02 * plain[0] / plain[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"loss": "focall"}, r"loss is 'focall'. Did you mean 'focal'"),
        ({"loss": "hinge"}, r"loss is 'hinge'. Known: cross_entropy, focal"),
        ({"focal_alpha": 0}, "focal_alpha is 0"),
        ({"focal_gamma": -0.5}, "focal_gamma is -0.5"),
        ({"focal_gamma": float("nan")}, "focal_gamma is nan"),
        ({"focal_gamma": 1.5}, "focal_gamma is 1.5, but has no effect without loss='focal'"),
        ({"focal_alpha": 0.5, "loss": "margin"}, "focal_alpha is 0.5, but has no effect"),
        ({"generated_weight": 1.0}, "generated_weight is 1.0, but has no effect without generated=N"),
        ({"augmentation": {"gain": 1.5}}, r"gain is 1.5; give a number from 0 to 1"),
    ],
)
def test_bad_settings_are_named(values, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(values)


def test_bad_arguments_are_named():
    for settings, message in (({"alpha": -1}, "alpha is -1"), ({"gamma": -2}, "gamma is -2")):
        with pytest.raises(RecipeError, match=message):
            focal_loss(*scores(), **settings)


def test_recipes_from_before_the_field_mean_cross_entropy():
    old = {k: v for k, v in Recipe().to_dict().items() if k != "loss" and not k.startswith("focal")}
    assert Recipe.from_dict(old) == Recipe()
    logits, labels = scores()
    assert recipe_loss(Recipe.from_dict(old), logits, labels) == F.cross_entropy(logits, labels)


def test_training_uses_the_loss_of_its_recipe():
    spec = PreprocessSpec()
    images = torch.randint(0, 256, (12, 3, 28, 28), dtype=torch.uint8)
    points = template_points(spec)[None].repeat(12, 1, 1)
    data = FlowSet(images, points, torch.randint(0, 3, (12,)), spec, ("template",) * 12)
    plain = Recipe(epochs=2, batch_size=6)

    def trained(recipe):
        return torch.cat([p.detach().flatten() for p in train_model("ststnet", data, recipe)[0].parameters()])

    focal = trained(dataclasses.replace(plain, loss="focal"))
    assert not torch.equal(focal, trained(plain))
    # AdamW's steps do not depend on the scale of the loss.
    same = trained(dataclasses.replace(plain, loss="focal", focal_gamma=0.0, focal_alpha=0.5))
    torch.testing.assert_close(same, trained(plain), rtol=1e-2, atol=1e-3)


def test_margin_equals_the_formula():
    lengths, labels = torch.rand(7, 4, dtype=torch.float64), torch.randint(0, 4, (7,))
    total = 0.0
    for row, label in zip(lengths.tolist(), labels.tolist(), strict=True):
        total += max(0, 0.9 - row[label]) ** 2
        total += sum(0.5 * max(0, s - 0.1) ** 2 for k, s in enumerate(row) if k != label)
    assert float(margin_loss(lengths, labels)) == pytest.approx(total / 7, rel=1e-12)
    shares = F.one_hot(labels, 4).double()
    torch.testing.assert_close(margin_loss(lengths, shares), margin_loss(lengths, labels))
    recipe = get_recipe("capsulenet")
    torch.testing.assert_close(recipe_loss(recipe, lengths, labels), margin_loss(lengths, labels))
    torch.testing.assert_close(recipe_losses(recipe, lengths, labels).mean(), margin_loss(lengths, labels))


def test_proposals_have_their_own_loss_and_need_one_a_class():
    recipe = get_recipe("featref", epochs=1, batch_size=4, proposal_weight=2.0)
    logits, labels = scores(classes=3)
    truth = [[-math.log(1 / (1 + math.exp(-x if k == y else x))) for k, x in enumerate(r)] for r, y in zip(
        logits.tolist(), labels.tolist(), strict=True)]  # fmt: skip
    expected = torch.tensor(truth, dtype=torch.float64).mean(1) * 2
    torch.testing.assert_close(proposal_losses(recipe, logits, labels), expected)
    spec = dataclasses.replace(PreprocessSpec(), layout="whole")
    images = torch.randint(0, 256, (6, 3, 28, 28), dtype=torch.uint8)
    data = FlowSet(images, template_points(spec)[None].repeat(6, 1, 1), torch.arange(6) % 3, spec, ("template",) * 6)
    trained = {}
    for weight in (0.0, 2.0):
        changed = dataclasses.replace(recipe, proposal_weight=weight)
        trained[weight], _ = train_model("featref", data, changed, settings={"hidden": 8, "dropout": 0.0})
    assert not torch.equal(trained[0.0].proposal.weight, trained[2.0].proposal.weight)
    for name, settings in (("off_apexnet", {}), ("featref", {"proposals": 2})):
        with pytest.raises(RecipeError, match="one proposal for each of 3 classes"):
            train_model(name, data, recipe, settings=settings)
