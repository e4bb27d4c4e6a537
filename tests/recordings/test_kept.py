"""A measurement that is interrupted goes on where it was, and comes to the same result."""

import json
import os
import pickle
import warnings
from dataclasses import fields, replace

import numpy as np
import pytest

import htnet.recordings.kept as keeping
from htnet.core.errors import InputError, WeightsError
from htnet.pipeline.analysis_files import AnalysisJob, analyze_files
from htnet.preprocess import open_video
from htnet.recordings import FaceTrack, FrameStream, KeptProgress, RecordingCurves, recording_curves
from htnet.recordings.faces import YuNetFaces
from htnet.recordings.tracks import Tracker
from tests.recordings.scenes import Face, Scene, TrueFaces
from tests.support.videos import write_video

#: Frames a second, all of them, and where another shot begins, s.
RATE, COUNT, CUT = 20, 40, 0.6


def faces_at(time):
    """One face, then a cut to two, of which one hides for a while."""
    if time < CUT:
        return [Face(300, 180)]
    return [Face(200, 180)] if 1.2 <= time < 1.4 else [Face(200 + 8 * time, 180), Face(450, 180)]


class Finder(TrueFaces):
    """Knows the faces, and is off alike whenever it looks at a frame, as a network is."""

    def everywhere(self, frame):
        self.rng = np.random.default_rng(frame.number)
        return super().everywhere(frame)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    scene = Scene(faces_at, np.arange(COUNT) / RATE, np.random.default_rng(0))
    path = tmp_path_factory.mktemp("scene") / "scene.avi"
    return open_video(write_video(path, [f.pixels if f.time >= CUT else 255 - f.pixels for f in scene], fps=RATE))


@pytest.fixture(scope="module")
def whole(video):
    return recording_curves(video, Finder(faces_at))


@pytest.fixture
def steps(monkeypatch):
    """Numbers of the frames that were measured, each as often as it was."""
    told, step = [], Tracker.step

    def counted(self, frame):
        told.append(frame.number)
        step(self, frame)

    monkeypatch.setattr(Tracker, "step", counted)
    monkeypatch.setattr(keeping, "EVERY", 0.0)
    monkeypatch.setattr(keeping, "_SHARE", 0)
    return told


class KilledError(Exception):
    pass


def killed_at(*frames):
    """A progress that dies at each of some frames in turn."""
    left = list(frames)

    def progress(frame):
        if left and frame.number == left[0]:
            left.pop(0)
            raise KilledError

    return progress


def same(one, other):
    assert [len(track) for track in one.tracks] == [len(track) for track in other.tracks]
    for first, second in zip(one.tracks, other.tracks, strict=True):
        for field in fields(FaceTrack):
            a, b = (getattr(track, field.name) for track in (first, second))
            assert (a == b) if isinstance(a, int | tuple) else (a.dtype == b.dtype and a.tobytes() == b.tobytes())
    plain = [field.name for field in fields(RecordingCurves) if field.name != "tracks"]
    assert [getattr(one, name) for name in plain] == [getattr(other, name) for name in plain]


def test_it_goes_on_where_it_was(video, whole, steps, tmp_path):
    assert len(whole.tracks) >= 2
    assert whole.cuts
    moments = (3, 11, 12, 13, 25, 30, 39)
    progress = killed_at(*moments)
    for _ in moments:
        with pytest.raises(KilledError):
            recording_curves(video, Finder(faces_at), progress=progress, kept=KeptProgress(tmp_path / "a"))
    told = []
    found = recording_curves(video, Finder(faces_at), progress=told.append, kept=KeptProgress(tmp_path / "a"))
    assert steps == list(range(COUNT)), "each frame is measured once"
    assert len(told) == COUNT, "and told each time"
    same(found, whole)
    same(recording_curves(video, Finder(faces_at), kept=KeptProgress(tmp_path / "a")), whole)
    assert len(steps) == COUNT
    KeptProgress(tmp_path / "a").remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def part(video, steps, tmp_path):
    """What is kept of half of the recording."""
    with pytest.raises(KilledError):
        recording_curves(video, Finder(faces_at), progress=killed_at(20), kept=KeptProgress(tmp_path / "a"))
    steps.clear()
    return tmp_path / "a"


def damaged(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damaged, "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "is damaged"),
        (lambda path: path.write_bytes(b""), "is not the stored progress"),
        (lambda path: path.write_bytes(b"3\n"), "is not the stored progress"),
        (lambda path: path.write_bytes(b'{"version": 0, "key": {}}\n'), "is the progress of something else"),
    ],
)
def test_what_is_damaged_is_ignored_with_a_message(video, whole, steps, part, change, message):
    change(part)
    with pytest.warns(UserWarning, match=f"{message}.*measured from its beginning"):
        found = recording_curves(video, Finder(faces_at), kept=KeptProgress(part))
    assert steps == list(range(COUNT))
    same(found, whole)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("modified", lambda video, monkeypatch: os.utime(video.source, ns=(1, 1))),
        ("fps", lambda video, monkeypatch: replace(video, fps=25.0, timed=False)),
        ("part", lambda video, monkeypatch: video.between(5, COUNT - 1)),
        ("code", lambda video, monkeypatch: monkeypatch.setattr(keeping, "_code", lambda: "new")),
        ("content", lambda video, monkeypatch: monkeypatch.setattr(keeping, "_PIECE", 100)),
    ],
)
def test_what_was_kept_of_something_else_is_ignored(video, steps, part, name, change, monkeypatch):
    changed = change(video, monkeypatch) or video
    with pytest.warns(UserWarning, match=f"progress of something else: .*{name}.* differ"):
        recording_curves(changed, Finder(faces_at), kept=KeptProgress(part))
    assert len(steps) in (COUNT - 5, COUNT)


def test_another_finder_begins_anew(video, part):
    class Other(Finder):
        pass

    with pytest.warns(UserWarning, match="progress of something else: finder differ"):
        recording_curves(video, Other(faces_at), kept=KeptProgress(part))


def test_a_finder_with_other_settings_or_code_begins_anew(video, part):
    message = "progress of something else: finder differ"
    with pytest.warns(UserWarning, match=message):
        recording_curves(video, Finder(lambda time: faces_at(time)), kept=KeptProgress(part))


def test_the_model_file_of_the_finder_counts(tmp_path):
    one, other = (YuNetFaces(model) for model in (None, tmp_path / "other.onnx"))
    assert recording_key_of(one) == recording_key_of(YuNetFaces())
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        recording_key_of(other)


def recording_key_of(finder):
    return keeping.describe(finder)


@pytest.mark.parametrize("evil", [os.system, pickle.loads, eval, keeping.platform.platform, np.save])
def test_nothing_else_than_data_is_read(video, steps, part, evil, tmp_path):
    class Evil:
        def __reduce__(self):
            return evil, ("touch made",)

    head = part.read_bytes().split(b"\n", 1)[0] + b"\n"
    content = pickle.dumps(Evil())
    part.write_bytes(head + content + keeping.hashlib.sha256(content).digest())
    with pytest.warns(UserWarning, match="cannot be read"):
        recording_curves(video, Finder(faces_at), kept=KeptProgress(part))
    assert not os.path.exists("made")


def test_a_folder_that_cannot_be_written_does_not_end_it(video, whole, steps, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be stored") as caught:
        same(recording_curves(video, Finder(faces_at), kept=KeptProgress(tmp_path / "file" / "a")), whole)
    assert len(caught) == 1


def test_a_stream_is_not_kept(tmp_path):
    with pytest.raises(InputError, match="leave kept out"):
        recording_curves(FrameStream("camera", []), kept=KeptProgress(tmp_path / "a"))


def test_it_is_written_now_and_then(video, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(KeptProgress, "_write", lambda self, state, finder: written.append(type(state).__name__))
    recording_curves(video, Finder(faces_at), kept=KeptProgress(tmp_path / "a"))
    assert written == ["RecordingCurves"], "a short recording only in the end"


def test_overwrite_begins_anew(video, tmp_path, monkeypatch):
    (tmp_path / ".scene.part").write_bytes(b"kept")
    job = AnalysisJob(tmp_path, emotions=False, overwrite=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (done,) = analyze_files([video.source], job)
    assert json.loads((tmp_path / "scene.json").read_text("utf-8"))["frame_count"] == COUNT
    assert (done.fault, (tmp_path / ".scene.part").exists()) == ("", False)
