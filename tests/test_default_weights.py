"""What predicts when nobody names weights."""

import inspect
import json
import re
from pathlib import Path

import pytest

import htnet
from htnet.cli import build_parser
from htnet.hub import AS_THE_CODE, DEFAULT_WEIGHTS, GENERATED, find_pretrained
from htnet.synthesis import ACTION_UNITS
from tests.support.paths import ROOT

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"
FRAMES = (SAMPLE / "onset.png", SAMPLE / "apex.png")


@pytest.fixture(scope="module")
def prediction():
    return htnet.predict(*FRAMES, landmarks=SAMPLE / "landmarks.json")


def test_one_default_everywhere():
    for way in (htnet.predict, htnet.predict_video, htnet.Predictor):
        assert inspect.signature(way).parameters["weights"].default == DEFAULT_WEIGHTS
    assert build_parser().parse_args(["predict", *map(str, FRAMES)]).weights == DEFAULT_WEIGHTS


def test_default_holds_no_licensed_data():
    spec = find_pretrained(DEFAULT_WEIGHTS)
    assert spec.bundled, "it needs no network"
    model = htnet.load_pretrained(DEFAULT_WEIGHTS)
    assert (model.trained_on, model.license) == (GENERATED, AS_THE_CODE)
    card = (spec.folder / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in card
    assert f"| Data | {GENERATED} |" in card
    assert "research only" not in card


def test_default_tells_action_units(prediction):
    assert prediction.model == DEFAULT_WEIGHTS
    assert [unit.number for unit in prediction.action_units] == list(ACTION_UNITS)
    surest = max(prediction.action_units, key=lambda unit: unit.probability)
    assert (surest.number, surest.side) == (12, "both"), "the sample pair is AU12 on both sides"
    assert prediction.label == "positive"


def test_json_has_the_action_units(prediction):
    found = json.loads(json.dumps(prediction.to_dict()))["action_units"]
    assert {unit["unit"]: unit["probability"] for unit in found} == {
        unit.number: pytest.approx(unit.probability) for unit in prediction.action_units
    }


def test_command_prints_them_and_their_json(succeed, prediction):
    words = ("predict", *FRAMES, "--landmarks", SAMPLE / "landmarks.json")
    out = succeed(*words)
    assert out.startswith(f"positive  ({DEFAULT_WEIGHTS})")
    assert "AU12  lip corner puller" in out
    shown = json.loads(succeed(*words, "--json"))
    assert shown["model"]["weights"] == DEFAULT_WEIGHTS
    assert len(shown["action_units"]) == len(ACTION_UNITS)


@pytest.mark.slow
def test_pages_show_the_demo_as_it_is(succeed, tmp_path):
    pytest.importorskip("matplotlib")
    found = succeed("demo", "--out", tmp_path).replace(str(tmp_path), "out/demo").split()
    for page in ("README.md", "docs/getting-started.md"):
        text = (ROOT / page).read_text("utf-8")
        shown = re.search(r"^```text\n(positive  \(.*?)^```", text, re.DOTALL | re.MULTILINE)[1].split()
        for said, real in zip(shown, found, strict=True):
            if re.fullmatch(r"\d+\.\d+", said):
                assert float(real) == pytest.approx(float(said), abs=0.011), page
            else:
                assert real == said, page


def test_composite_goes_by_name():
    found = htnet.predict(*FRAMES, landmarks=SAMPLE / "landmarks.json", weights="composite")
    assert found.model == "composite"
    assert "research only" in htnet.load_pretrained("composite").license
