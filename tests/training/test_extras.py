"""What models read in addition to the image: from manifests and frames, through training, prediction and files."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from htnet import Predictor, cli
from htnet.core.errors import InputError, LandmarkError
from htnet.core.registry import MODELS
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, Landmarks68, PreprocessSpec
from htnet.data import Manifest
from htnet.data.reader import extra_inputs
from htnet.evaluation import loso
from htnet.models import create_model, register_model
from htnet.models.ststnet import STSTNet
from htnet.preprocess import (
    MEAN_SHAPE_28,
    CachedLandmarker,
    PrecomputedLandmarks,
    Preprocessor,
    TemplateLandmarks,
    estimate_68,
    face_regions,
    hoof,
    template_points,
)
from htnet.training import FlowSet, Recipe, TrainingJob, load_flow_set, predict_set, train_model, train_weights
from htnet.training.augment import augment, mirror_extras
from htnet.training.recipe import Augmentation
from tests.support.flows import write_flow_set
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest
from tests.support.seeds import next_rng

AT_LANDMARKS = PreprocessSpec(layout="whole", region_points="landmarks")
WHOLE = dataclasses.replace(QUICK, layout="whole", region_points="landmarks")
SMALL = {"dim": 16, "heads": 2, "region_dim": 4, "intra_depth": 1, "gcn_layers": 1}
STILL = Augmentation(mirror=0, shift=0, gain=0, offset=0, noise=0)


def five(manifest, folder):
    """Points of every sample near the template's, as a file; and the array, px of the flow image."""
    points = np.array(TEMPLATE_28) + next_rng().uniform(-1, 1, (len(manifest), 5, 2))
    path = folder / "points.json"
    path.write_text(json.dumps({s.sample: p.tolist() for s, p in zip(manifest, points, strict=True)}))
    return path, points.astype(np.float32)


class Finder68:
    """A landmarker that finds 68 points: the mean face on a frame, every point off by one px to the right."""

    def __call__(self, frame, sample=""):
        return self.points68(frame, sample).five()

    def points68(self, frame, sample=""):
        points = MEAN_SHAPE_28 * frame.size[0] / 28 + [1.0, 0.0]
        return Landmarks68(points.astype(np.float32), "finder")

    def identity(self):
        return {"landmarker": "finder"}


@pytest.fixture
def probe(monkeypatch):
    """A registered model that keeps what it was given."""
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS))
    given = []

    class Probe(STSTNet):
        extra_inputs = ("points", "points68", "motion")

        def forward(self, x, points=None, points68=None, motion=None):
            given.append({"x": x, "points": points, "points68": points68, "motion": motion})
            return super().forward(x)

    register_model("probe", Probe, spec=PreprocessSpec(layout="whole"))
    return given


def test_points_of_a_set(tmp_path):
    manifest = write_flow_set(tmp_path / "set", 3, 2)
    path, points = five(manifest, tmp_path)
    data = load_flow_set(manifest, AT_LANDMARKS, PrecomputedLandmarks(path), extras=("points68",))
    found = data.extras(("points", "points68", "motion"))
    assert set(found) == {"points", "points68"}  # there are no clips
    np.testing.assert_allclose(found["points"], points, rtol=1e-6)
    for ours, own in zip(found["points68"], points, strict=True):
        np.testing.assert_allclose(ours, estimate_68(Landmarks(own, "x")).points, atol=1e-5)
    assert data.points68_counts() == {"estimated from landmarks": 6}
    assert data.subset([4, 1]).points68_from == ("estimated from landmarks",) * 2
    assert torch.equal(data.subset([4, 1]).extras(("points68",))["points68"], found["points68"][[4, 1]])
    # A set that was read for another model gives the same, when asked.
    plain = load_flow_set(manifest, AT_LANDMARKS, PrecomputedLandmarks(path))
    assert plain.points68 is None
    assert plain.points68_counts() == {}
    torch.testing.assert_close(plain.extras(("points68",))["points68"], found["points68"])
    assert plain.digest() != data.digest()
    with pytest.raises(InputError, match="'point'. Did you mean 'points'"):
        data.extras(("point",))
    with pytest.raises(InputError, match="'point'"):
        load_flow_set(manifest, AT_LANDMARKS, extras=("point",))


@pytest.mark.parametrize("region_points", ["template", "landmarks"])
def test_points_of_the_template_are_said_to_be_so(tmp_path, region_points):
    """Where regions are cut at the template's points, models are given those."""
    manifest = write_flow_set(tmp_path / "set", 2, 1)
    spec = dataclasses.replace(AT_LANDMARKS, region_points=region_points)
    data = load_flow_set(manifest, spec, extras=("points68",))
    assert data.points68_counts() == {"estimated from template": 2}
    assert torch.equal(data.extras(("points",))["points"][1], template_points(spec))
    made = Preprocessor(spec, points68=True).flow_picture(manifest.samples[0].flow)
    assert made.regions_at == "template"
    assert made.points68.estimated
    assert made.points68.source == "estimated from template"
    given = extra_inputs([made], ("points", "points68"), spec)
    assert torch.equal(given["points"][0], data.points[0])
    assert torch.equal(given["points68"][0], data.points68[0])


def test_measured_68_points_are_kept(tmp_path):
    onset, apex = face_pair()
    for finder in (Finder68(), CachedLandmarker(Finder68(), tmp_path / "cache")):
        made = Preprocessor(WHOLE, finder, points68=True).pair(onset, apex)
        assert not made.points68.estimated
        assert made.points68.source == "finder"
        # The face is moved so that the five points lie on the template; the 68 move along.
        np.testing.assert_allclose(Landmarks68(made.points68.points, "moved").five().points, made.points, atol=1e-4)
        assert Preprocessor(WHOLE, finder).pair(onset, apex).points68 is None
    for landmarker in (TemplateLandmarks(), CachedLandmarker(TemplateLandmarks(), tmp_path, identity={"a": 1})):
        made = Preprocessor(WHOLE, landmarker, points68=True).pair(onset, apex)
        assert made.points68.estimated
        assert made.points68.source == "estimated from landmarks"
    at_template = dataclasses.replace(WHOLE, region_points="template")
    assert Preprocessor(at_template, Finder68(), points68=True).pair(onset, apex).points68.estimated
    data = load_flow_set(pair_manifest(tmp_path / "pairs", 2), WHOLE, Finder68(), extras=("points68",))
    assert data.points68_counts() == {"finder": 2}


@pytest.mark.parametrize("form", ["x{}", "x_{}", "json"])
def test_68_points_of_a_file_are_kept(tmp_path, form):
    """However they are given: with the manifest, as the landmarker, or as the points of one pair."""
    onset, apex = face_pair()
    points = Finder68().points68(Frame(onset, "onset")).points.astype(float)
    manifest = pair_manifest(tmp_path / "pairs", 2)
    names = [sample.sample for sample in manifest]
    if form == "json":
        path = tmp_path / "found.json"
        path.write_text(json.dumps({name: points.tolist() for name in names}))
    else:
        path = tmp_path / "found.csv"
        x, y = form, form.replace("x", "y")
        header = ["sample", *(column.format(n) for n in range(68) for column in (x, y))]
        rows = [[name, *map(str, points.ravel().tolist())] for name in names]
        path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    truth = Preprocessor(WHOLE, Finder68(), points68=True).pair(onset, apex)
    table = PrecomputedLandmarks(path)
    assert table.has_68
    np.testing.assert_allclose(table(Frame(onset, "onset"), names[0]).points, truth.landmarks.points, atol=1e-4)
    for given in (path, points, Landmarks68(points, "mine")):
        made = Preprocessor(WHOLE, points68=True).pair(onset, apex, given, names[0])
        assert not made.points68.estimated
        np.testing.assert_allclose(made.points68.points, truth.points68.points, atol=1e-4)
        np.testing.assert_allclose(made.points, truth.points, atol=1e-4)
        np.testing.assert_array_equal(Preprocessor(WHOLE).pair(onset, apex, given, names[0]).image, made.image)
    own = tuple(dataclasses.replace(sample, landmarks=path) for sample in manifest)
    for data in (
        load_flow_set(manifest, WHOLE, table, extras=("points68",)),
        load_flow_set(dataclasses.replace(manifest, samples=own), WHOLE, extras=("points68",)),
    ):
        assert data.points68_counts() == {path.name: 2}
        np.testing.assert_allclose(data.points68[0], truth.points68.points, atol=1e-4)


def test_68_points_of_cached_flow_images_are_kept(tmp_path):
    """In px of the images that the file's name says, as with five points."""
    manifest = write_flow_set(tmp_path / "set", 2, 1)
    points = MEAN_SHAPE_28 * 8 + np.arange(68)[:, None] % 3
    path = tmp_path / "dlib_224px.json"
    path.write_text(json.dumps({sample.sample: points.tolist() for sample in manifest}))
    own = tuple(dataclasses.replace(sample, landmarks=path) for sample in manifest)
    data = load_flow_set(dataclasses.replace(manifest, samples=own), WHOLE, extras=("points68",))
    np.testing.assert_allclose(data.points68[1], points / 8, atol=1e-5)
    np.testing.assert_allclose(data.points[1], Landmarks68(points / 8, "x").five().points, atol=1e-5)
    scaled = PrecomputedLandmarks(path, scale=1 / 8)
    found = load_flow_set(manifest, WHOLE, scaled, extras=("points68",))
    np.testing.assert_allclose(found.points68[1], points / 8, atol=1e-5)
    assert load_flow_set(manifest, WHOLE, scaled).points68 is None


def test_a_file_of_five_points_gives_no_68(tmp_path):
    path, _ = five(write_flow_set(tmp_path / "set", 1, 1), tmp_path)
    table = PrecomputedLandmarks(path)
    assert not table.has_68
    name = json.loads(path.read_text()).popitem()[0]
    with pytest.raises(LandmarkError, match=r"contains five points of sample .* not 68"):
        table.points68(Frame(face_pair()[0], "onset"), name)


def test_points_that_are_no_face_are_refused(tmp_path):
    manifest = write_flow_set(tmp_path / "set", 1, 2)
    path, _ = five(manifest, tmp_path)
    content = json.loads(path.read_text())
    content["a_0_1"] = [[20, 20], [8, 20], [14, 14], [20, 8], [8, 8]]  # upside down is a face; mirrored is none
    content["a_0_1"][0][0], content["a_0_1"][1][0] = 8, 20
    path.write_text(json.dumps(content))
    for extras in ((), ("points68",)):
        with pytest.raises(LandmarkError, match=r"'a_0_1'.*are not arranged like those of a face"):
            load_flow_set(manifest, AT_LANDMARKS, PrecomputedLandmarks(path), extras=extras)


def test_mirrored_points_are_those_of_the_mirrored_face():
    points = torch.tensor(np.array(TEMPLATE_28, dtype=np.float32)) + torch.rand(4, 5, 2)
    points68 = torch.stack([torch.from_numpy(estimate_68(Landmarks(p.numpy(), "x")).points) for p in points])
    which = torch.tensor([True, False, True, False])
    found = mirror_extras({"points": points, "points68": points68}, which, 28)
    for i in range(4):
        if not which[i]:
            assert torch.equal(found["points"][i], points[i])
            assert torch.equal(found["points68"][i], points68[i])
            continue
        by_hand = points[i, [1, 0, 2, 4, 3]] * torch.tensor([-1.0, 1.0]) + torch.tensor([27.0, 0.0])
        torch.testing.assert_close(found["points"][i], by_hand)
        # The mean face is its own mirror image: estimating and mirroring may change places.
        expected = estimate_68(Landmarks(by_hand.numpy(), "x")).points
        np.testing.assert_allclose(found["points68"][i], expected, atol=1e-4)


def test_mirrored_motion_is_that_of_the_mirrored_flow(rng):
    size = 28
    points = np.array(TEMPLATE_28)
    points[:, 0] = [8, 19, 13.5, 9, 18]  # regions that mirror each other exactly
    points[[1, 4], 1] = points[[0, 3], 1]
    boxes = face_regions(size, points)
    boxes = [boxes[0], (size - boxes[0][2], boxes[0][1], size - boxes[0][0], boxes[0][3]), boxes[2]]
    boxes.append((size - boxes[2][2], boxes[2][1], size - boxes[2][0], boxes[2][3]))
    uv = rng.normal(size=(5, 2, size, size)).astype(np.float32)
    mirrored = uv[..., ::-1].copy()
    mirrored[:, 0] *= -1
    motion = torch.from_numpy(np.stack([hoof(uv, regions=boxes)] * 2))
    found = mirror_extras({"motion": motion}, torch.tensor([True, False]), size)["motion"]
    torch.testing.assert_close(found[0], torch.from_numpy(hoof(mirrored, regions=boxes)), atol=1e-5, rtol=1e-4)
    assert torch.equal(found[1], motion[1])


def test_augmentation_moves_extras_with_the_mirror_alone():
    images, points = torch.rand(64, 3, 28, 28) * 255, torch.rand(64, 5, 2) * 27
    extras = {"points": points, "points68": torch.rand(64, 68, 2) * 27}
    zeros, ones = torch.zeros(3), torch.ones(3)
    shifted = dataclasses.replace(STILL, shift=2)
    moved, _, kept = augment(images, points, shifted, zeros, ones, 2, extras)
    assert not torch.equal(moved, images)
    assert all(torch.equal(kept[name], extras[name]) for name in extras)
    mirrored = dataclasses.replace(STILL, mirror=0.5)
    images2, points2, found = augment(images, points, mirrored, zeros, ones, 2, extras)
    assert torch.equal(found["points"], points2)  # the same faces, by the same draw
    changed = (images2 != images).flatten(1).any(1)
    assert torch.equal(changed, (found["points68"] != extras["points68"]).flatten(1).any(1))
    assert 0 < int(changed.sum()) < 64


def test_extras_do_not_change_what_is_drawn():
    images, points = torch.rand(16, 3, 28, 28) * 255, torch.rand(16, 5, 2) * 27
    out = []
    for extras in ({}, {"points68": torch.rand(16, 68, 2)}):
        torch.manual_seed(7)
        out.append(augment(images, points, Augmentation(), torch.zeros(3), torch.ones(3), 2, extras)[:2])
    assert torch.equal(out[0][0], out[1][0])
    assert torch.equal(out[0][1], out[1][1])


def set_with_motion(samples=10):
    spec = PreprocessSpec(layout="whole")
    points = template_points(spec)[None].repeat(samples, 1, 1) + torch.rand(samples, 5, 2)
    images = torch.randint(0, 256, (samples, 3, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 3, (samples,))
    return FlowSet(images, points, labels, spec, ("landmarks",) * samples, motion=torch.rand(samples, 4, 64))


@pytest.mark.parametrize("augmentation", [None, Augmentation()])
def test_training_and_prediction_pass_them(probe, augmentation):
    data = set_with_motion()
    extras = data.extras(("points", "points68", "motion"))
    recipe = Recipe(epochs=1, batch_size=5, augmentation=augmentation)
    model, _ = train_model("probe", data, recipe)
    assert len(probe) == 2
    for batch in probe:
        assert {name: tuple(v.shape) for name, v in batch.items()} == {
            "x": (5, 3, 28, 28),
            "points": (5, 5, 2),
            "points68": (5, 68, 2),
            "motion": (5, 4, 64),
        }
        if augmentation is None:  # each image comes with its own points
            for i, image in enumerate(batch["x"]):
                row = int((data.images.float() == image).flatten(1).all(1).nonzero())
                assert all(torch.equal(batch[name][i], extras[name][row]) for name in extras)
    probe.clear()
    predict_set(model, data, batch_size=4)
    for name, whole in extras.items():
        assert torch.equal(torch.cat([batch[name] for batch in probe]), whole)
    still = dataclasses.replace(data, motion=None)
    probe.clear()
    predict_set(model, still)
    assert probe[0]["motion"] is None  # not given, so the model knows there is none


def test_a_model_without_extras_is_given_none():
    data = set_with_motion()
    calls = []
    model = create_model("ststnet")
    model.register_forward_pre_hook(lambda m, a, k: calls.append(k), with_kwargs=True)
    predict_set(model, data)
    assert calls == [{}]


def test_missing_motion_counts_as_none_among_clips(rng):
    spec = PreprocessSpec()
    made = Preprocessor(spec).flow_picture(np.zeros((28, 28, 3), np.uint8))
    motion = rng.random((4, 64), dtype=np.float32)
    moving = dataclasses.replace(made, motion=motion)
    assert "motion" not in extra_inputs([made, made], ("motion",), spec)
    found = extra_inputs([moving, made], ("motion",), spec)["motion"]
    assert torch.equal(found, torch.stack([torch.from_numpy(motion), torch.zeros(4, 64)]))
    longer = dataclasses.replace(made, motion=np.zeros((5, 64), np.float32))
    with pytest.raises(InputError, match=r"\(4, 64\), \(5, 64\)"):
        extra_inputs([moving, longer], ("motion",), spec)
    with pytest.raises(InputError, match="points68=True"):
        extra_inputs([made], ("points68",), spec)


def test_train_save_load_predict(tmp_path):
    """The whole way of a model with extras: flow images and pairs."""
    manifest = write_flow_set(tmp_path / "set", 4, 3)
    path, points = five(manifest, tmp_path)
    extras = create_model("mhssa_gcn_small").extra_inputs
    data = load_flow_set(manifest, AT_LANDMARKS, PrecomputedLandmarks(path), extras=extras)
    recipe = Recipe(epochs=2, batch_size=6)
    trained = train_weights(manifest, data, tmp_path / "w", TrainingJob("mhssa_gcn_small", recipe, settings=SMALL))
    config = json.loads((tmp_path / "w" / "config.json").read_text())
    assert config["training"]["points68_from"] == {"estimated from landmarks": 12}
    predictor = Predictor(tmp_path / "w", landmarks="template")
    expected = predict_set(trained, data)
    at_points = Manifest(tuple(dataclasses.replace(s, landmarks=path) for s in manifest), manifest.classes)
    found = list(predictor.manifest(at_points, batch_size=5))
    np.testing.assert_allclose([list(p.probabilities.values()) for p in found], expected, atol=1e-5)
    assert all(p.input.points68.source == "estimated from landmarks" for p in found)
    np.testing.assert_allclose(found[3].input.points, points[3], atol=1e-4)
    pair = Predictor(tmp_path / "w").pair(*face_pair(side=224), POINTS * 3.5)
    assert pair.to_dict()["points68"] == {"source": "estimated from landmarks", "estimated": True}
    flow = predictor.flow_image(manifest.samples[0].flow)
    assert flow.input.regions_at == "template"
    assert flow.to_dict()["points68"]["source"] == "estimated from template"


def test_leave_one_subject_out_says_what_points_were_used(tmp_path):
    manifest = write_flow_set(tmp_path / "set", 3, 3)
    run = loso(manifest, "mhssa_gcn_small", Recipe(epochs=1), out=tmp_path / "run", settings=SMALL, progress=False)
    assert run.summary["run"]["points68_from"] == {"estimated from template": 9}
    plain = loso(manifest, "ststnet", Recipe(epochs=1), out=tmp_path / "plain", progress=False)
    assert "points68_from" not in plain.summary["run"]


def test_train_command(tmp_path):
    manifest = write_flow_set(tmp_path / "set", 3, 2)
    path, _ = five(manifest, tmp_path)
    options = ["--data", str(tmp_path / "set" / "manifest.csv"), "--model", "mhssa_gcn_small", "--epochs", "1"]
    assert cli.main(["train", *options, "--landmarks", str(path), "--out", str(tmp_path / "w")]) == 0
    config = json.loads((tmp_path / "w" / "config.json").read_text())
    assert config["training"]["points68_from"] == {"estimated from landmarks": 6}
    assert config["preprocess"]["region_points"] == "landmarks"
