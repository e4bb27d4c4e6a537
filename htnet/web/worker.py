"""Worker processes, which answer requests, and the class that controls such a process.

A process can be killed if a request takes too long, and the server survives if a damaged file crashes a decoder.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htnet.core.errors import FrameError, HtnetError, InputError, LandmarkError, RunError, VideoError, cause
from htnet.core.lazy import loading
from htnet.core.limits import read_file
from htnet.web.settings import BusyError, EndedError, RequestError, ServeSettings, TooLargeError

if TYPE_CHECKING:
    from htnet.pipeline import Predictor

#: Kinds of questions: about two pictures, a video with one expression, or a recording.
KINDS = ("pair", "clip", "recording")
#: First bytes of video files that contain their own frames, except RIFF and MP4, which `container_kind` recognizes.
#: FFmpeg would open the files listed in a text file, such as ffconcat, whatever the extension of the upload.
_VIDEO_HEADS = (b"FLV\x01", b"OggS", b"GIF8", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\0\0\x01\xba", b"\0\0\x01\xb3")
_TS_PACKET = 188
# Interval at which a waiting parent checks the time, s.
_LOOK = 0.1


@dataclass(frozen=True)
class Question:
    """A request.

    Attributes:
        kind: one of `KINDS`.
        files: paths of onset and apex, or of the video, relative to the folder of the request.
        weights: name of the weights, one of those that are offered.
        always: predict a class even if there is no expression.
        bit_depth: bits per value in 16-bit pictures; None to use what the files state.
        fps: frames per second of the video; None for that of the file.
        faces: show pictures of faces in the report.
    """

    kind: str
    files: tuple[str, ...]
    weights: str
    always: bool = False
    bit_depth: int | None = None
    fps: float | None = None
    faces: bool = True


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        document: the prediction or analysis as a JSON document.
        report: the prediction or analysis as an HTML page.
    """

    document: str
    report: str


def answer(question: Question, settings: ServeSettings, tell: Callable[[str, float], None]) -> Answer:
    """Answer a question with the public functions of htnet. File names are relative to the working directory.

    Args:
        question: the question.
        settings: limits, and the device.
        tell: called with the current stage and the time of the recording that it has reached, s.

    Raises:
        HtnetError: a file cannot be used.
    """
    with loading():
        from htnet.core.schema import to_json
        from htnet.pipeline import Analyzer, spot_video
        from htnet.pipeline.prediction_report import prediction_report_text
        from htnet.pipeline.report import report_text
        from htnet.preprocess import open_video, read_pair

    if question.kind == "pair":
        predictor = _predictor(question.weights, settings.device, question.bit_depth, question.always)
        onset, apex = question.files
        for file in question.files:
            _check_picture(Path(file), settings)
        frames = read_pair(onset, apex, question.bit_depth)
        prediction = predictor.pair(*frames)
    else:
        (file,) = question.files
        _check_video(Path(file))
        video = open_video(file, fps=question.fps)
        if video.size[0] * video.size[1] > settings.megapixels * 1e6:
            height, width = video.size
            raise TooLargeError(
                f"The frames of {file} have {width}x{height} px, but this server accepts at most "
                f"{settings.megapixels:g} megapixels. Give a smaller video."
            )
        if question.kind == "recording":
            analyzer = Analyzer(weights=question.weights, device=settings.device, always=question.always)
            found = analyzer(video, progress=tell)
            return Answer(to_json(found.to_dict()), report_text(found, faces=question.faces))
        predictor = _predictor(question.weights, settings.device, None, question.always)
        spotted = spot_video(video)
        prediction = predictor.spotted(spotted)
        used = spotted.spotting.onset, spotted.spotting.apex
        taken = spotted.take(*used)
        frames = taken[used[0]], taken[used[1]]
    report = prediction_report_text(prediction, *frames, spec=predictor.spec, faces=question.faces)
    return Answer(to_json(prediction.to_dict()), report)


@lru_cache(maxsize=8)
def _predictor(weights: str, device: str, bit_depth: int | None, always: bool) -> Predictor:
    with loading():
        from htnet.pipeline import Predictor

    return Predictor(weights, device=device, bit_depth=bit_depth, always=always)


def _check_picture(path: Path, settings: ServeSettings) -> None:
    """Check the size that the header states, before OpenCV does: its message is meant for whoever runs the server."""
    with loading():
        from htnet.preprocess.pictures import picture_size

    size = picture_size(read_file(path))
    if size is not None and size[0] * size[1] > settings.megapixels * 1e6:
        raise FrameError(
            f"{path} has {size[0]}x{size[1]} px, but this server accepts at most {settings.megapixels:g} megapixels. "
            "Give a smaller picture."
        )


def _check_video(path: Path) -> None:
    """Check by its content that a file is a video: FFmpeg would open the files that are listed in a text file."""
    with loading():
        from htnet.preprocess.video.containers import container_kind

    with path.open("rb") as file:
        head = file.read(_TS_PACKET + 1)
    stream = len(head) > _TS_PACKET and head[0] == head[_TS_PACKET] == 0x47
    if not (container_kind(path) not in ("", "cine") or head.startswith(_VIDEO_HEADS) or stream):
        raise VideoError(
            f"{path} is not a video, or its format is not supported by this page. Give MP4, MOV, AVI, Matroska, "
            "WebM, MPEG, FLV, ASF, Ogg or GIF."
        )


def offered(settings: ServeSettings) -> list[dict[str, str]]:
    """The weights that can be chosen: name, description and terms of use of each.

    Raises:
        WeightsError, ModelError: the weights in the settings cannot be used.
    """
    with loading():
        from htnet.core.registry import input_kind
        from htnet.core.types import DEFAULT_WEIGHTS
        from htnet.hub import list_pretrained
        from htnet.hub.registry import find_pretrained

    if settings.weights:
        shown = []
        for name in dict.fromkeys(settings.weights):
            _predictor(name, settings.device, None, False)
            spec = find_pretrained(name)
            told = ("", "") if spec is None else (spec.description, spec.license)
            shown.append({"name": name, "description": told[0], "terms": told[1]})
        return shown
    specs = [spec for spec in list_pretrained() if spec.bundled and input_kind(spec.model) == "flow"]
    specs.sort(key=lambda spec: spec.name != DEFAULT_WEIGHTS)
    _predictor(DEFAULT_WEIGHTS, settings.device, None, False)
    return [{"name": spec.name, "description": spec.description, "terms": spec.license} for spec in specs]


def status_of(error: HtnetError) -> int:
    """The HTTP status of an error: 422 if a file cannot be used, 500 if the server is at fault."""
    if isinstance(error, RequestError | BusyError):
        return error.status
    return 422 if isinstance(error, InputError | LandmarkError) else 500


def told(error: BaseException) -> dict[str, Any]:
    """An error as data: type, message, HTTP status."""
    if isinstance(error, HtnetError):
        return {"type": type(error).__name__, "message": str(error), "status": status_of(error)}
    return {
        "type": "ServerError",
        "message": f"The server failed ({cause(error)}). This is an error of the server; see its log.",
        "status": 500,
    }


def run(pipe: Connection, settings: ServeSettings) -> None:
    """Answer questions until the parent closes the pipe. This is the main function of a worker process."""
    # Ctrl-C signals the whole process group, but accepted requests are to be finished.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # OpenCV reads this variable once, when it is loaded.
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(int(settings.megapixels * 1e6))
    home = os.getcwd()
    try:
        with loading():
            import torch

            from htnet.core.parallel import cores

        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() // settings.workers)))
        pipe.send(("ready", offered(settings)))
    except BaseException as error:
        if not isinstance(error, HtnetError):
            traceback.print_exc()
        pipe.send(("failed", told(error)))
        return
    while True:
        try:
            question, folder = pipe.recv()
        except EOFError:
            return
        os.chdir(folder)
        try:
            pipe.send(("answer", answer(question, settings, _teller(pipe))))
        except BrokenPipeError:
            return
        except BaseException as error:
            if not isinstance(error, HtnetError):
                traceback.print_exc()
            pipe.send(("error", told(error)))
        finally:
            os.chdir(home)


def _teller(pipe: Connection) -> Callable[[str, float], None]:
    """A function that reports progress to the parent, at most about three times a second."""
    last = [0.0]

    def tell(stage: str, at: float) -> None:
        now = time.monotonic()
        if now - last[0] > 0.3:
            last[0] = now
            pipe.send(("progress", stage, at))

    return tell


class AnswerError(Exception):
    """A question ended with an error, which was sent as data.

    Attributes:
        told: type, message and status, see `told`.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content["message"])
        self.told = content


class Worker:
    """A process that answers questions, one at a time. It is restarted after it had to be killed."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        self._ready: list[dict[str, str]] | None = None

    def ready(self) -> list[dict[str, str]]:
        """Wait until the models are loaded; returns the weights that are offered.

        Raises:
            AnswerError: the models cannot be loaded.
            RunError: the process ended.
        """
        if self._ready is None:
            kind, content = self._receive(None)
            if kind == "failed":
                raise AnswerError(content)
            self._ready = content
        return self._ready

    def ask(
        self, question: Question, folder: Path, tell: Callable[[str, float], None], stopped: threading.Event
    ) -> Answer:
        """Answer a question about the files in a folder.

        Args:
            question: the question.
            folder: folder of its files.
            tell: called with the current stage and the time of the recording that it has reached, s.
            stopped: set by the caller when the answer is no longer wanted.

        Raises:
            AnswerError: answering failed with an error.
            EndedError: it took too long, or was cancelled.
            RunError: the process ended.
        """
        try:
            self.ready()
            until = time.monotonic() + self._settings.work_seconds
            self._pipe.send((question, str(folder)))
            while True:
                kind, *content = self._receive(until, stopped)
                if kind == "answer":
                    found: Answer = content[0]
                    return found
                if kind == "error":
                    raise AnswerError(content[0])
                tell(*content)
        except (BusyError, RunError, OSError):
            self._end()
            if not self._closed:
                self._start()
            raise

    def _receive(self, until: float | None, stopped: threading.Event | None = None) -> Any:
        try:
            while not self._pipe.poll(_LOOK):
                if until is not None and time.monotonic() > until:
                    raise EndedError(
                        f"Processing took longer than {self._settings.work_seconds:g} s, the limit of this server, and "
                        "was stopped. Give a shorter or smaller video, or analyze it with htnet analyze."
                    )
                if stopped is not None and stopped.is_set():
                    raise EndedError("The request was cancelled.")
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RunError(
                "The worker process ended without an answer: the file crashed a decoder, or there is too little "
                "memory. The process was restarted; the file was not kept. Convert the file, or give a smaller one."
            ) from error

    def _end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def close(self) -> None:
        """End the process."""
        self._closed = True
        self._end()


def log(text: str) -> None:
    """Print a line to standard error."""
    print(f"htnet serve: {text}", file=sys.stderr, flush=True)
