"""The answer "no expression", in Python, text, JSON, CSV and pictures, and how a class is asked for all the same."""

import csv
import json

import numpy as np
import pytest

import htnet
from htnet.cli import main
from htnet.core.types import EMOTIONS, NO_EXPRESSION
from htnet.pipeline.plots import plot_prediction
from tests.preprocess.faces import gray_face
from tests.preprocess.test_evidence import expressive
from tests.preprocess.test_registration import POINTS, moved_head, seen
from tests.support.pairs import save, tiny_model


@pytest.fixture(scope="module")
def pairs():
    """Frames without and with a smile of 1.5 px; the head is shifted in both."""
    rng = np.random.default_rng(7)
    portrait = np.pad(gray_face(0), 32, mode="reflect")
    onset = seen(portrait, np.eye(3), rng).pixels
    apexes = (portrait, expressive(portrait, "AU12", 1.5))
    return [(onset, seen(apex, moved_head((2.0, 1.0)), rng).pixels) for apex in apexes]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_the_library_answers_no_expression_unless_a_class_is_asked_for(pairs, model):
    still, smile = (htnet.predict(*pair, weights=model, landmarks=POINTS) for pair in pairs)
    assert still.label == NO_EXPRESSION
    assert still.expression < 0.5 < smile.expression <= 1
    assert smile.label == max(smile.probabilities, key=smile.probabilities.get)
    for found in (still, smile):
        assert list(found.probabilities) == list(EMOTIONS)
        assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert found.to_dict()["prediction"] == found.label
        assert found.to_dict()["expression"] == found.expression
    forced = htnet.predict(*pairs[0], weights=model, landmarks=POINTS, always=True)
    assert forced.label == max(forced.probabilities, key=forced.probabilities.get)
    assert forced.expression == still.expression
    assert dict(forced.probabilities) == dict(still.probabilities)


def test_a_flow_image_has_no_evidence(pairs, model):
    predictor = htnet.Predictor(model)
    image = predictor.pair(*pairs[0], POINTS).input.flow_image
    found = predictor.flow_image(image)
    assert found.expression is None
    assert found.label in EMOTIONS
    assert found.to_dict()["expression"] is None


def test_training_inputs_are_made_without_evidence(pairs):
    from htnet.data.reader import SampleReader
    from htnet.types import PreprocessSpec

    assert SampleReader(PreprocessSpec(flow="dis")).pair(*pairs[0], POINTS, "a").expression is None


@pytest.fixture
def files(pairs, model, tmp_path):
    model.save_pretrained(tmp_path / "weights")
    points = tmp_path / "points.json"
    points.write_text(json.dumps(POINTS.tolist()))
    rows = ["sample,onset,apex,landmarks"]
    for name, frames in zip(("still", "smile"), pairs, strict=True):
        for part, pixels in zip(("onset", "apex"), frames, strict=True):
            save(tmp_path / f"{name}_{part}.png", pixels)
        rows.append(f"{name},{name}_onset.png,{name}_apex.png,points.json")
    (tmp_path / "samples.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_the_command_says_so_in_text_json_and_picture(files, capsys):
    words = [str(files / "still_onset.png"), str(files / "still_apex.png"), "--weights", str(files / "weights")]
    words += ["--landmarks", str(files / "points.json")]
    assert main(["predict", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("no expression  (")
    assert lines[1].startswith("  expression   0.")
    assert lines[1].endswith("(below 0.5: no expression)")
    assert main(["predict", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prediction"] == "no expression"
    assert 0 <= found["expression"] < 0.5
    assert main(["predict", *words, "--json", "--always"]) == 0
    forced = json.loads(capsys.readouterr().out)
    assert forced["prediction"] in EMOTIONS
    assert forced["probabilities"] == found["probabilities"]


def test_the_table_has_a_column_for_it(files, capsys):
    words = ["predict", "--manifest", str(files / "samples.csv"), "--weights", str(files / "weights")]
    assert main([*words, "--out", str(files / "p.csv")]) == 0
    with (files / "p.csv").open(newline="") as file:
        rows = {row["sample"]: row for row in csv.DictReader(file)}
    assert rows["still"]["prediction"] == "no expression"
    assert rows["smile"]["prediction"] in EMOTIONS
    assert float(rows["still"]["expression"]) < 0.5 < float(rows["smile"]["expression"])
    assert main([*words, "--out", str(files / "q.csv"), "--always"]) == 0
    with (files / "q.csv").open(newline="") as file:
        assert all(row["prediction"] in EMOTIONS for row in csv.DictReader(file))


def test_the_picture_names_it(pairs, model, tmp_path, monkeypatch):
    titles = []
    axes = pytest.importorskip("matplotlib.axes").Axes
    original = axes.set_title
    monkeypatch.setattr(
        axes, "set_title", lambda self, text, **more: titles.append(text) or original(self, text, **more)
    )
    found = htnet.predict(*pairs[0], weights=model, landmarks=POINTS)
    plot_prediction(found, *pairs[0], tmp_path / "a.png")
    assert f"no expression ({found.expression:.2f})" in titles
