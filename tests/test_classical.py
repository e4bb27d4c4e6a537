"""The benchmark of linear and kernel methods: its arithmetic and its scores. The licensed data are not needed."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmarks import classical, svm_row
from benchmarks.classical import METHODS, Classical, Half, cells, features, main, merge, read, run_classical, summarize
from htnet.data import Fold
from htnet.training import generated_set
from tests.support.paths import needs_shared


def made_half(samples=24, subjects=3):
    """A half of generated faces; every third is of one subject."""
    data = generated_set(samples, 17)
    data = dataclasses.replace(data, units=None, labels=torch.arange(samples) // subjects % 3)
    who = torch.arange(samples) % subjects
    folds = [
        Fold(f"p{k}", "smic", str(k), *(tuple((w).nonzero()[:, 0].tolist()) for w in (who != k, who == k)))
        for k in range(subjects)
    ]
    return Half(data, folds, np.array(["smic", "samm"])[np.arange(samples) % 2])


def test_kept_scores_are_of_listed_settings():
    kept = {name: trial for name, trial in read()["trials"].items() if trial["settings"]["kind"] == "classical"}
    assert set(kept) == set(METHODS)
    for name, trial in kept.items():
        assert trial["settings"] == METHODS[name].settings(), name


def test_the_row_of_the_support_vector_machine_has_all_parts(tmp_path):
    half = made_half()
    named = [dataclasses.replace(f, subject=name) for f, name in zip(half.folds, ("s01", "s02", "s03"), strict=True)]
    half = dataclasses.replace(half, folds=named)
    found = svm_row.row(half)
    assert {"full", "smic", "samm"} < set(found)
    answers = run_classical(svm_row.MACHINE, half, 1, tmp_path)[0].argmax(1)
    assert found["full"]["uf1"] == round(f1_score(half.truth, answers, average="macro"), 4)
    samm = half.sets == "samm"
    assert found["samm"]["uf1"] == round(f1_score(half.truth[samm], answers[samm], average="macro"), 4)


def test_a_subjects_labels_have_no_say_in_its_answers(tmp_path):
    half, trial = made_half(), Classical("", shifts=())
    first = run_classical(trial, half, 1, tmp_path)[0]
    own, labels = list(half.folds[0].test), half.data.labels.clone()
    labels[own] = (labels[own] + 1) % 3
    other = dataclasses.replace(half, data=dataclasses.replace(half.data, labels=labels))
    again = run_classical(trial, other, 1, tmp_path)[0]
    assert np.array_equal(again[own], first[own])
    assert not np.array_equal(np.delete(again, own, 0), np.delete(first, own, 0))


def test_only_those_who_are_left_out_are_answered_for(tmp_path):
    whole = made_half()
    half, trial = dataclasses.replace(whole, folds=whole.folds[1:]), Classical("", shifts=())
    assert half.tested == [row for row in range(24) if row % 3]
    every = run_classical(trial, whole, 1, tmp_path)[0]
    assert np.array_equal(run_classical(trial, half, 1, tmp_path)[0], every[half.tested])


@pytest.mark.slow
@needs_shared
def test_the_untouched_half_is_trained_on_at_most():
    both, development = classical.read_half(True), classical.read_half()
    assert (len(both.data), len(development.data)) == (442, 169)
    assert [fold.name for fold in both.folds] == [fold.name for fold in development.folds]
    assert np.array_equal(both.truth[both.tested], development.truth)
    assert {len(fold.train) + len(fold.test) for fold in both.folds} == {442}


@pytest.mark.parametrize("method", ["logistic", "ridge", "svm"])
def test_classical_methods_against_scikit_learn(method, tmp_path):
    half = made_half(36)
    trial = Classical("", method=method, penalty=0.5, width=0.7, shifts=((1, 0),))
    found = run_classical(trial, half, 2, tmp_path)
    assert list(found) == [0]
    views, fold = features(trial, half.data, 0, tmp_path), half.folds[1]
    assert views.shape == (4, 36, 147)
    train = np.concatenate([view[list(fold.train)] for view in views])
    labels = np.concatenate([half.truth[list(fold.train)]] * 4)
    mean, std = train.mean(0), train.std(0) + 1e-6
    train, tests = (train - mean) / std, [(view[list(fold.test)] - mean) / std for view in views]
    answer = found[0][list(fold.test)]
    if method == "logistic":
        fitted = LogisticRegression(C=1 / (0.5 * len(labels)), tol=1e-8, max_iter=1000).fit(train, labels)
        assert answer == pytest.approx(np.mean([fitted.predict_proba(test) for test in tests], 0), abs=2e-3)
    if method == "ridge":
        often = np.eye(3)[labels].mean(0)
        fitted = KernelRidge(alpha=0.5, kernel="rbf", gamma=0.7 / 147).fit(train, np.eye(3)[labels] - often)
        scores = np.mean([fitted.predict(test) for test in tests], 0) + often
        assert (np.log(answer) - np.log(answer[:, :1])) / 5 == pytest.approx(scores - scores[:, :1], abs=1e-6)


def test_generated_images_of_no_weight_change_nothing(tmp_path):
    half, trial = made_half(), Classical("", method="svm", penalty=1.0, shifts=())
    alone = run_classical(trial, half, 1, tmp_path)[0]
    for weight, same in ((1e-9, True), (1.0, False)):
        mixed = dataclasses.replace(trial, generated=40, generated_weight=weight)
        assert np.allclose(run_classical(mixed, half, 1, tmp_path)[0], alone, atol=1e-3) == same


def test_cells_by_hand():
    images = generated_set(2, 4).images.float()
    plain, standard = cells(images, False), cells(images, True)
    assert plain[1, 49].item() == pytest.approx(images[1, 1, :4, :4].mean().item())
    u = images[0, 2]
    assert standard[0, -1].item() == pytest.approx(((u[-4:, -4:].mean() - u.mean()) / u.std()).item(), abs=1e-5)


def test_scores_against_scikit_learn():
    rng = np.random.default_rng(5)
    truth = np.tile(np.arange(3), 20)
    sets = np.array(["smic", "samm"])[np.arange(60) // 30]
    seeds = {s: rng.dirichlet(np.ones(3), 60) for s in range(3)}
    found = summarize(seeds, truth, sets)

    def macro(chances, part=slice(None)):
        return f1_score(truth[part], chances[part].argmax(1), average="macro")

    values = [macro(chances) for chances in seeds.values()]
    assert found["uf1"] == pytest.approx(values, abs=1e-4)
    assert found["standard_error"] == pytest.approx(np.std(values, ddof=1) / 3**0.5, abs=1e-4)
    assert found["sets"]["samm"] == pytest.approx(np.mean([macro(c, sets == "samm") for c in seeds.values()]), abs=1e-4)
    assert found["ensemble_uf1"] == pytest.approx(macro(sum(seeds.values())), abs=1e-4)
    tried = []
    for temperature in np.geomspace(0.05, 20, 400):
        powers = [chances ** (1 / temperature) for chances in seeds.values()]
        tried.append([-np.log((p / p.sum(1, keepdims=True))[np.arange(60), truth]).mean() for p in powers])
    assert found["log_loss"] == pytest.approx(np.min(tried, 0).mean(), abs=1e-3)
    assert summarize({0: seeds[0]}, truth, sets)["standard_error"] is None


def test_commands_refuse_what_they_cannot_do(capsys, monkeypatch):
    assert main(["--list"]) == 0
    assert "svm-std-1-1" in capsys.readouterr().out
    monkeypatch.setattr(classical, "read_half", lambda everyone: pytest.fail("began all the same"))
    assert main(["svn"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert main(["svm", "--seeds", "0"]) == 2


def test_a_command_puts_scores_in_place_of_earlier_ones(tmp_path, monkeypatch, capsys):
    half, out = made_half(), tmp_path / "out.json"
    monkeypatch.setattr(classical, "read_half", lambda everyone: half)
    monkeypatch.setattr(classical, "METHODS", {"one": Classical("", shifts=())})
    merge("net", {"settings": {"kind": "trial"}}, out)
    merge("one", {}, out)
    assert main(["one", "--out", str(out)]) == 0
    assert "UF1" in capsys.readouterr().out
    kept = read(out)["trials"]
    assert list(kept) == ["net", "one"]
    assert set(kept["one"]["readouts"]) == {"views"}
