"""``htnet spot`` and ``htnet predict`` on a recording: the most confident expression, and the others by name."""

import json
from dataclasses import replace

import numpy as np
import pytest

import htnet.pipeline.chosen as chosen
from htnet.core.errors import NoFaceError
from htnet.core.types import QualityWarning
from htnet.hub import save_pretrained
from htnet.pipeline.chosen import choose_part, is_recording
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
    assert f"{event.kind} at {event.start:.2f} s; the others are a " in others
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


def test_clips_and_parts_are_searched_as_before(recording, monkeypatch):
    from htnet.cli import build_parser
    from htnet.cli.spot import asked_part

    path, _, _ = recording
    monkeypatch.setattr(chosen, "choose_part", lambda video: "part")
    video = open_video(path)
    assert is_recording(video)

    def asked(*words):
        return asked_part(video, build_parser().parse_args(["spot", str(path), *words]))

    assert asked() == asked("--fps", "25") == "part"
    for words in (["--method", "peak"], ["--from-time", "1"], ["--to-frame", "90"], ["--landmarks", "template"]):
        assert asked(*words) is None
    assert asked("--face", "largest") is None
    monkeypatch.setattr(chosen, "LONGEST_CLIP_S", 10.0)
    assert asked() is None


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
