"""Training that starts from other weights, and what the card says of it."""

import copy
import dataclasses
import functools
import hashlib

import pytest
import torch

import htnet
from htnet.core.errors import InputError, ModelError, RunError
from htnet.core.provenance import AS_THE_CODE, GENERATED, RESEARCH_ONLY, DataKind, License, Provenance
from htnet.core.types import PreprocessSpec
from htnet.evaluation import loso
from htnet.hub import read_config, save_pretrained
from htnet.training import (
    Checkpoint,
    Recipe,
    StartFrom,
    TrainingJob,
    load_flow_set,
    train_model,
    train_weights,
    weights,
)
from tests.support.flows import write_flow_set
from tests.support.pairs import tiny_model

OWN = "that of the training data"
#: So slow that the weights stay what they were.
STILL = Recipe(epochs=1, batch_size=8, lr=1e-12, weight_decay=0.0, ema_decay=0.0, standardize=False)


@pytest.fixture
def manifest(tmp_path):
    return write_flow_set(tmp_path / "data", subjects=3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_start_may_be_of_another_type(dtype, data):
    """NumPy has no bfloat16, and the digest of the weights was computed with NumPy."""
    source = tiny_model()
    plain, start = StartFrom(source).digest(), StartFrom(copy.deepcopy(source).to(dtype))
    assert start.digest() != plain
    model, _ = train_model("htnet_tiny", data, STILL, start=start)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model.state_dict(), start.source.state_dict(), check_dtype=False, atol=1e-6, rtol=0)


def test_the_digest_of_a_start_is_that_of_its_bytes():
    """Runs store it, so it must never change for the same weights."""
    source = tiny_model()
    found = hashlib.sha256(repr(source.labels).encode())
    for name, value in sorted(source.state_dict().items()):
        found.update(name.encode() + value.numpy().tobytes())
    assert StartFrom(source).digest() == found.hexdigest()


@pytest.fixture
def data(manifest):
    return load_flow_set(manifest, PreprocessSpec())


@pytest.fixture
def source(tmp_path):
    """Makes a weights folder with what its card says."""

    def make(name="begin", license=License.APACHE_2_0, dataset=None, kind=DataKind.GENERATED, seed=11):
        torch.manual_seed(seed)
        model = tiny_model(PreprocessSpec(), action_units=(1, 12))
        provenance = Provenance((kind,)).stated(dataset, license)
        return save_pretrained(model, tmp_path / name, provenance=provenance)

    return make


def train(manifest, data, out, start=None, recipe=STILL, **more):
    """The trained model, and the provenance in its folder."""
    model = train_weights(manifest, data, out, TrainingJob("htnet_tiny", recipe, start=start), **more)
    return model, Provenance.from_dict(read_config(out / "config.json")["provenance"])


def test_training_begins_with_the_weights(manifest, data, source, tmp_path):
    start = StartFrom(source(), manifest.classes)
    model, said = train(manifest, data, tmp_path / "w", start)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, start.source.state_dict()[name], rtol=0, atol=1e-6)
    assert set(start.report.left_out) == {"unit_head.weight", "unit_head.bias"}
    assert not htnet.load_pretrained(tmp_path / "w").action_units
    assert said.started_from == "begin"
    assert said.started_from_sha256 == start.digest()
    assert said.before == start.source.provenance
    fresh, said = train(manifest, data, tmp_path / "fresh")
    assert not torch.allclose(fresh.patch_embed.weight, model.patch_embed.weight, atol=1e-3)
    assert (said.started_from, said.started_from_sha256, said.before) == ("", "", None)


def test_the_card_has_the_data_and_the_terms_of_both(manifest, data, source, tmp_path):
    first = source(license=RESEARCH_ONLY, dataset="casme2", kind=DataKind.LICENSED)
    train(manifest, data, tmp_path / "w", StartFrom(first, manifest.classes))
    card = (tmp_path / "w" / "README.md").read_text("utf-8")
    assert "license_name: research-only" in card
    assert "| Data | a; before that casme2 |" in card
    assert "| Started from | begin |" in card
    assert f"| Terms of use | {RESEARCH_ONLY}; besides, {OWN} (`" in card
    # What comes after two trainings still knows the first.
    _, said = train(manifest, data, tmp_path / "next", StartFrom(tmp_path / "w", manifest.classes))
    assert said.license_in_words == f"{RESEARCH_ONLY}; besides, {OWN}"
    assert said.data_in_words == "a; before that a; before that casme2"
    # Whoever trains cannot give away what they do not own.
    start = StartFrom(first, manifest.classes)
    _, said = train(manifest, data, tmp_path / "free", start, training={"license": "Apache-2.0"})
    assert said.license_in_words == f"{RESEARCH_ONLY}; besides, Apache-2.0"
    assert "license: other" in (tmp_path / "free" / "README.md").read_text("utf-8")


def test_weights_without_licensed_data_ask_for_nothing(manifest, data, source, tmp_path):
    start = StartFrom(source(), manifest.classes)
    assert train(manifest, data, tmp_path / "w", start)[1].license_in_words == OWN
    licensed = dataclasses.replace(
        manifest, samples=tuple(dataclasses.replace(s, dataset="samm") for s in manifest.samples)
    )
    _, said = train(licensed, data, tmp_path / "research", start)
    assert (said.license_in_words, said.data_in_words) == (RESEARCH_ONLY, f"samm; before that {GENERATED}")


@pytest.mark.parametrize("license", [License.UNKNOWN, "not stated"])
def test_terms_that_nobody_stated(manifest, data, source, tmp_path, license):
    start = StartFrom(source(license=license, kind=DataKind.UNKNOWN), manifest.classes)
    _, said = train(manifest, data, tmp_path / "w", start)
    assert said.license_in_words == f"{OWN}; besides, that of the starting weights, which is not stated"
    assert said.data_in_words == "a; before that unknown data"


def chain(*licenses):
    """Provenance of trainings one after the other, the latest first."""
    found = None
    for license in reversed(licenses):
        kind = DataKind.GENERATED if license == AS_THE_CODE else DataKind.OWN
        found = dataclasses.replace(Provenance((kind,)).stated(license=license), before=found)
    return found


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        ((AS_THE_CODE,), AS_THE_CODE),
        ((AS_THE_CODE, AS_THE_CODE), AS_THE_CODE),
        ((OWN, AS_THE_CODE), OWN),
        ((OWN, OWN), OWN),
        ((OWN, RESEARCH_ONLY), f"{RESEARCH_ONLY}; besides, {OWN}"),
        ((OWN, RESEARCH_ONLY, OWN), f"{RESEARCH_ONLY}; besides, {OWN}"),
        (("mine", "yours", RESEARCH_ONLY), f"{RESEARCH_ONLY}; besides, mine; besides, yours"),
    ],
)
def test_terms_of_several_trainings_hold_together(licenses, expected):
    assert chain(*licenses).license_in_words == expected


def test_mixed_terms_are_not_the_codes(tmp_path):
    provenance = chain("Apache-2.0", "CC-BY 4.0")
    card = (save_pretrained(tiny_model(), tmp_path, provenance=provenance) / "README.md").read_text("utf-8")
    assert "license: other" in card


def test_no_evaluation_starts_from_weights_that_went_on_from_generated_data(manifest, data, source, tmp_path):
    train(manifest, data, tmp_path / "w", StartFrom(source(), manifest.classes))
    with pytest.raises(InputError, match=r"w was trained on 3 people \('s0' of 'a', .*worthless"):
        loso(manifest, "htnet_tiny", STILL, out=tmp_path / "run", start=tmp_path / "w")


class StopError(Exception):
    pass


def test_resumed_training_is_the_undisturbed_one(manifest, data, source, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "Checkpoint", functools.partial(Checkpoint, every=0.0))
    recipe = Recipe(epochs=4, batch_size=8)
    folder, seen = source(), []

    def begin():
        return StartFrom(folder, manifest.classes)

    def stop(epoch, model):
        seen.append(epoch)
        if epoch == 3:
            raise StopError

    expected, _ = train(manifest, data, tmp_path / "whole", begin(), recipe)
    with pytest.raises(StopError):
        train(manifest, data, tmp_path / "parts", begin(), recipe, on_epoch=stop)
    for other in (None, StartFrom(source("other", seed=12), manifest.classes)):
        with pytest.raises(RunError, match="unfinished training"):
            train(manifest, data, tmp_path / "parts", other, recipe)
    found, _ = train(manifest, data, tmp_path / "parts", begin(), recipe, on_epoch=lambda epoch, _: seen.append(epoch))
    assert seen == [1, 2, 3, 3, 4], "the epoch that was stopped in ran again, no other"
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in expected.state_dict().items())


def test_weights_that_do_not_fit_are_refused(manifest, data, source, tmp_path):
    with pytest.raises(ModelError, match="No tensor of the source fits ststnet"):
        train_weights(manifest, data, tmp_path / "w", TrainingJob("ststnet", STILL, start=source()))
    assert not (tmp_path / "w" / "config.json").exists()


def test_a_start_that_gives_nothing_is_refused(manifest, source, tmp_path):
    data = load_flow_set(manifest, PreprocessSpec(layout="whole"))
    with pytest.raises(InputError, match=r"begin \(.*\) has no layer that fits flow_mlp.*htnet list"):
        train_weights(manifest, data, tmp_path / "w", TrainingJob("flow_mlp", STILL, start=source()))
