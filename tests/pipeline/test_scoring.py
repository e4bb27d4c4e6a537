"""Scores of trained weights, and the comparison of two."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

import htnet
from htnet.core.errors import InputError, ManifestError, OverwriteError
from htnet.core.identity import TrainedPeople
from htnet.core.types import EMOTIONS
from htnet.data import Manifest, MicroExpressionDataset
from htnet.evaluation.bootstrap import resampled_confusions
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.pipeline import embed, evaluate
from htnet.pipeline.scoring import score_table
from tests.support.flows import write_flow_set


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_flow_set(tmp_path_factory.mktemp("flows") / "set", subjects=5, per_subject=4, datasets=("a", "b"))


def fresh(seed):
    import torch

    torch.manual_seed(seed)
    model = create_model("htnet_tiny").eval()
    model.preprocess_spec = htnet.models.get_entry("htnet_tiny").spec
    model.trained_people = TrainedPeople()
    return model


@pytest.fixture(scope="module")
def compared(data):
    return evaluate(data, fresh(1), against=fresh(2), resamples=300)


def answers(data, model):
    predictor = htnet.Predictor(model, always=True)
    return [EMOTIONS.index(found.label) for found in predictor.manifest(data)]


def test_scores_are_those_of_scikit_learn(data, compared):
    truth, predicted = data.labels(), answers(data, fresh(1))
    assert compared.answers.predicted.tolist() == predicted
    precision, recall, f1, samples = precision_recall_fscore_support(
        truth, predicted, labels=[0, 1, 2], zero_division=0
    )
    full = compared.scores()["full"]
    assert full.uf1 == pytest.approx(f1.mean())
    assert full.uar == pytest.approx(balanced_accuracy_score(truth, predicted))
    np.testing.assert_array_equal(full.confusion, confusion_matrix(truth, predicted))
    for k, name in enumerate(EMOTIONS):
        found = compared.per_class()[name]
        assert (found["f1"], found["recall"], found["samples"]) == pytest.approx((f1[k], recall[k], samples[k]))
        assert (found["precision"] or 0) == pytest.approx(precision[k])
    assert [s.num_samples for s in compared.scores().values()] == [40, 20, 20]


def test_the_difference_draws_the_same_people_for_both(data, compared):
    one, other = answers(data, fresh(1)), answers(data, fresh(2))
    truth, people = data.labels(), [(s.dataset, s.subject) for s in data]
    rng = np.random.default_rng(5)
    names = sorted(set(people))
    members = [[i for i, who in enumerate(people) if who == name] for name in names]

    def uf1(predicted, at):
        true, said = truth[at], np.array(predicted)[at]
        of_class = [2 * ((true == k) & (said == k)).sum() / ((true == k).sum() + (said == k).sum()) for k in set(true)]
        return np.mean(of_class)

    drawn = []
    for _ in range(300):
        at = np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])
        drawn.append(uf1(one, at) - uf1(other, at))
    found = compared.difference()["uf1"]
    everyone = np.arange(len(truth))
    assert found["value"] == pytest.approx(uf1(one, everyone) - uf1(other, everyone))
    # Two samples of 300 draws.
    assert found["interval"] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.06)
    assert found["better"] == pytest.approx(np.mean(np.array(drawn) > 0), abs=0.12)
    colder = fresh(1)
    colder.temperature = 2.0
    same = evaluate(data, fresh(1), against=colder, resamples=50)
    assert same.difference()["uf1"] == {"value": 0.0, "interval": [0.0, 0.0], "better": 0.0}
    assert same.to_dict()["against"]["same_answers"] == 1.0


def test_weights_are_not_compared_with_themselves(data, fail, tmp_path):
    with pytest.raises(InputError, match="htnet_tiny is given twice.*Give other weights as against"):
        evaluate(data, fresh(1), against=fresh(1))
    one, two = (save_pretrained(fresh(1), tmp_path / name, people=TrainedPeople()) for name in ("one", "two"))
    (tmp_path / "link").symlink_to(one)
    for name in (two, tmp_path / "link"):
        said = fail("evaluate", "--data", data.source, "--weights", one, "--against", name)
        assert f"compared with themselves: {one} and {name} are the same weights" in said
        assert "as --against" in said
    other = fresh(1)
    other.labels = tuple(reversed(other.labels))
    assert evaluate(data, fresh(1), against=other, resamples=10).difference() is not None


def test_a_bit_depth_for_flow_images_is_refused(data):
    for call in (evaluate, embed, MicroExpressionDataset):
        with pytest.raises(InputError, match="bit_depth=12 is for 16-bit frames, but each of the 40 samples"):
            call(data, bit_depth=12)


def test_one_person_has_no_intervals(data):
    """All draws of one person are the same: an interval would have no width, and any difference would be certain."""
    first = data.samples[0]
    one = dataclasses.replace(data, samples=tuple(s for s in data if (s.dataset, s.subject) == ("a", first.subject)))
    found = evaluate(one, fresh(1), against=fresh(2), resamples=30)
    assert found.intervals() is None
    assert found.no_intervals == "all samples are of one person"
    assert all((part["interval"], part["better"]) == (None, None) for part in found.difference().values())
    assert found.to_dict()["interval"] is None
    text = "\n".join(score_table(found))
    assert "no intervals over people: all samples are of one person" in text
    assert "95 %" not in text
    several = dataclasses.replace(data, samples=(dataclasses.replace(first, subject=""), *data.samples[1:]))
    assert (
        evaluate(several, fresh(1), resamples=30, allow_trained=True).no_intervals == "1 of 40 samples have no subject"
    )


def test_files(data, compared, tmp_path):
    compared.write(tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text()) == json.loads(json.dumps(compared.to_dict()))
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == [s.sample for s in data]
    assert {row["prediction_against"] for row in rows} <= set(EMOTIONS)
    with pytest.raises(OverwriteError, match=r"summary\.json"):
        compared.write(tmp_path)


def test_people_that_were_trained_on_are_refused(data, tmp_path):
    model = fresh(1)
    model.trained_people = TrainedPeople.of(data)
    folder = save_pretrained(model, tmp_path / "w", people=model.trained_people)
    with pytest.raises(InputError, match=r"trained on 10 people.*--allow-trained"):
        evaluate(data, folder)
    found = evaluate(data, folder, allow_trained=True, resamples=10)
    assert [warning["code"] for warning in found.to_dict()["warnings"]] == ["trained_on_subject"]


def test_what_cannot_be_scored(data):
    unnamed = Manifest(tuple(dataclasses.replace(s, subject="") for s in data), data.classes, "m.csv")
    found = evaluate(unnamed, fresh(1), against=fresh(2), resamples=10)
    assert found.intervals() is None
    assert found.difference()["uf1"]["interval"] is None
    other = Manifest(
        (dataclasses.replace(data.samples[0], label="anger"), *data.samples[1:]), ("anger", *EMOTIONS), "m.csv"
    )
    with pytest.raises(ManifestError, match=r"1 sample \('a_0_0'\) labeled anger, but htnet_tiny predicts negative"):
        evaluate(other, fresh(1))
    with pytest.raises(ManifestError, match="without label"):
        evaluate(Manifest((dataclasses.replace(data.samples[0], label=None),), EMOTIONS, "m.csv"), fresh(1))
    five = create_model("htnet_tiny", num_classes=5)
    five.preprocess_spec = fresh(1).preprocess_spec
    with pytest.raises(InputError, match="same classes"):
        evaluate(data, fresh(1), against=five, allow_trained=True)


def test_the_command_prints_what_the_library_returns(succeed, fail, data, compared, tmp_path):
    one, two = (save_pretrained(fresh(k), tmp_path / str(k), people=TrainedPeople()) for k in (1, 2))
    words = ("evaluate", "--data", data.source, "--weights", one, "--against", two)
    out = succeed(*words, "--out", tmp_path / "out", "--plot", tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")
    full = compared.scores()["full"]
    assert f"full         {full.uf1:.4f} / {full.uar:.4f} / {full.accuracy:.4f}  40 samples" in out
    assert f"UF1 differs by {compared.difference()['uf1']['value']:+.4f}, 95 % " in out
    assert (tmp_path / "out" / "predictions.csv").is_file()
    assert "already exists" in fail(*words, "--out", tmp_path / "out")
    assert "which is read" in fail(*words, "--out", one)


@pytest.mark.parametrize("draws", [{"seed": -1}, {"seed": 1.5}, {"seed": None}, {"resamples": 0}, {"resamples": 2.5}])
def test_impossible_draws_are_refused_before_anything_is_computed(draws, tmp_path):
    name = next(iter(draws))
    with pytest.raises(InputError, match=f"{name} is "):
        evaluate(tmp_path / "not there", **draws)
    with pytest.raises(InputError, match=f"{name} is "):
        resampled_confusions([0, 1], [0, 1], ["a", "b"], 2, **draws)
