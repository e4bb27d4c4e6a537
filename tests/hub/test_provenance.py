"""Code decides by enumerated fields, never by what a card says in words."""

import dataclasses
import json

import pytest

import htnet
from htnet.core.errors import CorruptWeightsError, InputError, WeightsError
from htnet.core.identity import TrainedPeople
from htnet.core.provenance import AS_THE_CODE, GENERATED, RESEARCH_ONLY, translated
from htnet.hub import DataKind, License, Provenance, Selection, read_config, save_pretrained
from htnet.training import StartFrom
from tests.support.flows import write_flow_set
from tests.support.pairs import tiny_model


def edit(folder, **changes):
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8")
    return config


def header(folder):
    return (folder / "README.md").read_text("utf-8").split("---")[1]


def test_words_do_not_let_weights_start_an_evaluation(tmp_path):
    manifest = write_flow_set(tmp_path / "data", subjects=2)
    said = save_pretrained(tiny_model(), tmp_path / "said", training={"dataset": GENERATED})
    with pytest.raises(InputError, match="test subjects may be among"):
        StartFrom(said).refuse_known(manifest)
    made = save_pretrained(tiny_model(), tmp_path / "made", provenance=Provenance((DataKind.GENERATED,)))
    edit(made, training={"dataset": "photographs of everybody", "protocol": "trained on the test subjects"})
    StartFrom(made).refuse_known(manifest)


@pytest.mark.parametrize(
    ("license", "lines"),
    [
        (License.APACHE_2_0, "license: apache-2.0"),
        ("Apache-2.0", "license: apache-2.0"),
        ("Apache-2.0 for research, a fee for all else", "license: other\nlicense_name: see-card"),
        ("market research may use it", "license: other\nlicense_name: see-card"),
        (License.RESEARCH_ONLY, "license: other\nlicense_name: research-only"),
        ("research-only", "license: other\nlicense_name: research-only"),
        (None, "license: other\nlicense_name: see-card"),
    ],
)
def test_the_license_for_the_hub_is_the_enumerated_one(license, lines, tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path, training={"license": license})
    assert lines in header(folder)
    assert "Terms of use" in (folder / "README.md").read_text("utf-8")


def test_limits_are_those_of_the_data(tmp_path):
    said = save_pretrained(tiny_model(), tmp_path / "said", training={"dataset": GENERATED})
    assert "few people in laboratories" in (said / "README.md").read_text("utf-8")
    made = save_pretrained(tiny_model(), tmp_path / "made", provenance=Provenance((DataKind.GENERATED,)))
    assert "not on people" in (made / "README.md").read_text("utf-8")


def test_record_survives_the_folder(tmp_path):
    first = Provenance((DataKind.LICENSED, DataKind.GENERATED), ("samm",), License.RESEARCH_ONLY)
    whole = Provenance((DataKind.OWN,), ("mine",), License.OTHER, "ask me", Selection.NONE, "begin", "0" * 64, first)
    folder = save_pretrained(tiny_model(), tmp_path, provenance=whole, people=[])
    found = htnet.load_pretrained(folder).provenance
    assert dataclasses.replace(found, people_sha256="") == whole
    assert found.licenses == {License.OTHER, License.RESEARCH_ONLY}
    assert found.all_datasets == ("mine", "samm")
    assert not found.only_generated


def test_loaded_weights_keep_theirs_as_what_came_before(tmp_path):
    model = htnet.load_pretrained("synthetic")
    own = model.provenance
    as_it_is = htnet.load_pretrained(save_pretrained(model, tmp_path / "copy", people=[]))
    assert as_it_is.provenance.only_generated
    trained = htnet.load_pretrained(save_pretrained(model, tmp_path / "trained"))
    assert trained.provenance.before == own
    assert not trained.provenance.only_generated


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("prose", "must be an object"),
        ({}, "must be an object"),
        ({"data": ["generated"], "kind": 1}, "must be an object"),
        ({"data": ["generate"]}, "'generate' is not a DataKind. Did you mean 'generated'"),
        ({"data": "generated"}, "wrong type in data"),
        ({"license": "research"}, "'research' is not a License. Did you mean 'research-only'"),
        ({"license": ["research-only"]}, "is not a License"),
        ({"selection": "best"}, "'best' is not a Selection"),
        ({"started_from": 7}, "wrong type in started_from"),
        ({"before": {"data": ["licenced"]}}, "'licenced' is not a DataKind"),
        ({"license": "other"}, "only if, the license is 'other'"),
        ({"license": "research-only", "license_text": "MIT"}, "only if, the license is 'other'"),
        ({"data": []}, "no kind of data"),
    ],
)
def test_other_records_are_refused(wrong, message, tmp_path):
    folder = save_pretrained(tiny_model(), tmp_path)
    edit(folder, provenance=wrong)
    with pytest.raises(CorruptWeightsError, match=message):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Provenance(license="MIT"), "'MIT' is not a License"),
        (lambda: Provenance(("scraped",)), "'scraped' is not a DataKind"),
        (lambda: Provenance(DataKind.GENERATED), "wrong type in data"),
        (lambda: Provenance(()), "no kind of data"),
        (lambda: Provenance(selection="best"), "'best' is not a Selection"),
        (lambda: Provenance(license=License.OTHER), "only if, the license is 'other'"),
        (lambda: Provenance(before={}), "wrong type in before"),
        (lambda: Provenance().stated(license=" "), "only if, the license is 'other'"),
        (lambda: Provenance().stated(license="other"), "only if, the license is 'other'"),
        (lambda: Provenance().stated(license=5), "license is 5"),
        (lambda: Provenance().stated(dataset=5), "wrong type in datasets"),
    ],
)
def test_what_is_made_by_hand_is_checked_as_what_is_read(make, message):
    with pytest.raises(WeightsError, match=message):
        make()


def test_values_and_lists_stand_for_the_enumerated_ones():
    made = Provenance(["generated", "generated"], license="apache-2.0", selection="none")
    assert made == Provenance((DataKind.GENERATED,), license=License.APACHE_2_0, selection=Selection.NONE)
    assert made.only_generated
    assert Provenance().stated(dataset=["a", "b"]).datasets == ("a", "b")
    assert Provenance.from_dict(made.to_dict()) == made


def test_people_of_other_weights_are_refused(tmp_path):
    manifest = write_flow_set(tmp_path / "data", subjects=2)
    folder = save_pretrained(tiny_model(), tmp_path / "w", people=manifest)
    htnet.load_pretrained(folder)
    edit(folder, trained_people=TrainedPeople().to_dict())
    with pytest.raises(CorruptWeightsError, match="not the record that the weights were saved with"):
        htnet.load_pretrained(folder)


LICENSED = Provenance((DataKind.LICENSED,), ("casme2", "samm"), License.RESEARCH_ONLY)
MADE = Provenance((DataKind.GENERATED,), license=License.APACHE_2_0)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({}, Provenance()),
        ({"dataset": GENERATED, "licence": AS_THE_CODE}, MADE),
        (
            {"dataset": "casme2, samm", "licence": RESEARCH_ONLY, "protocol": "nothing was selected"},
            dataclasses.replace(LICENSED, selection=Selection.NONE),
        ),
        (
            {"dataset": "casme2, samm", "licence": RESEARCH_ONLY, "generated": "32 in every batch"},
            dataclasses.replace(LICENSED, data=(DataKind.LICENSED, DataKind.GENERATED)),
        ),
        (
            {
                "dataset": f"casme2, samm; before that {GENERATED}",
                "licence": RESEARCH_ONLY,
                "started_from": "synthetic",
                "started_from_sha256": "ab",
            },
            dataclasses.replace(LICENSED, before=MADE, started_from="synthetic", started_from_sha256="ab"),
        ),
        (
            {"dataset": "own manifest", "licence": "that of the training data"},
            Provenance((DataKind.OWN,), license=License.AS_THE_DATA),
        ),
        ({"licence": ""}, Provenance()),
        ({"licence": "ask me"}, Provenance(license=License.OTHER, license_text="ask me")),
    ],
)
def test_folders_from_before_the_record(training, expected, tmp_path):
    assert translated(training) == expected
    assert expected.license_in_words == (training.get("licence") or "not stated")
    folder = save_pretrained(tiny_model(), tmp_path)
    edit(folder, provenance=None, training={**training, "samples": 7})
    model = htnet.load_pretrained(folder)
    assert model.provenance == expected
    assert read_config(folder / "config.json")["training"]["samples"] == 7


def test_terms_of_an_old_chain_stay_what_they_were():
    words = f"{RESEARCH_ONLY}; besides, that of the training data"
    found = translated({"dataset": "a; before that casme2", "licence": words})
    assert found.license_in_words == words
    assert License.RESEARCH_ONLY in found.licenses


def test_old_names_of_the_license(tmp_path):
    with pytest.warns(DeprecationWarning, match="use 'license'"):
        folder = save_pretrained(tiny_model(), tmp_path, training={"licence": "mine"})
    model = htnet.load_pretrained(folder)
    for old in (model, htnet.hub.find_pretrained("synthetic")):
        with pytest.warns(DeprecationWarning, match=r"use \w+\.license"):
            assert old.licence == old.license
