"""Scores of a run by halves of the subjects, against counting by hand."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks import loso_halves
from benchmarks.halves import subjects

OTHER = {"last": {part: {"uf1": 0.5, "uf1_95": [0.4, 0.6], "uf1_of_seeds": [0.5]} for part in loso_halves.PARTS}}
CLASSES = ["negative", "positive", "surprise"]


@pytest.fixture
def run(tmp_path, rng):
    """A run of two seeds over ten subjects of each half, with answers drawn at random."""
    rows = []
    for part in ("development", "untouched"):
        for person in sorted(subjects(part))[:10]:
            dataset, subject = person.split("-", 1)
            truth = rng.integers(0, 3, 5)
            rows += [
                {
                    "sample": f"{person}-{k}",
                    "dataset": dataset,
                    "subject": subject,
                    "seed": seed,
                    "protocol": protocol,
                    "truth": CLASSES[truth[k]],
                    "prediction": CLASSES[rng.integers(0, 3) if rng.random() < 0.4 else truth[k]],
                    **dict(zip((f"probability_{name}" for name in CLASSES), rng.dirichlet([1, 1, 1]), strict=True)),
                    "part": part,
                }
                for seed in (0, 3)
                for protocol in ("last", "best_on_test")
                for k in range(5)
            ]
    with (tmp_path / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    of = {"model": "flow_mlp", "recipe": {"name": "finetune"}, "preprocess": {"layout": "whole"}, "started_from": []}
    (tmp_path / "summary.json").write_text(json.dumps({"classes": CLASSES, "run": of}))
    return tmp_path, rows


def by_hand(rows, seed, part):
    own = [r for r in rows if r["protocol"] == "last" and r["seed"] == seed and part in ("full", r["part"])]
    return f1_score([r["truth"] for r in own], [r["prediction"] for r in own], average="macro", labels=CLASSES)


def test_halves_are_counted_right(run, tmp_path):
    folder, rows = run
    loso_halves.main([str(folder), "--out", str(tmp_path / "out.json")])
    (found,) = json.loads((tmp_path / "out.json").read_text())["runs"].values()
    for part, entry in found["last"].items():
        expected = [by_hand(rows, seed, part) for seed in (0, 3)]
        assert entry["uf1_of_seeds"] == pytest.approx(expected, abs=1e-4)
        assert entry["uf1"] == pytest.approx(np.mean(expected), abs=1e-4)
        low, high = entry["uf1_95"]
        assert low < entry["uf1"] < high
        assert entry["samples"] == (100 if part == "full" else 50)
    assert found["started_from"] == "generated data"


def test_runs_are_merged(run, tmp_path):
    folder, _ = run
    out = tmp_path / "out.json"
    out.write_text(json.dumps({"runs": {"other": OTHER}}))
    loso_halves.main([str(folder), "--out", str(out)])
    assert list(json.loads(out.read_text())["runs"]) == ["other", "`flow_mlp`, `finetune`, from generated data"]


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_all_probabilities(run, tmp_path):
    folder, rows = run
    out = tmp_path / "out.json"
    loso_halves.main([str(folder), str(folder), "--ensemble", "--out", str(out)])
    (found,) = json.loads(out.read_text())["runs"].values()
    truth, chances = {}, {}
    for r in rows:
        if r["protocol"] == "last" and r["part"] == "untouched":
            truth[r["sample"]] = CLASSES.index(r["truth"])
            own = np.array([r[f"probability_{name}"] for name in CLASSES])
            chances[r["sample"]] = chances.get(r["sample"], 0) + own
    answers = [int(chances[name].argmax()) for name in truth]
    expected = f1_score(list(truth.values()), answers, average="macro", labels=[0, 1, 2])
    assert found["last"]["untouched"]["uf1"] == pytest.approx(expected, abs=1e-4)
