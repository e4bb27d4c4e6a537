"""From a recording to its events, with what a model says of each, and back from the document."""

import copy
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from htnet.core.errors import FlowError, InputError, VideoError
from htnet.core.schema import read_schema, to_json
from htnet.core.types import NO_EXPRESSION
from htnet.models import create_model
from htnet.pipeline import Analysis, Analyzer, FollowedFace, Predictor, analyze, read_analysis
from htnet.pipeline.analyzing import STAGES, checked_events
from htnet.pipeline.event_pairs import EventPair, SeenPair, collect_pairs, face_part, plan_pairs
from htnet.preprocess import motion_features, open_video
from htnet.preprocess.video.clip import ClipMotion
from htnet.recordings import FrameStream, RecordingCurves, recording_curves
from htnet.types import Event, Frame
from tests.recordings.scenes import Face, Scene
from tests.support.pairs import POINTS, QUICK, tiny_model
from tests.support.recordings import TrueEvents


def test_every_expression_has_an_answer_of_its_own_face(two, analyzed):
    _, recording = two
    found, _ = analyzed
    assert len(found.faces) == 2
    assert found.counts() == {
        kind: sum(event.kind == kind for event in recording.events) for kind in ("blink", "micro", "macro")
    }
    assert [event.onset for event in found.events] == sorted(event.onset for event in found.events)
    for event in found.events:
        if event.kind == "blink":
            assert (event.label, event.probabilities, event.expression) == (None, {}, None)
            continue
        assert set(event.probabilities) == set(found.classes)
        assert event.label == (NO_EXPRESSION if event.expression < 0.5 else event.emotion)
        assert event.emotion == max(event.probabilities, key=event.probabilities.get)
    assert sorted({event.track for event in found.expressions}) == [0, 1]


def test_the_model_is_shown_the_face_of_the_event(two, analyzed):
    _, recording = two
    events = TrueEvents(recording, ("micro", "macro"))(analyzed[0].curves)
    true = {(event.kind, event.onset): event.track for event in recording.events}
    pairs = list(plan_pairs(analyzed[0].curves, events))
    assert len(pairs) == len(events) == 4
    for pair in pairs:
        points = recording.landmarks(pair.onset, true[pair.event.kind, pair.event.onset])
        eyes = np.hypot(*(points[1] - points[0]))
        assert np.hypot(*(pair.points - points).T).max() < 0.2 * eyes
        left, top, right, bottom = pair.part
        assert (points > [left, top]).all()
        assert (points < [right, bottom]).all()
    stream = FrameStream("two", (Frame(np.full((270, 480, 3), n, np.uint8), "", n, n / 25) for n in range(161)))
    seen = list(collect_pairs(stream, pairs))
    assert sorted(found.pair.place for found in seen) == sorted(pair.place for pair in pairs)
    for found in seen:
        assert (found.onset.pixels == found.pair.onset).all()
        assert (found.apex.pixels == found.pair.apex).all()
        assert found.onset.pixels.shape == found.apex.pixels.shape
        assert (found.motion, found.fault) == (None, "")


@pytest.fixture(scope="module")
def moving():
    """A model that reads the motion of clips."""
    return motion_model(registered=False)


def motion_model(registered):
    spec = replace(QUICK, layout="whole", clip_frames=4, head_motion="register" if registered else "none")
    model = create_model("htnet_dual_stream", mean=(100.0,) * 3, std=(60.0,) * 3).eval()
    with torch.no_grad():
        model.fc[0].weight[:, model.config.dim :].mul_(20)
    model.preprocess_spec = spec
    return model


@pytest.mark.parametrize("registered", [False, True])
def test_a_model_that_reads_motion_is_given_the_whole_event(two, measured, analyzed, registered):
    folder, recording = two
    model = motion_model(registered)
    detector = TrueEvents(recording, ("micro",))
    found = Analyzer(detector, weights=model)(folder / "two.mp4")
    video, predictor = open_video(folder / "two.mp4"), Predictor(model)
    alone = Analyzer(detector, weights=replaced_spec(model))(folder / "two.mp4")
    pairs = {pair.event.onset: pair for pair in plan_pairs(analyzed[0].curves, detector(analyzed[0].curves))}
    assert not [warning for warning in found.warnings if warning.code == "unrecognized"]
    for event, other in zip(found.expressions, alone.expressions, strict=True):
        pair = pairs[event.onset]
        assert pair.onset < pair.apex < pair.last <= event.offset
        points = pair.points.astype(np.float32)
        motion = motion_features(video.between(pair.onset, pair.last), points, predictor.spec)
        assert motion.any()
        taken = video.take((pair.onset, pair.apex))
        expected = predictor.pair(taken[pair.onset], taken[pair.apex], points, motion=motion)
        assert event.probabilities == pytest.approx(expected.probabilities, abs=1e-3)
        far = [abs(event.probabilities[name] - other.probabilities[name]) for name in event.probabilities]
        assert max(far) > 1e-3, "motion has a say"


def replaced_spec(model):
    """The same model, which is shown no motion."""
    other = copy.deepcopy(model)
    other.preprocess_spec = replace(model.preprocess_spec, clip_frames=0)
    return other


def test_an_event_whose_motion_cannot_be_measured_is_not_answered_without(two, measured, moving, monkeypatch):
    def lost(motion, frame):
        raise FlowError("the head left the frame")

    folder, recording = two
    monkeypatch.setattr(ClipMotion, "add", lost)
    found = Analyzer(TrueEvents(recording, ("micro",)), weights=moving)(folder / "two.mp4")
    assert [event.label for event in found.events] == [None, None]
    (warning,) = [warning for warning in found.warnings if warning.code == "unrecognized"]
    assert "the head left the frame" in warning.message


def test_motion_is_given_to_models_that_read_it(moving, model):
    frames, still = np.zeros((2, 64, 64, 3), np.uint8), np.zeros((4, 64), np.float32)
    with pytest.raises(InputError, match="does not read the motion of a clip"):
        Predictor(model).pair(*frames, POINTS, motion=still)
    for wrong in (still[:2], still[0], np.full_like(still, np.nan)):
        with pytest.raises(InputError, match="reads 4 rows of finite features"):
            Predictor(moving).pair(*frames, POINTS, motion=wrong)


def test_pictures_show_onset_apex_and_flow(analyzed):
    found, _ = analyzed
    places = [place for place, event in enumerate(found.events) if event.kind in ("micro", "macro")]
    assert sorted(found.pictures) == places
    for pictures in found.pictures.values():
        shown = [cv2.imdecode(np.frombuffer(part, np.uint8), 1) for part in (pictures.onset, pictures.apex)]
        assert shown[0].shape == shown[1].shape
        assert max(shown[0].shape) <= 200
        flow = cv2.imdecode(np.frombuffer(pictures.flow, np.uint8), 1)
        assert flow.shape == (200, 200, 3)
        # Which weak events are found depends on the rounding of the processor; the weakest seen had 0.28 px.
        assert pictures.longest > 0.15


def test_progress_tells_stage_and_time(two, analyzed):
    _, recording = two
    _, told = analyzed
    stages = [stage for stage, _ in told]
    assert stages == sorted(stages, key=STAGES.index)
    measured = [time for stage, time in told if stage == "measuring"]
    assert len(measured) == len(recording)
    assert measured[-1] == pytest.approx(recording.duration, abs=0.01)
    read = [time for stage, time in told if stage == "recognizing"]
    last = max(event.apex for event in recording.events if event.kind in ("micro", "macro"))
    assert len(read) == last + 1, "nothing is read beyond the last frame that is needed"


def test_the_document_comes_back(analyzed, tmp_path):
    found, _ = analyzed
    document = found.to_dict()
    (tmp_path / "a.json").write_text(to_json(document), "utf-8")
    again = read_analysis(tmp_path / "a.json")
    assert again.to_dict() == json.loads(to_json(document))
    assert (again.events, again.faces, again.curves) == (found.events, found.faces, None)
    jsonschema = pytest.importorskip("jsonschema", reason="part of the extra dev")
    part = {"$ref": "#/$defs/analysis", "$defs": read_schema()["$defs"]}
    jsonschema.Draft202012Validator(part).validate(json.loads(to_json(document)))


def test_what_is_no_document_is_refused(analyzed, tmp_path):
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        read_analysis(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"a\.json cannot be read: invalid JSON"):
        read_analysis(tmp_path / "a.json")
    with pytest.raises(InputError, match="is not the document 'htnet.analysis'"):
        Analysis.from_dict({"schema": "htnet.spotting", "schema_version": 1})
    document = analyzed[0].to_dict()
    with pytest.raises(InputError, match="lacks a field"):
        Analysis.from_dict({name: value for name, value in document.items() if name != "faces"})
    with pytest.raises(InputError, match="event 1: The kind of an event is 'frown'"):
        Analysis.from_dict({**document, "events": [{**document["events"][0], "kind": "frown"}]})


@pytest.fixture
def measured(monkeypatch, analyzed):
    """The recording need not be measured again."""
    monkeypatch.setattr("htnet.pipeline.analyzing.recording_curves", lambda *given, **options: analyzed[0].curves)


def test_events_alone(two, measured):
    folder, recording = two
    found = analyze(folder / "two.mp4", detector=TrueEvents(recording, ("blink",)), emotions=False, pictures=False)
    assert set(found.counts()) == {"blink"}
    assert (found.model, found.classes, dict(found.pictures)) == (None, (), {})


def test_a_recording_without_a_face_or_an_event(tmp_path, rng):
    blank = [np.full((120, 160, 3), 90 + k % 2, np.uint8) for k in range(12)]
    for number, pixels in enumerate(blank):
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
    found = Analyzer(lambda curves: (), emotions=False)(tmp_path, fps=25)
    assert (found.events, found.faces, found.frames) == ((), (), 12)
    assert [warning.code for warning in found.warnings] == ["no_face"]
    with pytest.raises(InputError, match="have no times"):
        Analyzer(lambda curves: (), emotions=False)(tmp_path)
    with pytest.raises(VideoError, match="does not exist"):
        Analyzer(lambda curves: (), emotions=False)(tmp_path / "none.mp4")


def curves_of(scene):
    return recording_curves(FrameStream("scene", scene, 20.0), scene.finder())


@pytest.fixture(scope="module")
def one_face():
    """A face that is hidden from 1.0 to 1.5 s."""
    scene = Scene(
        lambda time: [] if 1.0 <= time < 1.5 else [Face(300, 180)], np.arange(50) / 20, np.random.default_rng(0)
    )
    return curves_of(scene)


def test_gaps_are_told_with_their_reason(one_face):
    (track,) = one_face.tracks
    face = FollowedFace.of(track)
    (gap,) = face.gaps
    assert gap.reason == "lost"
    assert gap.end == pytest.approx(1.45, abs=0.1)
    assert (gap.first_frame, gap.last_frame) == (round(gap.start * 20), round(gap.end * 20))
    assert face.measured == pytest.approx(2.45 - (gap.end - gap.start) - 0.1, abs=0.11)


def test_of_an_event_in_a_gap_frames_that_are_measured_are_taken(one_face):
    (gap,) = FollowedFace.of(one_face.tracks[0]).gaps
    events = [
        Event("macro", gap.first_frame - 3, gap.last_frame, gap.last_frame + 4),
        Event("micro", gap.first_frame, gap.first_frame + 1, gap.last_frame),
    ]
    pair, lost = plan_pairs(one_face, events)
    assert isinstance(pair, EventPair)
    assert (pair.onset, pair.apex) == (gap.first_frame - 3, gap.last_frame + 1)
    assert isinstance(lost, SeenPair)
    assert "is measured in fewer than two" in lost.fault


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("micro", "must return events"),
        (Event("micro", 3, 4, 900), "that face was not followed there"),
        (Event("micro", 3, 4, 9, track=2), "an event of face 2"),
    ],
)
def test_events_that_cannot_be_are_refused(one_face, event, message):
    with pytest.raises(InputError, match=message):
        checked_events([event], one_face)


@pytest.mark.parametrize("found", [None, 3, "micro", {"micro": 3}])
def test_a_detector_that_returns_no_list_is_refused(one_face, found):
    with pytest.raises(InputError, match="The detector returned .*; it must return a list of events"):
        checked_events(found, one_face)


def test_times_are_those_of_the_frames(one_face):
    (event,) = checked_events([Event("micro", 3, 5, 9)], one_face)
    assert (event.start, event.peak, event.end) == pytest.approx((0.15, 0.25, 0.45))
    (event,) = checked_events([Event("blink", 3, None, 9, end=0.47)], one_face)
    assert (event.start, event.peak, event.end) == (pytest.approx(0.15), None, 0.47)
    (event,) = checked_events([Event("micro", 3, 3, 9, start=0.18)], one_face)
    assert (event.start, event.peak, event.end) == (0.18, 0.18, pytest.approx(0.45))
    (event,) = checked_events([Event("micro", 3, 5, 5, peak=0.27)], one_face)
    assert (event.start, event.peak, event.end) == (pytest.approx(0.15), 0.27, 0.27)


@pytest.mark.parametrize(
    ("times", "name"), [((0.21, 0.25, 0.45), "start"), ((0.15, 0.35, 0.45), "peak"), ((None, None, 12.0), "end")]
)
def test_times_that_are_not_those_of_the_frames_are_refused(one_face, times, name):
    with pytest.raises(InputError, match=rf"micro event from frame 3 to 9: {name} is .* s, but frame \d is at 0\."):
        checked_events([Event("micro", 3, 5, 9, *times)], one_face)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": None}, "The recording is None; give a video file"),
        ({"source": 0}, r"htnet\.recordings\.camera_stream\(0\)"),
        ({"source": ["a.mp4"]}, "to analyze several recordings, call htnet.pipeline.Analyzer"),
        ({"source": np.zeros((9, 9, 9))}, "The recording is an object of type ndarray"),
        ({"fps": 0}, "fps is 0; give a number"),
        ({"progress": 3}, "progress is 3; give a function"),
        ({"on_event": "print"}, "on_event is 'print'; give a function"),
        ({"detector": "a.bin"}, r"load_detector\('a\.bin'\)"),
        ({"detector": 3}, "detector is 3; give a function"),
        ({"emotions": "no"}, "emotions is 'no'; give True or False"),
        ({"emotions": False, "weights": "composite"}, r"emotions=False uses no model, so weights would have no effect"),
        ({"emotions": False, "weights": "composite", "always": True}, "so weights and always would have no effect"),
    ],
)
def test_arguments_of_another_kind_are_refused_before_any_work(given, message, monkeypatch):
    def work(*given, **options):
        raise AssertionError("work was begun")

    for name in ("Predictor", "open_video", "recording_curves"):
        monkeypatch.setattr(f"htnet.pipeline.analyzing.{name}", work)
    with pytest.raises(InputError, match=message):
        analyze(**{"source": "none.mp4", **given})


def test_of_several_faces_events_must_name_one(analyzed):
    curves = analyzed[0].curves
    assert isinstance(curves, RecordingCurves)
    with pytest.raises(InputError, match="has no track"):
        checked_events([Event("micro", 3, 4, 9)], curves)


def test_a_part_holds_the_face_and_stays_in_the_frame():
    part = face_part([[10, 20, 100, 120], [60, 20, 100, 120]], (270, 200))
    assert part == (0, 0, 200, 185)
    assert face_part([[-90, -90, 50, 50]], (270, 480)) == (0, 0, 1, 1)


def test_pairs_that_no_frame_comes_for_are_told(two, measured, monkeypatch):
    folder, recording = two
    analyzer = Analyzer(TrueEvents(recording, ("micro",)), weights=tiny_model(QUICK))
    monkeypatch.setattr("htnet.pipeline.analyzing.collect_pairs", lambda *given: iter(()))
    found = analyzer(folder / "two.mp4")
    assert {event.label for event in found.events} == {None}
    (warning,) = (one for one in found.warnings if one.code not in ("small_face", "lossy_video"))
    assert warning.code == "unrecognized"
    assert "could not be read a second time" in warning.message


@pytest.mark.parametrize("always", [False, True])
def test_an_event_whose_frames_show_no_expression_keeps_its_kind(two, measured, monkeypatch, always):
    folder, recording = two
    monkeypatch.setattr("htnet.preprocess.preprocessor.expression_probability", lambda *frames: 0.2)
    analyzer = Analyzer(TrueEvents(recording, ("micro",)), weights=tiny_model(QUICK), always=always, pictures=False)
    found = analyzer(folder / "two.mp4")
    assert len(found.events) == 2
    for event in found.events:
        assert (event.kind, event.expression) == ("micro", 0.2)
        assert event.label == (event.emotion if always else NO_EXPRESSION)
        assert event.emotion in found.classes
