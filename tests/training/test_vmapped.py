import dataclasses
from typing import ClassVar

import pytest
import torch

from htnet.core.errors import InputError, RunError
from htnet.models import create_model
from htnet.training import AnyAugmentation, Checkpoint, Recipe, Training, predict_set, train_model, train_vmapped
from htnet.training.rng import seeded_rng
from tests.training.test_trainer import random_set

QUICK = Recipe(epochs=3, batch_size=8)
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
#: A constant over all channels before a norm: it has no effect, and so no gradient but rounding, of which Adam makes
#: steps of full length.
IDLE = "levels.{}.pos_emb"


@dataclasses.dataclass(frozen=True)
class OfFaces(AnyAugmentation):
    """Augmentation of other images than flow."""

    of: ClassVar[str] = "face"


def sets_and_seeds():
    """Different sizes with the same number of batches of 8."""
    return [(random_set(samples), seed) for samples, seed in ((19, 3), (22, 4), (24, 3))]


def assert_alike(model, alone, recipe, seed):
    """Weights are the same but for a small part of the way that they went.

    Element by element they are not: where a gradient is near 0 rounding turns its sign, and Adam's steps are as long
    there as elsewhere.
    """
    assert model.config == alone.config
    with seeded_rng(seed, torch.device("cpu")):
        start = create_model("htnet_tiny", **alone.config.to_dict()).state_dict()
    for (key, found), expected in zip(model.state_dict().items(), alone.state_dict().values(), strict=True):
        if key != IDLE.format(model.config.num_hierarchies - 1):
            way = (expected - start[key]).norm()
            # A single small number can end where it began, or a last digit beside.
            rounding = torch.finfo(expected.dtype).eps * expected.norm() if expected.numel() == 1 else 0.0
            assert (found - expected).norm() <= 2e-3 * way + rounding, key
            assert way > 0 or ".qk." in key or expected.numel() == 1, key


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.0, "schedule": "constant", "optimizer": "adam", "augmentation": None, "shuffle": False},
        {"loss": "focal", "standardize": False, "lr": 1e-4},
    ],
    ids=["default", "plain", "focal"],
)
def test_each_comes_out_as_if_alone(changes):
    recipe = dataclasses.replace(QUICK, **changes)
    given = sets_and_seeds()
    found = train_vmapped("htnet_tiny", [Training(data, seed) for data, seed in given], recipe)
    for (model, records), (data, seed) in zip(found, given, strict=True):
        alone, _ = train_model("htnet_tiny", data, recipe, seed=seed)
        assert records == []
        assert_alike(model, alone, recipe, seed)
        torch.testing.assert_close(predict_set(model, data), predict_set(alone, data), **CLOSE)


def test_several_tokens_a_block():
    recipe = dataclasses.replace(QUICK, epochs=1)
    given = [(random_set(10), 1), (random_set(13), 2)]
    settings = {"image_size": 28, "patch_size": 7, "num_hierarchies": 2, "block_repeats": (1, 1)}
    found = train_vmapped("htnet_tiny", [Training(*g) for g in given], recipe, settings=settings)
    for (model, _), (data, seed) in zip(found, given, strict=True):
        assert not model.attention_is_trivial
        alone, _ = train_model("htnet_tiny", data, recipe, seed=seed, settings=settings)
        assert_alike(model, alone, recipe, seed)


def test_watchers_see_their_own_model_at_every_epoch():
    given = sets_and_seeds()
    together = [
        Training(data, seed, lambda epoch, model, data=data: [epoch, predict_set(model, data).tolist()])
        for data, seed in given
    ]
    found = train_vmapped("htnet_tiny", together, QUICK)
    for (_, records), training in zip(found, together, strict=True):
        _, alone = train_model("htnet_tiny", training.data, QUICK, seed=training.seed, on_epoch=training.on_epoch)
        assert [epoch for epoch, _ in records] == [epoch for epoch, _ in alone] == [1, 2, 3]
        torch.testing.assert_close(torch.tensor([r[1] for r in records]), torch.tensor([r[1] for r in alone]), **CLOSE)


def test_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    data = random_set(9)
    torch.manual_seed(5)
    train_vmapped("htnet_tiny", [Training(data, 1)], dataclasses.replace(QUICK, epochs=1))
    assert torch.equal(torch.rand(1), expected)


class StopError(Exception):
    pass


def test_resumed_is_the_undisturbed_one(tmp_path):
    given = sets_and_seeds()
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0)

    def stop(epoch, model):
        if epoch == 3:
            raise StopError
        return epoch

    def count(epoch, model):
        return epoch

    recipe = dataclasses.replace(QUICK, epochs=4)
    with pytest.raises(StopError):
        train_vmapped("htnet_tiny", [Training(d, s, stop) for d, s in given], recipe, checkpoint=checkpoint)
    with pytest.raises(RunError, match="another model, recipe, seed, data set"):
        train_vmapped("htnet_tiny", [Training(d, s + 1) for d, s in given], recipe, checkpoint=checkpoint)
    resumed = train_vmapped("htnet_tiny", [Training(d, s, count) for d, s in given], recipe, checkpoint=checkpoint)
    undisturbed = train_vmapped("htnet_tiny", [Training(d, s) for d, s in given], recipe)
    for (model, records), (other, _) in zip(resumed, undisturbed, strict=True):
        assert records == [1, 2, 3, 4]
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert not checkpoint.path.exists()


def test_what_cannot_be_vmapped_is_refused():
    one = [Training(random_set(10), 1)]
    with pytest.raises(InputError, match="ststnet cannot be vmapped"):
        train_vmapped("ststnet", one, QUICK)
    with pytest.raises(InputError, match="dropout"):
        train_vmapped("htnet_tiny", one, QUICK, settings={"dropout": 0.1})
    with pytest.raises(InputError, match=r"2 trainings with \[2, 3\] steps"):
        train_vmapped("htnet_tiny", [*one, Training(random_set(24), 1)], QUICK)
    with pytest.raises(InputError, match=r"0 trainings"):
        train_vmapped("htnet_tiny", [], QUICK)
    with pytest.raises(Exception, match="is for face images"):
        train_vmapped("htnet_tiny", one, dataclasses.replace(QUICK, augmentation=OfFaces()))
