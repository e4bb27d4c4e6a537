"""Clips in manifests: from the column to motion in training, evaluation, preparation and prediction."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

import htnet
from htnet import Predictor
from htnet.core.errors import FrameError, InputError, LandmarkError, ManifestError, RunError, SpecError
from htnet.data import read_manifest
from htnet.data.prepare import prepare
from htnet.evaluation import loso
from htnet.models import create_model
from htnet.preprocess import TemplateLandmarks, encode_motion, motion_features, open_clip, read_frame, read_motion
from htnet.training import Recipe, TrainingJob, load_flow_set, train_weights
from tests.support.motion import SIDE, write_moving_set
from tests.support.pairs import QUICK, pair_manifest, save, tiny_model

SPEC = dataclasses.replace(QUICK, layout="whole", clip_frames=4)
BLIND = dataclasses.replace(SPEC, clip_frames=0)
TEMPLATE = TemplateLandmarks()
EXTRAS = ("motion",)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_moving_set(tmp_path_factory.mktemp("moving"))


@pytest.fixture(scope="module")
def manifest(source):
    return read_manifest(source)


@pytest.fixture(scope="module")
def prepared(manifest, tmp_path_factory):
    return prepare(manifest, tmp_path_factory.mktemp("prepared"), SPEC, TEMPLATE, motion=True)


def accuracy(folder):
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["protocol"] == "last"]
    return np.mean([row["prediction"] == row["truth"] for row in rows])


@pytest.mark.slow
def test_loso_solves_with_clips_what_it_cannot_without(source, tmp_path, succeed):
    """Onset and apex say nothing of the class here, the frames between them all."""
    words = ["--flow", "dis", "--landmarks", "template", "--clip-frames", 4, "--workers", 1]
    succeed("prepare", "manifest", "--root", source, "--out", tmp_path / "set", *words)
    recipe = tmp_path / "recipe.json"
    # Not augmented: so few samples are not to be spent on learning both sides of the face.
    settings = {"epochs": 40, "batch_size": 8, "lr": 3e-3, "average": 0.9, "augmentation": None}
    recipe.write_text(json.dumps(settings))
    words = ["loso", "--data", tmp_path / "set", "--model", "htnet_dual_stream", "--recipe", recipe, "--workers", 1]
    succeed(*words, "--clip-frames", 4, "--out", tmp_path / "with")
    succeed(*words, "--out", tmp_path / "without")
    assert accuracy(tmp_path / "with") > 0.85
    assert accuracy(tmp_path / "without") < 0.6
    run = json.loads((tmp_path / "with" / "run.json").read_text("utf-8"))
    assert run["preprocess"]["clip_frames"] == 4


@pytest.mark.slow
def test_every_samples_motion_is_that_of_its_own_frames(manifest, prepared):
    data = load_flow_set(manifest, SPEC, TEMPLATE, extras=EXTRAS)
    for sample, found in zip(manifest, data.motion, strict=True):
        if sample.clip.suffix == ".avi":
            frames = list(htnet.preprocess.open_video(sample.clip))[1:-1]
        else:
            names = sorted(sample.clip.iterdir(), key=lambda p: int(p.stem[3:]))
            frames = [read_frame(path) for path in names][1:-1]
        expected = motion_features(frames, TEMPLATE, SPEC)
        np.testing.assert_array_equal(found.numpy(), expected)
    again = load_flow_set(prepared, SPEC, extras=EXTRAS)
    assert torch.equal(again.motion, data.motion), "prepared motion is the motion"
    assert torch.equal(again.images, data.images)
    assert load_flow_set(manifest, BLIND, TEMPLATE, extras=EXTRAS).motion is None
    assert load_flow_set(manifest, SPEC, TEMPLATE).motion is None, "models without motion pay nothing for it"


@pytest.mark.slow
def test_weights_answer_a_manifest_with_its_motion(manifest, prepared, tmp_path):
    data = load_flow_set(prepared, SPEC, extras=EXTRAS)
    recipe = Recipe(epochs=40, batch_size=8, lr=3e-3, ema_decay=0.9)
    train_weights(prepared, data, tmp_path / "weights", TrainingJob("htnet_dual_stream", recipe))
    model = htnet.load_pretrained(tmp_path / "weights")
    assert model.preprocess_spec == SPEC
    predictor = Predictor(model, landmarks="template", always=True)
    raw, cached = (list(predictor.manifest(which)) for which in (manifest, prepared))
    assert np.mean([p.label == p.truth for p in raw]) > 0.85
    for a, b in zip(raw, cached, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)
        np.testing.assert_array_equal(a.input.motion, b.input.motion)
    model.preprocess_spec = BLIND
    assert all(p.input.motion is None for p in Predictor(model, landmarks="template").manifest(manifest))


@pytest.mark.slow
def test_predict_manifest_command_reads_clips(source, manifest, tmp_path, succeed, fail):
    model = create_model("htnet_dual_stream").eval()
    model.preprocess_spec = SPEC
    weights = htnet.hub.save_pretrained(model, tmp_path / "weights")
    words = ["--weights", weights, "--landmarks", "template"]
    succeed("predict", "--manifest", source, "--out", tmp_path / "out.csv", *words)
    with (tmp_path / "out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    predictor = Predictor(model, landmarks="template")
    for row, expected in zip(rows, predictor.manifest(manifest), strict=True):
        assert float(row["probability_negative"]) == pytest.approx(expected.probabilities["negative"], abs=1e-5)
    pair_manifest(tmp_path / "pairs", 2)
    pairs = tmp_path / "pairs" / "manifest.csv"
    message = fail("predict", "--manifest", pairs, "--out", tmp_path / "none.csv", *words)
    assert "'s0'" in message
    assert "column 'clip'" in message
    message = fail("predict", "--manifest", pairs, "--out", tmp_path / "some.csv", *words, "--skip-errors")
    assert "None of 2 samples could be read" in message
    assert (tmp_path / "some.csv").read_text("utf-8").count("column 'clip'") == 2


@pytest.mark.slow
def test_the_digest_of_a_run_changes_with_the_motion(prepared, tmp_path):
    data = load_flow_set(prepared, SPEC, extras=EXTRAS)
    other = data.motion.clone()
    other[3, 1, 5] += 1e-3
    changed = dataclasses.replace(data, motion=other)
    assert len({d.digest() for d in (data, changed, dataclasses.replace(data, motion=None))}) == 3
    recipe = Recipe(epochs=1, batch_size=8)
    options = {"out": tmp_path / "run", "spec": SPEC, "landmarker": TEMPLATE, "progress": False}
    loso(prepared, "htnet_dual_stream", recipe, **options)
    swapped = list(prepared.samples)
    swapped[0], swapped[1] = (dataclasses.replace(swapped[i], motion=swapped[1 - i].motion) for i in (0, 1))
    with pytest.raises(RunError, match="data_sha256"):
        loso(dataclasses.replace(prepared, samples=tuple(swapped)), "htnet_dual_stream", recipe, **options)


@pytest.mark.parametrize("keep", [0, 2])
def test_missing_clips_are_refused_by_name(manifest, keep, tmp_path, fail):
    """All or none: a mixed set would be learned as two kinds of data sets."""
    samples = [s if i < keep else dataclasses.replace(s, clip=None, clip_first="", clip_last="")
               for i, s in enumerate(manifest)]  # fmt: skip
    mixed = dataclasses.replace(manifest, samples=tuple(samples))
    with pytest.raises(ManifestError, match=rf"{len(samples) - keep} samples \('s0{keep}'.*--clip-frames 0"):
        load_flow_set(mixed, SPEC, TEMPLATE, extras=EXTRAS)
    mixed.write(tmp_path / "mixed.csv")
    words = ["--data", tmp_path / "mixed.csv", "--model", "htnet_dual_stream", "--landmarks", "template"]
    assert "column 'clip'" in fail("train", *words, "--clip-frames", 4, "--out", tmp_path / "weights")
    failed = {}
    options = {"motion": True, "on_error": lambda sample, error: failed.update({sample.sample: str(error)})}
    if keep:
        made = prepare(mixed, tmp_path / "out", SPEC, TEMPLATE, **options)
        assert [s.sample for s in made] == [s.sample for s in mixed][:keep]
    else:
        with pytest.raises(ManifestError, match="no sample could be prepared"):
            prepare(mixed, tmp_path / "out", SPEC, TEMPLATE, **options)
    assert len(failed) == len(samples) - keep
    assert all("has no clip" in message for message in failed.values())


def test_models_without_motion_refuse_the_option(source, fail):
    message = fail("train", "--data", source, "--model", "htnet_tiny", "--clip-frames", 4, "--out", "x")
    assert "htnet_tiny reads no motion" in message
    assert "clip_frames is 1" in fail(
        "train", "--data", source, "--model", "htnet_dual_stream", "--clip-frames", 1, "--out", "x"
    )


def test_motion_made_in_another_way_is_refused(prepared):
    path = prepared.samples[0].motion
    assert read_motion(path, SPEC).shape == (4, 64)
    for change, name in (({"clip_frames": 8}, "clip_frames is 4, not 8"), ({"clahe": True}, "clahe"),
                         ({"region_points": "landmarks"}, "region_points")):  # fmt: skip
        with pytest.raises(SpecError, match=name):
            read_motion(path, dataclasses.replace(SPEC, **change))
    # What only the image depends on does not matter.
    assert read_motion(path, dataclasses.replace(SPEC, layout="anatomical", size=56)).shape == (4, 64)
    with pytest.raises(SpecError, match="Sample 's00'.*clip_frames is 4, not 8"):
        load_flow_set(prepared, dataclasses.replace(SPEC, clip_frames=8), extras=EXTRAS)


def test_damaged_motion_is_refused(prepared, tmp_path):
    content = prepared.samples[0].motion.read_bytes()
    for name, bad in (("cut", content[:-9]), ("empty", b""), ("text", b"no tensors here")):
        (tmp_path / name).write_bytes(bad)
        with pytest.raises(InputError, match=f"{name} cannot be read.*prepare the data again"):
            read_motion(tmp_path / name, SPEC)
    with pytest.raises(InputError, match="cannot be read"):
        read_motion(tmp_path / "absent", SPEC)


@pytest.mark.slow
def test_a_cached_flow_image_with_a_clip_needs_points_of_the_clip(manifest, prepared):
    samples = [dataclasses.replace(a, clip=b.clip, clip_first=b.clip_first, clip_last=b.clip_last, motion=None)
               for a, b in zip(prepared, manifest, strict=True)]  # fmt: skip
    both = dataclasses.replace(prepared, samples=tuple(samples))
    with pytest.raises(LandmarkError, match="Sample 's00'.*first frame of its clip"):
        load_flow_set(both, SPEC, extras=EXTRAS)
    found = load_flow_set(both, SPEC, TEMPLATE, extras=EXTRAS)
    assert torch.equal(found.motion, load_flow_set(prepared, SPEC, extras=EXTRAS).motion)


def test_a_clip_of_another_size_is_refused(manifest, tmp_path):
    small = save(tmp_path / "onset.png", np.zeros((SIDE // 2, SIDE // 2, 3), np.uint8) + 90)
    sample = dataclasses.replace(manifest.samples[0], onset=small, apex=small)
    with pytest.raises(FrameError, match=r"64x64 px, but the onset .*32x32 px"):
        load_flow_set(dataclasses.replace(manifest, samples=(sample,)), SPEC, TEMPLATE, extras=EXTRAS)


@pytest.mark.slow
def test_prepare_makes_again_what_a_changed_clip_needs(tmp_path):
    manifest = read_manifest(write_moving_set(tmp_path / "frames", subjects=2, per_class=1))
    out = tmp_path / "out"
    prepare(manifest, out, SPEC, TEMPLATE, motion=True)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.rglob("s*.*") if p.is_file()}
    assert len(before) == 4 * len(manifest)
    folder = manifest.samples[2].clip
    save(folder / "img11.png", read_frame(folder / "img9.png").pixels)  # within the clip
    save(folder / "img8.png", read_frame(folder / "img9.png").pixels)  # before its first frame
    save(manifest.samples[4].clip / "img14.png", read_frame(folder / "img9.png").pixels)  # after its last frame
    prepare(manifest, out, SPEC, TEMPLATE, motion=True)
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before}
    assert {p.stem for p in before if before[p] != after[p]} == {"s02"}
    (out / "motion" / "s05.safetensors").write_bytes(b"half")
    prepare(manifest, out, SPEC, TEMPLATE, motion=True, workers=2)
    assert {p: p.read_bytes() for p in before} == {p: content for p, (content, _) in after.items()}


def test_without_motion_a_prepared_folder_has_none(manifest, tmp_path):
    made = prepare(manifest, tmp_path / "out", SPEC, TEMPLATE)
    assert not (tmp_path / "out" / "motion").exists()
    assert all(s.motion is None and s.clip is None for s in made)
    assert "motion" not in (tmp_path / "out" / "manifest.csv").read_text("utf-8").splitlines()[0]


def test_parts_of_clips(manifest, tmp_path):
    folder, video = manifest.samples[0], manifest.samples[1]
    one_based = tmp_path / "one based"
    shutil.copytree(folder.clip, one_based)
    for path in list(one_based.iterdir()):
        path.rename(one_based / f"img{int(path.stem[3:]) - 7}.png")
    assert [f.name for f in open_clip(folder.clip, folder.clip_first, folder.clip_last).files] == [
        f"img{n}.png" for n in range(9, 14)
    ]
    for first, last, expected in (("", "", 7), ("2", "", 5), ("", "3", 4), ("2", "3", 2), ("4", "4", 1)):
        counts = [len(list(open_clip(clip, first, last))) for clip in (folder.clip, video.clip)]
        assert counts == [expected] * 2
    shown = [f.pixels for f in open_clip(video.clip, "2", "3")]
    everything = [f.pixels for f in htnet.preprocess.open_video(video.clip)]
    assert all(np.array_equal(a, b) for a, b in zip(shown, everything[2:4], strict=True))
    for clip, first, last, message in (
        (folder.clip, "img7.png", "", "no frame 'img7.png'; give the name of a file in it"),
        (folder.clip, "7", "", "has 7 frames, so none with number 7"),
        (one_based, "3", "", r"counted from 0, is img4\.png, but the number is in the name of img3\.png"),
        (one_based, "", "1", "is img2.png, but"),
        (video.clip, "img8.png", "", "give its number"),
        (folder.clip, "img12.png", "img10.png", "'img10.png' comes before the first, 'img12.png'"),
    ):
        with pytest.raises(htnet.core.errors.VideoError, match=message):
            open_clip(clip, first, last)


def test_tiny_models_ignore_clips(manifest):
    """A manifest with clips serves every model."""
    found = list(Predictor(tiny_model(QUICK), landmarks="template").manifest(manifest))
    assert all(p.input.motion is None for p in found)


@pytest.fixture
def still(manifest, tmp_path):
    """The samples; in the clip of the second one nothing moves, although its onset and apex differ."""
    sample = manifest.samples[1]
    for number in range(5):
        save(tmp_path / "still" / f"{number}.png", read_frame(sample.onset).pixels)
    clip = {"clip": tmp_path / "still", "clip_first": "", "clip_last": ""}
    return dataclasses.replace(manifest, samples=(manifest.samples[0], dataclasses.replace(sample, **clip)))


def test_a_still_clip_of_a_moving_pair_is_not_prepared(still, tmp_path):
    name = still.samples[1].sample
    with pytest.raises(ManifestError, match=f"{name!r}: nothing moves in its clip"):
        prepare(still, tmp_path / "strict", SPEC, TEMPLATE, motion=True)
    kept = prepare(still, tmp_path / "out", SPEC, TEMPLATE, motion=True, on_error=lambda sample, error: None)
    assert [sample.sample for sample in kept] == [still.samples[0].sample]
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert "nothing moves in its clip" in report["failed"]["samples"][name]
    assert len(prepare(still, tmp_path / "pairs", SPEC, TEMPLATE)) == 2, "the pairs move"


@pytest.mark.parametrize("stored", [False, True])
def test_a_still_clip_is_not_trained_on_and_its_answer_is_doubted(still, tmp_path, stored):
    if stored:  # as an htnet before this rule did
        path = tmp_path / "still.safetensors"
        path.write_bytes(encode_motion(np.zeros((4, 64), np.float32), SPEC))
        samples = (still.samples[0], dataclasses.replace(still.samples[1], motion=path))
        still = dataclasses.replace(still, samples=samples)
    with pytest.raises(ManifestError, match=f"{still.samples[1].sample!r}: nothing moves in its clip"):
        load_flow_set(still, SPEC, TEMPLATE, extras=EXTRAS)
    load_flow_set(still, BLIND, TEMPLATE, extras=EXTRAS)
    model = create_model("htnet_dual_stream").eval()
    model.preprocess_spec = SPEC
    codes = [[w.code for w in p.warnings] for p in Predictor(model, landmarks="template").manifest(still)]
    assert "still_clip" not in codes[0]
    assert "still_clip" in codes[1]
