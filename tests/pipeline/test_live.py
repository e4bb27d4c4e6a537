"""A stream that is read once: what is found while it runs is what is found in the file."""

import functools

import cv2
import numpy as np
import pytest

import htnet.pipeline.live as live
from htnet.core.errors import InputError, VideoError
from htnet.pipeline import Analyzer, analysis_files, read_analysis
from htnet.pipeline.event_pairs import FaceCrop
from htnet.pipeline.live import cut_out, on_one_canvas
from htnet.recordings import FEATURES, FrameStream, camera_stream, recording_stream
from htnet.types import Event, Frame
from tests.pipeline.test_analysis import motion_model
from tests.recordings.scenes import Face, Scene
from tests.support.pairs import QUICK, tiny_model
from tests.support.recordings import TrueEvents


class Windowed:
    """A detector that finds what is true and lies whole inside the curves, as a real one does."""

    def __init__(self, true):
        self.true, self.windows = true, []

    def __call__(self, curves):
        self.windows.append((curves.tracks[0].times[0], curves.duration) if curves.tracks else None)
        spans = {track.number: (track.frames[0], track.frames[-1]) for track in curves.tracks}
        found = [] if not curves.tracks else self.true(curves)
        return [e for e in found if spans[e.track][0] <= e.onset and e.offset <= spans[e.track][1]]


@pytest.fixture(scope="module")
def watched(two, model):
    folder, recording = two
    told, windows = [], Windowed(TrueEvents(recording))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WINDOW": 4.0, "HOP": 0.5, "GUARD": 0.5, "_HELD": 4.0}.items():
            patch.setattr(live, name, value)
        analyzer = Analyzer(windows, weights=model)
        stream = FrameStream("camera 7", recording_stream(folder / "two.mp4"))
        found = analyzer(stream, on_event=lambda event: told.append((event, len(windows.windows))))
    return found, told, windows.windows


def test_a_stream_has_the_events_of_the_file(watched, analyzed):
    found, _, _ = watched
    truth = analyzed[0]
    assert [(e.kind, e.onset, e.apex, e.offset, e.track) for e in found.events] == [
        (e.kind, e.onset, e.apex, e.offset, e.track) for e in truth.events
    ]
    assert (found.sample, found.video) == ("camera 7", None)
    assert [warning for warning in found.warnings if warning.code == "unrecognized"] == []
    for event, other in zip(found.expressions, truth.expressions, strict=True):
        assert event.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert event.expression == pytest.approx(other.expression, abs=1e-3)
    assert sorted(found.pictures) == sorted(truth.pictures)


def test_looking_on_the_way_changes_no_curve(watched, analyzed):
    for one, other in zip(watched[0].curves.tracks, analyzed[0].curves.tracks, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_allclose(one.features, other.features, atol=1e-4, equal_nan=True)
        np.testing.assert_allclose(one.points, other.points, atol=1e-3, equal_nan=True)


def test_events_are_told_while_it_runs_and_windows_stay_short(watched):
    found, told, windows = watched
    assert len(told) == len(found.events)
    assert told[0][1] < len(windows) / 2, "long before the end"
    spans = [end - start for start, end in windows]
    assert max(spans) <= 4.1
    assert len(windows) > 8


def test_the_last_seconds_are_as_the_whole(rng):
    scene = Scene(lambda time: [Face(300, 180)], np.arange(60) / 20, rng)
    tracker = live.Tracker(scene.finder())
    for frame in scene:
        tracker.step(frame)
    (recent,) = tracker.recent(1.5)
    (whole,) = tracker.finish()
    assert recent.frames.tolist() == list(range(30, 60))
    np.testing.assert_array_equal(recent.times, whole.times[30:])
    names = [name for name in FEATURES if name.endswith("_0.2s")]
    for name in names:
        np.testing.assert_allclose(recent.feature(name)[6:], whole.feature(name)[36:], atol=1e-6)
    assert tracker.numbers == (0,)


def test_faces_that_are_not_held_any_more_are_told(two, analyzed, monkeypatch):
    folder, recording = two
    monkeypatch.setattr(live, "_BYTES", 1000)
    monkeypatch.setattr(live, "Tracker", functools.partial(Replayed, analyzed[0].curves))
    analyzer = Analyzer(Windowed(TrueEvents(recording, ("micro",))), weights=tiny_model(QUICK))
    found = analyzer(FrameStream("camera", recording_stream(folder / "two.mp4")))
    (warning,) = (one for one in found.warnings if one.code != "small_face")
    assert (warning.code, len(found.events)) == ("unrecognized", 2)
    assert "no longer in memory" in warning.message


def test_a_model_that_reads_motion_is_given_it_of_a_stream(two, analyzed, monkeypatch):
    folder, recording = two
    monkeypatch.setattr(live, "Tracker", functools.partial(Replayed, analyzed[0].curves))
    monkeypatch.setattr("htnet.pipeline.analyzing.recording_curves", lambda *given, **options: analyzed[0].curves)
    analyzer = Analyzer(Windowed(TrueEvents(recording, ("micro",))), weights=motion_model(registered=False))
    of_file = analyzer(folder / "two.mp4")
    of_stream = analyzer(FrameStream("camera", recording_stream(folder / "two.mp4")))
    assert len(of_stream.events) == 2
    for event, other in zip(of_stream.events, of_file.events, strict=True):
        assert event.probabilities == pytest.approx(other.probabilities, abs=0.02)


class Replayed:
    """A tracker that knows what will be found."""

    def __init__(self, curves, finder):
        self.curves, self.cuts, self.frames, self.size, self.time = curves, [], 0, (0, 0), 0.0
        self.numbers = tuple(track.number for track in curves.tracks)
        self.short = []

    def step(self, frame):
        self.frames, self.size, self.time = self.frames + 1, frame.size, frame.time

    def followed(self):
        for track in self.curves.tracks:
            yield track.number, track.boxes[min(self.frames, len(track)) - 1].astype(np.float64)

    def recent(self, since):
        return self.curves.tracks

    def finish(self):
        return self.curves.tracks


def test_an_interruption_ends_the_watching(rng):
    def frames():
        for number in range(20):
            yield Frame(np.full((120, 160, 3), 90 + number % 2, np.uint8), "", number, number / 20)
        raise KeyboardInterrupt

    found = Analyzer(lambda curves: (), emotions=False)(FrameStream("camera", frames()))
    assert (found.frames, found.faces) == (20, ())
    with pytest.raises(InputError, match="fps is for files"):
        Analyzer(lambda curves: (), emotions=False)(FrameStream("camera", frames()), fps=30)


class StandIn:
    """A camera that shows 30 frames."""

    def __init__(self, number):
        self.left, self.there = 30, number == 0

    def isOpened(self):  # noqa: N802
        return self.there

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((120, 160, 3), self.left, np.uint8)

    def release(self):
        self.there = False


def test_the_command_watches_a_camera(tmp_path, succeed, run, monkeypatch):
    clock = iter(np.arange(1000) / 20)
    camera = functools.partial(camera_stream, open_camera=StandIn, clock=lambda: float(next(clock)))
    monkeypatch.setattr(analysis_files, "camera_stream", camera)
    monkeypatch.setattr(analysis_files, "load_detector", lambda path=None: lambda curves: ())
    analysis_files._analyzer.cache_clear()
    words = ("analyze", "--camera", "0", "--seconds", "1", "--out", tmp_path, "--no-emotions")
    out = succeed(*words)
    assert "camera 0: 1.0 s, 0 faces; no events" in out
    assert read_analysis(tmp_path / "camera_0.json").frames == 21
    status, _, err = run(*words)
    assert status == 2
    assert "already exists" in err
    analysis_files._analyzer.cache_clear()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "o"], "Give videos or folders of frames, or --camera"),
        (["a.mp4", "--camera", "0", "--out", "o"], "Give videos or --camera N, not both."),
        (["--camera", "0", "--workers", "1", "--out", "o"], "--workers is for recordings"),
        (["--camera", "-1", "--out", "o"], "--camera is -1; give a whole number"),
        (["--camera", "0", "--seconds", "nan", "--out", "o"], "--seconds is nan; give a number"),
        (["--camera", "0", "--seconds", "0", "--out", "o"], "--seconds is 0.0; give a number"),
        (["a.mp4", "--fps", "0", "--out", "o"], "--fps is 0.0; give a number"),
        (["a.mp4", "--workers", "0", "--out", "o"], "--workers is 0; give a whole number"),
        (["a.mp4", "--seconds", "3", "--out", "o"], "--seconds needs --camera"),
        (["--camera", "0", "--fps", "30", "--out", "o"], "--fps is for recordings"),
    ],
)
def test_options_that_do_not_go_together(fail, words, message):
    assert message in fail("analyze", *words)


def test_there_is_no_such_camera(monkeypatch):
    with pytest.raises(VideoError, match="Camera 3 cannot be opened"):
        camera_stream(3, open_camera=StandIn)


def test_a_large_face_is_held_in_less_resolution():
    gradient = np.tile(np.arange(1280, dtype=np.float32) / 5, (720, 1))
    frame = Frame(np.repeat(gradient[..., None], 3, axis=2).astype(np.uint8), "", 0, 0.0)
    small, large = cut_out(frame, np.array([500.0, 200, 200, 250])), cut_out(frame, np.array([301.0, 101, 400, 450]))
    assert (small.shrink, large.shrink) == (1, 2)
    assert large.left % 2 == large.top % 2 == 0
    for crop in (small, large):
        x = crop.left + crop.shrink * (np.arange(crop.pixels.shape[1]) + 0.5) - 0.5
        np.testing.assert_allclose(crop.pixels[5, :, 0], x / 5, atol=1.1)


@pytest.mark.parametrize("shrinks", [(1, 1), (1, 2), (2, 1), (2, 4)])
def test_two_parts_come_to_one_place(shrinks):
    x = np.arange(640, dtype=np.float32)
    whole = np.repeat(np.tile(x / 3, (480, 1))[..., None], 3, axis=2).astype(np.uint8)

    def crop(left, top, side, shrink):
        part = whole[top : top + side, left : left + side]
        small = cv2.resize(part, (side // shrink, side // shrink), interpolation=cv2.INTER_AREA)
        return FaceCrop(small, left, top, shrink)

    one, other = on_one_canvas(crop(104, 96, 200, shrinks[0]), crop(124, 108, 200, shrinks[1]))
    assert one.pixels.shape == other.pixels.shape
    assert (one.left, one.top, one.shrink) == (other.left, other.top, other.shrink)
    height, width = one.pixels.shape[:2]
    shared = np.s_[height // 7 : height * 5 // 6, width // 7 : width * 5 // 6]
    assert np.abs(one.pixels[shared].astype(int) - other.pixels[shared]).max() <= 2


def test_an_event_is_found_once():
    one, late = Event("micro", 10, 12, 20, track=0), Event("micro", 12, 13, 21, track=0)
    assert live._same(one, late)
    assert not live._same(one, Event("micro", 12, 13, 21, track=1))
    assert not live._same(one, Event("micro", 19, 22, 30, track=0))
