"""The benchmark of recipes: its list, its arithmetic, its scores. The licensed data are not needed."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from benchmarks.recipe_trials import __main__ as command
from benchmarks.recipe_trials import finetune
from benchmarks.recipe_trials.classical import cells, features, run_classical
from benchmarks.recipe_trials.finetune import Half, answers, blend, mean_of, run_trial, zero_shot
from benchmarks.recipe_trials.listed import GROUPS, PRETRAININGS, TRIALS
from benchmarks.recipe_trials.networks import CoarsePerceptron, build, enlarged, shown
from benchmarks.recipe_trials.page import tables
from benchmarks.recipe_trials.pretrain import pretrained
from benchmarks.recipe_trials.scores import OUT, entry, merge, read, summarise
from benchmarks.recipe_trials.settings import Classical, Network, Perceptron, Pretraining, Trial, described
from htnet.data import Fold
from htnet.models import create_model
from htnet.synthesis import ACTION_UNITS
from htnet.training import RECIPES, generated_set
from tests.support.paths import needs_shared

#: One epoch of a small perceptron.
SHORT = dataclasses.replace(TRIALS["mlp"].recipe, epochs=1, batch_size=4)
SMALL = Network(perceptron=Perceptron(hidden=8), view="whole")
TINY = Trial("", None, SMALL, recipe=SHORT)


def made_half(samples=24, subjects=3):
    """A half of generated faces; every third is of one subject, half of them have annotated units."""
    data = generated_set(samples, int(torch.randint(10**6, ())))
    data = dataclasses.replace(data, units=None, labels=torch.arange(samples) // subjects % 3)
    who = torch.arange(samples) % subjects
    folds = [
        Fold(
            f"p{k}",
            "smic",
            str(k),
            tuple((who != k).nonzero()[:, 0].tolist()),
            tuple((who == k).nonzero()[:, 0].tolist()),
        )
        for k in range(subjects)
    ]
    sets = np.array(["smic", "samm"])[np.arange(samples) % 2]
    return Half(data, folds, sets, torch.arange(samples) % 2 == 0, (torch.rand(samples, 15) < 0.3).float())


def test_the_list_holds_together():
    assert len(TRIALS) == sum(len(group) for group in GROUPS.values())
    seen = {}
    for name, trial in TRIALS.items():
        key = json.dumps(described(trial), sort_keys=True)
        assert key not in seen, f"{name} is {seen.get(key)} again"
        seen[key] = name
        if isinstance(trial, Pretraining):
            continue
        assert trial.against is None or trial.against in TRIALS
        if isinstance(trial, Trial) and trial.start is not None:
            assert PRETRAININGS[trial.start].network == trial.network, name
        for other in re.findall(r"`([a-z0-9.-]+)`", trial.what):
            assert other in TRIALS, f"{name} speaks of {other}"


def test_kept_scores_are_of_listed_settings():
    kept = read(OUT)
    assert kept
    for name, trial in kept.items():
        assert trial["settings"] == described(TRIALS[name]), name
        for readout, own in trial["readouts"].items():
            assert len(own["uf1"]) == (1 if readout.startswith("soup") else trial["seeds"])
            assert own["mean"] == pytest.approx(np.mean(own["uf1"]), abs=1e-4)


def test_the_recipe_of_the_library_is_the_one_that_was_chosen():
    chosen, finetune_recipe = TRIALS["flow-mlp-60"].recipe, RECIPES["finetune"]
    assert dataclasses.replace(finetune_recipe, name="trial", start_share=0.0, units_weight=0.0) == chosen
    assert 1 - finetune_recipe.start_share in finetune.BLENDS
    mixed = RECIPES["mixed"]
    assert (mixed.epochs, mixed.lr, mixed.generated) == (13, TRIALS["all-mix"].recipe.lr, TRIALS["all-mix"].mixed)
    assert mixed.epochs == TRIALS["all-mix"].recipe.epochs


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixup": 0.4, "balance": "class", "label_smoothing": 0.1},
        {"mixed": 4, "balance": "root", "recipe": dataclasses.replace(SHORT, units_weight=1.0)},
        {"network": Network(perceptron=Perceptron(8, 2, dropout=0.2, layer_norm=True, fit_cells=True), view="whole")},
        {"network": Network("htnet_tiny", view="both", image_standardised=True)},
        {"network": Network("htnet_tiny", size=56), "mixed": 2},
    ],
)
def test_a_trial_answers_for_everybody_without_their_labels(changes, monkeypatch, tmp_path):
    monkeypatch.setattr(finetune, "POOL", 64)
    half, trial = made_half(), dataclasses.replace(TINY, **changes)
    found = run_trial(trial, half, 2, tmp_path)
    assert set(found) == {f"{name}{way}" for name in ("plain", "averaged", "soup of 2") for way in ("", "+mirror")}
    for seeds in found.values():
        for chances in seeds.values():
            assert chances.sum(1) == pytest.approx(np.ones(len(half.data)), abs=1e-5)
    assert set(found["averaged"]) == {0, 1}
    assert not np.array_equal(found["averaged"][0], found["averaged"][1])
    # The labels of a subject have no say in the answers for it, those of others do.
    own, labels = list(half.folds[0].test), half.data.labels.clone()
    labels[own] = (labels[own] + 1) % 3
    other = dataclasses.replace(half, data=dataclasses.replace(half.data, labels=labels))
    again = run_trial(trial, other, 1, tmp_path)["averaged"][0]
    assert np.array_equal(again[own], found["averaged"][0][own])
    assert not np.array_equal(np.delete(again, own, 0), np.delete(found["averaged"][0], own, 0))


def test_only_those_who_are_left_out_are_answered_for(tmp_path):
    whole = made_half()
    half = dataclasses.replace(whole, folds=whole.folds[1:])
    assert half.tested == [row for row in range(24) if row % 3]
    for run, trial in ((run_trial, TINY), (run_classical, Classical("", shifts=()))):
        for readout, seeds in run(trial, half, 1, tmp_path).items():
            assert np.array_equal(seeds[0], run(trial, whole, 1, tmp_path)[readout][0][half.tested])


@needs_shared
def test_the_untouched_half_is_trained_on_at_most():
    both, development = finetune.read_half(True), finetune.read_half()
    assert (len(both.data), len(development.data)) == (442, 169)
    assert [fold.name for fold in both.folds] == [fold.name for fold in development.folds]
    assert np.array_equal(both.truth[both.tested], development.truth)
    assert {len(fold.train) + len(fold.test) for fold in both.folds} == {442}


def test_trials_start_from_pretrained_weights_which_are_kept(monkeypatch, tmp_path):
    own = Pretraining("", SMALL, dataclasses.replace(PRETRAININGS["pre-mlp"].recipe, epochs=1), count=64)
    monkeypatch.setitem(finetune.PRETRAININGS, "own", own)
    half = made_half()
    trial = dataclasses.replace(TINY, start="own", start_each=True, recipe=dataclasses.replace(SHORT, lr=1e-9))
    found = run_trial(trial, half, 2, tmp_path)
    assert len(list((tmp_path / "recipe_trials").iterdir())) == 2
    assert {"blend 0.3", "blend 0.7+mirror"} < set(found)
    assert not any(name.startswith("soup") for name in found)
    monkeypatch.setattr("benchmarks.recipe_trials.pretrain._train", lambda *a: pytest.fail("trained again"))
    # Almost no learning rate: every fold answers as its start does.
    start = zero_shot(own, half, 2, tmp_path)["averaged"]
    for seed in (0, 1):
        assert found["blend 0.5"][seed] == pytest.approx(start[seed], abs=1e-4)
    assert not np.allclose(start[0], start[1])


@pytest.mark.parametrize("view", ["regions", "both"])
def test_kept_weights_come_back_with_their_statistics(tmp_path, view):
    own = Pretraining("", Network("htnet_tiny", view=view), dataclasses.replace(SHORT, units_weight=1.0), count=32)
    first, again = pretrained(own, 3, tmp_path), pretrained(own, 3, tmp_path)
    assert first is not again
    data = generated_set(4, 5)
    for one, other in zip(answers(first, data, view), answers(again, data, view), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(answers(pretrained(own, 4, tmp_path), data, view)[0], answers(first, data, view)[0])


def test_the_perceptron_is_the_models_fore_runner():
    ours = CoarsePerceptron(Perceptron(hidden=16, symmetric=True))
    model = create_model("flow_mlp", hidden=16, action_units=ACTION_UNITS)
    torch.nn.init.normal_(ours.head.weight)
    names = {"body.0": "hidden", "head": "head", "unit_head": "unit_head"}
    state = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in ours.state_dict().items()
        if not key.startswith("cell")
    }
    model.load_state_dict(state)
    images = generated_set(5, 1).images.float()
    assert torch.allclose(ours(images), model(images), atol=1e-5)
    narrow = CoarsePerceptron(Perceptron(hidden=4, channels=(1, 2), cell=2, fit_cells=True))
    narrow.fit_cells(images)
    standard = (narrow.cells(images).flatten(1) - narrow.cell_mean) / narrow.cell_std
    assert narrow.cells(images).shape == (5, 2, 14, 14)
    assert torch.allclose(standard.std(0), torch.ones(392), atol=1e-3)


def test_networks_see_what_their_view_says():
    data = generated_set(3, 2)
    images = data.images.float()
    both = shown(images, data.points, data, "both")
    assert torch.equal(both[:, 3:], images)
    assert torch.equal(both[:, :3], data.inputs())
    network = build(Network("htnet_tiny", image_standardised=True), torch.zeros(3), torch.ones(3)).eval()
    with torch.no_grad():
        assert torch.allclose(network(images), network(images * 0.5 + 20), atol=1e-2)


def test_larger_images_show_the_same_face():
    data = generated_set(3, 7)
    large = enlarged(data, 56)
    assert enlarged(data, 28) is data
    assert (large.images.shape[-1], large.spec.size) == (56, 56)
    # Two by two pixels of a linear interpolation lie evenly about the pixel that they come from.
    inside = torch.nn.functional.avg_pool2d(large.images.float(), 2) - data.images
    assert inside.abs().mean() < 0.1 * data.images.float().std()
    wide = large.points[0, 1, 0] - large.points[0, 0, 0]
    assert wide == pytest.approx(2 * float(data.points[0, 1, 0] - data.points[0, 0, 0]))


def test_weights_between_and_mean_of_weights():
    first, last = ({"a": torch.randn(4)} for _ in range(2))
    assert torch.allclose(blend(first, last, 0.3)["a"], first["a"] + 0.3 * (last["a"] - first["a"]))
    three = [{"a": torch.randn(4)} for _ in range(3)]
    assert torch.allclose(mean_of(three)["a"], sum(state["a"] for state in three) / 3)


@pytest.mark.parametrize("method", ["logistic", "ridge", "svm"])
def test_classical_methods_against_scikit_learn(method, tmp_path):
    half = made_half(36)
    trial = Classical("", method=method, penalty=0.5, width=0.7, shifts=((1, 0),))
    found = run_classical(trial, half, 2, tmp_path)["views"]
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
    alone = run_classical(trial, half, 1, tmp_path)["views"][0]
    for weight, same in ((1e-9, True), (1.0, False)):
        mixed = dataclasses.replace(trial, generated=40, generated_weight=weight)
        assert np.allclose(run_classical(mixed, half, 1, tmp_path)["views"][0], alone, atol=1e-3) == same


def test_cells_by_hand():
    images = generated_set(2, 4).images.float()
    plain, standard = cells(images, False), cells(images, True)
    assert plain[1, 49].item() == pytest.approx(images[1, 1, :4, :4].mean().item())
    u = images[0, 2]
    assert standard[0, -1].item() == pytest.approx(((u[-4:, -4:].mean() - u.mean()) / u.std()).item(), abs=1e-5)


def test_scores_against_scikit_learn():
    rng = np.random.default_rng()
    truth = np.tile(np.arange(3), 20)
    sets = np.array(["smic", "samm"])[np.arange(60) // 30]
    seeds = {s: rng.dirichlet(np.ones(3), 60) for s in range(3)}
    found = summarise(seeds, truth, sets)

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
    assert summarise({0: seeds[0]}, truth, sets)["standard_error"] is None


def test_scores_are_merged_and_shown(tmp_path):
    half = made_half()
    chances = {s: np.random.default_rng(s).dirichlet(np.ones(3), 24) for s in range(2)}
    path = tmp_path / "scores.json"
    for name in ("mlp-60", "mlp", "mlp"):
        scored = entry(described(TRIALS[name]), {"averaged": chances}, half.truth, half.sets, 12.3)
        merge(name, scored, path)
    kept = read(path)
    assert list(kept) == ["mlp", "mlp-60"]
    assert kept["mlp"]["seconds"] == 12
    assert {"commit", "cpu", "torch"} < set(kept["mlp"]["machine"])
    shown_rows = [line for line in tables(kept).splitlines() if line.startswith("| `")]
    assert len([row for row in shown_rows if row.startswith("| `mlp-60`")]) == 1
    assert all("| **2** |" in row for row in shown_rows)
    assert any(row.endswith("0.000 on `mlp` |") for row in shown_rows)


def test_commands_refuse_what_they_cannot_do(tmp_path, capsys, monkeypatch):
    assert command.main(["--list"]) == 0
    assert "mlp-mix-0.1" in capsys.readouterr().out
    monkeypatch.setattr(command, "read_half", lambda everyone: pytest.fail("began all the same"))
    assert command.main(["mpl"]) == 2
    assert "Did you mean" in capsys.readouterr().err
    assert command.main(["mlp", "--seeds", "0"]) == 2
    assert command.main(["mlp", "--seeds", "1"]) == 2
    assert "Give --seeds" in capsys.readouterr().err


def test_a_command_scores_what_is_missing(tmp_path, monkeypatch, capsys):
    half = made_half()
    monkeypatch.setattr(command, "read_half", lambda everyone: half)
    monkeypatch.setattr(command, "TRIALS", {"one": TINY, "two": Classical("", shifts=())})
    out = tmp_path / "out.json"
    assert command.main(["one", "--seeds", "1", "--out", str(out)]) == 0
    assert command.main(["--seeds", "1", "--out", str(out), "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("UF1") == 2
    assert set(read(out)) == {"one", "two"}
    assert set(read(out)["two"]["readouts"]) == {"views"}
