"""Calibration and intervals in the summary of an evaluation, and the temperature that goes into weights."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from htnet import cli
from htnet.core.errors import InputError, RunError
from htnet.evaluation import lodo, loso
from htnet.evaluation.bootstrap import draw_groups
from htnet.evaluation.calibration import apply_temperature, expected_calibration_error, fit_temperature
from htnet.evaluation.confidence import LeftOut, calibration_of, intervals_of
from htnet.evaluation.metrics import score
from htnet.hub import load_pretrained, read_config, save_pretrained
from htnet.training import Recipe
from tests.support.flows import write_flow_set
from tests.support.pairs import tiny_model

QUICK = Recipe(name="quick", epochs=3, batch_size=8)
CLASSES = range(3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "set"
    write_flow_set(folder, 3, 4, datasets=("a", "b"))
    return folder


@pytest.fixture(scope="module")
def result(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return loso(data, "htnet_tiny", QUICK, out=out / "run", seeds=2, progress=False)


def arrays(samples, seed):
    own = [s for s in samples if s.seed == seed]
    people = np.array([f"{s.dataset} {s.subject}" for s in own])
    return np.array([s.truth for s in own]), np.array([s.probabilities for s in own]), people


def one_by_one(truth, chances, fold):
    """Each fold after the temperature of the others, written out."""
    out = np.zeros_like(chances)
    for name in set(fold.tolist()):
        own = fold == name
        out[own] = apply_temperature(chances[own], fit_temperature(truth[~own], chances[~own]))
    return out


def test_summary_says_how_far_probabilities_can_be_believed(result):
    found = result.summary["protocols"]["last"]["calibration"]
    parts = [arrays(result.samples, seed) for seed in (0, 1)]
    raw = [(truth, chances) for truth, chances, _ in parts]
    mended = [(truth, one_by_one(truth, chances, people)) for truth, chances, people in parts]
    for name, pairs in (("raw", raw), ("after_temperature", mended)):
        expected = np.mean([expected_calibration_error(*pair) for pair in pairs])
        assert found[name]["expected_calibration_error"] == pytest.approx(expected)
        expected = np.mean([log_loss(t, p / p.sum(1, keepdims=True), labels=CLASSES) for t, p in pairs])
        assert found[name]["log_loss"] == pytest.approx(expected, rel=1e-4)
    pooled = [np.concatenate(columns) for columns in zip(*raw, strict=True)]
    assert found["temperature"] == pytest.approx(fit_temperature(*pooled))
    assert json.loads((result.root / "summary.json").read_text()) == json.loads(json.dumps(result.summary))
    picture = result.reliability("last")
    assert picture["raw"].error == pytest.approx(expected_calibration_error(*pooled))
    assert picture["after temperature"].count.sum() == len(pooled[0])
    with pytest.raises(InputError, match="no protocol 'nested'; it has last"):
        result.reliability("nested")


def test_data_sets_left_out_are_calibrated_by_other_data_sets(data, tmp_path):
    found = lodo(data, "htnet_tiny", QUICK, out=tmp_path / "run", progress=False)
    truth, chances, _ = arrays(found.samples, 0)
    sets = np.array([s.dataset for s in found.samples])
    expected = expected_calibration_error(truth, one_by_one(truth, chances, sets))
    block = found.summary["protocols"]["last"]["calibration"]
    assert block["after_temperature"]["expected_calibration_error"] == pytest.approx(expected)
    assert "every data set" in block["what"]


def test_a_subject_s_own_answers_do_not_set_its_temperature(rng):
    people = [(f"{i % 2}", f"{i % 5}") for i in range(60)]
    chances = rng.dirichlet([1, 1, 1], 60)
    truth = np.where(rng.random(60) < 0.6, chances.argmax(1), rng.integers(0, 3, 60))  # no end of the search is best
    own = np.array([p == ("1", "3") for p in people])
    changed = chances.copy()
    changed[own] = rng.dirichlet([0.2, 0.2, 0.2], own.sum())
    one, other = (LeftOut(truth, p, people, people).calibrated() for p in (chances, changed))
    temperature = fit_temperature(truth[~own], chances[~own])
    np.testing.assert_allclose(one[own], apply_temperature(chances[own], temperature))
    np.testing.assert_allclose(other[own], apply_temperature(changed[own], temperature))
    assert np.abs(one[~own] - other[~own]).max() > 0, "to the others they matter"
    seeds = [LeftOut(truth, p, people, people) for p in (chances, changed)]
    both = calibration_of(seeds, "subject")["after_temperature"]["log_loss"]
    alone = [calibration_of([seed], "subject")["after_temperature"]["log_loss"] for seed in seeds]
    assert both == pytest.approx(np.mean(alone)), "other seeds do not matter either"


def test_intervals_are_over_people_and_of_the_mean_over_seeds(result):
    parts = [arrays(result.samples, seed) for seed in (0, 1)]
    members, times = draw_groups(parts[0][2].tolist())
    drawn = [np.repeat(np.arange(len(members)), row[members]) for row in times]
    scores = [[score(truth[rows], p[rows].argmax(1), 3) for truth, p, _ in parts] for rows in drawn]
    found = result.summary["protocols"]["last"]["interval"]
    assert found["resamples"] == len(drawn)
    for name in ("uf1", "uar"):
        expected = np.quantile([np.mean([getattr(own, name) for own in of_draw]) for of_draw in scores], (0.025, 0.975))
        assert found["full"][name] == pytest.approx(expected)
        assert expected[0] < expected[1]


def test_one_person_has_no_intervals(result):
    truth, chances, _ = arrays(result.samples, 0)
    people = [("a", "s1")] * len(truth)
    found = intervals_of([LeftOut(truth, chances, people, people)], 3)
    assert "full" not in found
    assert "all samples are of one person" in found["what"]


def test_a_diverged_training_is_named(data, result):
    path = next(result.root.glob("folds/seed-0/*.json"))
    before = path.read_text()
    stored = json.loads(before)
    name = next(iter(stored["protocols"]["last"]["probabilities"]))
    stored["protocols"]["last"]["probabilities"][name] = [float("nan")] * 3
    path.write_text(json.dumps(stored))
    try:
        with pytest.raises(RunError, match=f"{path.name} contains numbers that are not finite.*Lower the recipe's lr"):
            loso(data, "htnet_tiny", QUICK, out=result.root, seeds=2, progress=False)
    finally:
        path.write_text(before)


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "quick.json"
    path.write_text(json.dumps(QUICK.to_dict()))
    return path


def train(data, out, summary, recipe, *more):
    words = ["train", "--data", data, "--model", "htnet_tiny", "--recipe", recipe, "--out", out, "--metrics", summary]
    assert cli.main([str(w) for w in (*words, *more)]) == 0


def test_weights_get_the_temperature_of_their_recipe(data, result, recipe_file, tmp_path, capsys):
    expected = result.summary["protocols"]["last"]["calibration"]["temperature"]
    train(data, tmp_path / "w", result.root / "summary.json", recipe_file)
    assert f"temperature {expected:.4g} of {result.root / 'summary.json'} is stored" in capsys.readouterr().out
    assert load_pretrained(tmp_path / "w").temperature == expected
    assert read_config(tmp_path / "w" / "config.json")["training"]["metrics"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epochs", "1"], "another recipe"),
        (["--layout", "whole"], "another preprocessing"),
        (["--start", "{start}"], "another start"),
    ],
)
def test_other_weights_do_not(data, result, recipe_file, tmp_path, capsys, more, message):
    save_pretrained(tiny_model(), tmp_path / "start")
    more = [word.replace("{start}", str(tmp_path / "start")) for word in more]
    train(data, tmp_path / "w", result.root / "summary.json", recipe_file, *more)
    assert f"is of a run with {message}" in capsys.readouterr().out
    assert load_pretrained(tmp_path / "w").temperature == 1.0


def test_summaries_from_before_serve_the_card(data, result, recipe_file, tmp_path, capsys):
    summary = json.loads((result.root / "summary.json").read_text())
    del summary["protocols"]["last"]["calibration"], summary["protocols"]["last"]["interval"], summary["leave"]
    (tmp_path / "old.json").write_text(json.dumps(summary))
    train(data, tmp_path / "w", tmp_path / "old.json", recipe_file)
    assert "old.json contains none for the protocol last" in capsys.readouterr().out
    assert load_pretrained(tmp_path / "w").temperature == 1.0
    assert "LOSO last, full, uf1" in read_config(tmp_path / "w" / "config.json")["training"]["metrics"]


@pytest.mark.slow
def test_command_draws_the_picture(data, tmp_path, capsys):
    picture = tmp_path / "reliability.png"
    words = [
        "loso",
        "--data",
        data,
        "--model",
        "htnet_tiny",
        "--epochs",
        "1",
        "--workers",
        "1",
        "--out",
        tmp_path / "run",
    ]
    assert cli.main([str(word) for word in (*words, "--plot", picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in capsys.readouterr().out
