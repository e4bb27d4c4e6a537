"""Graders know whom they were trained on, and no evaluation tests those in silence."""

import dataclasses

import pytest

import htnet
from htnet import cli
from htnet.core.errors import InputError
from htnet.core.identity import TrainedPeople
from htnet.data import read_manifest
from htnet.data.prepare import MANIFEST_FILE
from htnet.hub import save_pretrained
from htnet.palsy import evaluate_palsy, load_face_set
from tests.palsy.faces import read_json, save_face


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Eight patients in two splits, and weights trained on those of the first split."""
    root = tmp_path_factory.mktemp("palsy")
    for i in range(8):
        save_face(root / "fnp" / f"grade_{(1, 2, 4, 6)[i % 4]}" / f"P{i}_0.png", i, (1, 2, 4, 6)[i % 4], side=112)
    for name, share in (("one", "0.25"), ("other", "0.5")):
        words = ["palsy", "prepare", root / "fnp", "--out", root / name, "--landmarks", "template", "--test", share]
        assert cli.main([*map(str, words), "--seed", str(len(name))]) == 0
    words = ["palsy", "train", "--data", root / "one", "--out", root / "weights", "--epochs", "1"]
    assert cli.main([*map(str, words)]) == 0
    return root


@pytest.mark.slow
def test_palsy_does_not_evaluate_on_who_was_trained_on(graded, tmp_path, fail, succeed):
    one = read_manifest(graded / "one" / MANIFEST_FILE)
    trained, other = one.split("train"), read_manifest(graded / "other" / MANIFEST_FILE).split("test")
    shared = sorted({s.subject for s in trained} & {s.subject for s in other})
    assert shared, "the other folder tests some whom the first trains on"
    model = htnet.load_pretrained(graded / "weights")
    assert model.trained_people == TrainedPeople.of(trained)
    words = ("palsy", "evaluate", "--weights", graded / "weights", "--data")
    error = fail(*words, graded / "other", "--out", tmp_path / "no")
    assert all(repr(name) in error for name in shared)
    assert "--allow-trained" in error
    assert not (tmp_path / "no").exists()
    data = load_face_set(other, dataclasses.replace(model.preprocess_spec, size=model.config.image_size))
    with pytest.raises(InputError, match="The weights were trained on"):
        evaluate_palsy(model, other, data, tmp_path / "no")
    assert "trained_on_subject" not in succeed(*words, graded / "one", "--out", tmp_path / "own")
    unlearned = ["class_not_learned"]  # some of the grades have no patient in the training split
    assert [w["code"] for w in read_json(tmp_path / "own" / "summary.json")["warnings"]] == unlearned
    # The training split is meant where it is asked for, and whoever says so may have the rest.
    for more in (("one", "--split", "train"), ("other", "--allow-trained")):
        out = tmp_path / more[0]
        assert "warning: trained_on_subject" in succeed(*words, graded / more[0], *more[1:], "--out", out)
        assert [w["code"] for w in read_json(out / "summary.json")["warnings"]] == ["trained_on_subject", *unlearned]


def test_palsy_tells_of_weights_without_record(graded, tmp_path, succeed):
    model = htnet.load_pretrained(graded / "weights")
    model.trained_people = None
    save_pretrained(model, tmp_path / "old")
    words = ("palsy", "evaluate", "--weights", tmp_path / "old", "--data", graded / "other", "--out", tmp_path / "s")
    assert "warning: trained_people_unknown" in succeed(*words)
    assert [w["code"] for w in read_json(tmp_path / "s" / "summary.json")["warnings"]] == ["trained_people_unknown"]


def test_palsy_inherits_the_people_of_its_start(graded, tmp_path, fail, succeed):
    succeed(
        *("palsy", "train", "--data", graded / "other", "--start", graded / "weights", "--epochs", "1"),
        *("--out", tmp_path / "w"),
    )
    found = htnet.load_pretrained(tmp_path / "w").trained_people
    parts = [read_manifest(graded / name / MANIFEST_FILE).split("train") for name in ("one", "other")]
    assert found == TrainedPeople.of([s for part in parts for s in part])
    words = ("palsy", "evaluate", "--weights", tmp_path / "w", "--data", graded / "other", "--out", tmp_path / "s")
    assert "The weights were trained on" in fail(*words)
