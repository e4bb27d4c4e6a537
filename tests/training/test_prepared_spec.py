"""What is baked into a prepared folder's images is what training on them uses and records."""

import dataclasses
import json

import pytest

from htnet.core.errors import InputError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, open_data
from htnet.data.prepare import SPEC_FILE
from htnet.evaluation import loso
from htnet.hub import load_pretrained
from htnet.training import Recipe, TrainingJob, load_flow_set, train_weights
from tests.support.flows import write_flow_set

QUICK = Recipe(name="quick", epochs=1, batch_size=8)
MADE = PreprocessSpec(flow="dis", clahe=True)


@pytest.fixture
def folder(tmp_path):
    write_flow_set(tmp_path / "set", 2, 3)
    (tmp_path / "set" / SPEC_FILE).write_text(json.dumps(MADE.to_dict()), "utf-8")
    return tmp_path / "set"


@pytest.mark.parametrize("opened", [False, True], ids=["folder", "manifest"])
def test_loso_records_how_the_images_were_made(folder, tmp_path, opened):
    data = open_data(folder) if opened else folder
    result = loso(data, "htnet_tiny", QUICK, out=tmp_path / "run", progress=False)
    assert PreprocessSpec.from_dict(result.summary["run"]["preprocess"]) == MADE


def test_what_is_applied_when_images_are_read_stays(folder, tmp_path):
    wanted = PreprocessSpec(layout="whole", region_points="landmarks")
    result = loso(folder, "htnet_tiny", QUICK, out=tmp_path / "run", spec=wanted, progress=False)
    found = PreprocessSpec.from_dict(result.summary["run"]["preprocess"])
    assert found == dataclasses.replace(MADE, layout="whole", region_points="landmarks")


def test_weights_record_how_the_images_were_made(folder, tmp_path):
    manifest = open_data(folder)
    data = load_flow_set(manifest, PreprocessSpec())
    assert data.spec == MADE
    two = TrainingJob("htnet_tiny", QUICK, settings={"num_classes": 2})
    with pytest.raises(InputError, match="settings has num_classes=2, but the data have 3 classes"):
        train_weights(manifest, data, tmp_path / "weights", two)
    train_weights(manifest, data, tmp_path / "weights", TrainingJob("htnet_tiny", QUICK))
    assert load_pretrained(tmp_path / "weights").preprocess_spec == MADE


def test_a_manifest_from_nowhere_has_no_folder(folder, tmp_path, monkeypatch):
    """Its ``source`` is a word, not a file of the folder one happens to be in."""
    other = write_flow_set(tmp_path / "other", 2, 3)
    monkeypatch.chdir(folder)
    assert load_flow_set(Manifest(other.samples), PreprocessSpec()).spec == PreprocessSpec()
