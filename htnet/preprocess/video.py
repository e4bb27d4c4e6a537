"""Video files and folders of frames, read one frame at a time."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htnet.errors import FrameError, InputError, VideoError
from htnet.preprocess.frames import MIN_SIDE, file_damage, quiet_opencv, read_frame
from htnet.preprocess.opencv import load_opencv
from htnet.types import ByteArray, Frame

#: Endings of the files that a folder of frames is made of.
FRAME_ENDINGS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Frames that come this many frame durations after the one before leave a gap.
_GAP = 1.5
# Where the frame count is only the duration times the rate: the share that may be missing at the end.
_ESTIMATE = 0.1
# FFmpeg's level "quiet", in the variable that OpenCV reads once, when it first opens a file.
_LOG_VARIABLE, _LOG_QUIET = "OPENCV_FFMPEG_LOGLEVEL", "-8"

VideoSource = str | os.PathLike[str]


@dataclass(frozen=True)
class Video:
    """A video whose frames are read when it is iterated; every iteration begins anew.

    One frame is held at a time, so memory does not grow with the length.

    Attributes:
        source: the file or folder.
        fps: frames a second; None for a folder whose rate was not given.
        size: (height, width) in px, as shown (turned as the file says).
        count: number of frames, None where the file does not say: only AVI and MP4 headers and
            folders do.
        stop: frames from this number on are not read; None to read all.
        paths: the image files of a folder, in order; empty for a video file.
    """

    source: str
    fps: float | None
    size: tuple[int, int]
    count: int | None
    stop: int | None = None
    paths: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Frame]:
        """Frames as RGB, with their numbers from 0.

        Raises:
            VideoError: a frame is damaged or missing; ``frame`` is its number, and the frames before
                it were delivered.
        """
        frames = self._from_folder() if self.paths else _from_file(Path(self.source), self.count is not None)
        for number in range(self.stop) if self.stop is not None else _endless():
            frame = next(frames, None)
            if frame is None:
                return
            if frame.size != self.size:
                (height, width), (first_height, first_width) = frame.size, self.size
                raise VideoError(
                    f"Frame {number} of {self.source} is {width}x{height} px, the first one {first_width}x"
                    f"{first_height} px; give frames of one size.",
                    number,
                )
            yield frame

    def take(self, numbers: Iterable[int]) -> dict[int, Frame]:
        """Some of the frames, by number; the others are read past and not kept.

        Raises:
            VideoError: there is no such frame, or one up to the last of them is damaged.
        """
        wanted = set(numbers)
        found: dict[int, Frame] = {}
        for number, frame in enumerate(self):
            if number in wanted:
                found[number] = frame
            if len(found) == len(wanted):
                return found
        missing = min(wanted - set(found))
        raise VideoError(f"{self.source} has no frame {missing}; numbers count from 0.", missing)

    def _from_folder(self) -> Iterator[Frame]:
        for number, path in enumerate(self.paths):
            yield _read_image(path, number)


def open_video(source: VideoSource, *, fps: float | None = None, stop: int | None = None) -> Video:
    """Open a video file or a folder of frames; the first frame is read to check it.

    A folder's frames come in the natural order of their names: img9.png before img10.png. Files whose
    name begins with a dot, or that are no images by their ending, are passed over.

    Args:
        source: a video file that OpenCV's FFmpeg can read (AVI, MP4, MOV, MKV, WebM, ...), or a folder of
            images; see `read_frame` for the kinds.
        fps: frames a second. A folder has none of its own; for a file it replaces the header's, as
            high-speed recordings are often saved to be played slowly.
        stop: read only the frames before this number, e.g. those before a damaged one.

    Returns:
        The video. Iterate over it for its frames.

    Raises:
        VideoError: there is no such file or folder, it is no video, holds no frames, or its first frame is
            damaged or under 16 px.
        InputError: ``fps`` or ``stop`` is not positive.
    """
    if fps is not None and not (isinstance(fps, (int, float)) and math.isfinite(fps) and fps > 0):
        raise InputError(f"fps is {fps!r}; give the frames a second, a positive number.")
    if stop is not None and not (isinstance(stop, int) and stop > 0):
        raise InputError(f"stop is {stop!r}; give the number of the first frame not to read, 1 or more.")
    path = Path(source)
    if path.is_dir():
        return _open_folder(path, fps, stop)
    if not path.is_file():
        raise VideoError(f"The video {path} does not exist; check the path (now in {Path.cwd()}).")
    with _capture(path) as capture:
        own = float(capture.get(_property("FPS")))
        count = _frame_count(capture) if _counts_frames(path) else None
        grabbed, pixels = capture.read()
        if not grabbed:
            raise VideoError(f"The video {path} has no frame that can be read; copy or record it again.", 0)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise VideoError(f"The video {path} is {width}x{height} px; give one of {MIN_SIDE} px or more on each side.")
    rate = fps if fps is not None else own if math.isfinite(own) and own > 0 else None
    return Video(str(path), None if rate is None else float(rate), (height, width), _within(count, stop), stop)


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key by which numbers in names count as numbers: img9 before img10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts if part)


def _open_folder(path: Path, fps: float | None, stop: int | None) -> Video:
    try:
        names = [p for p in path.iterdir() if p.suffix.lower() in FRAME_ENDINGS and not p.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"The folder {path} cannot be read ({error}); check its permissions.") from error
    if not names:
        raise VideoError(
            f"The folder {path} holds no frames; give one with files that end in {', '.join(FRAME_ENDINGS)}."
        )
    # The name itself decides between img1 and img01.
    paths = tuple(sorted(names, key=lambda p: (natural_key(p.name), p.name)))
    size = _read_image(paths[0], 0).size
    rate = None if fps is None else float(fps)
    return Video(str(path), rate, size, _within(len(paths), stop), stop, paths)


def _within(count: int | None, stop: int | None) -> int | None:
    return count if count is None or stop is None else min(count, stop)


def _read_image(path: Path, number: int) -> Frame:
    try:
        frame = read_frame(path)
    except FrameError as error:
        raise VideoError(f"Frame {number} cannot be read: {error}", number) from error
    return Frame(frame.pixels, frame.source, number)


def _from_file(path: Path, counted: bool) -> Iterator[Frame]:
    """Frames of a video file, with every sign of damage that OpenCV leaves."""
    number, gap, last = 0, None, None
    with _capture(path) as capture, _jpeg_packets(path) as damage:
        rate, announced = float(capture.get(_property("FPS"))), _frame_count(capture)
        while capture.grab():
            time = float(capture.get(_property("POS_MSEC"))) / 1000
            if gap is None and last is not None and (time - last) * rate > _GAP:
                gap = number
            last = time
            flaw = next(damage)
            pixels = None if flaw else capture.retrieve()[1]
            if pixels is None:
                raise VideoError(
                    f"Frame {number} of {path} is {flaw or 'damaged'}; the {number} frames before it can be read "
                    f"(stop={number}). Copy or record the video again.",
                    number,
                )
            yield Frame(_rgb(pixels), f"{path} frame {number}", number)
            number += 1
    missing = (announced or 0) - number
    if missing > 0 and (counted or gap is not None or missing > _ESTIMATE * (announced or 0)):
        first = number if gap is None else gap
        where = "" if gap is None else f", the first gap in time being before frame {gap}"
        raise VideoError(
            f"{path} ends early or is damaged: {number} of the {announced} frames its header announces can be read"
            f"{where}. Copy or record it again, or read only the frames before number {first} (stop={first}).",
            first,
        )


def _rgb(bgr: np.ndarray[Any, Any]) -> ByteArray:
    cv2 = load_opencv()
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _property(name: str) -> int:
    cv2 = load_opencv()
    return int(getattr(cv2, f"CAP_PROP_{name}"))


def _frame_count(capture: Any) -> int | None:
    """What the header announces; a damaged header gives large negative numbers."""
    count = capture.get(_property("FRAME_COUNT"))
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None


def _counts_frames(path: Path) -> bool:
    """Whether the container states its number of frames; elsewhere FFmpeg multiplies duration and rate."""
    with path.open("rb") as file:
        head = file.read(12)
    return (head[:4] == b"RIFF" and head[8:] == b"AVI ") or head[4:8] == b"ftyp"


@contextmanager
def _capture(path: Path, *settings: int) -> Iterator[Any]:
    """An open capture, by FFmpeg in one thread: with several, the frames before a damaged one get lost."""
    cv2 = load_opencv()
    with quiet_opencv(), _quiet_ffmpeg():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [*settings, cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            if not path.stat().st_size:
                raise VideoError(f"The video {path} is empty (0 bytes); copy or record it again.")
            raise VideoError(
                f"{path} is not a video that OpenCV can read, or is cut off or damaged at its head; give an AVI or "
                "MP4 file, or a folder of frames."
            )
        yield capture
    finally:
        capture.release()


@contextmanager
def _quiet_ffmpeg() -> Iterator[None]:
    """Keep FFmpeg's own words about damaged files off stderr, unless the user asked for them."""
    if _LOG_VARIABLE in os.environ:
        yield
        return
    os.environ[_LOG_VARIABLE] = _LOG_QUIET
    try:
        yield
    finally:
        os.environ.pop(_LOG_VARIABLE, None)


@contextmanager
def _jpeg_packets(path: Path) -> Iterator[Iterator[str]]:
    """What is wrong with each frame of a motion JPEG file; empty where nothing is, or nothing can be told.

    FFmpeg fills what a JPEG lacks with grey and OpenCV passes that on in silence; the packets show it.
    """
    cv2 = load_opencv()
    with _capture(path, cv2.CAP_PROP_FORMAT, -1) as packets:
        yield _packet_damage(packets)


def _packet_damage(packets: Any) -> Iterator[str]:
    whole_at_first = False
    first = True
    while packets.grab():
        packet = np.asarray(packets.retrieve()[1]).tobytes()
        flaw = file_damage(packet) if packet.startswith(b"\xff\xd8") else "damaged (no JPEG)"
        if first:
            # Other codecs, and cameras that write no end markers, tell nothing.
            first, whole_at_first = False, not flaw
        if not whole_at_first:
            break
        yield flaw
    while True:
        yield ""
