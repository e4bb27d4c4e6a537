"""The weights that ship with htnet, and those in its repository, are what the registry and their cards say."""

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess

import pytest

import htnet
from benchmarks import bundle, synthetic_scores
from benchmarks.bundle import KEPT, folder_of
from htnet.core.errors import CorruptWeightsError, InputError, WeightsNotPublishedError
from htnet.core.limits import sha256_of
from htnet.core.network import forget_failures
from htnet.core.types import PreprocessSpec
from htnet.data import read_composite
from htnet.hub import AS_THE_CODE, GENERATED, RESEARCH_ONLY, Provenance, find_pretrained, list_pretrained, read_config
from htnet.hub.card import model_card
from htnet.hub.folder import FILES
from htnet.models import get_entry
from htnet.synthesis import ACTION_UNITS, SynthesisConfig
from htnet.training import load_flow_set, predict_set
from tests.support.paths import COMPOSITE, ROOT, needs_shared

REAL = [spec for spec in KEPT if spec.dataset != GENERATED]
#: Largest part of a wheel that one entry may take, bytes.
LARGEST = 15e6


@pytest.fixture(params=KEPT, ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture(params=REAL, ids=lambda spec: spec.name)
def real(request):
    """Weights of the composite set."""
    return request.param


def committed(spec):
    return json.loads(bundle.committed_run(spec).read_text("utf-8"))


def test_the_usual_ones_are_there():
    bundled = {spec.name for spec in list_pretrained() if spec.bundled}
    assert bundled >= {
        *("composite", "composite-htnet", "composite-dual-stream", "composite-ststnet"),
        *("synthetic", "synthetic-mlp"),
    }
    shipped = find_pretrained("synthetic").folder.parent
    assert {folder.name for folder in shipped.iterdir() if folder.is_dir()} == bundled, "all are loaded by a name"
    beside = {spec.name for spec in KEPT} - bundled
    assert beside == {"composite-mhssa"} == {folder.name for folder in (ROOT / "pretrained").iterdir()}


def test_file_registry_and_card_agree(spec):
    folder = folder_of(spec)
    model = htnet.load_pretrained(folder)
    config = read_config(folder / "config.json")
    weights = folder / "model.safetensors"
    assert spec.published == spec.bundled
    assert spec.sha256 == config["weights"]["sha256"] == sha256_of(weights)
    assert weights.stat().st_size <= LARGEST
    assert config["model"] == spec.model == model.name
    assert model.labels == ("negative", "positive", "surprise")
    assert model.preprocess_spec == get_entry(spec.model).spec
    assert not model.training
    assert spec.license == model.license
    card = (folder / "README.md").read_text("utf-8")
    assert spec.license in card
    assert card == model_card(config), "write it again: python -m benchmarks.bundle --cards"
    assert ("Trained without clips" in card) == ("motion" in model.extra_inputs)


def test_cards_of_real_data(real):
    config = read_config(folder_of(real) / "config.json")
    assert (config["training"]["samples"], config["training"]["subjects"]) == (442, 68)
    card = (folder_of(real) / "README.md").read_text("utf-8")
    assert real.license == RESEARCH_ONLY
    assert "LOSO last" in card
    assert "license: other" in card


@pytest.mark.parametrize("name", ["synthetic", "synthetic-mlp"])
def test_synthetic_weights_know_nobody(name):
    spec = find_pretrained(name)
    config, card = read_config(spec.folder / "config.json"), (spec.folder / "README.md").read_text("utf-8")
    provenance = Provenance.from_dict(config["provenance"])
    assert provenance.only_generated
    assert spec.dataset == provenance.data_in_words == GENERATED
    assert spec.license == provenance.license_in_words == AS_THE_CODE
    assert "license: apache-2.0" in card
    assert "34 of the 68 subjects" in card  # what its constants have seen
    assert tuple(config["config"]["action_units"]) == ACTION_UNITS
    assert SynthesisConfig.from_dict(config["training"]["synthesis"]) == SynthesisConfig()
    found = json.loads(synthetic_scores.OUTS[name].read_text("utf-8"))
    assert config["temperature"] == found["seeds"]["0"]["calibration"]["temperature"]
    assert "fitted to the answers for the 34 development subjects" in card
    assert spec.metrics == {
        "zero-shot, Full UF1, mean of 3 seeds": found["mean_uf1"]["full"],
        "zero-shot, untouched half, UF1, mean of 3 seeds": found["mean_uf1"]["untouched"],
        "this seed, zero-shot, Full UF1": found["seeds"]["0"]["emotions"]["full"]["uf1"],
        "this seed, action units, macro F1": found["seeds"]["0"]["action_units"]["all"]["macro_f1"]["ours"],
    }
    assert config["training"]["metrics"] == spec.metrics


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("name", ["synthetic", "synthetic-mlp"])
def test_synthetic_weights_score_what_is_said(name):
    found = json.loads(synthetic_scores.OUTS[name].read_text("utf-8"))
    spec = find_pretrained(name)
    own = synthetic_scores.evaluate(spec.folder, read_composite(COMPOSITE))
    assert own["emotions"]["full"]["uf1"] == pytest.approx(found["seeds"]["0"]["emotions"]["full"]["uf1"], abs=0.005)
    ours, said = (x["action_units"]["all"]["macro_f1"]["ours"] for x in (own, found["seeds"]["0"]))
    assert ours == pytest.approx(said, abs=0.01)


def test_metrics_are_those_of_the_committed_run(real):
    spec = real
    run, config = committed(spec), read_config(folder_of(spec) / "config.json")
    full = run["protocols"]["last"]["mean"]["full"]
    assert spec.metrics == {f"LOSO last, Full {name.upper()}": round(full[name], 4) for name in ("uf1", "uar")}
    full = run["protocols"]["best_on_test"]["mean"]["full"]
    assert spec.leaking_metrics == {
        f"LOSO best_on_test, Full {name.upper()}": round(full[name], 4) for name in ("uf1", "uar")
    }
    bundle.check_same_training(config, run)
    mean = run["protocols"]["last"]["mean"]
    expected = {f"LOSO last, {group}, {name}": mean[group][name] for group in mean for name in ("uf1", "uar")}
    assert config["training"]["metrics"] == expected
    mean = run["protocols"]["best_on_test"]["mean"]
    leaking = {f"LOSO best_on_test, {group}, {name}": mean[group][name] for group in mean for name in ("uf1", "uar")}
    assert config["training"]["leaking_metrics"] == leaking
    card = (folder_of(spec) / "README.md").read_text("utf-8")
    shown = [re.findall(r"^\| (LOSO .*) \| (\d\.\d{4}) \|$", part, re.MULTILINE) for part in card.split("that leak\n")]
    assert shown == [[(name, f"{value:.4f}") for name, value in scores.items()] for scores in (expected, leaking)]


def test_scores_of_another_training_are_refused():
    spec = find_pretrained("composite-ststnet")
    run, config = committed(spec), read_config(spec.folder / "config.json")
    for what, change in (
        ("model", {"model": "htnet_tiny"}),
        ("recipe", {"recipe": {**config["recipe"], "epochs": 3}}),
        ("preprocessing", {"preprocess": PreprocessSpec(layout="whole", clahe=True).to_dict()}),
    ):
        with pytest.raises(InputError, match=f"another {what}"):
            bundle.check_same_training({**config, **change}, run)


def test_all_files_are_packed(spec):
    """A wheel contains what lies in the package, a source distribution the rest too, unless git ignores it."""
    folder = folder_of(spec)
    files = [folder / name for name in FILES]
    assert all(file.is_file() for file in files)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    wheel = text[text.index("[tool.hatch.build.targets.wheel]") :].split("\n[")[0]
    assert 'packages = ["htnet"]' in wheel
    assert "exclude" not in text
    source = text[text.index("[tool.hatch.build.targets.sdist]") :].split("\n[")[0]
    assert f'"{folder.relative_to(ROOT).parts[0]}"' in source
    assert wheel.splitlines()[-1].startswith("packages")
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git repository here")
    done = subprocess.run(["git", "check-ignore", *map(str, files)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, ""), "git ignores them"


@pytest.mark.slow
@needs_shared
def test_it_knows_its_training_set_in_the_published_channel_order_only(real):
    """The seen samples are read right; swapping u and strain, as reading RGB for BGR would, breaks it."""
    spec = real
    model = htnet.load_pretrained(folder_of(spec))
    data = load_flow_set(read_composite(COMPOSITE), model.preprocess_spec, extras=model.extra_inputs)
    right = (predict_set(model, data).argmax(1) == data.labels).float().mean()
    unseen = committed(spec)["protocols"]["last"]["mean"]["full"]["accuracy"]
    assert right > max(unseen, 0.9 if spec.name == "composite-htnet" else 0)
    swapped = dataclasses.replace(data, images=data.images.flip(1))
    wrong = (predict_set(model, swapped).argmax(1) == data.labels).float().mean()
    assert wrong < max(
        0.7, unseen
    )  # seen samples in the wrong order are read worse than unseen ones in the right order
    assert wrong < right - 0.1


@pytest.mark.slow
@needs_shared
def test_bundle_command(tmp_path, capsys):
    words = ["composite-ststnet", "--data", str(COMPOSITE), "--out", str(tmp_path / "w"), "--epochs", "1"]
    assert bundle.main(words) == 0
    out = capsys.readouterr().out
    config = read_config(tmp_path / "w" / "config.json")
    assert f"composite-ststnet: sha256 {config['weights']['sha256']}" in out
    assert "LOSO last, full, uf1: 0.6984" in out
    assert config["training"]["metrics"]["LOSO last, full, uf1"] == pytest.approx(0.6984, abs=1e-4)


@pytest.mark.parametrize("hub_state", ["empty", "off line"])
def test_weights_of_the_repository_say_where_they_are(hub, hub_state, tmp_path, monkeypatch):
    """By name they come from the Hub alone; until they are there, the error names the folder."""
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "lab")
    forget_failures()
    if hub_state == "off line":
        hub.stop()
    spec = find_pretrained("composite-mhssa")
    for call in (
        lambda: htnet.load_pretrained(spec.name, cache_dir=tmp_path),
        lambda: htnet.load_pretrained(spec.name, cache_dir=tmp_path, local_files_only=True),
        lambda: htnet.create_model("mhssa_gcn", pretrained=spec.name),
    ):
        with pytest.raises(WeightsNotPublishedError, match="folder pretrained/composite-mhssa of htnet's") as told:
            call()
        assert spec.license in str(told.value)
        assert "htnet push pretrained/composite-mhssa composite-mhssa" in str(told.value)
    forget_failures()


def test_weights_of_the_repository_load_by_name_from_the_hub(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "lab")
    spec = find_pretrained("composite-mhssa")
    hub.add_repo("lab/composite-mhssa", {path.name: path.read_bytes() for path in folder_of(spec).iterdir()})
    model = htnet.load_pretrained(spec.name, cache_dir=tmp_path)
    assert model.license == spec.license
    config = json.loads((folder_of(spec) / "config.json").read_text("utf-8"))
    other = (folder_of(spec) / "model.safetensors").read_bytes()[:-4] + b"1234"
    stated = {**config["weights"], "sha256": hashlib.sha256(other).hexdigest()}
    hub.add_repo("other/composite-mhssa", {
        "config.json": json.dumps({**config, "weights": stated}).encode(),
        "model.safetensors": other,
    })  # fmt: skip
    monkeypatch.setenv("HTNET_HUB_NAMESPACE", "other")
    with pytest.raises(CorruptWeightsError, match=spec.sha256):
        htnet.load_pretrained(spec.name, cache_dir=tmp_path)


def test_bundle_command_refuses(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "RESULTS", tmp_path)  # no run was committed
    for name, says in (
        ("composite-ststnett", "Did you mean 'composite-ststnet'"),
        ("casme3", "the committed runs are of MEGC 2019"),
        ("composite-ststnet", "commit the summary.json"),
    ):
        assert bundle.main([name, "--data", "nowhere"]) == 2
        assert says in capsys.readouterr().err
