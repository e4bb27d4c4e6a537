"""`predict_video`, ``htnet spot`` and ``htnet predict`` on a recording: the most confident one."""

import json
from dataclasses import replace

import numpy as np
import pytest

import htnet
import htnet.pipeline.chosen as chosen
from htnet.cli import main
from htnet.core.errors import NoFaceError
from htnet.core.schema import to_json
from htnet.core.types import QualityWarning
from htnet.hub import save_pretrained
from htnet.pipeline.chosen import choose_part, is_recording, spot_video
from htnet.preprocess import open_video
from tests.support.recordings import TrueEvents


@pytest.fixture
def recording(two, analyzed, model, tmp_path, monkeypatch):
    """Words of a command on the recording of two faces, its truth, and what sets the detector."""
    folder, true = two
    monkeypatch.setattr(chosen, "LONGEST_CLIP_S", 3.0)
    monkeypatch.setattr(chosen, "recording_curves", lambda stream: analyzed[0].curves)

    def detect(kinds, best=0):
        def detector(curves):
            found = TrueEvents(true, kinds)(curves)
            return [replace(event, confidence=0.9 if k == best else 0.5) for k, event in enumerate(found)]

        monkeypatch.setattr(chosen, "load_detector", lambda: detector)
        return detector(analyzed[0].curves)

    return folder / "two.mp4", save_pretrained(model, tmp_path / "weights"), detect


@pytest.mark.parametrize("best", [0, 3])
def test_the_most_confident_expression_is_answered(recording, two, succeed, best):
    path, weights, detect = recording
    event = detect(("micro", "macro"), best)[best]
    found = json.loads(succeed("predict", path, "--weights", weights, "--json"))
    spotting = found["spotting"]
    assert event.onset - 13 <= spotting["first_frame"] <= event.onset
    numbers = [spotting[f"{name}_frame"] for name in ("onset", "apex", "offset")]
    assert numbers == [event.onset, event.apex, event.offset]
    assert (spotting["confidence"], spotting["method"]) == (0.9, "detector")
    others = next(w["message"] for w in found["warnings"] if w["code"] == "several_expressions")
    assert "shows 4 expressions" in others
    assert f"{event.kind} at {event.start:.2f} s. Others: " in others
    true = {(one.kind, one.onset): one.track for one in two[1].events}[event.kind, event.onset]
    nose = two[1].landmarks(spotting["onset_frame"], true)[2]
    assert np.hypot(*(found["landmarks"]["points"]["nose"] - nose)) < 8, "the face of the event"


def test_spot_on_a_recording(recording, succeed, fail, tmp_path):
    path, _, detect = recording
    (event, _) = detect(("macro",))
    found = json.loads(succeed("spot", path, "--json", "--csv", tmp_path / "c.csv"))
    assert (found["onset_frame"], found["apex_frame"]) == (event.onset, event.apex)
    assert "several_expressions" in [w["code"] for w in found["warnings"]]
    assert (tmp_path / "c.csv").read_text().splitlines()[1].startswith(f"{found['first_frame']},")
    detect(("blink",))
    err = fail("spot", path)
    assert "No micro- or macro-expression was found in the recording (6.4 s)" in err
    assert "--from-time" in err


def test_nothing_found_is_no_expression(recording, succeed):
    path, weights, detect = recording
    detect(("blink",))
    words = ("predict", path, "--weights", weights, "--json")
    found = json.loads(succeed(*words))
    assert (found["prediction"], found["expression"]) == ("no expression", None)
    assert "no_event" in [w["code"] for w in found["warnings"]]
    always = json.loads(succeed(*words, "--always"))
    assert always["prediction"] == max(always["probabilities"], key=always["probabilities"].get)


@pytest.fixture
def ways(recording, model, monkeypatch):
    """How the library and the commands search the recording, or a part of it: "event" or "clip"."""
    path, weights, _ = recording

    def found(what, fallback):
        def search(*given, **options):
            raise NoFaceError(what)

        monkeypatch.setattr(chosen, fallback, search)

    found("event", "choose_part")
    found("clip", "spot")

    def said(call, *given, **options):
        with pytest.raises(NoFaceError) as caught:
            call(*given, **options)
        return str(caught.value)

    def of_command(name, *words):
        monkeypatch.setattr("htnet.cli.show_error", lambda command, error: told.append(str(error)))
        told = []
        more = ["--weights", str(weights)] if name == "predict" else []
        assert main([name, str(path), *more, *words]) == 2
        return told[-1]

    return path, lambda source, **options: said(htnet.predict_video, source, weights=model, **options), of_command


def test_library_and_commands_agree_which_videos_are_recordings(ways, monkeypatch):
    path, library, command = ways
    assert is_recording(open_video(path))
    assert library(path) == library(str(path), fps=25) == library(open_video(path)) == "event"
    assert command("predict") == command("spot") == command("spot", "--fps", "25") == "event"
    assert library(path, landmarks="yunet") == command("spot", "--landmarks", "yunet") == "event"
    points = [[1, 1], [2, 1], [1.5, 2], [1, 3], [2, 3]]
    for options in ({"method": "peak"}, {"landmarks": "template"}, {"landmarks": points}, {"fps": 80}):
        assert library(path, **options) == "clip", "two seconds at 80 a second are a clip"
    assert library(list(open_video(path, to_frame=3))) == "clip"
    for part in ({"from_time": 1}, {"to_frame": 90}, {"from_frame": 1, "to_frame": 150}):
        video = open_video(path, **part)
        assert not is_recording(video)
        assert library(video) == "clip"
        words = [word for name, value in part.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        assert command("predict", *words) == command("spot", *words) == "clip"
    for words in (["--method", "peak"], ["--landmarks", "template"], ["--face", "largest"], ["--from-frame", "0"]):
        assert command("predict", *words) == command("spot", *words) == "clip"
    monkeypatch.setattr(chosen, "LONGEST_CLIP_S", 10.0)
    assert library(path) == command("spot") == "clip"


def test_the_library_answers_as_the_command_does(recording, model, succeed):
    path, weights, detect = recording
    detect(("micro", "macro"), 3)
    said = json.loads(succeed("predict", path, "--weights", weights, "--json"))
    found = htnet.predict_video(path, weights=weights)
    assert json.loads(to_json(found.to_dict())) == said
    spotted = spot_video(path)
    assert (spotted.spotting.onset, spotted.found) == (said["spotting"]["onset_frame"], True)
    assert htnet.Predictor(weights).spotted(spotted).probabilities == found.probabilities
    detect(("blink",))
    assert htnet.predict_video(path, weights=model).label == "no expression"
    assert htnet.predict_video(path, weights=model, always=True).label in model.labels
    assert not spot_video(path).found


def test_a_recording_without_a_face(recording, analyzed, monkeypatch):
    path, _, detect = recording
    detect(("blink",))
    monkeypatch.setattr(chosen, "recording_curves", lambda stream: replace(analyzed[0].curves, tracks=()))
    with pytest.raises(NoFaceError, match="No face that looks into the camera"):
        choose_part(open_video(path), lambda curves: ())
    brief = replace(
        analyzed[0].curves, tracks=(), warnings=(QualityWarning("too_short", "A face was followed briefly."),)
    )
    monkeypatch.setattr(chosen, "recording_curves", lambda stream: brief)
    with pytest.raises(NoFaceError, match="A face was followed briefly"):
        choose_part(open_video(path), lambda curves: ())
