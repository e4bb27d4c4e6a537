"""The terms of weights travel: lists, loaded models, answers and documents name them."""

import importlib.util
import json
from types import SimpleNamespace

import pytest

import htnet
from htnet.core.provenance import RESEARCH_ONLY_REF, expression_of, restriction
from htnet.hub import AS_THE_CODE, RESEARCH_ONLY, DataKind, License, Provenance, find_pretrained, save_pretrained
from htnet.pipeline.analysis_files import Done
from tests.support.pairs import QUICK, pair_manifest, tiny_model
from tests.support.paths import ROOT

GENERATED = Provenance((DataKind.GENERATED,), license=License.APACHE_2_0)


@pytest.mark.parametrize("license", License)
def test_every_license_has_an_spdx_expression(license):
    licenses = pytest.importorskip("packaging.licenses", reason="packaging 24.2 or newer")
    text = "as agreed" if license == License.OTHER else ""
    for before in (None, GENERATED, Provenance(license=License.RESEARCH_ONLY)):
        found = Provenance(license=license, license_text=text, before=before)
        expression = found.license_expression
        assert licenses.canonicalize_license_expression(expression) == expression
        assert (restriction(expression) != "") == (License.RESEARCH_ONLY in found.licenses)
        assert ("Apache-2.0" in expression) == (license == License.APACHE_2_0), "generated images ask nothing"


def test_expressions_of_words():
    assert expression_of(AS_THE_CODE) == "Apache-2.0"
    assert expression_of(RESEARCH_ONLY) == RESEARCH_ONLY_REF
    assert f' AND {RESEARCH_ONLY_REF}"' in (ROOT / "pyproject.toml").read_text("utf-8"), "the wheel says the same"
    both = Provenance(license=License.AS_THE_DATA, before=Provenance(license=License.RESEARCH_ONLY))
    assert both.license_expression == f"{RESEARCH_ONLY_REF} AND LicenseRef-htnet-as-the-training-data"
    page = (ROOT / "docs" / "weights.md").read_text("utf-8")
    for license in License:
        text = "as agreed" if license == License.OTHER else ""
        assert f"| `{Provenance(license=license, license_text=text).license_expression}` |" in page


@pytest.mark.parametrize("name", ["synthetic-mlp", "composite"])
def test_loaded_weights_name_their_terms(name):
    spec, model = find_pretrained(name), htnet.load_pretrained(name)
    assert model.license_expression == spec.license_expression
    assert htnet.create_model("htnet_tiny").license_expression == ""


def test_the_list_names_the_terms(succeed):
    lines = succeed("list", "*").splitlines()
    shown = json.loads(succeed("list", "--json"))["weights"]
    for spec, entry in zip(htnet.list_pretrained(), shown, strict=True):
        (place,) = [k for k, line in enumerate(lines) if line.startswith(f"  {spec.name} ")]
        if spec.name not in htnet.list_models():
            assert spec.license in lines[place + 1]
        assert entry["weights"] == spec.name
        assert (entry["license"], entry["terms"]) == (spec.license_expression, spec.license)
        assert (entry["bytes"], entry["state"], entry["metrics"]) == (spec.size, spec.state, dict(spec.metrics))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Folders of the same tiny model, research only and under the code's license."""
    made = {}
    for license in (License.RESEARCH_ONLY, License.APACHE_2_0):
        made[license] = tmp_path_factory.mktemp("weights") / license.value
        save_pretrained(tiny_model(QUICK), made[license], provenance=Provenance(license=license))
    return made


@pytest.mark.parametrize("license", [License.RESEARCH_ONLY, License.APACHE_2_0])
def test_answers_name_the_terms_once(weights, license, succeed, tmp_path):
    folder, manifest = weights[license], pair_manifest(tmp_path / "pairs", 3)
    table = tmp_path / "pairs" / "manifest.csv"
    said = [f"terms of {folder}: {RESEARCH_ONLY}"] if license == License.RESEARCH_ONLY else []
    expression = RESEARCH_ONLY_REF if said else "Apache-2.0"
    row = next(iter(manifest))
    pair = ("predict", row.onset, row.apex, "--landmarks", "template", "--weights", folder)
    many = ("predict", "--manifest", table, "--landmarks", "template", "--weights", folder)
    scored = ("evaluate", "--data", table, "--landmarks", "template", "--weights", folder)
    shown = ("embed", "--data", table, "--landmarks", "template", "--weights", folder, "--out", tmp_path / "f.npz")
    for words in (pair, shown, (*many, "--out", tmp_path / "p.csv"), scored):
        lines = succeed(*words).splitlines()
        assert [line for line in lines if "terms of" in line] == said, words
    succeed(*pair, "--report", tmp_path / "page.html")
    assert (RESEARCH_ONLY if said else "Apache-2.0") in (tmp_path / "page.html").read_text("utf-8")
    assert json.loads(succeed(*pair, "--json"))["model"]["license"] == expression
    assert json.loads(succeed(*scored, "--json"))["model"]["license"] == expression
    done = json.loads(succeed(*shown, "--overwrite", "--json"))["values"]
    assert (done["weights"], done["license"]) == (str(folder), expression)
    for line in succeed(*many, "--json").splitlines():
        assert json.loads(line)["model"]["license"] == expression


def test_analyses_of_several_recordings_name_the_terms_once(succeed, monkeypatch, tmp_path):
    """Documents from before the field was added are among them."""
    old = {"weights": "composite"}
    models = [None, old, {**old, "license": RESEARCH_ONLY_REF}, {**old, "license": RESEARCH_ONLY_REF}]
    done = [Done(f"{k}.mp4", SimpleNamespace(model=model)) for k, model in enumerate(models)]
    monkeypatch.setattr("htnet.pipeline.analysis_files.analyze_files", lambda *of, **how: iter(done))
    monkeypatch.setattr("htnet.cli.analyze.show", lambda *of, **how: None)
    for k in range(len(done)):
        (tmp_path / f"{k}.mp4").write_bytes(b"")
    out = succeed("analyze", *tmp_path.glob("*.mp4"), "--out", tmp_path / "out", "--weights", "composite")
    assert [line for line in out.splitlines() if "terms" in line] == [f"terms of composite: {RESEARCH_ONLY}"]


def test_the_page_of_weights_is_the_registry():
    spec = importlib.util.spec_from_file_location("make_weights", ROOT / "docs" / "make_weights.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = (ROOT / "docs" / "weights.md").read_text("utf-8")
    assert made.fill(page) == page, "run python docs/make_weights.py"
    for name in (one.name for one in htnet.list_pretrained()):
        assert f"\n| `{name}` |" in page
