"""Weights know whom they were trained on, and no evaluation tests those in silence."""

import csv
import dataclasses
import json
import re

import pytest

import htnet
from benchmarks.bundle import KEPT, folder_of
from htnet import cli
from htnet.core.errors import CorruptWeightsError, InputError
from htnet.core.identity import TrainedPeople, hashed_person, trained_doubts
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample, read_composite, read_manifest
from htnet.evaluation import loso
from htnet.hub import GENERATED, read_config, save_pretrained
from htnet.models import transfer_weights
from htnet.training import Recipe, StartFrom, TrainingJob, load_flow_set, train_weights
from tests.support.flows import write_flow_set
from tests.support.pairs import tiny_model
from tests.support.paths import COMPOSITE, needs_shared

QUICK = Recipe(epochs=1, batch_size=8)


def people(*pairs):
    return TrainedPeople.of(Sample(f"n{i}", *pair) for i, pair in enumerate(pairs))


def sample(dataset, subject):
    return Sample("n", dataset, subject, "negative")


@pytest.mark.parametrize(
    ("dataset", "subject", "sure", "by_name"),
    [
        ("casme2", "sub01", True, False),
        ("CASME II", "Sub-1", True, False),  # one person, typed otherwise
        ("samm", "sub01", False, False),  # another data set, another person
        ("casme2", "sub02", False, False),
        ("", "SUB 1", False, True),  # of no data set here
        ("", "p7", False, True),  # of none on either side
        ("clinic", "P07", False, True),  # of none in the weights
        ("", "nan", False, False),
    ],
)
def test_who_is_among_them(dataset, subject, sure, by_name):
    known = people(("casme2", "sub01"), ("", "P07"))
    found = known.among([sample(dataset, subject)])
    assert tuple(map(bool, found)) == (sure, by_name)
    codes = [doubt.code for doubt in trained_doubts(known, ("casme2",), [sample(dataset, subject)])]
    assert codes == ["trained_on_subject"] * (sure or by_name)


def test_the_record_holds_no_names_and_says_what_it_lacks():
    known = people(("casme2", "sub01"), ("", "Anna Berg"), ("", "unknown"))
    text = json.dumps(known.to_dict())
    assert not re.search("sub|casme|anna|berg", text, re.IGNORECASE)
    assert TrainedPeople.from_dict(json.loads(text)) == known
    assert not known.complete, "one sample names nobody"
    assert len(hashed_person("casme2", "sub01")) == 16
    old = TrainedPeople.from_dict(None)
    assert not old.complete
    assert not people(("a", "b")).joined(old).complete
    [doubt] = trained_doubts(old, ("casme2", "samm", "smic"), [sample("SMIC-HS", "s1")])
    assert doubt.code == "trained_people_unknown"
    assert "Samples of SMIC-HS are in these data sets" in doubt.message


def test_a_folder_from_before_the_record_loads_and_a_damaged_one_is_named(tmp_path):
    path = save_pretrained(tiny_model(), tmp_path, people=[sample("a", "s1")]) / "config.json"
    content = json.loads(path.read_text("utf-8"))
    del content["trained_people"]
    path.write_text(json.dumps(content), "utf-8")
    assert htnet.load_pretrained(tmp_path).trained_people == TrainedPeople(complete=False)
    for wrong in ([], {"keys": "x", "names": [], "complete": True}, {"keys": [1], "names": [], "complete": True}):
        path.write_text(json.dumps({**content, "trained_people": wrong}), "utf-8")
        with pytest.raises(CorruptWeightsError, match="trained_people is not a record of people"):
            htnet.load_pretrained(tmp_path)


def test_saving_keeps_the_people(tmp_path):
    first = htnet.load_pretrained(save_pretrained(tiny_model(), tmp_path / "1", people=[sample("a", "s1")]))
    assert first.trained_people == people(("a", "s1"))
    # What was done to it since is not known, unless it cannot be trained, or the caller says so.
    again = htnet.load_pretrained(save_pretrained(first, tmp_path / "2")).trained_people
    assert again == dataclasses.replace(people(("a", "s1")), complete=False)
    said = htnet.load_pretrained(save_pretrained(first, tmp_path / "3", people=()))
    assert said.trained_people == people(("a", "s1"))
    optimized = htnet.load_pretrained(save_pretrained(htnet.optimize(first), tmp_path / "4"))
    assert optimized.trained_people == people(("a", "s1"))
    other = tiny_model()
    transfer_weights(other, first)
    found = htnet.load_pretrained(save_pretrained(other, tmp_path / "5", people=[sample("b", "s1")])).trained_people
    assert found == people(("a", "s1"), ("b", "s1"))
    assert "trained_people" not in read_config(save_pretrained(tiny_model(), tmp_path / "6") / "config.json")


@pytest.mark.parametrize("spec", KEPT, ids=lambda s: s.name)
def test_bundled_weights_say_who(spec):
    found = TrainedPeople.from_dict(read_config(folder_of(spec) / "config.json")["trained_people"])
    assert found.complete
    assert len(found.keys) == (0 if spec.dataset == GENERATED else 68)


@needs_shared
def test_composite_weights_know_the_composite():
    assert htnet.load_pretrained("composite").trained_people == TrainedPeople.of(read_composite(COMPOSITE))


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    """A set of three people, and weights trained on it by the command; with and without a record."""
    root = tmp_path_factory.mktemp("flows")
    write_flow_set(root / "data", subjects=3)
    words = ["train", "--data", root / "data", "--model", "htnet_tiny", "--epochs", "1", "--out", root / "weights"]
    assert cli.main([*map(str, words)]) == 0
    return root


def test_training_stores_its_people_and_those_of_its_start(flows, tmp_path):
    assert htnet.load_pretrained(flows / "weights").trained_people == people(("a", "s0"), ("a", "s1"), ("a", "s2"))
    manifest = write_flow_set(tmp_path / "data", subjects=2, datasets=("b",))
    data = load_flow_set(manifest, PreprocessSpec())
    start = StartFrom(flows / "weights", manifest.classes)
    model = train_weights(manifest, data, tmp_path / "w", TrainingJob("htnet_tiny", QUICK, start=start))
    found = htnet.load_pretrained(tmp_path / "w").trained_people
    assert found == model.trained_people == people(*((d, f"s{i}") for d, n in (("a", 3), ("b", 2)) for i in range(n)))
    loso(manifest, "htnet_tiny", QUICK, out=tmp_path / "run", start=flows / "weights", start_is_disjoint=True)


def renamed(manifest, dataset):
    return dataclasses.replace(
        manifest, samples=tuple(dataclasses.replace(s, dataset=dataset, subject=s.subject.upper()) for s in manifest)
    )


def test_loso_does_not_start_from_who_is_tested(flows, tmp_path):
    manifest = read_manifest(flows / "data" / "manifest.csv")
    for word in (False, True):
        with pytest.raises(InputError, match=r"weights was trained on 3 people \('S0' of 'A', .*trained without them"):
            loso(
                renamed(manifest, "A"),
                "htnet_tiny",
                QUICK,
                out=tmp_path,
                start=flows / "weights",
                start_is_disjoint=word,
            )
    # Without a data set it may be others: the user's word counts.
    start = StartFrom(flows / "weights")
    with pytest.raises(InputError, match="people of the same name as 3 people.*--start-is-disjoint"):
        start.refuse_known(renamed(manifest, ""))
    start.refuse_known(renamed(manifest, ""), disjoint=True)


def test_metrics_of_a_start_that_knew_the_tested_are_refused(flows, tmp_path, fail):
    digest = StartFrom(flows / "weights").digest()
    summary = {"protocols": {}, "run": {"started_from": {"sha256": digest}}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    words = ("train", "--data", flows / "data", "--model", "htnet_tiny", "--start", flows / "weights", "--epochs", "1")
    assert "trained on 3 people" in fail(*words, "--metrics", tmp_path / "summary.json", "--out", tmp_path / "w")


def test_predicting_labeled_samples_of_known_people_is_told(flows, tmp_path, capsys):
    words = ["predict", "--manifest", flows / "data" / "manifest.csv", "--out", tmp_path / "p.csv"]
    assert cli.main([*map(str, words), "--weights", str(flows / "weights")]) == 0
    assert "warning: trained_on_subject: 9 samples ('a_0_0'" in capsys.readouterr().out
    with (tmp_path / "p.csv").open(encoding="utf-8") as file:
        assert {row["warnings"] for row in csv.DictReader(file)} == {"trained_on_subject"}
    # Without truth it is no test.
    blind = tuple(dataclasses.replace(s, label=None) for s in read_manifest(flows / "data" / "manifest.csv"))
    predictor = htnet.Predictor(flows / "weights")
    assert not any(found.warnings for found in predictor.manifest(Manifest(blind)))
    # Generated data show nobody; of weights without record it is said that nothing is known.
    assert cli.main([*map(str, words), "--overwrite"]) == 0
    assert "warning" not in capsys.readouterr().out
    save_pretrained(tiny_model(PreprocessSpec()), tmp_path / "old")
    assert cli.main([*map(str, words), "--overwrite", "--weights", str(tmp_path / "old")]) == 0
    assert "warning: trained_people_unknown: The weights do not record" in capsys.readouterr().out
