"""What is done with uploads: what the public faces say, word for word; and the process that does it."""

import json
import os
import signal
import threading

import cv2
import numpy as np
import pytest

import htnet
from htnet.core.errors import FrameError, RunError, VideoError
from htnet.web.settings import EndedError, ServeSettings, TooLargeError
from htnet.web.worker import AnswerError, Question, Worker, answer, offered
from tests.web.conftest import SAMPLE, gray_16

SETTINGS = ServeSettings()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of a request, which is the working folder of a worker."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(question, settings=SETTINGS):
    return answer(question, settings, lambda stage, at: None)


def write_video(path, frames=16):
    """The example pair as a clip: rest, then the motion from onset to apex."""
    onset, apex = (cv2.imread(str(SAMPLE / name)).astype(np.float32) for name in ("onset.png", "apex.png"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (224, 224))
    for k in range(frames):
        share = min(max((k - 5) / 6, 0), 1)
        writer.write(np.uint8(np.round((1 - share) * onset + share * apex)))
    writer.release()
    return path


def test_a_pair_is_answered_as_in_python(place):
    for name in ("onset.png", "apex.png"):
        (place / name).write_bytes((SAMPLE / name).read_bytes())
    found = ask(Question("pair", ("onset.png", "apex.png"), "synthetic"))
    expected = htnet.Predictor("synthetic").pair("onset.png", "apex.png").to_dict()
    assert json.loads(found.document) == json.loads(json.dumps(expected))
    assert ">positive</p>" in found.report
    assert str(place) not in found.document + found.report


def test_16_bit_gray_pictures_are_read_right(place):
    for name in ("onset.png", "apex.png"):
        gray, content = gray_16(name)
        (place / f"16_{name}").write_bytes(content)
        cv2.imwrite(f"8_{name}", gray)
    wide, plain = (
        json.loads(ask(Question("pair", (f"{bits}_onset.png", f"{bits}_apex.png"), "synthetic")).document)
        for bits in (16, 8)
    )
    assert wide["prediction"] == "positive"
    for name in ("probabilities", "expression", "flow"):
        assert wide[name] == plain[name]


def test_a_clip_and_a_recording(place):
    write_video(place / "clip.avi")
    clip = ask(Question("clip", ("clip.avi",), "synthetic", faces=False))
    found = json.loads(clip.document)
    assert (found["schema"], found["spotting"]["apex_frame"] > 5) == ("htnet.prediction", True)
    assert "Pictures of faces were left out" in clip.report
    told = []
    question = Question("recording", ("clip.avi",), "synthetic", fps=50.0)
    recording = answer(question, SETTINGS, lambda *at: told.append(at))
    found = json.loads(recording.document)
    assert (found["schema"], found["fps"], found["frame_count"]) == ("htnet.analysis", 50.0, 16)
    assert 'id="timeline"' in recording.report
    assert told[0][0] == "measuring"


@pytest.mark.parametrize(
    "content",
    [b"ffconcat version 1.0\nfile other.avi\n", b"#EXTM3U\n#EXTINF:1,\nother.avi\n", b"", b"RIFFxxxxWAVE", b"<html>"],
)
def test_only_videos_are_opened(place, content):
    """FFmpeg goes by content: a text of this kind makes it open the files that it names."""
    write_video(place / "other.avi")
    (place / "clip.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=r"clip\.mp4 is not a video"):
        ask(Question("recording", ("clip.mp4",), "synthetic"))


def test_frames_may_not_be_too_large(place):
    write_video(place / "clip.avi", frames=2)
    with pytest.raises(TooLargeError, match="224x224"):
        ask(Question("clip", ("clip.avi",), "synthetic"), ServeSettings(megapixels=0.01))


def test_what_is_offered():
    names = [one["name"] for one in offered(SETTINGS)]
    assert names[0] == htnet.hub.DEFAULT_WEIGHTS
    assert {"composite", "synthetic-mlp"} < set(names)
    assert "casme3" not in names
    assert all(one["terms"] for one in offered(SETTINGS))
    assert [one["name"] for one in offered(ServeSettings(weights=("composite", "composite")))] == ["composite"]


@pytest.mark.slow
def test_the_process(tmp_path):
    """Its answers and errors, and that it is there again after it had to be ended."""
    worker = Worker(ServeSettings(weights=("synthetic",), megapixels=0.2))
    question = Question("pair", ("onset.png", "apex.png"), "synthetic")

    def asked(**more):
        return worker.ask(Question(**{**vars(question), **more}), tmp_path, lambda *at: None, threading.Event())

    try:
        for name in ("onset.png", "apex.png"):
            (tmp_path / name).write_bytes((SAMPLE / name).read_bytes())
        assert [one["name"] for one in worker.ready()] == ["synthetic"]
        assert json.loads(asked().document)["prediction"] == "positive"
        # A picture of many pixels is refused before memory is spent: OpenCV looks at its head.
        cv2.imwrite(str(tmp_path / "large.png"), np.zeros((500, 500, 3), np.uint8))
        with pytest.raises(AnswerError, match="500x500 px, but this server accepts at most 0.2 megapixels") as error:
            asked(files=("onset.png", "large.png"))
        assert (error.value.told["type"], error.value.told["status"]) == ("FrameError", 422)
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(RunError, match="ended without an answer"):
            asked()
        assert json.loads(asked().document)["prediction"] == "positive"
        with pytest.raises(EndedError, match="longer than 600 s"):
            worker._receive(0.0)
        stopped = threading.Event()
        stopped.set()
        write_video(tmp_path / "long.avi", frames=300)
        before = worker._process
        with pytest.raises(EndedError, match="cancelled"):
            worker.ask(Question("recording", ("long.avi",), "synthetic"), tmp_path, lambda *at: None, stopped)
        assert not before.is_alive()
    finally:
        worker.close()
    assert not worker._process.is_alive()


def test_pictures_of_too_many_pixels_are_told(monkeypatch, tmp_path):
    from htnet.preprocess import picture_reader, read_frame

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    error = cv2.error("too many")
    error.func = "validateInputImageSize"

    class Small:
        """OpenCV that may read few pixels."""

        def __getattr__(self, name):
            return getattr(cv2, name)

        def imdecode(self, *given):
            raise error

    monkeypatch.setattr(picture_reader, "load_opencv", Small)
    with pytest.raises(FrameError, match="OPENCV_IO_MAX_IMAGE_PIXELS"):
        read_frame(tmp_path / "a.png")
