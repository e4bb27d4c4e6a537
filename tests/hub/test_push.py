"""What `htnet push` would upload, and that it uploads just that: one set of weights, or all that are registered."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, hf_hub_download

import htnet
from benchmarks.bundle import KEPT, folder_of
from htnet.core.errors import UnknownWeightsError, WeightsError
from htnet.core.registry import WEIGHTS
from htnet.hub import find_pretrained, plan_all, plan_push, push_all, save_pretrained
from htnet.models import get_entry
from tests.support.pairs import tiny_model
from tests.support.paths import ROOT


@pytest.fixture
def owner(hub, monkeypatch):
    """The one setting, and a token."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "lab")
    return "lab"


def uploaded(hub, repo_id, cache):
    """Files of a repository, as the real client downloads them."""
    names = [name for name in HfApi(token=hub.token).list_repo_files(repo_id) if not name.startswith(".")]
    return {name: Path(hf_hub_download(repo_id, name, cache_dir=cache)).read_bytes() for name in names}


def test_a_dry_run_prints_what_is_uploaded(hub, owner, tmp_path, succeed):
    folder = save_pretrained(tiny_model(), tmp_path / "mine", training={"license": "research-only"})
    (folder / "notes.txt").write_text("not for others")
    out = succeed("push", folder, "lab/mine", "--dry-run")
    (told,) = json.loads(succeed("push", folder, "lab/mine", "--dry-run", "--json"))["values"]["uploads"]
    assert hub.requests == [], "a dry run asks nobody"
    succeed("push", folder, "lab/mine")
    files = uploaded(hub, "lab/mine", tmp_path / "cache")
    assert {file["name"]: (file["bytes"], file["sha256"]) for file in told["files"]} == {
        name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()
    }
    for name, content in files.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
        assert f"{len(content):,} bytes" in line
        assert hashlib.sha256(content).hexdigest() in line
    card = files["README.md"].decode()
    assert told["card"] == card
    assert [line[4:] for line in out.split("  card:\n")[1].splitlines()] == card.splitlines()
    assert 'load_pretrained("lab/mine")' in card
    assert (told["repository"], told["license"]) == ("lab/mine", "LicenseRef-htnet-research-only-weights")
    assert "terms: non-commercial research only" in out


def test_a_card_that_is_no_text_is_named(owner, tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path / "mine")
    (folder / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(WeightsError, match=r"README.md cannot be read .*Correct it, or save the weights again"):
        plan_push(folder, "lab/mine")


def test_the_text_of_the_terms_goes_with_registered_weights_alone(owner, tmp_path):
    names = [file.name for file in plan_push(find_pretrained("composite").folder, "composite").files]
    assert names == ["model.safetensors", "config.json", "README.md", "LICENSE-research-only"]
    assert len(plan_push(find_pretrained("synthetic-mlp").folder, "synthetic-mlp").files) == 3
    own = save_pretrained(tiny_model(), tmp_path / "own", training={"license": "research-only"})
    assert len(plan_push(own, "lab/own").files) == 3


def test_other_weights_do_not_take_a_registered_name(owner, tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path / "mine")
    with pytest.raises(WeightsError, match=r"not contain the weights that are registered as composite.*owner/repo"):
        plan_push(folder, "composite")
    assert plan_push(folder, "casme3").repo_id == "lab/casme3", "whose weights are not known yet"
    with pytest.raises(UnknownWeightsError, match="give owner/repo"):
        plan_push(folder, "casme")


def test_what_goes_with_all_and_what_does_not(fail):
    assert "leave mine out" in fail("push", "mine", "--all")
    assert "Give a weights folder and its repository" in fail("push", "mine")
    assert "with --trained" in fail("push", "mine", "lab/mine", "--trained", "w")


def test_an_empty_folder_of_trained_weights_is_refused(owner, fail):
    assert "trained is empty" in fail("push", "--all", "--trained", "", "--dry-run")


def test_without_private_the_owner_decides(owner, tmp_path, succeed, fail, monkeypatch):
    """An organization may have chosen that new repositories are private."""
    folder, asked = save_pretrained(tiny_model(), tmp_path / "mine"), []
    create = HfApi.create_repo

    def noting(self, repo_id, *, private=None, **options):
        asked.append(private)
        return create(self, repo_id, private=private, **options)

    monkeypatch.setattr(HfApi, "create_repo", noting)
    succeed("push", folder, "lab/mine")
    assert "lab/mine exists and is public" in fail("push", folder, "lab/mine", "--private")
    assert "leave --private out" in fail("push", folder, "lab/mine", "--private")
    assert asked == [None, True, True]


@pytest.mark.slow
def test_one_command_publishes_all_and_each_loads_by_its_name(hub, owner, tmp_path, succeed, monkeypatch):
    """All that the repository has and what was trained for the other entries; loaded from nothing but the Hub."""
    monkeypatch.chdir(ROOT)
    models = {}
    for spec in htnet.list_pretrained():
        if spec.sha256 is None and spec.name != "casme3":
            kind = get_entry(spec.model).model_class.input_kind
            small = {"flow": "htnet_tiny", "face": "htnet_palsy_tiny"}[kind]
            models[spec.name] = htnet.create_model(small).eval()
            models[spec.name].preprocess_spec = get_entry(small).spec
            save_pretrained(models[spec.name], tmp_path / "trained" / spec.name)
    words = ("push", "--all", "--trained", tmp_path / "trained")
    dry = succeed(*words, "--dry-run")
    planned = json.loads(succeed(*words, "--dry-run", "--json"))["values"]
    assert hub.requests == []
    assert "not found: casme3; to train it, start with: htnet prepare casme3" in dry
    assert planned["absent"] == ["casme3"]
    done = json.loads(succeed(*words, "--json"))["values"]
    names = {spec.name for spec in KEPT} | models.keys()
    assert {one["repository"] for one in done["uploads"]} == {f"lab/{name}" for name in names}
    for one, before in zip(done["uploads"], planned["uploads"], strict=True):
        assert {**one, "commit": None} == before
        assert one["commit"] == HfApi(token=hub.token).model_info(one["repository"]).sha
        assert f"{before['folder']} to {before['repository']}" in dry
    for spec in KEPT:
        models[spec.name] = htnet.load_pretrained(folder_of(spec))
        # As if it were not on this machine.
        entry = dataclasses.replace(spec, bundled=False, source_folder="")
        monkeypatch.setitem(WEIGHTS._entries, spec.name, entry)
    before = len(hub.requests)
    for name, model in models.items():
        found = htnet.load_pretrained(name, cache_dir=tmp_path / "cache")
        own, other = model.state_dict(), found.state_dict()
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)
        assert found.license_expression == (model.license_expression or "LicenseRef-htnet-not-stated")
    asked = [path for _, path in hub.requests[before:]]
    assert all(any(f"lab/{name}/resolve" in path for path in asked) for name in models)


def test_all_of_an_installed_package_are_those_in_it(owner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = {name for name, plan in plan_all().items() if plan is not None}
    assert here == {spec.name for spec in htnet.list_pretrained() if spec.bundled}


def test_nothing_is_sent_if_one_set_is_damaged(hub, owner, tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path / "casme3")
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        push_all(tmp_path)
    assert hub.requests == []
