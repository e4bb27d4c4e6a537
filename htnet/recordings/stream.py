"""Frames of a recording as a stream, which skips damaged frames and holds only one frame in memory."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from htnet.core.errors import InputError, VideoError
from htnet.core.fields import checked_fps, native, optional, real, whole
from htnet.core.types import ByteArray, Frame, QualityWarning
from htnet.preprocess.frames import byte_pixels
from htnet.preprocess.opencv import load_opencv, quiet_opencv
from htnet.preprocess.video import readers
from htnet.preprocess.video.open import Video, open_video
from htnet.preprocess.video.shots import GAP

#: Why frames of a recording are missing: they cannot be decoded, the recording device dropped them, or it was paused.
MISSING_REASONS = ("damaged", "dropped", "paused")
#: A longer time without a frame, s, counts as a pause of the recording.
PAUSE = 0.25

# Number of frames that may wait between the thread that decodes and the one that computes.
_AHEAD = 8
# Number of failed reads in a row after which a camera counts as disconnected.
_CAMERA_TRIES = 30

Item = TypeVar("Item")


@dataclass(frozen=True)
class Missing:
    """A stretch of a recording without frames.

    Attributes:
        reason: one of `MISSING_REASONS`.
        before: number of the first frame after it.
        start: time of the last frame before it, s.
        end: time of the first frame after it, s; equal to ``start`` at the end of the recording.
        frames: number of frames that cannot be decoded; 0 for other reasons.
        detail: kind of damage, e.g. "cut off (900 of at least 1800 bytes)".
    """

    reason: str
    before: int
    start: float
    end: float
    frames: int = 0
    detail: str = ""


class FrameStream:
    """Frames of a video, a folder of frames or a camera, each with its number and its time in seconds.

    It is read once, from beginning to end, without seeking, and holds only the current frame. Damaged frames do not end
    it: ``missing`` lists the gaps, and grows while the stream is read.

    Attributes:
        source: the file, the folder or the camera.
        fps: frames per second as stated by the source; None if unknown.
        warnings: properties of the video that make measured motion less reliable.
        missing: the gaps so far.
    """

    def __init__(
        self,
        source: str,
        frames: Iterable[Frame | tuple[int, str]],
        fps: float | None = None,
        warnings: tuple[QualityWarning, ...] = (),
    ) -> None:
        """Store the source.

        Args:
            source: name of the source, for messages.
            frames: frames with number and time; in place of each frame that cannot be decoded, its number and the
                reason.
            fps: frames per second; None if unknown.
            warnings: see `FrameStream`.

        Raises:
            InputError: ``fps`` is not a number above 0, or ``frames`` cannot be iterated over.
        """
        if isinstance(frames, (str, bytes)) or not isinstance(frames, Iterable):
            raise InputError(
                f"The frames of {source} are {frames!r}; give an iterable of Frame(pixels, source, number, time). "
                "htnet.recordings.recording_stream reads a file."
            )
        self.source = source
        self.fps = checked_fps(fps, f"fps of {source}")
        self.warnings = warnings
        self.missing: list[Missing] = []
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames.

        Raises:
            VideoError: none of the frames can be decoded.
            FrameError: the pixels of one are not (H, W, 3) uint8; `htnet.preprocess.read_frame` converts them.
            InputError: its frames have no numbers or times, or ones that do not rise, or an item is no frame.
        """
        last: float | None = None
        usual: deque[float] = deque(maxlen=31)
        damage: list[str] = []
        number, before = -1, -1
        for item in self._frames:
            if isinstance(item, tuple) and len(item) == 2:
                number = item[0]
                damage.append(item[1])
                continue
            before = number = self._checked_number(item, before)
            if item.time is None:
                raise InputError(f"The frames of {self.source} have no times; give its frames per second (fps, --fps).")
            if not real().allows(item.time) or (last is not None and item.time <= last):
                after = "" if last is None else f" after {last:.10g}"
                said = f"{item.time:.10g}" if isinstance(item.time, Real) else repr(item.time)
                raise InputError(f"Frame {number} of {self.source} has the time {said} s{after}; give rising times.")
            if damage:
                self._note("damaged", number, item.time if last is None else last, item.time, damage)
                damage = []
            elif last is not None:
                step = item.time - last
                if step > PAUSE:
                    self._note("paused", number, last, item.time)
                elif len(usual) == usual.maxlen and step > GAP * median(usual):
                    self._note("dropped", number, last, item.time)
                usual.append(step)
            last = item.time
            yield replace(item, pixels=byte_pixels(item), number=number, time=float(item.time))
        if last is None:
            raise VideoError(f"{self.source} has no frame that can be decoded; copy or record it again.", 0)
        if damage:
            self._note("damaged", number + 1, last, last, damage)

    def _checked_number(self, frame: Any, before: int) -> int:
        """The number of a frame; events are at these numbers, so frames of one's own must have them."""
        if not isinstance(frame, Frame):
            raise InputError(
                f"{self.source} contains {type(frame).__name__} in place of a frame; give "
                "Frame(pixels, source, number, time), or (number, reason) for a frame that cannot be decoded."
            )
        number = native(frame.number)
        if not whole(0).allows(number) or number <= before:
            after = "" if before < 0 else f" after {before}"
            raise InputError(
                f"A frame of {self.source} has the number {number!r}{after}; number the frames from 0: "
                "Frame(pixels, source, number, time)."
            )
        return int(number)

    def _note(self, reason: str, before: int, start: float, end: float, damage: Iterable[str] = ()) -> None:
        said = list(dict.fromkeys(damage))
        self.missing.append(Missing(reason, before, start, end, len(list(damage)), "; ".join(said)))


def recording_stream(source: str | os.PathLike[str] | Video, *, fps: float | None = None) -> FrameStream:
    """The frames of a video file or a folder of frames, see `FrameStream`.

    Numbers and times are the same as with `htnet.preprocess.open_video`. If a video is damaged and its frames are
    predicted from each other, reading continues at the next key frame.

    Args:
        source: the file, the folder or a `Video`. If the `Video` is a part, only that part is read.
        fps: frames per second at which the recording was made; see `open_video`.

    Raises:
        VideoError: it cannot be opened.
        InputError: ``fps`` is impossible.
    """
    video = source if isinstance(source, Video) else open_video(source, fps=fps)
    return FrameStream(video.source, video.surviving(), video.fps, (*video.warnings, *_lossy(video)))


def _lossy(video: Video) -> tuple[QualityWarning, ...]:
    """A warning about a codec that erases weak expressions."""
    if not video.codec:
        return ()
    return (
        QualityWarning(
            "lossy_video",
            f"The video is compressed with {video.codec}, which predicts frames from each other and removes weak "
            "motion. In tests, 66 % of the micro-expressions were found in uncompressed recordings, but 22 % in H.264: "
            "expect some to be missed. If you can, record without such a codec (FFV1, or single images).",
        ),
    )


def announced_length(video: Video) -> float | None:
    """Length that a recording states, s, for example for progress bars; None if it states none."""
    if video.fps is None:
        return None
    count = len(video.paths) if video.paths else readers.make_reader(video.reader).header(Path(video.source)).announced
    return None if count is None else count / video.fps


def camera_stream(
    number: int,
    *,
    seconds: float | None = None,
    open_camera: Callable[[int], Any] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FrameStream:
    """The frames of a camera, each with the time at which it arrived; see `FrameStream`.

    Args:
        number: number of the camera in OpenCV, from 0.
        seconds: how long to record, s; None until the camera returns no more frames.
        open_camera: function that opens the camera, instead of `cv2.VideoCapture`.
        clock: function that returns the time of a monotonic clock, s.

    Raises:
        VideoError: there is no such camera.
        InputError: ``number`` or ``seconds`` is impossible.
    """
    number = native(number)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InputError(f"The camera is {number!r}; give its number, 0 or more.")
    optional(real(gt=0)).check("seconds", seconds)
    with quiet_opencv():
        capture = (open_camera or readers.open_camera)(number)
        opened = capture.isOpened()
    if not opened:
        capture.release()
        raise VideoError(
            f"Camera {number} cannot be opened; check that it is connected and that no other program uses it.", None
        )
    return FrameStream(f"camera {number}", _camera_frames(capture, number, seconds, clock))


def _camera_frames(capture: Any, number: int, seconds: float | None, clock: Callable[[], float]) -> Iterator[Frame]:
    cv2 = load_opencv()
    start: float | None = None
    count = tries = 0
    try:
        while tries < _CAMERA_TRIES:
            found, pixels = capture.read()
            now = clock()
            if not found:
                tries += 1
                continue
            tries = 0
            start = now if start is None else start
            if seconds is not None and now - start > seconds:
                return
            rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)
            yield Frame(rgb, f"camera {number} frame {count}", count, now - start)
            count += 1
    finally:
        capture.release()


def read_ahead(items: Iterable[Item], ahead: int = _AHEAD) -> Iterator[Item]:
    """Iterate over items in a separate thread, so that the next ones are produced while the caller works.

    An error in the thread is raised here, after the items before it. The thread ends with the iteration, even if the
    caller does not finish it.

    Args:
        items: what the thread iterates over.
        ahead: largest number of waiting items.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(max(1, ahead))
    given_up = threading.Event()

    def hand_over(kind: str, value: Any) -> bool:
        while not given_up.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not hand_over("item", item):
                    return
            hand_over("end", None)
        except BaseException as error:  # passed on to the consuming thread
            hand_over("error", error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        given_up.set()
        thread.join()


def thumbnail(pixels: ByteArray) -> ByteArray:
    """Every n-th green pixel of a frame, about 64 x 36 of them, for comparing whole pictures."""
    height, width = pixels.shape[:2]
    return pixels[:: max(1, height // 36), :: max(1, width // 64), 1]
