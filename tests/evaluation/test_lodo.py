"""Leave-one-database-out: train on the other data sets, test on one."""

import csv
import dataclasses
import inspect
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from htnet.core.errors import InputError, ManifestError, RunError
from htnet.core.provenance import DataKind, Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, leave_one_dataset_out, open_data
from htnet.evaluation import EvaluationPlan, holdout, kfold, lodo, loso, protocols
from htnet.hub import GENERATED, read_config, save_pretrained
from htnet.models import create_model
from htnet.training import Recipe, StartFrom, load_flow_set, predict_set, spec_for, train_model, train_weights
from tests.support.evaluation import fold_run
from tests.support.flows import write_flow_set

QUICK = Recipe(name="quick", epochs=3, batch_size=8)
FILES = ("predictions.csv", "summary.json")
EVERY = ("last", "nested", "best_on_test")


@pytest.fixture
def manifest(tmp_path, rng):
    """Three sets of unlike size whose subjects have the same names, mixed up."""
    write_flow_set(tmp_path / "set", 2, 4, datasets=("b", "a", "c"), seed=int(rng.integers(2**31)))
    found = open_data(tmp_path / "set")
    order = rng.permutation(len(found))
    return found.subset([i for i in order if found.samples[i].sample not in ("c_0_0", "c_1_3", "a_0_2")])


@pytest.mark.parametrize("evaluate", [loso, lodo])
def test_arguments_are_the_fields_of_the_plan(evaluate):
    known = dict(inspect.signature(evaluate).parameters)
    assert [known.pop(name).kind.name for name in ("data", "out", "overwrite", "on_fold")][1:] == ["KEYWORD_ONLY"] * 3
    fields = {field.name: field.default for field in dataclasses.fields(EvaluationPlan)}
    assert list(known) == list(fields)
    assert {n: p.default for n, p in known.items()} == {**fields, "model": "htnet_small", "recipe": "default"}
    with pytest.raises(TypeError, match="seedz"):
        evaluate("data", out="run", seedz=3)


@pytest.mark.parametrize("evaluate", [loso, lodo, kfold, holdout])
def test_no_run_is_written_into_the_folder_of_its_data(evaluate, manifest, tmp_path):
    folder = tmp_path / "set"
    model = create_model("htnet_tiny")
    model.preprocess_spec = spec_for("htnet_tiny")
    save_pretrained(model, tmp_path / "start")
    for given in ({"data": folder}, {"data": manifest}, {"data": folder, "out": tmp_path / "start"}):
        with pytest.raises(InputError, match="which is read"):
            evaluate(**{"out": folder, "start": tmp_path / "start"} | given)
    with pytest.raises(InputError, match="which is read"):
        train_weights(manifest, load_flow_set(manifest, spec_for("htnet_tiny")), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["flow", "manifest.csv"]


def run(manifest, out, evaluate=lodo, **options):
    options = {"recipe": QUICK, "model": "htnet_tiny", "progress": False} | options
    return evaluate(manifest, out=out, **options)


def contents(out):
    return [(out / name).read_bytes() for name in FILES]


def pictures(data):
    return {image.numpy().tobytes() for image in data.images}


def count_trainings(monkeypatch, seen):
    real = protocols.run_job

    def spy(job, data, *arguments, **more):
        seen.append(data)
        return real(job, data, *arguments, **more)

    monkeypatch.setattr(protocols, "run_job", spy)


@pytest.mark.slow
def test_no_sample_of_the_tested_data_set_is_trained_on(manifest, tmp_path, monkeypatch):
    trainings = []
    count_trainings(monkeypatch, trainings)
    result = run(manifest, tmp_path / "run", protocols=EVERY)
    whole = load_flow_set(manifest, PreprocessSpec())
    assert len(pictures(whole)) == len(manifest)  # so that pictures tell samples apart
    of_set = {d: pictures(whole.subset([i for i, s in enumerate(manifest) if s.dataset == d])) for d in "abc"}
    assert len(trainings) == 6  # for each of three folds one for "last" and "best_on_test", one for "nested"
    for place, tested in enumerate("abc"):
        others = set().union(*(of_set[d] for d in "abc" if d != tested))
        everybody, nested = (pictures(data) for data in trainings[2 * place : 2 * place + 2])
        assert everybody == others
        assert nested < others  # some subjects of the other sets are held out
        assert all(nested & of_set[d] for d in "abc" if d != tested)
    for protocol in EVERY:
        assert sorted(s.sample for s in result.samples if s.protocol == protocol) == sorted(s.sample for s in manifest)
    # Every prediction carries its own person, though a fold tests many.
    people = {s.sample: (s.dataset, s.subject) for s in manifest}
    assert all((s.dataset, s.subject) == people[s.sample] for s in result.samples)


@pytest.mark.slow
def test_predictions_are_those_of_a_model_trained_on_the_other_sets(manifest, tmp_path):
    result = run(manifest, tmp_path / "run", seeds=[5])
    manifest = manifest.subset(manifest.by_name())  # the order in which samples are trained on
    data = load_flow_set(manifest, PreprocessSpec())
    train, test = ([i for i, s in enumerate(manifest) if (s.dataset == "b") == left] for left in (False, True))
    model, _ = train_model("htnet_tiny", data.subset(train), QUICK, seed=protocols.fold_seed(5, "b"))
    expected = predict_set(model, data.subset(test))
    found = {s.sample: s.probabilities for s in result.samples}
    for row, index in enumerate(test):
        np.testing.assert_allclose(found[manifest.samples[index].sample], expected[row], atol=1e-6)


def test_scores_are_of_the_fold_that_tested_each_set(manifest, tmp_path):
    result = run(manifest, tmp_path / "run", protocols=["last", "best_on_test"])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["leave"] == summary["run"]["leave"] == "dataset"
    assert summary["protocols"]["best_on_test"]["leaks"]
    assert not summary["protocols"]["last"]["leaks"]
    with (tmp_path / "run" / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["protocol"] == "last"]
    for group in ("full", "a", "b", "c"):
        if group == "full":
            part = rows
        else:
            fold = json.loads((tmp_path / "run" / "folds" / "seed-0" / f"{group}.json").read_text())
            tested = fold["protocols"]["last"]["probabilities"]
            part = [row for row in rows if row["sample"] in tested]
            assert len(part) == len(tested) == sum(s.dataset == group for s in manifest)
        truth, guess = [row["truth"] for row in part], [row["prediction"] for row in part]
        options = {"labels": sorted(set(truth)), "average": "macro", "zero_division": 0}
        scores = summary["protocols"]["last"]["mean"][group]
        assert scores["uf1"] == pytest.approx(f1_score(truth, guess, **options))
        assert scores["uar"] == pytest.approx(recall_score(truth, guess, **options))
        assert scores["accuracy"] == pytest.approx(np.mean([t == g for t, g in zip(truth, guess, strict=True)]))
    head, _, last, leaking = result.table().splitlines()
    assert head == "| protocol, leave one database out | full | a | b | c |"
    assert "leaks" in leaking
    assert "leaks" not in last


def test_a_run_by_subject_is_not_labeled_so(manifest, tmp_path):
    result = run(manifest, tmp_path / "run", evaluate=loso, recipe=dataclasses.replace(QUICK, epochs=1))
    assert result.summary["leave"] == "subject"
    assert "leave" not in result.summary["run"]
    assert "leave" not in json.loads((tmp_path / "run" / "run.json").read_text())  # as runs of before have it
    assert "database" not in result.table()
    assert len(list((tmp_path / "run" / "folds" / "seed-0").glob("*.json"))) == 6


@pytest.mark.slow
def test_the_two_kinds_are_not_mixed(manifest, tmp_path):
    quick = dataclasses.replace(QUICK, epochs=1)
    for first, second in ((loso, lodo), (lodo, loso)):
        out = tmp_path / first.__name__
        run(manifest, out, evaluate=first, recipe=quick)
        with pytest.raises(RunError, match="another .*leave"):
            run(manifest, out, evaluate=second, recipe=quick)


def test_nested_does_not_look_at_the_tested_set(manifest):
    """Spoiling the labels of the tested set cannot move the chosen epoch or an answer."""
    (fold,) = (f for f in leave_one_dataset_out(manifest) if f.dataset == "a")
    found = []
    for name in ("right", "spoiled"):
        data = load_flow_set(manifest, PreprocessSpec())
        if name == "spoiled":
            data.labels[list(fold.test)] = (data.labels[list(fold.test)] + 1) % 3
        job = fold_run(manifest, data, "htnet_tiny", QUICK, ("nested",), held_out=0.4)
        found.append(protocols.run_fold(job, fold, 0)["protocols"]["nested"])
    assert found[0] == found[1]


@pytest.mark.slow
def test_an_interrupted_run_goes_on(manifest, tmp_path, monkeypatch):
    options = {"protocols": EVERY, "checkpoint_every": 0}
    run(manifest, tmp_path / "calm", **options)

    class StopError(Exception):
        pass

    answers = []

    def stop(model, data, **more):
        answers.append(1)
        if len(answers) == 12:  # nine of the first fold; in the third epoch of the second
            raise StopError
        return predict_set(model, data, **more)

    monkeypatch.setattr(protocols, "predict_set", stop)
    with pytest.raises(StopError):
        run(manifest, tmp_path / "run", **options)
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "run" / "folds" / "seed-0").glob("*.json")] == ["a.json"]
    kept = [p.name for p in (tmp_path / "run" / "partial").glob("*.pt")]
    assert kept == ["seed-0-b-all.pt"]
    trainings = []
    count_trainings(monkeypatch, trainings)
    run(manifest, tmp_path / "run", **options)
    assert len(trainings) == 4  # the first fold is not run again
    assert contents(tmp_path / "run") == contents(tmp_path / "calm")
    assert not list((tmp_path / "run" / "partial").glob("*.pt"))


@pytest.mark.slow
def test_vmapped_folds_answer_the_same(manifest, tmp_path):
    alone = run(manifest, tmp_path / "alone", seeds=2)
    together = run(manifest, tmp_path / "together", seeds=2, vmap_folds=6)
    for one, other in zip(alone.samples, together.samples, strict=True):
        assert (one.sample, one.seed) == (other.sample, other.seed)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=2e-3)


@pytest.mark.slow
def test_folds_start_from_generated_weights(manifest, tmp_path):
    model = create_model("htnet_tiny")
    model.preprocess_spec = PreprocessSpec()
    folder = save_pretrained(model, tmp_path / "weights", provenance=Provenance((DataKind.GENERATED,)))
    result = run(manifest, tmp_path / "run", start=folder)
    assert result.summary["run"]["started_from"]["trained_on"] == GENERATED
    manifest = manifest.subset(manifest.by_name())  # the order in which samples are trained on
    data, begin = load_flow_set(manifest, PreprocessSpec()), StartFrom(folder, manifest.classes)
    (fold,) = (f for f in leave_one_dataset_out(manifest) if f.dataset == "c")
    begun, fresh = (
        train_model("htnet_tiny", data.subset(fold.train), QUICK, seed=protocols.fold_seed(0, "c"), start=start)[0]
        for start in (begin, None)
    )
    found = {s.sample: s.probabilities for s in result.samples}
    answers = [found[manifest.samples[i].sample] for i in fold.test]
    np.testing.assert_allclose(answers, predict_set(begun, data.subset(fold.test)), atol=1e-6)
    assert not np.allclose(answers, predict_set(fresh, data.subset(fold.test)), atol=1e-3)


def test_one_data_set_is_refused_before_anything_is_written(manifest, tmp_path):
    one = Manifest(tuple(s for s in manifest if s.dataset == "a"), manifest.classes)
    with pytest.raises(ManifestError, match=r"has 1 data set\(s\)"):
        run(one, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_command(succeed, fail, tmp_path, monkeypatch):
    write_flow_set(tmp_path / "data", subjects=2, per_subject=2, datasets=("a", "b", "c"))
    monkeypatch.chdir(tmp_path)
    data = ("--data", tmp_path / "data", "--model", "htnet_tiny", "--epochs", "1")
    out = succeed("lodo", *data, "--workers", "2", "--protocol", "last", "nested")
    assert "| protocol, leave one database out | full | a | b | c |" in out
    run = tmp_path / "runs" / "lodo-htnet_tiny-default"
    assert {p.stem for p in (run / "folds" / "seed-0").glob("*.json")} == {"a", "b", "c"}
    assert json.loads((run / "summary.json").read_text())["leave"] == "dataset"
    succeed("train", *data, "--out", tmp_path / "w", "--metrics", run / "summary.json")
    stated = read_config(tmp_path / "w" / "config.json")["training"]["metrics"]
    assert {name.split(" ")[0] for name in stated} == {"LODO"}, "a card must not call them LOSO"
    write_flow_set(tmp_path / "one", subjects=4, per_subject=3)
    assert "has 1 data set(s) in 12 samples" in fail("lodo", "--data", tmp_path / "one")
