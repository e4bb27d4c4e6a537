"""``htnet spot`` and ``htnet predict`` on a video, as a user types them."""

import csv
import json

import cv2
import numpy as np
import pytest

import htnet
from benchmarks.clips import random_clip
from htnet import Predictor
from htnet.hub import save_pretrained
from htnet.preprocess import open_video, spot
from tests.support.pairs import QUICK, save, tiny_model
from tests.support.videos import frame_chunks, numbered_video, overwrite, write_video


@pytest.fixture(scope="module")
def clip():
    """A short clip with a clear expression."""
    first = int(np.random.default_rng().integers(1_000_000, 2**31))
    print(f"first seed {first}")
    return next(c for c in map(random_clip, range(first, first + 200)) if len(c) < 80 and c.peak_px > 1.5)


@pytest.fixture(scope="module")
def folder(clip, tmp_path_factory):
    """The clip as a video, its frames and its points."""
    folder = tmp_path_factory.mktemp("clip")
    write_video(folder / "clip.mp4", (f.pixels for f in clip.rgb()), fps=round(clip.fps))
    for frame in clip.rgb():
        save(folder / "frames" / f"img{frame.number}.png", frame.pixels)
    (folder / "points.json").write_text(json.dumps(clip.points.tolist()))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pretrained(tiny_model(QUICK), tmp_path_factory.mktemp("weights"))


def test_spot_prints_and_saves_everything(succeed, folder, clip, tmp_path):
    picture, curve = tmp_path / "new" / "curve.png", tmp_path / "new" / "curve.csv"
    words = ("spot", folder / "clip.mp4", "--landmarks", folder / "points.json")
    out = succeed(*words, "--plot", picture, "--csv", curve)
    expected = spot(folder / "clip.mp4", clip.points)
    fps = round(clip.fps)
    assert f"{len(clip)} frames, {fps} a second" in out
    for name in ("onset", "apex", "offset"):
        number = getattr(expected, name)
        assert f"{name:<12} frame {number} ({number / fps:.3f} s)" in out
    assert f"confidence   {expected.confidence:.2f}" in out
    assert cv2.imread(str(picture)).shape[0] > 200
    with curve.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["frame", "time_s", "magnitude", "brows", "eyes", "mouth"]
    assert [int(row["frame"]) for row in rows] == list(range(len(clip)))
    assert float(rows[-1]["time_s"]) == pytest.approx((len(clip) - 1) / fps, abs=1e-5)
    np.testing.assert_allclose([float(row["magnitude"]) for row in rows], expected.curve, atol=1e-5)
    np.testing.assert_allclose([float(row["mouth"]) for row in rows], expected.regions[:, 2], atol=1e-5)
    found = json.loads(succeed(*words, "--json"))
    assert tuple(found[f"{name}_frame"] for name in ("onset", "apex", "offset")) == (
        expected.onset,
        expected.apex,
        expected.offset,
    )
    assert found["apex_time_s"] == pytest.approx(expected.apex / fps)
    assert (found["frame_count"], found["fps"], found["method"]) == (len(clip), fps, "peak")
    assert abs(found["apex_frame"] - clip.apex) <= 10, "the encoder smears the motion over several frames"


def test_spot_in_a_folder_of_frames(succeed, folder, clip, tmp_path):
    words = ("spot", folder / "frames", "--landmarks", folder / "points.json")
    found = json.loads(succeed(*words, "--json", "--csv", tmp_path / "c.csv", "--plot", tmp_path / "c.png"))
    assert (found["fps"], found["apex_time_s"]) == (None, None)
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("0,,")
    found = json.loads(succeed(*words, "--json", "--fps", clip.fps, "--method", "divide_and_conquer"))
    expected = spot(folder / "frames", clip.points, fps=clip.fps, method="divide_and_conquer")
    assert (found["apex_frame"], found["fps"], found["method"]) == (expected.apex, clip.fps, "divide_and_conquer")
    short = json.loads(succeed(*words, "--json", "--stop", 12))
    assert short["frame_count"] == 12


def test_predict_a_video(succeed, folder, clip, weights, tmp_path):
    words = ("predict", folder / "clip.mp4", "--model", weights, "--landmarks", folder / "points.json")
    out = succeed(*words, "--plot", tmp_path / "p.png")
    assert cv2.imread(str(tmp_path / "p.png")) is not None
    expected = Predictor(weights).video(folder / "clip.mp4", clip.points)
    assert out.startswith(f"{expected.label}  (")
    assert f"apex         frame {expected.spotting.apex} " in out
    found = json.loads(succeed(*words, "--json"))
    assert found["prediction"] == expected.label
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert found["spotting"]["onset_frame"] == expected.spotting.onset
    assert found["spotting"]["confidence"] == pytest.approx(expected.spotting.confidence, abs=1e-6)
    again = htnet.predict_video(folder / "clip.mp4", model=weights, landmarks=folder / "points.json")
    assert again.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


def test_predicting_a_video_is_predicting_its_onset_and_apex(folder, clip, weights):
    predictor = Predictor(weights)
    found = predictor.video(folder / "frames", clip.points, "s", fps=clip.fps)
    spotting = found.spotting
    assert spotting.fps == clip.fps
    frames = list(open_video(folder / "frames"))
    points = spotting.landmarks_at(spotting.onset)
    expected = predictor.pair(frames[spotting.onset], frames[spotting.apex], points)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert (found.sample, expected.spotting) == ("s", None)
    from_frames = htnet.predict_video(frames, model=weights, landmarks=clip.points, fps=clip.fps)
    assert from_frames.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert np.abs(found.landmarks.points - points.points).max() == 0


def test_a_damaged_video(fail, succeed, folder, tmp_path):
    path = numbered_video(tmp_path / "clip.avi", 30)
    start, length = frame_chunks(path)[20]
    overwrite(path, start + length // 2, bytes(length - length // 2))
    words = ("spot", path, "--landmarks", "template")
    err = fail(*words)
    assert f"Frame 20 of {path} is a cut off JPEG" in err
    assert "stop=20" in err
    assert "20 frames" in succeed(*words, "--stop", 20)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["spot", "none.mp4"], "none.mp4 does not exist"),
        (["predict", "none.mp4"], "none.mp4 does not exist"),
        (["predict", "a.png"], "or one video or folder of frames"),
        (["predict", "a.png", "b.png", "--fps", "50"], "--fps goes with one video"),
        (["predict", "a.png", "b.png", "--method", "peak"], "--method goes with one video"),
        (["predict", "--manifest", "m.csv", "--out", "p.csv", "--stop", "9"], "--stop goes with one video"),
        (["predict", "v.mp4", "--out", "p.csv"], "go with --manifest"),
    ],
)
def test_refusals(fail, words, message):
    assert message in fail(*words)
