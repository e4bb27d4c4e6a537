import csv
import dataclasses
import json
import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from htnet.core.errors import InputError, ManifestError, RunError
from htnet.core.provenance import DataKind, Provenance
from htnet.core.registry import MODELS
from htnet.core.types import PreprocessSpec
from htnet.data import leave_one_subject_out, open_data, read_manifest
from htnet.evaluation import EvaluationPlan, lodo, loso, protocols
from htnet.hub import GENERATED, load_pretrained, save_pretrained
from htnet.models import STSTNet, create_model, register_model
from htnet.training import Checkpoint, Recipe, StartFrom, load_flow_set, predict_set, train_model
from tests.support.evaluation import fold_run
from tests.support.flows import CLASSES, write_flow_set

QUICK = Recipe(name="quick", epochs=3, batch_size=8)
FILES = ("predictions.csv", "summary.json")


@pytest.fixture
def manifest(tmp_path):
    write_flow_set(tmp_path / "set", 3, 3, datasets=("a", "b"))
    return open_data(tmp_path / "set")


def run(manifest, out, **options):
    options = {"recipe": QUICK, "model": "htnet_tiny", "progress": False} | options
    return loso(manifest, out=out, **options)


def contents(out):
    return [(out / name).read_bytes() for name in FILES]


@pytest.mark.slow
def test_every_sample_is_tested_by_a_model_that_never_saw_its_subject(manifest, tmp_path, monkeypatch):
    trained_on = []
    real = protocols.run_job

    def spy(job, data, *arguments, **more):
        trained_on.append(data)
        return real(job, data, *arguments, **more)

    monkeypatch.setattr(protocols, "run_job", spy)
    result = run(manifest, tmp_path / "run", protocols=["last", "nested"])
    assert sorted(s.sample for s in result.samples if s.protocol == "last") == sorted(s.sample for s in manifest)
    whole = load_flow_set(manifest, PreprocessSpec())
    folds = leave_one_subject_out(manifest)
    assert len(trained_on) == 2 * len(folds)
    for i, fold in enumerate(folds):
        tested = {whole.images[j].numpy().tobytes() for j in fold.test}
        for data in trained_on[2 * i : 2 * i + 2]:
            assert not tested & {image.numpy().tobytes() for image in data.images}
        assert len(trained_on[2 * i]) == len(manifest) - len(fold.test)
        assert len(trained_on[2 * i + 1]) < len(trained_on[2 * i])  # nested contains subjects out


@pytest.mark.slow
def test_predictions_are_those_of_the_fold_models(manifest, tmp_path):
    """One fold again by hand, joined by identifier."""
    result = run(manifest, tmp_path / "run", seeds=[3])
    fold = leave_one_subject_out(manifest)[4]
    data = load_flow_set(manifest, PreprocessSpec())
    model, _ = train_model("htnet_tiny", data.subset(fold.train), QUICK, seed=protocols.fold_seed(3, fold.name))
    expected = predict_set(model, data.subset(fold.test))
    found = {s.sample: s for s in result.samples}
    for row, index in enumerate(fold.test):
        sample = manifest.samples[index]
        assert found[sample.sample].subject == sample.subject
        np.testing.assert_allclose(found[sample.sample].probabilities, expected[row], atol=1e-6)


def test_summary_and_csv_agree_with_scikit_learn(manifest, tmp_path):
    result = run(manifest, tmp_path / "run", seeds=2, protocols=["last", "best_on_test"])
    with (tmp_path / "run" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * len(manifest)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary == json.loads(json.dumps(result.summary))
    assert summary["protocols"]["best_on_test"]["leaks"]
    assert not summary["protocols"]["last"]["leaks"]
    truths = {s.sample: s.label for s in manifest}
    for protocol, label in (("last", "last"), ("best_on_test", "best_on_test (leaks)")):
        entry, by_seed = summary["protocols"][protocol], []
        for seed in ("0", "1"):
            for group in ("full", "a", "b"):
                part = [
                    r for r in rows if r["protocol"] == label and r["seed"] == seed and group in ("full", r["dataset"])
                ]
                truth = [r["truth"] for r in part]
                assert truth == [truths[r["sample"]] for r in part]
                guess = [r["prediction"] for r in part]
                present = sorted(set(truth))
                scores = entry["seeds"][seed][group]
                f1 = f1_score(truth, guess, labels=present, average="macro", zero_division=0)
                assert scores["uf1"] == pytest.approx(f1)
                assert scores["uar"] == pytest.approx(recall_score(truth, guess, labels=present, average="macro"))
                for r in part:
                    p = [float(r[f"probability_{c}"]) for c in CLASSES]
                    assert sum(p) == pytest.approx(1, abs=1e-5)
                    assert CLASSES[int(np.argmax(p))] == r["prediction"]
            by_seed.append(entry["seeds"][seed]["full"]["uf1"])
        assert entry["mean"]["full"]["uf1"] == pytest.approx(np.mean(by_seed))
        assert entry["std"]["full"]["uf1"] == pytest.approx(np.std(by_seed, ddof=1))
    assert "leaks" in result.table()


@pytest.mark.slow
def test_watching_the_test_set_changes_nothing(manifest, tmp_path):
    alone = run(manifest, tmp_path / "alone")
    both = run(manifest, tmp_path / "both", protocols=["best_on_test", "last"])
    last = [s for s in both.samples if s.protocol == "last"]
    assert list(alone.samples) == last
    accuracy = {p: both.summary["protocols"][p]["mean"]["full"]["accuracy"] for p in ("last", "best_on_test")}
    assert accuracy["best_on_test"] >= accuracy["last"]


def test_best_on_test_takes_the_best_epoch_and_the_later_of_two(manifest, monkeypatch):
    fold = leave_one_subject_out(manifest)[0]
    data = load_flow_set(manifest, PreprocessSpec())
    right = torch.nn.functional.one_hot(data.subset(fold.test).labels, 3).float()
    wrong = right.roll(1, dims=1)
    answers = [wrong.tolist(), right.tolist(), (0.9 * right + 0.05).tolist(), wrong.tolist()]
    monkeypatch.setattr(protocols, "run_job", lambda *a, **k: (None, answers))
    recipe = Recipe(epochs=4)
    job = fold_run(manifest, data, "x", recipe, ("last", "best_on_test"), held_out=0.2)
    stored = protocols.run_fold(job, fold, 0)["protocols"]
    assert stored["best_on_test"]["epoch"] == 3
    assert stored["last"]["epoch"] == 4


def test_nested_chooses_without_the_test_subject(manifest):
    """Spoiling the test subject's labels cannot move the chosen epoch."""
    fold = leave_one_subject_out(manifest)[1]
    data = load_flow_set(manifest, PreprocessSpec())
    spoiled = load_flow_set(manifest, PreprocessSpec())
    spoiled.labels[list(fold.test)] = (spoiled.labels[list(fold.test)] + 1) % 3
    epochs = []
    for used in (data, spoiled):
        job = fold_run(manifest, used, "htnet_tiny", QUICK, ("nested",), held_out=0.3)
        epochs.append(protocols.run_fold(job, fold, 0)["protocols"]["nested"])
    assert epochs[0] == epochs[1]


def test_finished_folds_are_not_run_again(manifest, tmp_path, monkeypatch):
    run(manifest, tmp_path / "run")
    expected = contents(tmp_path / "run")
    for name in FILES:
        (tmp_path / "run" / name).unlink()
    lost = sorted((tmp_path / "run" / "folds" / "seed-0").glob("*.json"))[2]
    lost.unlink()
    ran = []
    real = protocols.run_job
    monkeypatch.setattr(protocols, "run_job", lambda *a, **k: ran.append(1) or real(*a, **k))
    run(manifest, tmp_path / "run")
    assert len(ran) == 1
    assert contents(tmp_path / "run") == expected


@pytest.mark.slow
def test_two_processes_give_the_same_files(manifest, tmp_path):
    torch_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        run(manifest, tmp_path / "one", protocols=["last", "nested"])
        run(manifest, tmp_path / "two", protocols=["last", "nested"], workers=2)
    finally:
        torch.set_num_threads(torch_threads)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
def test_a_run_is_not_resumed_with_other_code_of_an_own_model(manifest, tmp_path, monkeypatch):
    def registered(factor):
        monkeypatch.setattr(MODELS, "_entries", dict(MODELS))

        class Own(STSTNet):
            def forward_features(self, x):
                return super().forward_features(x) * factor

        MODELS._entries.pop("own", None)
        register_model("own", Own, spec=PreprocessSpec(layout="whole"))

    for factor in (1, 1):
        registered(factor)
        run(manifest, tmp_path / "run", model="own")
    registered(2)
    with pytest.raises(RunError, match="another model_code"):
        run(manifest, tmp_path / "run", model="own")

    def stop(epoch, model):
        raise KeyboardInterrupt

    data = load_flow_set(manifest, PreprocessSpec(layout="whole"))
    checkpoint = Checkpoint(tmp_path / "state.pt", every=0.0)
    stopped = (2, KeyboardInterrupt, None)
    for factor, error, message in (stopped, stopped, (3, RunError, "unfinished")):
        registered(factor)
        with pytest.raises(error, match=message):
            train_model("own", data, QUICK, checkpoint=checkpoint, on_epoch=lambda e, m: e == 2 and stop(e, m))


@pytest.mark.slow
def test_runs_are_not_mixed(manifest, tmp_path):
    run(manifest, tmp_path / "run")
    with pytest.raises(RunError, match=r"another .*recipe.*Choose another --out"):
        run(manifest, tmp_path / "run", recipe=Recipe(epochs=4, batch_size=8))
    manifest.samples[0].flow.write_bytes(manifest.samples[1].flow.read_bytes())
    with pytest.raises(RunError, match="another data_sha256"):
        run(manifest, tmp_path / "run")


@pytest.mark.slow
def test_more_seeds_can_be_added(manifest, tmp_path):
    first = run(manifest, tmp_path / "run", seeds=1)
    second = run(manifest, tmp_path / "run", seeds=2)
    assert [s for s in second.samples if s.seed == 0] == list(first.samples)


def test_a_busy_folder_is_refused(manifest, tmp_path):
    from htnet.evaluation.store import RunStore

    store = RunStore(tmp_path / "run")
    with store.locked(), pytest.raises(RunError, match="Another process"):
        run(manifest, tmp_path / "run")


def test_some_subjects_are_left_out_as_among_all(manifest, tmp_path):
    """Their folds are those of the whole evaluation, and the scores are over their samples alone."""
    names = sorted({sample.subject for sample in manifest})
    whole = run(manifest, tmp_path / "whole")
    some = run(manifest, tmp_path / "some", subjects=[f"b/{names[0]}", f"a/{names[2]}"])
    chosen = {("a", names[2]), ("b", names[0])}
    expected = [s for s in whole.samples if (s.dataset, s.subject) in chosen]
    assert sorted(some.samples, key=lambda s: s.sample) == sorted(expected, key=lambda s: s.sample)
    assert some.summary["run"]["only_subjects"] == [f"a {names[2]}", f"b {names[0]}"]
    assert some.summary["subjects"] == 2
    assert some.summary["samples"] == len(expected)
    assert "only_subjects" not in whole.summary["run"]
    with pytest.raises(RunError, match="another .*only_subjects"):
        run(manifest, tmp_path / "some")


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        (["a/s9"], "no subject 'a/s9'. Did you mean 'a/"),
        ([], r"subjects is \(\); give a list"),
        ("a/s1", "subjects is 'a/s1'; give a list"),
        (iter(()), "give a list of names"),
        (np.array([], str), "give a list of names"),
        (5, "subjects is 5; give a list"),
        ([5], r"subjects is \(5,\); give a list"),
    ],
)
def test_subjects_who_are_not_there_are_refused(manifest, tmp_path, subjects, message):
    with pytest.raises(InputError, match=message):
        run(manifest, tmp_path / "run", subjects=subjects)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", [np.array, set, iter])
def test_subjects_and_seeds_are_given_as_any_list(kind):
    """An array was an error of NumPy; an empty iterator left out nobody, in silence."""
    plan = EvaluationPlan("htnet_tiny", QUICK, kind(["last"]), kind([1, 0]), subjects=kind(["s2", "s1"]))
    assert plan.protocols == ("last",)
    assert sorted(plan.seed_list) == [0, 1]
    assert all(type(seed) is int for seed in plan.seed_list)
    assert sorted(plan.subjects) == ["s1", "s2"]


@pytest.mark.parametrize(
    "seeds", [1.5, None, np.int64(0), "1", ["a"], [0.5], [None], True, np.True_, [True], np.array(2), [np.array(2)]]
)
def test_seeds_of_another_kind_are_refused(seeds):
    with pytest.raises(InputError, match="seeds is .*; give a number of seeds"):
        EvaluationPlan("htnet_tiny", QUICK, seeds=seeds)


def test_a_name_that_two_data_sets_have_is_refused(manifest, tmp_path):
    with pytest.raises(InputError, match="Several data sets have a subject 's1'; give one of a/s1, b/s1"):
        run(manifest, tmp_path / "run", subjects=["s1"])


def test_subjects_are_refused_where_no_subject_is_left_out_alone(manifest, tmp_path):
    with pytest.raises(InputError, match="these leave out a dataset"):
        lodo(
            manifest, "htnet_tiny", QUICK, out=tmp_path / "run", progress=False, subjects=[manifest.samples[0].subject]
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocols": ["lst"]}, "Unknown protocol: 'lst'. Did you mean 'last'"),
        ({"protocols": []}, "protocols is"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": [1, 1]}, "distinct"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"workers": 0}, "workers is 0"),
        ({"checkpoint_every": "60"}, "checkpoint_every is '60'"),
        ({"checkpoint_every": -1}, "checkpoint_every is -1"),
        ({"progress": "no"}, "progress is 'no'; give True or False"),
        ({"tensorboard": "no"}, "tensorboard is 'no'; give True or False"),
        ({"overwrite": "no"}, "overwrite is 'no'; give True or False"),
        ({"count_units": "no"}, "count_units is 'no'; give True or False"),
        ({"start": "synthetic", "start_is_disjoint": "no"}, "start_is_disjoint is 'no'; give True or False"),
        ({"on_fold": "print"}, "on_fold is 'print'; give a function"),
        ({"spec": "default"}, "spec is 'default'; give an htnet.types.PreprocessSpec, or None"),
        ({"settings": [("dim", 8)]}, "settings is .*; give a dictionary"),
        (
            {"settings": {"num_classes": 2}},
            r"num_classes=2, but the data have 3 classes \(negative, positive, surprise",
        ),
    ],
)
def test_bad_options(manifest, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(manifest, tmp_path / "run", **options)


def test_samples_without_label_or_subject_are_refused(manifest, tmp_path):
    text = (tmp_path / "set" / "manifest.csv").read_text().splitlines()
    (tmp_path / "set" / "bare.csv").write_text("\n".join(line.replace("s1", "") for line in text) + "\n")
    with pytest.raises(ManifestError, match="subject"):
        run(read_manifest(tmp_path / "set" / "bare.csv"), tmp_path / "run")


@pytest.mark.slow
def test_folds_trained_at_once_answer_the_same(manifest, tmp_path):
    every = ["last", "nested", "best_on_test"]
    alone = run(manifest, tmp_path / "alone", protocols=every, seeds=2)
    together = run(manifest, tmp_path / "together", protocols=every, seeds=2, vmap_folds=5)
    assert len(alone.samples) == len(together.samples)
    same = []
    for one, other in zip(alone.samples, together.samples, strict=True):
        assert (one.sample, one.seed, one.protocol) == (other.sample, other.seed, other.protocol)
        same.append(np.allclose(one.probabilities, other.probabilities, atol=2e-3))
        assert same[-1] or one.protocol != "last"
    assert np.mean(same) > 0.9  # where an epoch is chosen, two may be equally good up to rounding
    assert not list((tmp_path / "together" / "partial").glob("*"))


@pytest.mark.slow
def test_interrupted_vmapped_folds_go_on(manifest, tmp_path, monkeypatch):
    whole = run(manifest, tmp_path / "whole", vmap_folds=4)

    class StopError(Exception):
        pass

    seen = []

    def stop(model, data, **options):
        seen.append(1)
        if len(seen) == 9:
            raise StopError
        return predict_set(model, data, **options)

    recipe = dataclasses.replace(QUICK, epochs=4)
    monkeypatch.setattr(protocols, "predict_set", stop)
    options = {"vmap_folds": 4, "protocols": ["best_on_test"], "checkpoint_every": 0, "recipe": recipe}
    with pytest.raises(StopError):
        run(manifest, tmp_path / "run", **options)
    (kept,) = (tmp_path / "run" / "partial").glob("*vmapped*")
    monkeypatch.undo()
    real, epochs = protocols.train_vmapped, []

    def watched(model, trainings, *args, **more):
        wrapped = []
        for training in trainings:

            def watch(epoch, model, training=training):
                epochs.append(epoch)
                return training.on_epoch(epoch, model)

            wrapped.append(dataclasses.replace(training, on_epoch=watch))
        return real(model, wrapped, *args, **more)

    monkeypatch.setattr(protocols, "train_vmapped", watched)
    resumed = run(manifest, tmp_path / "run", **options)
    assert min(epochs[:4]) == 3  # of the first four folds two epochs were kept
    assert not kept.exists()
    assert len(resumed.samples) == len(whole.samples)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vmap_folds": 0}, "vmap_folds is 0; give a whole number of 1 or more"),
        ({"vmap_folds": 2, "model": "ststnet"}, "ststnet cannot be vmapped"),
    ],
)
def test_folds_that_cannot_be_vmapped(manifest, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(manifest, tmp_path / "run", **options)


@pytest.mark.parametrize(
    ("model", "options", "least", "most"),
    [
        ("htnet_small", {}, 1, 1),
        ("ststnet", {"device": "cuda"}, 1, 1),
        ("htnet_small", {"device": "cuda:0"}, 69, 10**6),  # a whole LOSO at once
        ("htnet_small", {"device": "cuda:0", "recipe": Recipe(generated=8)}, 1, 1),
        ("htnet_small", {"device": "cuda:0", "count_units": True}, 1, 1),
        ("htnet_small", {"vmap_folds": 7}, 7, 7),
    ],
)
def test_folds_are_vmapped_where_it_pays(model, options, least, most):
    plan = EvaluationPlan(**{"model": model, "recipe": QUICK} | options)
    assert least <= plan.folds_at_once(create_model(model)) <= most


def test_models_with_dropout_are_trained_alone():
    plan = EvaluationPlan("htnet_small", QUICK, device="cuda")
    assert plan.folds_at_once(create_model("htnet_small", dropout=0.1)) == 1


def test_unknown_options_are_refused(manifest, tmp_path):
    with pytest.raises(TypeError, match="'protocol'"):
        run(manifest, tmp_path / "run", protocol=["last"])


@pytest.mark.slow
def test_a_run_of_before_is_taken_up(manifest, tmp_path):
    """Fields that had other names in run.json are no other run."""
    first = run(manifest, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    kept = json.loads(path.read_text())
    kept["regions_cut_at"] = kept.pop("regions_at")
    kept["recipe"]["average"] = kept["recipe"].pop("ema_decay")
    kept["recipe"]["start_share"] = 1 - kept["recipe"].pop("wise_ft_alpha")
    path.write_text(json.dumps(kept))
    assert run(manifest, tmp_path / "run").samples == first.samples


def test_two_subjects_are_enough(tmp_path):
    """The smallest evaluation there is: each is tested by a model of the other."""
    manifest = write_flow_set(tmp_path / "two", subjects=2, per_subject=3)
    quick = dataclasses.replace(QUICK, epochs=1)
    result = run(manifest, tmp_path / "run", recipe=quick)
    assert sorted(s.sample for s in result.samples) == sorted(s.sample for s in manifest)
    data = load_flow_set(manifest, PreprocessSpec())
    model, _ = train_model("htnet_tiny", data.subset([3, 4, 5]), quick, seed=protocols.fold_seed(0, "a-s0"))
    answers = {s.sample: s.probabilities for s in result.samples}
    expected = predict_set(model, data.subset([0, 1, 2]))
    np.testing.assert_allclose([answers[s.sample] for s in manifest.samples[:3]], expected, atol=1e-6)
    with pytest.raises(ManifestError, match=r"1 subject"):
        run(manifest.subset([0, 1, 2]), tmp_path / "one")


@pytest.fixture
def weights(tmp_path):
    """Weights of a small model, with what their card says they were trained on."""

    def make(dataset, name="weights", seed=11):
        torch.manual_seed(seed)
        model = create_model("htnet_tiny")
        model.preprocess_spec = PreprocessSpec()
        kind = DataKind.GENERATED if dataset == GENERATED else DataKind.UNKNOWN
        provenance = Provenance((kind,), () if kind == DataKind.GENERATED else (dataset,))
        return save_pretrained(model, tmp_path / name, provenance=provenance)

    return make


@pytest.mark.slow
def test_folds_start_from_weights_that_know_nobody(manifest, tmp_path, weights):
    folder = weights(GENERATED)
    still = dataclasses.replace(QUICK, epochs=1, lr=1e-12, ema_decay=0.0, standardize=False, weight_decay=0.0)
    result = run(manifest, tmp_path / "run", recipe=still, start=folder)
    data = load_flow_set(manifest, PreprocessSpec())
    expected = dict(zip([s.sample for s in manifest], predict_set(load_pretrained(folder), data), strict=True))
    for sample in result.samples:
        np.testing.assert_allclose(sample.probabilities, expected[sample.sample], atol=1e-5)
    begun = json.loads((tmp_path / "run" / "summary.json").read_text())["run"]["started_from"]
    assert begun == {"name": "htnet_tiny", "trained_on": GENERATED, "sha256": StartFrom(folder).digest()[:64]}
    vmapped = run(manifest, tmp_path / "vmapped", recipe=still, start=folder, vmap_folds=3)
    for one, other in zip(result.samples, vmapped.samples, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    loaded = run(manifest, tmp_path / "run", recipe=still, start=load_pretrained(folder))
    assert loaded.samples == result.samples, "a loaded model is the same start"
    with pytest.raises(RunError, match="started_from"):
        run(manifest, tmp_path / "run", recipe=still)


@pytest.mark.slow
@pytest.mark.parametrize("vmap_folds", [1, 4])
def test_each_seed_has_a_start_of_its_own(manifest, tmp_path, weights, vmap_folds):
    folders = [weights(GENERATED, f"weights-{seed}", seed) for seed in (21, 22)]
    still = dataclasses.replace(QUICK, epochs=1, lr=1e-12, ema_decay=0.0, standardize=False, weight_decay=0.0)
    result = run(manifest, tmp_path / "run", recipe=still, start=folders, seeds=(4, 2), vmap_folds=vmap_folds)
    data = load_flow_set(manifest, PreprocessSpec())
    for seed, folder in zip((4, 2), folders, strict=True):
        expected = dict(zip([s.sample for s in manifest], predict_set(load_pretrained(folder), data), strict=True))
        own = [s for s in result.samples if s.seed == seed]
        assert len(own) == len(manifest)
        for sample in own:
            np.testing.assert_allclose(sample.probabilities, expected[sample.sample], atol=1e-5)
    begun = result.summary["run"]["started_from"]
    assert [each["sha256"] for each in begun] == [StartFrom(folder).digest() for folder in folders]
    with pytest.raises(RunError, match="started_from"):
        run(manifest, tmp_path / "run", recipe=still, start=folders[::-1], seeds=(4, 2))
    with pytest.raises(InputError, match=r"start has 2 weights for 3 seed\(s\)"):
        run(manifest, tmp_path / "other", recipe=still, start=folders, seeds=3)


@pytest.mark.parametrize(
    "dataset", ["", *(pytest.param(name, marks=pytest.mark.slow) for name in ("casme2, samm, smic", "own manifest"))]
)
def test_weights_that_may_know_a_test_subject_are_refused(manifest, tmp_path, weights, dataset):
    folder = weights(dataset)
    with pytest.raises(InputError, match="test subjects may be among the people it was trained on"):
        run(manifest, tmp_path / "run", start=folder)
    result = run(manifest, tmp_path / "run", start=folder, start_is_disjoint=True)
    assert result.summary["run"]["started_from"]["disjoint_by_word_of_the_user"]


@pytest.mark.parametrize("wrong", ["0.5", ["0.1", "0.2", "0.7"], [0.5, 0.5], [[0.1], 0.2, 0.7], None, {}])
def test_a_fold_that_holds_something_else_is_told(tmp_path, wrong):
    data = write_flow_set(tmp_path / "set", 2, 3)
    options = {"recipe": Recipe(epochs=1), "out": tmp_path / "run", "workers": 1}
    loso(data, "htnet_tiny", **options)
    path = next((tmp_path / "run").glob("folds/*/*.json"))
    stored = json.loads(path.read_text("utf-8"))
    chances = stored["protocols"]["last"]["probabilities"]
    chances[next(iter(chances))] = wrong
    path.write_text(json.dumps(stored), "utf-8")
    with pytest.raises(RunError, match=r"(is damaged|does not contain 3 probabilities).* Delete it"):
        loso(data, "htnet_tiny", **options)


@pytest.mark.parametrize(
    "wrong", [{"all": {"loss": [1], "lr": [1, 2]}}, {"all": {"loss": ["x"]}}, {"all": {}}, {"all": 1}, 3]
)
def test_a_fold_whose_curves_are_something_else_is_told(tmp_path, wrong):
    data = write_flow_set(tmp_path / "set", 2, 3)
    options = {"recipe": Recipe(epochs=1), "out": tmp_path / "run", "workers": 1}
    loso(data, "htnet_tiny", **options)
    path = next((tmp_path / "run").glob("folds/*/*.json"))
    stored = json.loads(path.read_text("utf-8"))
    stored["curves"] = wrong
    path.write_text(json.dumps(stored), "utf-8")
    with pytest.raises(RunError, match=r"is damaged .* Delete it"):
        loso(data, "htnet_tiny", **options)


def test_classes_that_a_fold_cannot_learn_are_noted(tmp_path):
    """All samples of a class are of one person: the model that is tested on this person has never seen the class."""
    found = write_flow_set(tmp_path / "set", 3, 3)
    labels = [
        "negative",
        "positive",
        "negative",
        "negative",
        "surprise",
        "surprise",
        "positive",
        "negative",
        "positive",
    ]
    samples = tuple(dataclasses.replace(s, label=n) for s, n in zip(found, labels, strict=True))
    data = dataclasses.replace(found, samples=samples)
    recipe = Recipe(name="one", epochs=1)
    with pytest.warns(UserWarning, match=r"no sample of their class remains .*: surprise \(2 samples of a s1\)"):
        run = loso(data, "ststnet", recipe, out=tmp_path / "run", progress=False)
    assert [note for note in run.summary["notes"] if "surprise (2 samples of a s1)" in note]
    two = ["a/s0", "a/s2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run = loso(data, "ststnet", recipe, out=tmp_path / "two", subjects=two, progress=False)
    assert not run.summary["notes"]
