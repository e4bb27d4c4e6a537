"""The dual-stream HTNet through the library's ways: clips, manifests, commands."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch

import htnet
from htnet import Predictor, cli
from htnet.core.types import Frame, PreprocessSpec
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.preprocess import Preprocessor, motion_features, template_points
from htnet.training import FlowSet, Recipe, predict_set, train_model
from tests.support.clips import short_clip
from tests.support.flows import write_flow_set
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest, save

SPEC = dataclasses.replace(QUICK, layout="whole", clip_frames=8)


def dual(spec=SPEC, **settings):
    """A dual-stream model with random weights, in whose answers motion has a clear part."""
    model = create_model("htnet_dual_stream", mean=(100.0,) * 3, std=(60.0,) * 3, **settings).eval()
    with torch.no_grad():
        model.fc[0].weight[:, model.config.dim :].mul_(20)
    model.preprocess_spec = spec
    return model


@pytest.fixture(scope="module")
def clip():
    return short_clip()


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_a_video_gives_the_model_its_motion(clip, fusion):
    model = dual(fusion=fusion)
    found = Predictor(model).video(clip.rgb(), clip.points, fps=clip.fps)
    spotting = found.spotting
    frames = list(clip.rgb())[spotting.onset : spotting.offset + 1]
    at_onset = spotting.landmarks_at(spotting.onset)
    motion = motion_features(frames, at_onset, SPEC)
    assert motion.shape == (8, 64)
    np.testing.assert_array_equal(found.input.motion, motion)
    made = Preprocessor(SPEC).pair(frames[0], frames[spotting.apex - spotting.onset], at_onset)
    image = torch.from_numpy(made.image)[None]
    with torch.no_grad():
        expected = model(image, torch.from_numpy(motion)[None]).softmax(1)[0]
        without = model(image).softmax(1)[0]
    np.testing.assert_allclose(list(found.probabilities.values()), expected, atol=1e-6)
    assert (expected - without).abs().max() > 1e-4, "motion has a say"
    pair = Predictor(model).pair(frames[0], frames[spotting.apex - spotting.onset], at_onset)
    assert pair.input.motion is None
    np.testing.assert_allclose(list(pair.probabilities.values()), without, atol=1e-6)


def test_models_without_motion_are_given_none(clip):
    tiny = create_model("htnet_tiny")
    tiny.preprocess_spec = QUICK
    for model in (tiny, dual(dataclasses.replace(SPEC, clip_frames=0))):
        assert Predictor(model).video(clip.rgb(), clip.points).input.motion is None


def test_a_still_clip_is_answered():
    frame = face_pair()[0]
    found = Predictor(dual()).video([Frame(frame)] * 10, POINTS)
    assert found.motionless
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_manifests_and_flow_images_are_answered_without_motion(tmp_path):
    manifest = pair_manifest(tmp_path, 3)
    blind = dual(dataclasses.replace(SPEC, clip_frames=0))
    model = htnet.load_pretrained(save_pretrained(blind, tmp_path / "weights"))
    predictor = Predictor(model, landmarks="template")
    answers = list(predictor.manifest(manifest))
    for sample, answer in zip(manifest, answers, strict=True):
        alone = predictor.pair(sample.onset, sample.apex)
        assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        of_flow = predictor.flow_image(answer.input.flow_image)
        assert answer.probabilities == pytest.approx(of_flow.probabilities, abs=1e-6)


def motion_set(samples):
    """Gray images, which tell nothing, and motion whose direction in one region is the label."""
    labels = torch.arange(samples) % 3
    motion = torch.rand(samples, 16, 4, 16)
    motion[torch.arange(samples), :, 2, 4 * labels] += 20  # right, down or left in the left corner of the mouth
    motion[:, 0] = 0
    motion = (motion / motion.sum(-1, keepdim=True).clamp_min(1e-9)).flatten(2)
    spec = PreprocessSpec(layout="whole")
    images = torch.full((samples, 3, 28, 28), 128, dtype=torch.uint8)
    points = template_points(spec)[None].repeat(samples, 1, 1)
    return FlowSet(images, points, labels, spec, ("template",) * samples, motion=motion)


@pytest.mark.slow
@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_learns_what_only_motion_tells(fusion):
    recipe = Recipe(epochs=25, batch_size=16, lr=2e-3, augmentation=None, loss="focal")
    data = motion_set(96)
    model, _ = train_model("htnet_dual_stream", data, recipe, settings={"fusion": fusion})
    fresh = motion_set(48)
    assert (predict_set(model, fresh).argmax(1) == fresh.labels).float().mean() > 0.9
    blind = dataclasses.replace(fresh, motion=None)
    assert len(set(predict_set(model, blind).argmax(1).tolist())) == 1, "without motion all samples are alike"


def test_loso_and_train_on_flow_images(tmp_path, capsys):
    write_flow_set(tmp_path / "set", 3, 3)
    recipe = tmp_path / "focal.json"
    recipe.write_text(json.dumps({"epochs": 2, "batch_size": 4, "loss": "focal", "focal_gamma": 1.5}))
    words = ["--data", tmp_path / "set", "--model", "htnet_dual_stream", "--recipe", recipe]
    for command, out in (("loso", "run"), ("train", "weights")):
        status = cli.main([str(word) for word in (command, *words, "--out", tmp_path / out)])
        assert status == 0, capsys.readouterr().err
    with (tmp_path / "run" / "predictions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 9
    model = htnet.load_pretrained(tmp_path / "weights")
    assert (model.name, model.preprocess_spec.layout) == ("htnet_dual_stream", "whole")
    assert model.preprocess_spec.clip_frames == 0, "it was trained without motion"
    config = json.loads((tmp_path / "weights" / "config.json").read_text("utf-8"))
    assert (config["recipe"]["loss"], config["recipe"]["focal_gamma"]) == ("focal", 1.5)


def test_convert_command(tmp_path, capsys):
    model = dual()
    torch.save(model.state_dict(), tmp_path / "dual.pth")
    assert cli.main(["convert", str(tmp_path / "dual.pth"), str(tmp_path / "out")]) == 0
    assert "DualStreamHTNet" in capsys.readouterr().out
    found = htnet.load_pretrained(tmp_path / "out")
    assert found.preprocess_spec == PreprocessSpec(layout="whole")
    assert torch.equal(found.fc[2].weight, model.fc[2].weight)


def test_prepared_folders_remember_clahe(tmp_path, capsys):
    pair_manifest(tmp_path / "frames", 2)
    for name, more in (("plain", []), ("clahe", ["--clahe"])):
        words = ["prepare", "manifest", "--root", tmp_path / "frames", "--out", tmp_path / name]
        words += ["--landmarks", "template", "--flow", "dis", "--workers", 1, *more]
        assert cli.main([str(w) for w in words]) == 0, capsys.readouterr().err
        assert json.loads((tmp_path / name / "preprocess.json").read_text())["clahe"] is bool(more)
        capsys.readouterr()
    first, second = (sorted((tmp_path / name / "flow").iterdir()) for name in ("plain", "clahe"))
    assert [f.name for f in first] == [f.name for f in second]
    assert any(a.read_bytes() != b.read_bytes() for a, b in zip(first, second, strict=True))


def test_clahe_of_one_image(tmp_path, capsys):
    from htnet.preprocess import published_input, read_flow_image
    from htnet.preprocess.__main__ import main

    onset, apex = (save(tmp_path / f"{i}.png", f) for i, f in enumerate(face_pair()))
    words = [onset, apex, "--out", tmp_path / "flow.png", "--landmarks", "none", "--flow", "dis", "--clahe"]
    assert main([str(w) for w in words]) == 0, capsys.readouterr().err
    expected = published_input(onset, apex, None, flow="dis", clahe=True).flow_image
    np.testing.assert_array_equal(read_flow_image(tmp_path / "flow.png"), expected)
    assert not np.array_equal(expected, published_input(onset, apex, None, flow="dis").flow_image)
