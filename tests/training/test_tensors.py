import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from htnet.core.errors import FlowError, ManifestError
from htnet.core.types import TEMPLATE_28, PreprocessSpec
from htnet.data import Manifest, Sample, read_composite
from htnet.preprocess import PrecomputedLandmarks, template_points
from htnet.training import load_flow_set
from tests.support.flows import write_flow_set
from tests.support.paths import COMPOSITE, needs_shared


def test_images_points_and_labels(tmp_path):
    manifest = write_flow_set(tmp_path, 3, 2)
    data = load_flow_set(manifest, PreprocessSpec())
    for i, sample in enumerate(manifest):
        assert np.array_equal(data.images[i].permute(1, 2, 0).numpy(), cv2.imread(str(sample.flow)))
        assert torch.equal(data.points[i], template_points(data.spec))
    assert data.labels.tolist() == manifest.labels().tolist()
    part = data.subset([4, 1])
    assert torch.equal(part.images, data.images[[4, 1]])
    assert torch.equal(part.inputs(), data.inputs()[[4, 1]])


def test_channel_order_follows_the_spec(tmp_path):
    manifest = write_flow_set(tmp_path, 2, 1)
    usual = load_flow_set(manifest, PreprocessSpec())
    turned = load_flow_set(manifest, PreprocessSpec(channels=("u", "strain", "v")))
    assert torch.equal(turned.images, usual.images[:, [2, 0, 1]])
    assert (usual.u_channel, turned.u_channel) == (2, 0)


def test_landmarks_of_flow_images(tmp_path):
    manifest = write_flow_set(tmp_path, 2, 1)
    spec = PreprocessSpec(region_points="landmarks", layout="reference")
    without = load_flow_set(manifest, spec)
    assert without.regions_at_counts() == {"template": 2}  # said, not silent
    assert torch.equal(without.points[0], template_points(spec))
    points = {s.sample: (np.rint(TEMPLATE_28) / 2 + i).tolist() for i, s in enumerate(manifest)}
    (tmp_path / "points.json").write_text(json.dumps(points))
    data = load_flow_set(manifest, spec, PrecomputedLandmarks(tmp_path / "points.json", scale=2))
    torch.testing.assert_close(data.points[1], 2 * torch.tensor(points[manifest.samples[1].sample]).float())
    assert data.regions_at_counts() == {"landmarks": 2}
    assert data.subset([1]).regions_at == ("landmarks",)
    table = tmp_path / "points_56px.csv"  # the name says that points are in px of 56 px faces
    names = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    lines = [",".join(["sample", *(f"{n}_{axis}" for n in names for axis in "xy")])]
    lines += [",".join([name, *(str(4 * x) for point in value for x in point)]) for name, value in points.items()]
    table.write_text("\n".join(lines))
    named = Manifest(tuple(dataclasses.replace(s, landmarks=table) for s in manifest), manifest.classes)
    torch.testing.assert_close(load_flow_set(named, spec).points, data.points)


def test_digest_sees_every_change(tmp_path):
    data = load_flow_set(write_flow_set(tmp_path, 2, 2), PreprocessSpec())
    same = data.subset(range(len(data)))
    assert same.digest() == data.digest()
    same.images[0, 0, 0, 0] += 1
    assert same.digest() != data.digest()
    assert data.subset([1, 0, 2, 3]).digest() != data.digest()


def test_bad_samples_are_named(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    broken = Sample("x", flow=tmp_path / "bad.png", label="positive")
    with pytest.raises(FlowError, match=r"'x'.*bad\.png"):
        load_flow_set(Manifest((broken,)), PreprocessSpec())
    with pytest.raises(ManifestError, match="'y'.*neither"):
        load_flow_set(Manifest((Sample("y", label="positive"),)), PreprocessSpec())


@needs_shared
def test_published_input_of_the_composite_set():
    """Reference layout at the published points: one crop cut by hand from the rule, transposition included."""
    spec = PreprocessSpec(layout="reference", region_points="landmarks")
    manifest = read_composite(COMPOSITE)
    data = load_flow_set(manifest, spec, PrecomputedLandmarks(COMPOSITE / "landmarks_mtcnn_28px.csv"))
    index = next(i for i, s in enumerate(manifest) if s.sample == "sub01_EP02_01f")
    image = cv2.imread(str(manifest.samples[index].flow))
    # Points of that sample: (9, 11) (21, 10) (15, 17) (10, 21) (20, 21); x counts rows.
    top = np.hstack([image[2:16, 4:18], image[14:28, 3:17]])
    bottom = np.hstack([image[3:17, 14:28], image[13:27, 14:28]])
    expected = np.vstack([top, bottom]).transpose(2, 0, 1)
    assert np.array_equal(data.inputs()[index].numpy(), expected)
    assert len(data) == 442
