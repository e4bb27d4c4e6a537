"""Names, revisions, tokens: what `load_pretrained` and `push_to_hub` make of them."""

from pathlib import Path

import pytest
import torch

import htnet
from htnet.core.errors import (
    HtnetError,
    InputError,
    ModelError,
    UnknownWeightsError,
    WeightsError,
    WeightsNotPublishedError,
)
from htnet.hub import find_pretrained, list_pretrained, push_to_hub, read_config, save_pretrained
from tests.support.pairs import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"))


def files(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_registry(monkeypatch):
    monkeypatch.delenv("HTNET_HUB_NAMESPACE", raising=False)
    specs = {s.name: s for s in list_pretrained()}
    assert list(specs) == sorted(specs)
    assert {"composite", "casme3"} <= set(specs)
    ready = list_pretrained(published_only=True)
    composite = ["composite", *(f"composite-{name}" for name in ("dual-stream", "htnet", "ststnet"))]
    assert [s.name for s in ready] == [*composite, "synthetic", "synthetic-mlp"]
    assert all(s.bundled for s in ready)
    default = specs["casme3"].repo_id
    assert default.endswith("/casme3")
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "somebody")
    assert specs["casme3"].repo_id == "somebody/casme3" != default
    for spec in specs.values():
        assert spec.model in htnet.list_models()
        assert spec.license
        assert spec.dataset
        assert spec.protocol
        with pytest.raises(AttributeError):
            spec.name = "other"
    assert find_pretrained("nothing") is None


def test_bundled_weights():
    spec = find_pretrained("composite")
    if not spec.folder.is_dir():
        pytest.skip(f"the bundled weights are not in {spec.folder}")
    model = htnet.load_pretrained("composite")
    assert model.labels == ("negative", "positive", "surprise")
    assert model.name == spec.model
    assert sum(f.stat().st_size for f in spec.folder.iterdir()) <= 15e6
    assert read_config(spec.folder / "config.json")["training"]["samples"] == 442
    with pytest.raises(WeightsError, match=r"revision='v1'.*Leave it out"):
        htnet.load_pretrained("composite", revision="v1")


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("compositt", "Did you mean 'composite'"),
        ("casme-3", "Did you mean 'casme3'"),
        ("nothing like it", "Known: casme3, .*composite, composite-dual-stream"),
        ("./weights", "folder written by htnet train"),
        ("../weights", "folder written by htnet train"),
        ("/no/such/folder", "folder written by htnet train"),
        ("a/b/c", "owner/repo"),
        ("a--b/c", "owner/repo"),
        ("", "owner/repo"),
    ],
)
def test_unknown_names(hub, name, cure):
    with pytest.raises(UnknownWeightsError, match=cure) as caught:
        htnet.load_pretrained(name)
    assert repr(name) in str(caught.value)
    assert hub.requests == [], "a name that can be no repository is not asked for"


def test_folder_by_text_by_path_and_relative(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in (str(folder), folder, f"./{folder.name}", Path(folder.name), folder.name):
        assert same(htnet.load_pretrained(name), htnet.load_pretrained(folder))


def test_registered_name_wins_over_a_folder(hub, folder, tmp_path, monkeypatch):
    save_pretrained(tiny_model(), tmp_path / "casme3")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsNotPublishedError):
        htnet.load_pretrained("casme3", cache_dir=tmp_path / "cache")
    htnet.load_pretrained("./casme3")
    htnet.load_pretrained(Path("casme3"))


def test_revision_of_a_folder_is_refused(folder):
    with pytest.raises(WeightsError, match="revision='main' was given"):
        htnet.load_pretrained(folder, revision="main")


def test_unknown_arguments_are_refused(folder):
    with pytest.raises(ModelError, match="revison"):  # the name of no setting either
        htnet.load_pretrained(folder, revison="main")


def test_private_repository(hub, folder, tmp_path):
    hub.add_repo("lab/private", files(folder), private=True)
    for token in (None, False):
        with pytest.raises(WeightsError, match=r"no repository lab/private that you may read.*token="):
            htnet.load_pretrained("lab/private", cache_dir=tmp_path / "cache", token=token)
    found = htnet.load_pretrained("lab/private", cache_dir=tmp_path / "cache", token=hub.token)
    assert same(found, htnet.load_pretrained(folder))


def test_a_wrong_token_is_told(hub, folder, tmp_path):
    hub.add_repo("lab/private", files(folder), private=True)
    with pytest.raises(WeightsError, match=r"lab/private.*(Invalid credentials|401|may read)"):
        htnet.load_pretrained("lab/private", cache_dir=tmp_path / "cache", token="hf_wrong")


def test_repository_without_htnet_weights(hub, tmp_path):
    hub.add_repo("lab/other", {"README.md": b"# other\n"})
    with pytest.raises(
        WeightsError,
        match=r"no folder lab/other here, and .* could not be downloaded",
    ):
        htnet.load_pretrained("lab/other", cache_dir=tmp_path / "cache")


def test_wrong_revision_of_registered_weights_is_not_called_unpublished(hub, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "lab")
    hub.add_repo("lab/casme3", files(folder))
    htnet.load_pretrained("casme3", cache_dir=tmp_path / "cache")
    with pytest.raises(WeightsError, match="lab/casme3 has no revision 'v9'") as caught:
        htnet.load_pretrained("casme3", revision="v9", cache_dir=tmp_path / "cache")
    assert not isinstance(caught.value, WeightsNotPublishedError)


def test_registered_hash_is_checked(hub, folder, tmp_path, monkeypatch):
    import dataclasses

    from htnet.core.registry import WEIGHTS

    wrong = dataclasses.replace(find_pretrained("casme3"), sha256="0" * 64)
    monkeypatch.setattr(WEIGHTS, "_entries", {**WEIGHTS, "casme3": wrong})
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "lab")
    hub.add_repo("lab/casme3", files(folder))
    with pytest.raises(htnet.core.errors.CorruptWeightsError, match=f"expected {'0' * 64}"):
        htnet.load_pretrained("casme3", cache_dir=tmp_path / "cache")


def test_push_makes_the_repository_and_leaves_the_rest_at_home(hub, folder, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in {**files(folder), ".training.pt": b"half", "notes.txt": b"secret"}.items():
        (mine / name).write_bytes(content)
    commit = push_to_hub(mine, "tester/mine", private=True, token=hub.token)
    with pytest.raises(WeightsError, match="may read"):
        htnet.load_pretrained("tester/mine", cache_dir=tmp_path / "cache")
    found = htnet.load_pretrained("tester/mine", revision=commit, cache_dir=tmp_path / "cache", token=hub.token)
    assert same(found, htnet.load_pretrained(folder))
    from huggingface_hub import HfApi

    names = HfApi(endpoint=hub.url, token=hub.token).list_repo_files("tester/mine")
    assert not {".training.pt", "notes.txt"} & set(names)


@pytest.mark.parametrize("private", [True, False])
def test_an_existing_repository_of_the_other_visibility_is_refused(hub, folder, private):
    hub.add_repo("tester/there", {"README.md": b"old"}, private=not private)
    before = len(hub.requests)
    said = "exists and is public, so it was not published as private" if private else "exists and is private"
    with pytest.raises(WeightsError, match=f"tester/there {said}.*nothing was uploaded"):
        push_to_hub(folder, "tester/there", private=private, token=hub.token)
    assert not [path for _, path in hub.requests[before:] if "commit" in path or "preupload" in path]
    push_to_hub(folder, "tester/there", token=hub.token)
    push_to_hub(folder, "tester/there", private=not private, token=hub.token)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"private": "no"}, "private is 'no'; give True or False, or None"),
        ({"create_pr": 1}, "create_pr is 1; give True or False, or None"),
        ({"branch": ""}, "branch is ''; give a text"),
        ({"commit_message": ""}, "commit_message is ''; give a text"),
        ({"commit_message": None}, "commit_message is None; give a text"),
    ],
)
def test_options_of_a_push_that_cannot_be_are_refused(hub, folder, given, message):
    with pytest.raises(InputError, match=message):
        push_to_hub(folder, "tester/mine", token=hub.token, **given)
    assert hub.requests == []


def test_nothing_broken_is_pushed(hub, folder, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(WeightsError, match=r"lacks model.safetensors, config.json, README.md"):
        push_to_hub(mine, "tester/mine", token=hub.token)
    for name, content in files(folder).items():
        (mine / name).write_bytes(content)
    (mine / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(HtnetError, match=r"model.safetensors is damaged"):
        push_to_hub(mine, "tester/mine", token=hub.token)
    assert hub.requests == []


def test_push_without_the_right_to_write(hub, folder):
    with pytest.raises(WeightsError, match=r"(?s)refused tester/mine.*HF_TOKEN"):
        push_to_hub(folder, "tester/mine", token=False)


@pytest.mark.parametrize("name", ["mine", "a/b/c", "./mine", "casme", None])
def test_push_under_an_impossible_name(hub, folder, name):
    with pytest.raises(UnknownWeightsError, match=rf"{name!r}: give owner/repo"):
        push_to_hub(folder, name, token=hub.token)
    assert hub.requests == []


def test_push_without_a_hub(hub, folder):
    hub.stop()
    with pytest.raises(WeightsError, match=r"tester/mine was not published.*Check the connection"):
        push_to_hub(folder, "tester/mine", token=hub.token)
