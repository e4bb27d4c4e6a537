"""Folds of several subjects, the split of a manifest, and the estimate of the time left."""

import dataclasses
import json

import pytest
import torch

from htnet.data import k_folds
from htnet.errors import RunError
from htnet.evaluation import holdout, kfold, read_summary
from htnet.evaluation.protocols import fold_seed
from htnet.training import Recipe, load_flow_set, predict_set, spec_for, train_model
from tests.support.flows import write_flow_set

QUICK = Recipe(name="quick", epochs=1, batch_size=8)
OPTIONS = {"model": "htnet_tiny", "recipe": QUICK, "progress": False}


@pytest.fixture
def manifest(tmp_path):
    return write_flow_set(tmp_path / "set", 4, 3)


def expected(manifest, train, test, name):
    """Probabilities of a training by hand."""
    data = load_flow_set(manifest, spec_for("htnet_tiny"))
    model, _ = train_model("htnet_tiny", data.subset(train), QUICK, seed=fold_seed(0, name))
    chances = predict_set(model, data.subset(test))
    return {manifest.samples[i].sample: tuple(row) for i, row in zip(test, chances.tolist(), strict=True)}


def test_k_fold_trains_on_the_other_folds(manifest, tmp_path):
    told = []

    def tell(*now):
        told.append(now)

    result = kfold(manifest, folds=2, fold_seed=3, out=tmp_path / "run", on_fold=tell, **OPTIONS)
    found = {s.sample: s.probabilities for s in result.samples}
    for fold in k_folds(manifest, 2, 3):
        for sample, chances in expected(manifest, fold.train, fold.test, fold.name).items():
            assert found[sample] == pytest.approx(chances, abs=1e-6)
    assert (result.summary["leave"], result.summary["run"]["folds"], result.summary["run"]["fold_seed"]) == (
        "fold",
        2,
        3,
    )
    assert [now[:2] for now in told] == [(1, 2), (2, 2)]
    assert told[0][2] > 0
    assert told[1][2] == 0
    assert "folds of several subjects" in result.table()
    assert "k-fold last, full, uf1" in read_summary(tmp_path / "run" / "summary.json").metrics


def test_holdout_tests_on_the_split_test_alone(manifest, tmp_path):
    parts = {"s0": "train", "s1": "train", "s2": "test", "s3": "val"}
    split = dataclasses.replace(
        manifest, samples=tuple(dataclasses.replace(s, split=parts[s.subject]) for s in manifest)
    )
    result = holdout(split, out=tmp_path / "run", **OPTIONS)
    train, test = ([i for i, s in enumerate(split) if s.split == part] for part in ("train", "test"))
    by_hand = expected(split, train, test, "test")
    assert {s.sample: pytest.approx(s.probabilities, abs=1e-6) for s in result.samples} == by_hand
    assert (result.summary["samples"], result.summary["subjects"]) == (3, 1)
    assert torch.tensor([s.truth for s in result.samples]).tolist() == manifest.labels()[test].tolist()


@pytest.mark.parametrize("protocol", ["last", "nested"])
def test_a_run_is_not_resumed_when_samples_have_moved_between_people_or_parts(manifest, tmp_path, protocol):
    """The tested samples of the fold are the same, but not those that it was trained on, or held out together."""
    parts = {"s0": "train", "s1": "train", "s2": "test", "s3": "train"}

    def moved(person, **fields):
        samples = (dataclasses.replace(s, split=parts[s.subject]) for s in manifest)
        samples = (dataclasses.replace(s, **fields) if s.subject == person else s for s in samples)
        return dataclasses.replace(manifest, samples=tuple(samples))

    options = {**OPTIONS, "out": tmp_path / "run", "protocols": [protocol]}
    first = holdout(moved(""), **options)
    assert holdout(moved(""), **options).samples == first.samples
    for changed in ({"split": ""}, {"subject": "s1"}):
        with pytest.raises(RunError, match=r"another .*division of the samples into folds.*Choose another --out"):
            holdout(moved("s3", **changed), **options)
    # Runs of older versions do not describe their folds.
    path = tmp_path / "run" / "run.json"
    described = json.loads(path.read_text())
    del described["folds_sha256"]
    path.write_text(json.dumps(described))
    assert holdout(moved(""), **options).samples == first.samples


def test_the_time_left_is_told_once_without_a_terminal(manifest, tmp_path, run):
    words = (
        "kfold",
        "--data",
        manifest.source,
        "--model",
        "htnet_tiny",
        "--epochs",
        "1",
        "--workers",
        "1",
        "--folds",
        "4",
    )
    status, out, err = run(*words, "--out", tmp_path / "run")
    assert status == 0
    assert "12 samples, 4 subjects" in out
    assert err.count("about ") == 1
    assert err.startswith("1 of 4 folds done, about ")
