"""The samples of a manifest as a data set of PyTorch, read in this process and in workers."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from htnet.core.errors import InputError, LandmarkError, ManifestError
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, MicroExpressionDataset
from htnet.data.prepare import prepare
from htnet.preprocess import RegionCropper, TemplateLandmarks
from htnet.training import load_flow_set
from tests.support.motion import write_moving_set
from tests.support.pairs import QUICK, pair_manifest

WHOLE = dataclasses.replace(QUICK, layout="whole")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    pair_manifest(folder, 6)
    return folder


@pytest.fixture(scope="module")
def manifest(folder):
    return MicroExpressionDataset(folder, WHOLE).manifest


@pytest.mark.parametrize("index", [slice(0, 2), [0, 1], 1.0, "s0"])
def test_an_index_is_one_whole_number(manifest, index):
    data = MicroExpressionDataset(manifest, WHOLE, "template")
    with pytest.raises(InputError, match=r"give one whole number.*Subset\(dataset, indices\)"):
        data[index]
    assert data[np.int64(-1)]["sample"] == data[torch.tensor(5)]["sample"] == "s5"


def halved(image):
    return image / 2


def test_items_are_those_of_training(folder, manifest):
    data = MicroExpressionDataset(folder, QUICK, "template", extras=("points", "points68"))
    flows = load_flow_set(manifest, QUICK, TemplateLandmarks(), extras=("points68",))
    assert len(data) == 6
    assert data.classes == manifest.classes
    assert data.labels == flows.labels.tolist()
    for i, sample in enumerate(manifest):
        item = data[i]
        assert torch.equal(item["image"], flows.inputs()[i])
        assert item["label"] == flows.labels[i]
        assert (item["sample"], item["dataset"], item["subject"]) == (sample.sample, sample.dataset, sample.subject)
        assert torch.equal(item["points"], flows.points[i])
        assert torch.equal(item["points68"], flows.points68[i])


@pytest.mark.parametrize("start", [pytest.param("spawn", marks=pytest.mark.slow), "fork"])
def test_workers_read_what_this_process_reads(manifest, start):
    data = MicroExpressionDataset(manifest, WHOLE, "template", transform=halved)
    own = [data[i] for i in range(len(data))]  # so that this process has computed before it forks
    workers = 1 if start == "spawn" else 2  # a spawned one takes seconds to start
    loader = DataLoader(data, batch_size=2, num_workers=workers, multiprocessing_context=start, timeout=60)
    batches = list(loader)
    assert torch.equal(torch.cat([b["image"] for b in batches]), torch.stack([item["image"] for item in own]))
    assert torch.cat([b["label"] for b in batches]).tolist() == data.labels
    assert [name for b in batches for name in b["sample"]] == [s.sample for s in manifest]
    assert RegionCropper()(batches[0]["image"]).shape == (2, 3, 28, 28)


def test_a_prepared_folder_says_how_it_was_made(manifest, tmp_path):
    made = dataclasses.replace(QUICK, clahe=True)
    prepare(manifest, tmp_path / "out", made, TemplateLandmarks())
    data = MicroExpressionDataset(tmp_path / "out")
    assert data.spec == dataclasses.replace(made, layout="whole", clip_frames=PreprocessSpec().clip_frames)
    np.testing.assert_array_equal(data[3]["image"].permute(1, 2, 0), cv2.imread(str(data.manifest.samples[3].flow)))


def test_motion(tmp_path):
    source = write_moving_set(tmp_path, 1, 1)
    spec = dataclasses.replace(WHOLE, clip_frames=4)
    data = MicroExpressionDataset(source, spec, "template", extras=("motion",))
    assert data[0]["motion"].shape == (4, 64)
    bare = dataclasses.replace(data.manifest.samples[0], clip=None, clip_first="", clip_last="")
    with pytest.raises(ManifestError, match="without clip"):
        MicroExpressionDataset(Manifest((bare,)), spec, "template", extras=("motion",))
    assert "motion" not in MicroExpressionDataset(Manifest((bare,)), spec, "template")[0]


def test_what_cannot_be_used_is_refused(manifest):
    mixed = (manifest.samples[0], dataclasses.replace(manifest.samples[1], label=None))
    with pytest.raises(ManifestError, match=r"\('s1'\) without label"):
        MicroExpressionDataset(Manifest(mixed))
    unknown = MicroExpressionDataset(Manifest(mixed[1:]), WHOLE, "template")
    assert "label" not in unknown[0]
    with pytest.raises(ManifestError, match="without label"):
        _ = unknown.labels
    with pytest.raises(InputError, match="extra input"):
        MicroExpressionDataset(manifest, extras=("point",))
    with pytest.raises(LandmarkError, match="'s0'.*No landmarks"):
        MicroExpressionDataset(manifest, WHOLE)[0]
    still = dataclasses.replace(manifest.samples[0], apex=manifest.samples[0].onset)
    with pytest.raises(ManifestError, match="'s0' shows no expression"):
        MicroExpressionDataset(Manifest((still,)), WHOLE, "template")[0]
