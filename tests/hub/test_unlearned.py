"""Classes of which weights were trained on no sample: they are stored, and every answer says so."""

import dataclasses
import json

import pytest

import htnet
from htnet.core.provenance import Provenance
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest
from htnet.hub import load_pretrained, read_config, save_pretrained
from htnet.models import create_model, transfer_weights
from htnet.pipeline import evaluate
from htnet.training import Recipe, StartFrom, TrainingJob, load_flow_set, train_weights
from tests.support.flows import write_flow_set

SHORT = Recipe(epochs=1, batch_size=8)
CODE = "class_not_learned"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Samples of all three classes, people unlike those of `trained`."""
    return write_flow_set(tmp_path_factory.mktemp("whole") / "data", subjects=4, datasets=("other",))


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """Samples without surprise."""
    whole = write_flow_set(tmp_path_factory.mktemp("part") / "data", subjects=4)
    return Manifest(tuple(s for s in whole if s.label != "surprise"), whole.classes, whole.source)


def train(manifest, out, start=None, recipe=SHORT):
    job = TrainingJob("htnet_tiny", recipe, start=start)
    train_weights(manifest, load_flow_set(manifest, PreprocessSpec()), out, job)
    return out


@pytest.fixture(scope="module")
def trained(part, tmp_path_factory):
    return train(part, tmp_path_factory.mktemp("weights") / "part")


def fresh():
    model = create_model("htnet_tiny")
    model.preprocess_spec = PreprocessSpec()
    return model


def codes(warnings):
    return {warning.code for warning in warnings}


def test_every_answer_says_so(trained, data):
    assert read_config(trained / "config.json")["provenance"]["unlearned"] == ["surprise"]
    assert "| Classes without a training sample | surprise |" in (trained / "README.md").read_text("utf-8")
    for found in htnet.Predictor(trained, always=True).manifest(data):
        (warning,) = [doubt for doubt in found.warnings if doubt.code == CODE]
        assert "no sample of surprise:" in warning.message
    scores = evaluate(data, trained, against="synthetic", progress=False)
    assert CODE in codes(scores.answers.warnings)
    assert CODE not in codes(scores.against.warnings)
    assert CODE in json.dumps(scores.to_dict()["warnings"])


def test_weights_of_all_classes_say_nothing(data, tmp_path):
    whole = train(data, tmp_path / "whole")
    assert read_config(whole / "config.json")["provenance"]["unlearned"] == []
    assert not any(CODE in codes(found.warnings) for found in htnet.Predictor(whole).manifest(data))


def test_generated_images_have_all_classes(part, tmp_path):
    mixed = train(part, tmp_path / "mixed", recipe=dataclasses.replace(SHORT, generated=2))
    assert read_config(mixed / "config.json")["provenance"]["unlearned"] == []


def test_a_start_may_have_learned_the_class(part, data, trained, tmp_path):
    """A class counts as learned if the weights that the training started from had samples of it."""
    whole = train(data, tmp_path / "whole")
    ready = train(part, tmp_path / "after-whole", StartFrom(load_pretrained(whole)))
    assert read_config(ready / "config.json")["provenance"]["unlearned"] == []
    again = train(part, tmp_path / "after-part", StartFrom(load_pretrained(trained)))
    assert read_config(again / "config.json")["provenance"]["unlearned"] == ["surprise"]
    later = train(data, tmp_path / "later", StartFrom(load_pretrained(trained)))
    assert read_config(later / "config.json")["provenance"]["unlearned"] == []


def test_the_start_may_have_had_other_classes():
    own = Provenance(unlearned=("fear", "others"))
    assert own.after(Provenance(), ("fear", "anger")).unlearned == ("others",)
    assert own.after(Provenance(unlearned=("fear",)), ("fear", "anger")).unlearned == ("fear", "others")
    assert own.after(None, ("fear",)).unlearned == ("fear", "others")


def test_a_start_with_other_classes_has_taught_none_of_them(part, data, tmp_path):
    """Its classifier is not taken over, so the class is new, though a class of the start has the same name."""
    four = Manifest(tuple(data), (*data.classes, "fear"), data.source)
    other = train(four, tmp_path / "other")
    assert read_config(other / "config.json")["provenance"]["unlearned"] == ["fear"]
    begun = train(part, tmp_path / "begun", StartFrom(load_pretrained(other)))
    assert read_config(begun / "config.json")["provenance"]["unlearned"] == ["surprise"]


def test_a_new_classifier_is_not_that_of_the_record(trained, data, part, tmp_path):
    model = load_pretrained(trained)
    model.reset_classifier(3, model.labels)
    for made in (model, htnet.optimize(model)):
        assert not any(CODE in codes(found.warnings) for found in htnet.Predictor(made).manifest(data))
    four = load_pretrained(train(data, tmp_path / "whole"))
    four.reset_classifier(4, ("negative", "positive", "surprise", "fear"))
    save_pretrained(four, tmp_path / "four", people=part)
    assert load_pretrained(tmp_path / "four").provenance.unlearned == ("surprise", "fear")
    fresh_head = create_model("htnet_tiny", num_classes=2)
    transfer_weights(fresh_head, load_pretrained(trained))
    fresh_head.preprocess_spec = PreprocessSpec()
    assert not any(CODE in codes(found.warnings) for found in htnet.Predictor(fresh_head).manifest(data))


def test_saved_by_hand(part, tmp_path):
    save_pretrained(fresh(), tmp_path / "own", people=part)
    loaded = load_pretrained(tmp_path / "own")
    assert loaded.provenance.unlearned == ("surprise",)
    assert Provenance.from_dict(loaded.provenance.to_dict()) == loaded.provenance
    unlabeled = [dataclasses.replace(sample, label=None) for sample in part]
    save_pretrained(fresh(), tmp_path / "unlabeled", people=unlabeled)
    assert load_pretrained(tmp_path / "unlabeled").provenance.unlearned == ()
