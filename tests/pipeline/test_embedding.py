"""Features before the last layer."""

import csv

import cv2
import numpy as np
import pytest
import torch

import htnet
from htnet.core.errors import FlowError, InputError
from htnet.data import read_manifest
from htnet.pipeline import embed
from tests.support.flows import write_flow_set
from tests.support.pairs import tiny_model


@pytest.fixture
def data(tmp_path):
    return write_flow_set(tmp_path / "set", subjects=2, per_subject=3)


@pytest.mark.parametrize("name", ["htnet_tiny", "ststnet", "flow_mlp", "mhssa_gcn", "htnet_dual_stream"])
def test_the_last_layer_makes_scores_of_them(data, name):
    model = htnet.create_model(name).eval()
    model.preprocess_spec = htnet.models.get_entry(name).spec
    found = embed(data, model, batch_size=4)
    assert found.features.shape == (6, model.num_features)
    assert found.features.dtype == np.float32
    assert [s.sample for s in found.samples] == [s.sample for s in data]
    with torch.no_grad():
        chances = model.probabilities(model.classifier(torch.from_numpy(found.features)))
    for row, answer in zip(chances, htnet.Predictor(model).manifest(data), strict=True):
        assert row.tolist() == pytest.approx(list(answer.probabilities.values()), abs=1e-5)


def test_files_bring_the_numbers_back(data, tmp_path, succeed):
    found = embed(data, tiny_model())
    with np.load(found.write(tmp_path / "f.npz")) as file:
        assert set(file) == {"features", "sample", "dataset", "subject", "label"}
        np.testing.assert_array_equal(file["features"], found.features)
        assert file["label"].tolist() == [s.label for s in data]
    with found.write(tmp_path / "f.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = [[np.float32(row[f"feature_{k}"]) for k in range(found.features.shape[1])] for row in rows]
    np.testing.assert_array_equal(np.array(numbers), found.features)
    assert [(row["sample"], row["subject"]) for row in rows] == [(s.sample, s.subject) for s in data]
    with pytest.raises(InputError, match=r"\.npz or \.csv"):
        found.write(tmp_path / "f.txt")


def test_samples_that_cannot_be_read(data, tmp_path, succeed):
    cv2.imwrite(str(data.samples[2].flow), np.zeros((5, 5, 3), np.uint8))
    data = read_manifest(tmp_path / "set" / "manifest.csv")
    model = tiny_model()
    with pytest.raises(FlowError, match="a_0_2"):
        embed(data, model)
    found = embed(data, model, skip_errors=True)
    assert [name for name, _ in found.errors] == ["a_0_2"]
    kept = [s for s in data if s.sample != "a_0_2"]
    assert [s.sample for s in found.samples] == [s.sample for s in kept]
    alone = embed(data.subset([3]), model)
    np.testing.assert_allclose(found.features[2], alone.features[0], atol=1e-5)
    assert alone.samples == (kept[2],)
