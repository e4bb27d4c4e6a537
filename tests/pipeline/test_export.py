"""Predictions as JSON and CSV."""

import csv
import dataclasses
import json

import numpy as np
import pytest

import htnet
from htnet.core.errors import InputError
from htnet.core.facs import UnitPrediction
from htnet.core.types import Flow, Landmarks, ModelInput, Prediction
from htnet.pipeline.export import csv_header, write_predictions

LABELS = ("calm", "not, calm")
POINTS = np.array([[10.123456, 20], [30, 20], [20, 30], [12, 40], [28, 40]], np.float32)


def prediction(sample, first, truth=None, *, frames=True, motionless=False):
    uv = np.zeros((2, 8, 8), np.float32)
    uv[:, 2, 3] = 3, 4
    made = ModelInput(
        np.zeros((3, 28, 28), np.float32),
        np.zeros((28, 28, 3), np.uint8),
        "landmarks" if frames else "template",
        Landmarks(POINTS, "yunet", 0.9) if frames else None,
        flow=Flow(uv, "tvl1") if frames else None,
        motionless=motionless,
    )
    chances = dict(zip(LABELS, (first, 1 - first), strict=True))
    return Prediction(max(chances, key=chances.get), chances, "mine", made, sample, truth)


def test_json_form():
    found = json.loads(json.dumps(prediction("x", 0.25).to_dict()))
    assert found == {
        "schema": "htnet.prediction",
        "schema_version": 1,
        "htnet_version": htnet.__version__,
        "warnings": [],
        "sample": "x",
        "files": {"onset": None, "apex": None, "video": None, "flow_image": None},
        "prediction": "not, calm",
        "expression": None,
        "truth": None,
        "probabilities": {"calm": 0.25, "not, calm": 0.75},
        "classes": ["calm", "not, calm"],
        "model": {
            "weights": "mine",
            "architecture": "",
            "temperature": 1.0,
            "temperature_applied": False,
            "license": "",
        },
        "motionless": False,
        "action_units": [],
        "regions_at": "landmarks",
        "landmarks": {
            "source": "yunet",
            "score": 0.9,
            "coordinates": "px of the onset frame",
            "points": {
                "image_left_eye": [10.12, 20.0],
                "image_right_eye": [30.0, 20.0],
                "nose": [20.0, 30.0],
                "image_left_mouth": [12.0, 40.0],
                "image_right_mouth": [28.0, 40.0],
            },
        },
        "points68": None,
        "flow": {"method": "tvl1", "face_size_px": 8, "mean_px": pytest.approx(5 / 64), "max_px": pytest.approx(5)},
        "spotting": None,
    }
    assert list(found)[:4] == ["schema", "schema_version", "htnet_version", "warnings"], "warnings before the answer"


def test_json_form_without_frames():
    found = prediction("x", 0.25, frames=False).to_dict()
    assert (found["landmarks"], found["flow"], found["regions_at"]) == (None, None, "template")
    assert (found["motionless"], found["warnings"]) == (False, [])
    flagged = prediction("x", 0.25, motionless=True)
    assert flagged.motionless
    assert flagged.to_dict()["motionless"] is True
    assert [warning["code"] for warning in flagged.to_dict()["warnings"]] == ["motionless"]


def test_csv(tmp_path):
    path = tmp_path / "new" / "p.csv"
    errors = []

    def predictions():
        yield prediction("006", 0.123456789, "calm")
        errors.append(("b", 'Frame b.png is empty, "copy" it again\nnow'))
        yield prediction("ü, 1", 0.75, frames=False, motionless=True)

    assert write_predictions(path, predictions(), LABELS, errors) == 2
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == csv_header(LABELS)
    expected = ["sample", "prediction", "expression", "probability_calm", "probability_not, calm"]
    assert csv_header(LABELS)[:5] == expected
    by_id = {row["sample"]: row for row in rows}
    assert list(by_id) == ["006", "ü, 1", "b"]
    assert by_id["006"] == {
        "sample": "006",
        "prediction": "not, calm",
        "expression": "",
        "probability_calm": "0.123457",
        "probability_not, calm": "0.876543",
        "truth": "calm",
        "regions_at": "landmarks",
        "motionless": "false",
        "warnings": "",
        "error": "",
    }
    assert (by_id["ü, 1"]["truth"], by_id["ü, 1"]["regions_at"]) == ("", "template")
    assert by_id["b"]["error"] == errors[0][1]
    assert (by_id["ü, 1"]["motionless"], by_id["ü, 1"]["warnings"]) == ("true", "motionless")
    assert (by_id["b"]["prediction"], by_id["b"]["motionless"]) == ("", "")


def test_action_units_in_a_table(tmp_path):
    units = (UnitPrediction(12, 0.25, 0.75), UnitPrediction(4, 0.5, 0.5))
    seen = dataclasses.replace(prediction("a", 0.5), action_units=units)
    path = tmp_path / "p.csv"
    write_predictions(path, [seen, prediction("none", 0.5)], LABELS, [("b", "empty")], units=(12, 4))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("AU12", "AU12_side", "AU4", "AU4_side")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("0.750000", "subject_right", "0.500000", "both"),
        ("", "", "", ""),
        ("", "", "", ""),
    ]
    assert [row["error"] for row in rows] == ["", "", "empty"]


def test_an_interrupted_call_leaves_no_file(tmp_path):
    def predictions():
        for i in range(3):
            yield prediction(str(i), 0.5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(tmp_path / "p.csv", predictions(), LABELS)
    assert list(tmp_path.iterdir()) == []


def test_json_lines_hold_the_same_documents(tmp_path):
    answers = [prediction("006", 0.25), prediction("ü, 1", 0.75, motionless=True)]
    assert write_predictions(tmp_path / "p.jsonl", answers, LABELS, [("b", "b.png is empty")]) == 2
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    assert lines[:2] == [answer.to_dict() for answer in answers]
    assert (lines[2]["schema"], lines[2]["sample"]) == ("htnet.prediction_error", "b")
    assert lines[2]["error"] == "b.png is empty"
    with pytest.raises(InputError, match=r"\.csv for a table, \.jsonl for JSON lines"):
        write_predictions(tmp_path / "p.txt", answers, LABELS)
