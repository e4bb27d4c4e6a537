"""The weights that ship with htnet are what the registry and their cards say."""

import dataclasses
import json
import re
import shutil
import subprocess

import pytest

import htnet
from benchmarks import bundle, synthetic_scores
from htnet.core.errors import InputError
from htnet.core.types import PreprocessSpec
from htnet.data import read_composite
from htnet.hub import AS_THE_CODE, GENERATED, RESEARCH_ONLY, Provenance, find_pretrained, list_pretrained, read_config
from htnet.hub.folder import FILES, sha256_of
from htnet.models import get_entry
from htnet.synthesis import ACTION_UNITS, SynthesisConfig
from htnet.training import load_flow_set, predict_set
from tests.support.paths import COMPOSITE, ROOT, needs_shared

BUNDLED = [spec for spec in list_pretrained() if spec.bundled]
REAL = [spec for spec in BUNDLED if spec.dataset != GENERATED]
#: Largest part of a wheel that one entry may take, bytes.
LARGEST = 15e6


@pytest.fixture(params=BUNDLED, ids=lambda spec: spec.name)
def spec(request):
    return request.param


@pytest.fixture(params=REAL, ids=lambda spec: spec.name)
def real(request):
    """Weights of the composite set."""
    return request.param


def committed(spec):
    return json.loads(bundle.committed_run(spec).read_text("utf-8"))


def test_the_usual_ones_are_there():
    assert {spec.name for spec in BUNDLED} >= {
        *("composite", "composite-htnet", "composite-dual-stream", "composite-ststnet", "composite-mhssa"),
        *("synthetic", "synthetic-mlp"),
    }
    folders = {folder.name for folder in BUNDLED[0].folder.parent.iterdir() if folder.is_dir()}
    assert folders == {spec.name for spec in BUNDLED}, "nothing is shipped that no name loads"


def test_file_registry_and_card_agree(spec):
    model = htnet.load_pretrained(spec.name)
    config = read_config(spec.folder / "config.json")
    weights = spec.folder / "model.safetensors"
    assert spec.published
    assert spec.sha256 == config["weights"]["sha256"] == sha256_of(weights)
    assert weights.stat().st_size <= LARGEST
    assert config["model"] == spec.model == model.name
    assert model.labels == ("negative", "positive", "surprise")
    assert model.preprocess_spec == get_entry(spec.model).spec
    assert not model.training
    assert spec.license == model.license
    card = (spec.folder / "README.md").read_text("utf-8")
    assert spec.license in card
    assert "best_on_test" not in card  # a leaking score is no property of the weights
    assert ("Trained without clips" in card) == ("motion" in model.extra_inputs)


def test_cards_of_real_data(real):
    config = read_config(real.folder / "config.json")
    assert (config["training"]["samples"], config["training"]["subjects"]) == (442, 68)
    card = (real.folder / "README.md").read_text("utf-8")
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
    run, config = committed(spec), read_config(spec.folder / "config.json")
    full = run["protocols"]["last"]["mean"]["full"]
    assert spec.metrics == {f"LOSO last, Full {name.upper()}": round(full[name], 4) for name in ("uf1", "uar")}
    bundle.check_same_training(config, run)
    mean = run["protocols"]["last"]["mean"]
    expected = {f"LOSO last, {group}, {name}": mean[group][name] for group in mean for name in ("uf1", "uar")}
    assert config["training"]["metrics"] == expected
    card = (spec.folder / "README.md").read_text("utf-8")
    assert dict(re.findall(r"^\| (LOSO .*) \| (\d\.\d{4}) \|$", card, re.MULTILINE)) == {
        name: f"{value:.4f}" for name, value in expected.items()
    }


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
    """A wheel contains what lies in the package, unless git ignores it."""
    files = [spec.folder / name for name in FILES]
    assert all(file.is_file() for file in files)
    assert sorted(path.name for path in spec.folder.iterdir()) == sorted(FILES)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    wheel = text[text.index("[tool.hatch.build.targets.wheel]") :].split("\n[")[0]
    assert 'packages = ["htnet"]' in wheel
    assert "exclude" not in wheel
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git repository here")
    done = subprocess.run(["git", "check-ignore", *map(str, files)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, ""), "git ignores them"


@pytest.mark.slow
@needs_shared
def test_it_knows_its_training_set_in_the_published_channel_order_only(real):
    """The seen samples are read right; swapping u and strain, as reading RGB for BGR would, breaks it."""
    spec = real
    model = htnet.load_pretrained(spec.name)
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


def test_bundle_command_refuses(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bundle, "RESULTS", tmp_path)  # no run was committed
    for name, says in (
        ("composite-ststnett", "Did you mean 'composite-ststnet'"),
        ("casme3", "the committed runs are of MEGC 2019"),
        ("composite-ststnet", "commit the summary.json"),
    ):
        assert bundle.main([name, "--data", "nowhere"]) == 2
        assert says in capsys.readouterr().err
