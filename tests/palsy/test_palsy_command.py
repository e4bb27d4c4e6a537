"""``htnet palsy``, as a user types it."""

import csv
import json
import sys

import cv2
import numpy as np
import pytest

from benchmarks.droop_faces import APART, Picture, droop_face
from htnet import cli
from htnet.hub import save_pretrained
from htnet.training import get_recipe
from tests.palsy.faces import palsy_face, read_json, save_face, write_ck_plus, write_csv, write_small_fnp
from tests.support.boards import scalars_of
from tests.support.pairs import tiny_model


@pytest.fixture
def run(capsys):
    """Run a command: exit status, standard output, standard error."""

    def run(*words):
        status = cli.main(["palsy", *(str(word) for word in words)])
        return (status, *capsys.readouterr())

    return run


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A prepared folder of eight people, grade 3 missing, and weights trained on it."""
    root = tmp_path_factory.mktemp("palsy")
    for i in range(8):
        grade = (1, 2, 4, 6)[i % 4]
        save_face(root / "fnp" / f"grade_{grade}" / f"P{i}_0.png", i, grade, side=112)
    (root / "fnp" / "grade_1" / "P9_0.png").write_bytes(b"no image")
    prepare = ("prepare", root / "fnp", "--out", root / "data", "--landmarks", "template", "--test", "0.25")
    assert cli.main(["palsy", *map(str, prepare)]) == 0
    train = ("train", "--data", root / "data", "--out", root / "weights", "--epochs", "1")
    assert cli.main(["palsy", *map(str, train)]) == 0
    return root


def test_prepare_tells_splits_gaps_and_bad_images(work, succeed, tmp_path):
    out = succeed("prepare", work / "fnp", "--out", tmp_path / "d", "--landmarks", "template", "--test", "0.25")
    assert "8 faces prepared" in out
    assert "1 left out" in out
    assert "class III: no images at all" in out
    assert "P9_0.png" in out
    assert "train " in out
    assert "test " in out
    report = read_json(tmp_path / "d" / "report.json")
    assert list(report["failed"]["samples"]) == ["grade_1/P9_0"]
    assert report["splits"] == read_json(work / "data" / "report.json")["splits"]


@pytest.mark.slow
def test_prepare_in_three_classes_and_from_tables(succeed, fail, tmp_path):
    for i in range(4):
        save_face(tmp_path / f"P{i}_0.png", i)
    rows = [{"image_path": f"P{i}_0.png", "grade": i + 1, "split": ("train", "test")[i % 2]} for i in range(4)]
    given = write_csv(tmp_path / "t.csv", rows)
    out = succeed("prepare", given, "--out", tmp_path / "d", "--landmarks", "template", "--classes", "3")
    assert "I-II 1, III-IV 1, V-VI 0" in out
    assert {row["classes"] for row in table(tmp_path / "d" / "manifest.csv")} == {"I-II|III-IV|V-VI"}
    rows[1]["image_path"] = "P0_1.png"
    save_face(tmp_path / "P0_1.png")
    err = fail("prepare", write_csv(tmp_path / "t.csv", rows), "--out", tmp_path / "e", "--landmarks", "template")
    assert "'P0' is in two splits" in err


def test_prepare_ck_plus(succeed, fail, tmp_path):
    root = write_ck_plus(tmp_path / "ck", {f"S{i:03d}/001": (3, i % 3 + 1) for i in range(5)})
    assert "Give a grade map" in fail("prepare", root, "--out", tmp_path / "d", "--landmarks", "template")
    grades = write_csv(tmp_path / "g.csv", [{"emotion": 1, "grade": 1}, {"emotion": 2, "grade": 4}])
    words = ("prepare", root, "--out", tmp_path / "d", "--landmarks", "template", "--grade-map", grades)
    out = succeed(*words)
    assert "4 faces prepared" in out
    assert "left out for another reason: 1 sample\n    emotion 3 (not in the grade map): " in out


def test_evaluate(work, succeed, fail, tmp_path):
    words = ("evaluate", "--data", work / "data", "--weights", work / "weights")
    out = succeed(*words, "--out", tmp_path)
    assert "quadratic-weighted kappa" in out
    assert read_json(tmp_path / "summary.json")["split"] == "test"
    assert {row["split"] for row in table(tmp_path / "predictions.csv")} == {"test"}
    assert cv2.imread(str(tmp_path / "confusion.png")) is not None
    assert "no sample has the split 'val'" in fail(*words, "--out", tmp_path / "none", "--split", "val")
    micro = save_pretrained(tiny_model(), tmp_path / "micro")
    err = fail("evaluate", "--data", work / "data", "--weights", micro, "--out", tmp_path / "none")
    assert "reads flow images, not faces" in err


def test_evaluate_without_matplotlib_writes_the_numbers(work, succeed, tmp_path, monkeypatch):
    monkeypatch.setattr("htnet.core.command_line.find_spec", lambda name: None)
    out = succeed("evaluate", "--data", work / "data", "--weights", work / "weights", "--out", tmp_path)
    assert "no pictures: drawing needs matplotlib (pip install 'htnet[plots]')" in out
    assert (tmp_path / "summary.json").is_file()
    assert not (tmp_path / "confusion.png").exists()


def test_predict_one_image(work, succeed, fail, tmp_path):
    image = save_face(tmp_path / "x.png", 3, 4, side=120)
    words = ("predict", image, "--weights", work / "weights", "--landmarks", "template")
    out = succeed(*words, "--plot", tmp_path / "p.png")
    warning, answer = out.split("\n", 1)
    assert warning.startswith("warning: class_not_learned: The weights were trained on no sample of ")
    assert answer.startswith("House-Brackmann ")
    assert cv2.imread(str(tmp_path / "p.png")) is not None
    found = json.loads(succeed(*words, "--json"))
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["prediction"] == max(found["probabilities"], key=found["probabilities"].get)
    assert "--out is for a folder" in fail(*words, "--out", tmp_path / "o")
    assert "none.png" in fail("predict", tmp_path / "none.png", *words[2:])


@pytest.mark.slow
def test_predict_a_folder(work, succeed, fail, tmp_path):
    for i in range(2):
        save_face(tmp_path / "in" / f"{i}.png", i)
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    words = ("predict", tmp_path / "in", "--weights", work / "weights", "--landmarks", "template")
    out = succeed(*words, "--out", tmp_path / "out")
    assert "2 predictions" in out
    assert "1 with errors" in out
    rows = {row["image"]: row for row in table(tmp_path / "out" / "predictions.csv")}
    assert "is empty" in rows[str(tmp_path / "in" / "bad.png")]["error"]
    assert rows[str(tmp_path / "in" / "0.png")]["grade"].startswith("House-Brackmann")
    assert sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir()) == ["0.png.png", "1.png.png"]
    assert "is a folder: give --out" in fail(*words)


@pytest.mark.slow
def test_training_tells_tensorboard_and_computes_as_it_is_told(work, succeed, fail, tmp_path, monkeypatch):
    words = ("train", "--data", work / "data", "--out", tmp_path / "w", "--epochs", "2", "--precision", "bfloat16")
    succeed(*words, "--tensorboard", "--device", "auto")
    curve = [float(row["loss"]) for row in table(tmp_path / "w" / "training.csv")]
    assert [value for _, value in scalars_of(tmp_path / "w" / "tensorboard")["loss"]] == pytest.approx(curve)
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({**get_recipe("palsy").to_dict(), "name": "mine", "precision": "float32"}), "utf-8")
    succeed("train", "--data", work / "data", "--out", tmp_path / "plain", "--epochs", "2", "--recipe", recipe)
    plain = [float(row["loss"]) for row in table(tmp_path / "plain" / "training.csv")]
    assert plain == pytest.approx(curve, rel=0.1)
    assert plain != curve
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "pip install 'htnet[tensorboard]'" in fail(*words, "--overwrite", "--tensorboard")


@pytest.mark.parametrize("task", ["evaluate", "predict", "visualize"])
def test_weights_are_asked_in_the_type_that_is_named(work, succeed, fail, tmp_path, task):
    image = save_face(tmp_path / "x.png", 3, 4, side=120)
    given = ("--data", work / "data") if task == "evaluate" else (image, "--landmarks", "template")
    out = () if task == "predict" else ("--out", tmp_path / "out.png")
    words = (task, *given, "--weights", work / "weights", *out, "--device", "auto", "--dtype")
    assert "dtype is float8; give a floating-point type" in fail(*words, "float8")
    told = json.loads(succeed(*words, "bfloat16", "--json"))
    plain = json.loads(succeed(*words, "float32", "--json", "--overwrite"))
    if task == "evaluate":
        assert (told["num_samples"], told["split"]) == (plain["num_samples"], "test")
        return
    found, expected = (
        (one if task == "predict" else one["values"]["prediction"])["probabilities"] for one in (told, plain)
    )
    assert found == pytest.approx(expected, abs=0.05)
    assert found != expected


def test_visualize(work, succeed, tmp_path):
    image = save_face(tmp_path / "x.png", 3, 4)
    words = ("visualize", image, "--weights", work / "weights", "--landmarks", "template")
    assert "picture:" in succeed(*words, "--out", tmp_path / "maps.png")
    assert cv2.imread(str(tmp_path / "maps.png")) is not None


def test_asymmetry_needs_no_model(succeed, fail, tmp_path):
    face = droop_face(7300, "drawn")
    picture = face.show(12, -1, Picture(eye_distance=80))
    image = tmp_path / "x.png"
    cv2.imwrite(str(image), picture[..., ::-1])
    points = tmp_path / "points.json"
    middle = ((picture.shape[1] - 1) / 2, 0.42 * picture.shape[0])
    five = np.array([(-APART / 2, 0), (APART / 2, 0), (0, 33), *face.corners]) * 80 / APART + middle
    points.write_text(json.dumps(five.tolist()))
    words = ("asymmetry", image, "--landmarks", points)
    out = succeed(*words, "--plot", tmp_path / "a.png")
    lines = {line.split()[0]: line for line in out.splitlines() if line.split()}
    # The image's left side is pulled: the patient's right.
    assert "patient's right" in lines["mouth"]
    assert "above the normal range" in lines["mouth"]
    assert "not measured: needs 68" in lines["eye"]
    assert len(out.splitlines()) < 15, "one readable screen"
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    found = json.loads(succeed(*words, "--json"))
    assert found["regions"]["eye"]["verdict"] == "not_measured"
    assert found["regions"]["mouth"]["side"] == "subject_right"
    assert found["regions"]["mouth"]["value"] < -3
    assert "Unknown landmarks" in fail("asymmetry", image, "--landmarks", "yunett")


def test_transfer_report_is_printed(work, succeed, fail, tmp_path):
    words = ("train", "--data", work / "data", "--epochs", "1", "--start")
    out = succeed(*words, work / "weights", "--out", tmp_path / "w")
    assert "Transferred" in out
    assert "Unknown weights" in fail(*words, "nothing-of-the-kind", "--out", tmp_path / "v")


def test_train_refuses_flow_models_and_recipes(work, fail, tmp_path):
    words = ("train", "--data", work / "data", "--out", tmp_path / "w")
    assert "reads flow images" in fail(*words, "--model", "htnet_tiny")
    assert "it mirrors" in fail(*words, "--recipe", "default")
    assert "not a folder of prepared faces" in fail("train", "--data", work / "fnp", "--out", tmp_path / "w")


def test_a_task_is_needed(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["htnet"])
    with pytest.raises(SystemExit):
        cli.main(["palsy"])
    assert "TASK" in capsys.readouterr().err


def test_fnp_with_one_patient_is_refused(fail, tmp_path):
    source = write_small_fnp(tmp_path / "fnp", {"P1": [1, 2, 4]})
    err = fail("prepare", source, "--out", tmp_path / "d", "--landmarks", "template")
    assert "1 patient(s) for 2 splits" in err


def test_asymmetry_of_a_prepared_face_is_about_its_middle(succeed, tmp_path):
    half = palsy_face(2, 1).image[:, :112]
    image = tmp_path / "even.png"
    cv2.imwrite(str(image), cv2.hconcat([half, half[:, ::-1]])[..., ::-1])
    found = json.loads(succeed("asymmetry", image, "--landmarks", "template", "--json"))
    assert found["landmarks_measured"] == "none"
    assert abs(found["regions"]["mouth"]["value"]) < 0.5
    assert abs(found["regions"]["brow"]["value"]) < 0.5
