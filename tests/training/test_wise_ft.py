"""WiSE-FT: results that are interpolated with the weights that training started from."""

import dataclasses

import pytest
import torch

from htnet.core.errors import RecipeError
from htnet.evaluation import loso
from htnet.models import create_model
from htnet.training import Checkpoint, Recipe, StartFrom, Training, train_model, train_vmapped
from tests.support.flows import write_flow_set
from tests.training.test_trainer import random_set

QUICK = Recipe(epochs=3, batch_size=8, lr=2e-3)
SHARE = dataclasses.replace(QUICK, wise_ft_alpha=0.7)
MODELS = ("flow_mlp", "htnet_tiny", "ststnet")  # the last has running statistics


def source(name):
    torch.manual_seed(5)
    return create_model(name, num_classes=3).eval()


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("name", MODELS)
def test_the_result_lies_between_start_and_end(name, average):
    data, start = random_set(20), StartFrom(source(name))
    recipe = dataclasses.replace(QUICK, ema_decay=average)
    seen = []

    def look(epoch, model):
        seen.append({key: value.clone() for key, value in model.state_dict().items()})

    whole, _ = train_model(name, data, recipe, seed=1, start=start)
    shared, _ = train_model(
        name, data, dataclasses.replace(recipe, wise_ft_alpha=0.7), seed=1, start=start, on_epoch=look
    )
    begin, end = start.source.state_dict(), whole.state_dict()
    for key, value in shared.state_dict().items():
        if value.is_floating_point():
            expected = 0.3 * begin[key].double() + 0.7 * end[key].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(value, end[key])
        assert torch.equal(value, seen[-1][key]), "the last epoch is shown as it is returned"
    assert any(not torch.equal(seen[0][key], seen[1][key]) for key in seen[0])
    assert not shared.training


def test_many_at_once_come_out_as_if_alone():
    start = StartFrom(source("flow_mlp"))
    given = [Training(random_set(count), seed) for count, seed in ((19, 3), (22, 4))]
    seen = []
    watched = [
        dataclasses.replace(t, on_epoch=lambda epoch, model: seen.append(model.head.weight.clone())) for t in given
    ]
    found = train_vmapped("flow_mlp", watched, SHARE, start=start)
    for training, (model, _), last in zip(given, found, seen[-2:], strict=True):
        alone, _ = train_model("flow_mlp", training.data, SHARE, seed=training.seed, start=start)
        begin = start.source.state_dict()
        for key, value in model.state_dict().items():
            way = (alone.state_dict()[key] - begin[key]).norm()
            assert (value - alone.state_dict()[key]).norm() <= 2e-3 * way + 1e-7 * value.norm(), key
        assert torch.equal(last, model.head.weight)


def test_an_interrupted_training_gives_the_same(tmp_path):
    data, start = random_set(20), StartFrom(source("flow_mlp"))
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0)

    def stop(epoch, model):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model("flow_mlp", data, SHARE, seed=1, start=start, on_epoch=stop, checkpoint=checkpoint)
    resumed, _ = train_model("flow_mlp", data, SHARE, seed=1, start=start, checkpoint=checkpoint)
    undisturbed, _ = train_model("flow_mlp", data, SHARE, seed=1, start=start)
    pairs = zip(resumed.parameters(), undisturbed.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_without_a_start_it_is_refused(tmp_path):
    says = r"wise_ft_alpha 0.7.* starts from scratch"
    with pytest.raises(RecipeError, match=says):
        train_model("flow_mlp", random_set(8), SHARE)
    with pytest.raises(RecipeError, match=says):
        train_vmapped("flow_mlp", [Training(random_set(8))], SHARE)
    with pytest.raises(RecipeError, match=says):
        loso(write_flow_set(tmp_path / "data", subjects=2), "flow_mlp", SHARE, out=tmp_path / "run")
    for alpha in (0.0, 1.1):
        with pytest.raises(RecipeError, match=f"wise_ft_alpha is {alpha}"):
            Recipe(wise_ft_alpha=alpha)
