"""``htnet spot`` and ``htnet predict`` on a video, as a user types them."""

import argparse
import csv
import json

import cv2
import numpy as np
import pytest

import htnet
from htnet import Predictor
from htnet.core.command_line import moment
from htnet.hub import save_pretrained
from htnet.preprocess import open_video, spot
from tests.support.clips import short_clip
from tests.support.pairs import QUICK, save, tiny_model
from tests.support.videos import frame_chunks, numbered_video, overwrite, write_timed, write_video


@pytest.fixture(scope="module")
def clip():
    """A short clip with a clear expression."""
    return short_clip()


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
    assert f"{len(clip)} frames, {fps} per second" in out
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


@pytest.mark.slow
def test_spot_in_a_folder_of_frames(succeed, folder, clip, tmp_path):
    words = ("spot", folder / "frames", "--landmarks", folder / "points.json")
    found = json.loads(succeed(*words, "--json", "--csv", tmp_path / "c.csv", "--plot", tmp_path / "c.png"))
    assert (found["fps"], found["apex_time_s"]) == (None, None)
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith("0,,")
    found = json.loads(succeed(*words, "--json", "--fps", clip.fps, "--method", "divide_and_conquer"))
    expected = spot(folder / "frames", clip.points, fps=clip.fps, method="divide_and_conquer")
    assert (found["apex_frame"], found["fps"], found["method"]) == (expected.apex, clip.fps, "divide_and_conquer")
    short = json.loads(succeed(*words, "--json", "--to-frame", 11))
    assert short["frame_count"] == 12


@pytest.mark.slow
def test_predict_a_video(succeed, folder, clip, weights, tmp_path):
    words = ("predict", folder / "clip.mp4", "--weights", weights, "--landmarks", folder / "points.json")
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
    again = htnet.predict_video(folder / "clip.mp4", weights=weights, landmarks=folder / "points.json")
    assert again.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.slow
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
    from_frames = htnet.predict_video(frames, weights=weights, landmarks=clip.points, fps=clip.fps)
    assert from_frames.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert np.abs(found.landmarks.points - points.points).max() == 0


def test_a_damaged_video(fail, succeed, folder, tmp_path):
    path = numbered_video(tmp_path / "clip.avi", 30)
    start, length = frame_chunks(path)[20]
    overwrite(path, start + length // 2, bytes(length - length // 2))
    words = ("spot", path, "--landmarks", "template")
    err = fail(*words)
    assert f"Frame 20 of {path} is a cut off JPEG" in err
    assert "--to-frame 19" in err
    assert "20 frames" in succeed(*words, "--to-frame", 19)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["spot", "none.mp4"], "none.mp4 does not exist"),
        (["predict", "none.mp4"], "none.mp4 does not exist"),
        (["predict", "a.png"], "or one video or folder of frames"),
        (["predict", "a.png", "b.png", "--fps", "50"], "--fps needs a single video"),
        (["predict", "a.png", "b.png", "--method", "peak"], "--method needs a single video"),
        (["predict", "--manifest", "m.csv", "--out", "p.csv", "--to-frame", "9"], "--to-frame needs a single video"),
        (["predict", "a.png", "b.png", "--from-time", "1:00"], "--from-time needs a single video"),
        (["predict", "a.png", "b.png", "--to-time", "3"], "--to-time needs a single video"),
        (["predict", "a.png", "b.png", "--from-frame", "3"], "--from-frame needs a single video"),
        (["predict", "v.mp4", "--out", "p.csv"], "need --manifest"),
    ],
)
def test_refusals(fail, words, message):
    assert message in fail(*words)


@pytest.fixture(scope="module")
def late(clip, folder):
    """The clip after 0.4 s of another scene (20 frames), at 25 frames per second for a while; and its points."""
    frames = [np.full_like(next(iter(clip.rgb())).pixels, 40 + k) for k in range(10)]
    frames += [frame.pixels for frame in clip.rgb()]
    times = np.concatenate([np.arange(10) / 25, 0.4 + np.arange(len(clip)) / 50])
    return write_timed(folder / "late.mkv", frames, times, "ffv1")


@pytest.mark.parametrize("command", ["spot", "predict"])
@pytest.mark.parametrize(
    ("part", "first", "count"),
    [
        (("--from-time", "0.4", "--to-time", "0.8"), 10, 21),
        (("--from-time", "0:00.4", "--to-frame", "30"), 10, 21),
        (("--from-frame", "10", "--to-time", "00:00:00.8"), 10, 21),
        (("--from-frame", "10", "--to-frame", "30"), 10, 21),
    ],
)
def test_parts_of_a_recording(run, folder, late, weights, command, part, first, count):
    """Numbers and times in the answer are those of the whole file."""
    model = ("--weights", weights) if command == "predict" else ()
    status, out, err = run(command, late, "--landmarks", folder / "points.json", "--json", *model, *part)
    assert status == 0, err
    found = json.loads(out)
    found = found["spotting"] if command == "predict" else found
    assert (found["first_frame"], found["frame_count"]) == (first, count)
    assert first <= found["onset_frame"] <= found["apex_frame"] <= found["offset_frame"] < first + count
    for name in ("onset", "apex", "offset"):
        assert found[f"{name}_time_s"] == pytest.approx(0.4 + (found[f"{name}_frame"] - first) / 50, abs=2e-3)


@pytest.mark.slow
def test_curve_of_a_part_and_picture_of_its_frames(succeed, folder, late, weights, tmp_path, monkeypatch):
    words = (late, "--landmarks", folder / "points.json", "--from-frame", 10)
    out = succeed("spot", *words, "--csv", tmp_path / "c.csv", "--plot", tmp_path / "c.png")
    assert "from frame 10" in out
    with (tmp_path / "c.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["frame"]) == 10
    assert float(rows[0]["time_s"]) == pytest.approx(0.4, abs=1e-3)
    shown = []
    monkeypatch.setattr("htnet.pipeline.plots.plot_prediction", lambda *given, **more: shown.append(given[:3]))
    succeed("predict", *words, "--weights", weights, "--plot", tmp_path / "p.png")
    ((prediction, onset, apex),) = shown
    assert (onset.number, apex.number) == (prediction.spotting.onset, prediction.spotting.apex)
    whole = list(open_video(late))
    np.testing.assert_array_equal(apex.pixels, whole[apex.number].pixels)


@pytest.mark.parametrize("command", ["spot", "predict"])
@pytest.mark.parametrize(
    ("part", "message"),
    [
        (("--from-time", "1", "--from-frame", "2"), "from_frame and from_time are both given"),
        (("--from-frame", "9", "--to-frame", "3"), "to_frame 3 comes before from_frame 9"),
        (("--from-time", "90"), "but"),
    ],
)
def test_parts_that_cannot_be(run, folder, late, weights, command, part, message):
    model = ("--weights", weights) if command == "predict" else ()
    status, out, err = run(command, late, "--landmarks", folder / "points.json", *model, *part)
    assert (status, out) == (2, "")
    assert message in err
    if part == ("--from-time", "90"):
        assert "the last one from" in err, "the true length is told"


@pytest.mark.parametrize(
    ("text", "seconds"), [("83.5", 83.5), ("1:23.5", 83.5), ("0:01:23.5", 83.5), ("0", 0), ("2:00", 120)]
)
def test_times_as_players_show_them(text, seconds):
    assert moment(text) == seconds


@pytest.mark.parametrize("text", ["", "1:2:3:4", "1:60", "1.5:30", "-1", "nan", "inf", "1:-2", "half", "1::2"])
def test_what_is_no_time(text):
    with pytest.raises(argparse.ArgumentTypeError, match="give seconds"):
        moment(text)


def test_a_short_clip_is_answered_with_its_limits(succeed, folder, clip, weights, tmp_path):
    """18 of the 860 clips of CAS(ME)^3 have fewer than 8 frames."""
    steps = np.linspace(clip.onset, clip.apex, 5).round().astype(int)
    frames = [frame.pixels for frame in clip.rgb()]
    for k in steps:
        save(tmp_path / "short" / f"{k}.png", frames[k])
    words = (tmp_path / "short", "--landmarks", folder / "points.json")
    out = succeed("spot", *words)
    assert "too few to distinguish noise from motion" in out
    assert "confidence   unknown: too few frames" in out
    out = succeed("predict", *words, "--weights", weights, "--json")
    found = json.loads(out)
    assert found["spotting"]["confidence"] is None
    assert "few_frames" in [w["code"] for w in found["warnings"]]
