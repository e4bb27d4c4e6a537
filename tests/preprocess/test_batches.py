"""Batches of frames to flow images, and flow images to regions, for models of one's own."""

import dataclasses
import pickle
import warnings

import numpy as np
import pytest
import torch

from htnet.core.errors import FrameError, InputError, LandmarkError
from htnet.core.types import LAYOUTS, PreprocessSpec, QualityWarning
from htnet.data import MicroExpressionDataset
from htnet.preprocess import (
    FlowPreprocessor,
    Preprocessor,
    RegionCropper,
    TemplateLandmarks,
    crop_regions,
    template_points,
)
from htnet.training import load_flow_set
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest, save

WHOLE = dataclasses.replace(QUICK, layout="whole")


@pytest.fixture
def pairs(rng):
    return [face_pair(label, rng=rng) for label in (0, 1, 2)]


def as_tensor(frames, kind):
    stacked = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    return stacked if kind == "uint8" else stacked.to(torch.float64 if kind == "float64" else torch.float32) / 255


@pytest.mark.parametrize("kind", ["arrays", "files", "uint8", "float32", "float64"])
def test_a_batch_is_its_pairs(pairs, tmp_path, kind):
    onsets, apexes = zip(*pairs, strict=True)
    expected = [Preprocessor(WHOLE).pair(*pair, POINTS).image for pair in pairs]
    if kind == "files":
        given = [[save(tmp_path / f"{n}{i}.png", f) for i, f in enumerate(fs)] for n, fs in enumerate((onsets, apexes))]
    else:
        given = [frames if kind == "arrays" else as_tensor(frames, kind) for frames in (onsets, apexes)]
    found = FlowPreprocessor(WHOLE, "template")(*given)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found, np.stack(expected))
    points = torch.tensor(POINTS).expand(3, 5, 2)
    assert torch.equal(FlowPreprocessor(WHOLE, None)(*given, points), found)
    assert torch.equal(FlowPreprocessor(WHOLE, None)(*given, list(points.numpy())), found)


def test_the_default_is_the_published_image():
    spec = FlowPreprocessor().spec
    assert spec == PreprocessSpec(layout="whole")
    assert FlowPreprocessor()([], []).shape == (0, 3, 28, 28)


def test_what_a_network_of_the_spec_reads(pairs):
    onsets, apexes = zip(*pairs, strict=True)
    whole, regions = (FlowPreprocessor(spec, "template")(onsets, apexes) for spec in (WHOLE, QUICK))
    assert torch.equal(RegionCropper()(whole), regions)
    made = list(FlowPreprocessor(QUICK, "template").inputs(onsets, apexes))
    np.testing.assert_array_equal(made[2].image, regions[2])
    assert made[2].landmarks.source == "template"


def test_what_does_not_fit_is_refused(pairs):
    onsets, apexes = zip(*pairs, strict=True)
    make = FlowPreprocessor(WHOLE, None)
    with pytest.raises(InputError, match="3 onsets, 2 apexes and 3 landmarks"):
        make(onsets, apexes[:2], [POINTS] * 3)
    with pytest.raises(InputError, match=r"apexes is a tensor of shape \(3, 64, 64, 3\); give \(B, 3, H, W\)"):
        make(onsets, torch.from_numpy(np.stack(apexes)), [POINTS] * 3)
    with pytest.raises(InputError, match="onsets is 'a.png'; give a list"):
        make("a.png", "b.png")
    with pytest.raises(LandmarkError, match=r"Pair 0 \(counted from 0\): No landmarks"):
        make(onsets, apexes)
    with pytest.raises(FrameError, match=r"Pair 1 \(counted from 0\)"):
        make(onsets, [apexes[0], "absent.png", apexes[2]], [POINTS] * 3)


def test_it_is_pickled(pairs):
    onsets, apexes = zip(*pairs, strict=True)
    make = FlowPreprocessor(WHOLE, "template")
    expected = make(onsets, apexes)
    assert torch.equal(pickle.loads(pickle.dumps(make))(onsets, apexes), expected)


@pytest.mark.parametrize("size", [28, 56])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_regions_are_cut_by_a_module(layout, size, rng):
    images = torch.from_numpy(rng.uniform(0, 255, (4, 3, size, size)).astype(np.float32))
    cropper = RegionCropper(layout, size=size)
    at_template = template_points(PreprocessSpec(size=size))
    assert torch.equal(cropper(images), crop_regions(images, at_template, layout))
    own = at_template + torch.from_numpy(rng.uniform(-2, 2, (4, 5, 2)).astype(np.float32))
    assert torch.equal(cropper(images, own), crop_regions(images, own, layout))
    assert torch.equal(RegionCropper(layout, own[0], size=size)(images), crop_regions(images, own[0], layout))
    assert torch.equal(pickle.loads(pickle.dumps(cropper))(images), cropper(images))
    assert f"layout={layout!r}" in str(cropper)


@pytest.mark.slow
def test_it_is_exported_with_the_network(rng):
    images = torch.from_numpy(rng.uniform(0, 255, (4, 3, 28, 28)).astype(np.float32))
    model = torch.nn.Sequential(RegionCropper(), torch.nn.Flatten(), torch.nn.Linear(3 * 28 * 28, 3))
    assert not [name for name in model.state_dict() if name.startswith("0.")], "weights stay those of the network"
    exported = torch.export.export(model, (images,)).module()
    torch.testing.assert_close(exported(images), model(images))


def test_regions_that_cannot_be_cut_are_refused():
    with pytest.raises(InputError, match="whole"):
        RegionCropper("hole")
    with pytest.raises(InputError, match=r"shape \(4, 2\)"):
        RegionCropper(points=torch.zeros(4, 2))


def test_reasons_to_doubt_an_image_are_warned_of(pairs):
    """Identical frames give an image of zeros: once it was returned without a word."""
    onsets, apexes = (list(frames) for frames in zip(*pairs, strict=True))
    preprocessor = FlowPreprocessor(WHOLE, "template")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preprocessor(onsets, apexes)
    apexes[1:] = onsets[1:]
    with pytest.warns(UserWarning, match="motionless") as told:
        preprocessor(onsets, apexes)
    (text,) = (str(one.message) for one in told if "motionless" in str(one.message))
    assert text.startswith("Pair 1: ")
    assert text.endswith("The same (motionless) applies to 1 more: pair 2.")
    assert any("same_frame" in str(one.message) for one in told)


def test_the_same_for_data_sets_that_are_read_from_frames(tmp_path):
    """Points that are detected in frames with several faces: the commands say so, and the classes too."""
    manifest, found = pair_manifest(tmp_path / "in", 3), TemplateLandmarks()

    def several(frame, sample=""):
        doubts = (QualityWarning("several_faces", f"Faces in {sample}."),) if sample != "s1" else ()
        return dataclasses.replace(found(frame), warnings=doubts)

    message = r"Sample 's0': Faces in s0\. The same \(several_faces\) applies to 1 more: sample 's2'\.$"
    with pytest.warns(UserWarning, match=message):
        load_flow_set(manifest, WHOLE, several)
    data = MicroExpressionDataset(manifest, WHOLE, landmarks=several)
    with pytest.warns(UserWarning, match=r"Sample 's2': Faces in s2\.$"):
        data[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data[1]
