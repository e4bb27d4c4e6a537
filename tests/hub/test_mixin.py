"""Every model saves, publishes and loads itself, as models with the mixin of the Hub's client do."""

import copy
import inspect
import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, ModelHubMixin, PyTorchModelHubMixin, constants, hf_hub_download

import htnet
from htnet.core.errors import ModelError, OverwriteError, WeightsError
from htnet.models import EmotionModel, HTNet
from htnet.types import PreprocessSpec
from tests.support.pairs import tiny_model
from tests.support.wings import with_wings


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


#: Every architecture, with less to compute where its presets are large.
SMALLER = with_wings("models", "SMALLER", {"htnet_base": {"dim": 24, "heads": 3, "block_repeats": (1, 1, 1)}})


@pytest.mark.slow
@pytest.mark.parametrize("name", htnet.list_models())
def test_every_model_goes_to_the_hub_and_back(hub, tmp_path, name):
    """What its class saves, publishes and loads is the model, with all that a user must know in config.json."""
    model = htnet.create_model(name, num_classes=4, **SMALLER.get(name, {})).eval()
    model.labels, model.temperature = ("calm", "glad", "überrascht", "sad"), 1.25
    model.preprocess_spec = PreprocessSpec(face_size=112, flow="dis", head_motion="nose")
    about = {"push_to_hub": True, "repo_id": "lab/mine", "training": {"license": "research-only"}}
    assert "lab/mine" in model.save_pretrained(tmp_path / "folder", **about)
    saved = type(model).from_pretrained(tmp_path / "folder")
    found = type(model).from_pretrained("lab/mine", cache_dir=tmp_path / "cache")
    for other in (saved, found):
        assert same(other, model)
        assert (other.name, other.config, other.labels) == (model.name, model.config, model.labels)
        assert (other.temperature, other.preprocess_spec) == (1.25, model.preprocess_spec)
        assert not other.training
    downloaded = hf_hub_download("lab/mine", "config.json", cache_dir=tmp_path / "cache")
    config = json.loads(Path(downloaded).read_text("utf-8"))
    assert (config["labels"], config["temperature"]) == (list(model.labels), 1.25)
    assert PreprocessSpec.from_dict(config["preprocess"]) == model.preprocess_spec
    card = ModelCard.load("lab/mine")
    assert (card.data.library_name, card.data.license, card.data.license_name) == ("htnet", "other", "research-only")
    (snippet,) = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    assert '"lab/mine"' in snippet
    compile(snippet, "card", "exec")
    assert (".predict(" in snippet) == (model.input_kind == "flow")


def test_what_the_mixin_takes_besides_is_refused_by_name(tmp_path):
    model = tiny_model()
    for call, cure in (
        (lambda: model.save_pretrained(tmp_path, config={}), "config is an argument .* htnet.create_model"),
        (lambda: model.save_pretrained(tmp_path, push_to_hub=True, model_card_kwargs={}), "training= and provenance="),
        (lambda: model.push_to_hub("a/b", allow_patterns=["*"]), "published whole"),
        (lambda: HTNet.from_pretrained("synthetic", config={}), "config is an argument"),
        (lambda: HTNet.from_pretrained("synthetic", map_location="cpu"), "Give device="),
    ):
        with pytest.raises(ModelError, match=cure):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_class_with_the_mixin_too(hub, tmp_path):
    """Named last, it changes nothing; named first, it hands over a dictionary where the annotation is text."""

    class Last(HTNet, PyTorchModelHubMixin):
        pass

    class First(PyTorchModelHubMixin, HTNet):
        pass

    assert Last.save_pretrained is HTNet.save_pretrained
    assert Last.push_to_hub is HTNet.push_to_hub
    model = tiny_model()
    first = First(model.config)
    first.save_pretrained(tmp_path / "first")
    with pytest.raises(ModelError, match=r"First is built from a HTNetConfig, not .* type dict.*must list it last"):
        First.from_pretrained(tmp_path / "first")


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


def test_the_client_keeps_out_of_the_home_folder_in_tests():
    """It is imported above, while tests are collected, and reads its folders then."""
    assert Path(constants.HF_HUB_CACHE).parent.parent.name.startswith("htnet-tests-")
