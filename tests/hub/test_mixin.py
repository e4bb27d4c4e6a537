"""Every model saves, publishes and loads itself, as models with the mixin of the Hub's client do."""

import copy
import inspect

import pytest
import torch
from huggingface_hub import ModelHubMixin

import htnet
from htnet.core.errors import ModelError, OverwriteError, WeightsError
from htnet.models import EmotionModel, HTNet
from tests.support.pairs import tiny_model


@pytest.fixture(autouse=True)
def token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_push_and_load(hub, tmp_path):
    model = tiny_model()
    address = model.push_to_hub("lab/mine", commit_message="first", training={"license": "research-only"})
    assert "lab/mine" in address
    again = HTNet.from_pretrained("lab/mine", cache_dir=tmp_path / "cache")
    assert same(again, model)
    assert not again.training
    assert "research only" in again.license
    assert HTNet.from_pretrained("lab/mine", cache_dir=tmp_path / "cache", num_classes=7).head.out_features == 7


def test_branches_and_revisions(hub, tmp_path):
    first, second = tiny_model(), tiny_model()
    first.push_to_hub("lab/mine")
    second.push_to_hub("lab/mine", branch="next")
    cache = tmp_path / "cache"
    assert same(HTNet.from_pretrained("lab/mine", cache_dir=cache), first)
    assert same(HTNet.from_pretrained("lab/mine", cache_dir=cache, revision="next"), second)
    assert same(HTNet.from_pretrained("lab/mine", cache_dir=cache, local_files_only=True), first)
    assert same(HTNet.from_pretrained("lab/mine", cache_dir=cache, force_download=True), first)
    with pytest.raises(WeightsError, match="no revision 'v9'"):
        HTNet.from_pretrained("lab/mine", cache_dir=cache, revision="v9")


def test_saving_publishes_if_asked(hub, tmp_path):
    model = tiny_model()
    assert model.save_pretrained(tmp_path / "mine") is None
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(tmp_path / "mine")  # as a training does after each epoch
    assert same(htnet.load_pretrained(tmp_path / "mine"), model)
    for other in (tiny_model(), copy.deepcopy(model), HTNet.from_pretrained(tmp_path / "mine")):
        with pytest.raises(OverwriteError):
            other.save_pretrained(tmp_path / "mine")
    with pytest.raises(OverwriteError):
        model.save_pretrained(tmp_path / "mine", overwrite=False)
    address = model.save_pretrained(tmp_path / "mine", overwrite=True, push_to_hub=True, repo_id="lab/saved")
    assert "lab/saved" in address
    assert same(htnet.load_pretrained("lab/saved", cache_dir=tmp_path / "cache"), model)
    with pytest.raises(ModelError, match="private was given without push_to_hub"):
        model.save_pretrained(tmp_path / "other", private=True)


@pytest.mark.parametrize("name", ["save_pretrained", "push_to_hub", "from_pretrained"])
def test_arguments_are_those_of_the_mixin(name):
    """All that the mixin takes, but for configs and cards of its own, and patterns of files: a folder goes whole."""
    left_out = {"config", "model_card_kwargs", "allow_patterns", "ignore_patterns", "delete_patterns", "model_kwargs"}
    theirs = dict(inspect.signature(getattr(ModelHubMixin, name)).parameters)
    ours = dict(inspect.signature(getattr(EmotionModel, name)).parameters)
    # Of older clients; they do nothing any more.
    assert set(theirs) - set(ours) <= left_out | {"resume_download", "proxies"}
    for key in set(theirs) & set(ours):
        assert theirs[key].kind == ours[key].kind, key
