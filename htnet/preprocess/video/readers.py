"""The two libraries that decode video files: PyAV, if the extra ``video`` is installed, and OpenCV.

Both use FFmpeg and return the same pixels for 8-bit video. PyAV also provides what OpenCV hides: the decoder's flag for
damaged frames, interlaced and AV1 video. docs/video.md has the measured table.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from htnet.core.errors import VideoError, refuse_unknown
from htnet.core.hints import VIDEOS, hint
from htnet.core.limits import PICTURE_PIXELS
from htnet.core.optional import require
from htnet.core.types import ByteArray, QualityWarning
from htnet.preprocess.opencv import load_opencv, quiet_opencv
from htnet.preprocess.pictures import file_damage
from htnet.preprocess.video.codecs import codec_by_code, codec_by_decoder
from htnet.preprocess.video.containers import container_kind, file_flaw, rate_is_assumed

#: Names of the readers, the better one first.
VIDEO_READERS = ("pyav", "opencv")

# Once a frame cannot be decoded, number of packets beyond the announced ones that are tried before the video ends.
_TRIES = 8
# FFmpeg's level "quiet", in the variable that OpenCV reads once, when it first opens a file.
_LOG_VARIABLE, _LOG_QUIET = "OPENCV_FFMPEG_LOGLEVEL", "-8"
# Number of first frames that are checked: whether OpenCV converts them, and how bright deep pixels are.
_FIRST = 4
# Frames per second that FFmpeg assumes if nothing is stated.
_ASSUMED_FPS = 25.0
# FFmpeg's flag (AVFMT_NOTIMESTAMPS) of formats that have no times.
_NO_TIMES = 0x80
# FFmpeg's names of gray and RGB pixels, whose fourth byte is the number of bits.
_DEEP = (b"Y1", b"G3", b"G4")
# If no deep pixel is brighter than this after conversion to 8 bits, the values have at least 2 bits fewer.
_SHALLOW = 64
#: Code of the warning that times are computed from a rate that the file does not state.
ASSUMED_RATE = "assumed_rate"
# Lateness of the first frame, s, from which a warning is given; sound is usually a few hundredths of a second early.
_LATE = 0.1
#: The cure if OpenCV cannot read something.
MORE_VIDEO = "PyAV reads more: pip install 'htnet[video]'"


@dataclass(frozen=True)
class Header:
    """Header of a video file: hints, to be checked against the frames.

    Attributes:
        fps: frames per second, None if not stated.
        announced: number of frames, as stated or, in most containers, estimated; None if unknown.
        warnings: properties of the video that impair the measurement of motion.
        codec: its name if the codec loses detail and predicts frames from each other, such as "H.264"; else "".
    """

    fps: float | None
    announced: int | None
    warnings: tuple[QualityWarning, ...] = ()
    codec: str = ""


@dataclass(frozen=True, eq=False)
class Shot:
    """One decoded frame.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, rotated according to the file; or a text that explains why there are none.
        time: seconds by the file's clock, None if it has none.
    """

    pixels: ByteArray | str
    time: float | None = None


class VideoReader(Protocol):
    """One way to read video files."""

    name: str

    def version(self) -> str:
        """Version of the reader and of its FFmpeg; pixels may differ between versions."""

    def header(self, path: Path) -> Header:
        """The file's header; raises `VideoError` if it cannot be opened."""

    def shots(self, path: Path, read_on: bool = False) -> Iterator[Shot]:
        """Every frame that a player shows, in its order; if a frame is damaged, the last item is a text.

        With ``read_on`` there is a text for every frame that cannot be shown, and reading continues after it: in a
        stream whose frames are predicted from each other, from the next key frame on.
        """


def make_reader(name: str | None = None) -> VideoReader:
    """A reader by its name; for None, PyAV if it is installed, else OpenCV.

    Raises:
        InputError: an unknown name.
        MissingExtraError: PyAV is requested and not installed, or installed and broken.
    """
    if name is None:
        name = "pyav" if find_spec("av") is not None else "opencv"
    refuse_unknown([name], VIDEO_READERS, "video reader")
    if name == "pyav":
        load_av()
        return PyAVReader()
    return OpenCVReader()


def load_av() -> Any:
    """The module ``av`` (PyAV).

    Raises:
        MissingExtraError: it is not installed, or cannot be imported.
    """
    return require("av", "video", "Reading video by PyAV")


class PyAVReader:
    """Reads with PyAV in one thread: with several threads, the frames before a damaged one are lost."""

    name = "pyav"

    def version(self) -> str:
        """See `VideoReader.version`."""
        av = load_av()
        libraries = ".".join(map(str, av.library_versions["libavcodec"]))
        return f"PyAV {av.__version__} (libavcodec {libraries})"

    def header(self, path: Path) -> Header:
        """See `VideoReader.header`."""
        with _container(path) as (container, stream):
            coded = stream.codec_context
            PICTURE_PIXELS.check((coded.width or 0) * (coded.height or 0), f"A frame of {path}")
            rate = stream.average_rate or stream.guessed_rate
            fps = float(rate) if rate and rate > 0 else None
            ratio = stream.sample_aspect_ratio
            warnings = _pixel_aspect(path, float(ratio) if ratio else 1.0)
            warnings = (*warnings, *_several_streams(path, container, stream), *_late(path, container, stream))
            warnings = (*warnings, *_interlaced(path, stream))
            if container.format.flags & _NO_TIMES or rate_is_assumed(path):
                warnings = (*warnings, _assumed_rate(path, fps))
            pixels = stream.codec_context.format
            bits = max((part.bits for part in pixels.components), default=8) if pixels else 8
            if bits > 8 and (len(pixels.components) == 1 or pixels.is_rgb):
                _refuse_shallow(path, bits, self.shots(path))
            return Header(fps, stream.frames or None, warnings, codec_by_decoder(stream.codec_context.name))

    def shots(self, path: Path, read_on: bool = False) -> Iterator[Shot]:
        """See `VideoReader.shots`."""
        av = load_av()
        with _container(path) as (container, stream):
            # A missing end marker shows nothing if the camera never writes one.
            check: bool | None = None if stream.codec_context.name == "mjpeg" else False
            waiting = False  # for the next key frame
            try:
                for packet in container.demux(stream):
                    flaw = "cut off" if packet.is_corrupt else ""
                    if check is not False and packet.size and not flaw:
                        jpeg = file_damage(bytes(packet))
                        check = not jpeg if check is None else check
                        flaw = jpeg if check else ""
                    if flaw:
                        if not waiting:
                            yield from _before(stream, packet.pts)
                        yield Shot(flaw)
                        waiting = True
                    elif waiting and packet.size and not packet.is_keyframe:
                        yield Shot("predicted from a damaged one")
                    else:
                        waiting = False
                        for shot in _decoded(packet, stream, av.error.FFmpegError):
                            waiting = waiting or isinstance(shot.pixels, str)
                            yield shot
                    if waiting and not read_on:
                        return
                    if waiting:
                        stream.codec_context.flush_buffers()
            except av.error.FFmpegError:
                yield Shot("damaged (the decoder refuses its data)")


def _decoded(packet: Any, stream: Any, failure: type[Exception]) -> Iterator[Shot]:
    """The frames that a packet completes, up to the first damaged one."""
    try:
        frames = packet.decode()
    except failure:
        yield Shot("damaged (the decoder refuses its data)")
        return
    for frame in frames:
        if frame.is_corrupt:
            yield Shot("damaged (marked so by the decoder)")
            return
        yield Shot(_upright(frame), _time(frame, stream))


def _before(stream: Any, pts: int | None) -> Iterator[Shot]:
    """The frames before a damaged packet that the decoder has not returned yet."""
    for frame in stream.codec_context.decode(None):
        if pts is not None and frame.pts is not None and frame.pts < pts:
            yield Shot(_upright(frame), _time(frame, stream))


def _time(frame: Any, stream: Any) -> float | None:
    """Time of a frame. Not ``frame.time``: frames that the decoder returns at the end lack their unit of time."""
    return None if frame.pts is None else float(frame.pts * stream.time_base)


def _upright(frame: Any) -> ByteArray:
    """The pixels of a PyAV frame in RGB, rotated according to the file."""
    pixels = frame.to_ndarray(format="rgb24", interpolation="BICUBIC", **_one_thread())
    turns = (frame.rotation // 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else np.asarray(pixels, np.uint8)


@cache
def _one_thread() -> dict[str, int]:
    """Setting that keeps PyAV (from version 17 on) from starting one thread per core to convert every frame."""
    said = load_av().video.reformatter.VideoReformatter.reformat.__doc__ or ""
    return {"threads": 1} if "threads" in said else {}


@cache
def _any_metadata() -> dict[str, str]:
    """Setting that lets PyAV open files whose titles are not UTF-8; version 19 does so always and has no setting."""
    return {"metadata_errors": "ignore"} if "metadata_errors" in (load_av().open.__doc__ or "") else {}


@contextmanager
def _container(path: Path) -> Iterator[tuple[Any, Any]]:
    """An open container of PyAV and its video stream."""
    av = load_av()
    try:
        container = av.open(str(path), **_any_metadata())
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(path, "PyAV") from error
    with container:
        if not _readable_streams(container):
            raise _unreadable(path, "PyAV")
        stream = _main_stream(container)
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _main_stream(container: Any) -> Any:
    """The largest video stream, the first of equal ones; an attached picture only if there is nothing else."""

    def rank(stream: Any) -> tuple[bool, int, int]:
        codec = stream.codec_context
        return not _is_attached(stream), codec.width * codec.height, -stream.index

    return max(_readable_streams(container), key=rank)


def _readable_streams(container: Any) -> list[Any]:
    """The video streams of a container whose codec is known to FFmpeg."""
    return [stream for stream in container.streams.video if stream.codec_context is not None]


def _is_attached(stream: Any) -> bool:
    """Whether a stream is a cover picture."""
    return bool(stream.disposition & load_av().stream.Disposition.attached_pic)


def _several_streams(path: Path, container: Any, chosen: Any) -> tuple[QualityWarning, ...]:
    others = [s for s in _readable_streams(container) if s.index != chosen.index and not _is_attached(s)]
    if not others:
        return ()
    sizes = ", ".join(f"number {s.index} of {s.codec_context.width}x{s.codec_context.height} px" for s in others)
    codec = chosen.codec_context
    message = (
        f"{path} contains {len(others) + 1} videos: number {chosen.index} of {codec.width}x{codec.height} px is "
        f"read, not {sizes}. To read another, save it as a separate file: ffmpeg -i FILE -map 0:N -c copy OTHER."
    )
    return (QualityWarning("several_streams", message),)


def _lateness(container: Any, stream: Any) -> float:
    """Seconds from the beginning of the file, where the clock of players starts, to its first frame."""
    if container.start_time is None or stream.start_time is None or not stream.time_base:
        return 0.0
    return max(0.0, float(stream.start_time * stream.time_base) - container.start_time / load_av().time_base)


def _late(path: Path, container: Any, stream: Any) -> tuple[QualityWarning, ...]:
    late = _lateness(container, stream)
    if late < _LATE:
        return ()
    message = (
        f"The picture of {path} begins {late:.2f} s after its sound. A player shows frame 0 at {late:.2f} s; times "
        f"here count from frame 0, so subtract {late:.2f} s from times that were read off a player."
    )
    return (QualityWarning("late_picture", message),)


def _field_order(coded: Any) -> int | None:
    """FFmpeg's order of fields: 0 unknown, 1 progressive. None: PyAV up to 17.1, the last for Python 3.10, lacks it."""
    found = getattr(coded, "field_order", None)
    return None if found is None else int(found)


def _begins_interlaced(path: Path) -> bool:
    """Whether the first frame is interlaced; False if it cannot be decoded, which is told when it is read."""
    with _container(path) as (container, stream), suppress(load_av().error.FFmpegError):
        for frame in container.decode(stream):
            return bool(frame.interlaced_frame)
    return False


def _interlaced(path: Path, stream: Any) -> tuple[QualityWarning, ...]:
    order = _field_order(stream.codec_context)
    if not (_begins_interlaced(path) if order is None else order > 1):
        return ()
    message = (
        f"{path} is interlaced: the odd and even rows of a frame may be of two moments, so that what moves has combed "
        "edges, which is measured as motion. If it looks combed, separate the moments: ffmpeg -i FILE -vf bwdif OUT."
    )
    return (QualityWarning("interlaced", message),)


@dataclass(frozen=True)
class PlayerClock:
    """The clock by which a player shows a video file.

    Attributes:
        start: time of the first frame, s; 0 if only OpenCV can read the file, because it does not tell.
        fps: frames per second that the file states; None if it states none.
    """

    start: float = 0.0
    fps: float | None = None


def player_clock(path: Path) -> PlayerClock:
    """The clock of a player for a video file.

    Raises:
        VideoError: the file cannot be opened.
    """
    if find_spec("av") is None:
        return PlayerClock(fps=OpenCVReader().header(path).fps)
    with _container(path) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate
        return PlayerClock(_lateness(container, stream), float(rate) if rate and rate > 0 else None)


class OpenCVReader:
    """Reads with OpenCV's FFmpeg, and checks every sign of damage that it reports."""

    name = "opencv"

    def version(self) -> str:
        """See `VideoReader.version`."""
        return f"OpenCV {load_opencv().__version__}"

    def header(self, path: Path) -> Header:
        """See `VideoReader.header`."""
        with _capture(path) as capture:
            fps = float(capture.get(_property("FPS")))
            up, down = (float(capture.get(_property(name))) for name in ("SAR_NUM", "SAR_DEN"))
            warnings = _pixel_aspect(path, up / down if up > 0 and down > 0 else 1.0)
            if rate_is_assumed(path):
                fps = _ASSUMED_FPS  # OpenCV 4 mistakes the unit of time of H.264 and H.265 for a rate
                warnings = (*warnings, _assumed_rate(path, fps))
            if not container_kind(path):
                warnings = (*warnings, _unverified(path))
            width, height = (capture.get(_property(f"FRAME_{side}")) for side in ("WIDTH", "HEIGHT"))
            PICTURE_PIXELS.check(int(max(width, 0) * max(height, 0)), f"A frame of {path}")
            layout = int(capture.get(_property("CODEC_PIXEL_FORMAT"))).to_bytes(4, "little", signed=True)
            if layout[:2] in _DEEP and 8 < layout[3] <= 16:
                _refuse_shallow(path, layout[3], self.shots(path))
            seen = [pixels for found, pixels in (capture.read() for _ in range(_FIRST)) if found]
            if seen and all(map(_is_black, seen)):
                raise VideoError(
                    f"The first frames of {path} are black. This is how OpenCV shows interlaced video; "
                    f"{MORE_VIDEO}, or cut the black frames off.",
                    0,
                )
            if len(seen) > 1 and all(np.array_equal(pixels, seen[0]) for pixels in seen):
                warnings = (*warnings, _frozen(path))
            codec = codec_by_code(int(capture.get(_property("FOURCC"))))
            return Header(fps if math.isfinite(fps) and fps > 0 else None, _frame_count(capture), warnings, codec)

    def shots(self, path: Path, read_on: bool = False) -> Iterator[Shot]:
        """See `VideoReader.shots`."""
        cv2 = load_opencv()
        number = 0
        bare = rate_is_assumed(path)  # OpenCV 4 reports meaningless times for such a file
        with _capture(path) as capture, _jpeg_packets(path) as damage:
            while True:
                if not capture.grab():
                    # After a packet that cannot be decoded, FFmpeg continues with the next one, except at the end.
                    left = max(0, (_frame_count(capture) or 0) - number) + _TRIES
                    tries = next((n for n in range(1, left + 1) if capture.grab()), 0)
                    for _ in range(tries if read_on else min(tries, 1)):
                        yield Shot("damaged")
                        number += 1
                        next(damage)
                    if not (tries and read_on):
                        return
                # OpenCV returns 0 if it does not know the time.
                moment = 0.0 if bare else float(capture.get(_property("POS_MSEC"))) / 1000
                time = moment or (0.0 if number == 0 else None)
                flaw = next(damage)
                pixels = None if flaw else capture.retrieve()[1]
                number += 1
                if pixels is not None:
                    yield Shot(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8), time)
                    continue
                yield Shot(flaw or "damaged")
                if not read_on:
                    return


def _unreadable(path: Path, reader: str) -> VideoError:
    if not path.stat().st_size:
        return VideoError(f"The video {path} is empty (0 bytes); copy or record it again.")
    flaw = file_flaw(path)
    state = f"it is {flaw}" if flaw else "or is cut off or damaged at its head"
    more = f" {MORE_VIDEO}." if reader == "OpenCV" else ""
    if path.suffix.lower() not in VIDEOS:
        more += hint(path)
    return VideoError(
        f"{path} is not a video that {reader} can read, {state}; give an AVI, MP4, MKV or WebM file, or a folder of "
        f"frames.{more}"
    )


def _pixel_aspect(path: Path, ratio: float) -> tuple[QualityWarning, ...]:
    if not math.isfinite(ratio) or ratio <= 0 or abs(ratio - 1) < 0.01:
        return ()
    message = (
        f"The pixels of {path} are {ratio:.3g} times as wide as high, so a player shows it stretched; htnet reads "
        "the pixels as they are. Convert it to square pixels."
    )
    return (QualityWarning("pixel_aspect", message),)


def _unverified(path: Path) -> QualityWarning:
    message = (
        f"OpenCV cannot tell whether {path} is complete: a file of this kind states no sizes, and neither damage "
        f"inside frames nor a change of the picture's size is reported. {MORE_VIDEO}"
    )
    return QualityWarning("unverified_video", message)


def _frozen(path: Path) -> QualityWarning:
    message = (
        f"The first frames of {path} are identical. This is how OpenCV shows interlaced video, with meaningless "
        f"pixels, unless the recording really stands still. {MORE_VIDEO}"
    )
    return QualityWarning("frozen_video", message)


def _assumed_rate(path: Path, fps: float | None) -> QualityWarning:
    message = (
        f"{path} states neither times nor frames per second; {fps or _ASSUMED_FPS:g} per second are assumed, so all "
        "reported times may be wrong. Give the rate: fps, --fps."
    )
    return QualityWarning(ASSUMED_RATE, message)


def _refuse_shallow(path: Path, bits: int, shots: Iterator[Shot]) -> None:
    """Refuse gray or RGB video whose deep pixels contain values of fewer bits: it would be read as almost black."""
    seen = (shot.pixels for shot, _ in zip(shots, range(_FIRST), strict=False))
    top = max((int(pixels.max()) for pixels in seen if not isinstance(pixels, str)), default=0)
    if 0 < top <= _SHALLOW:
        raise VideoError(
            f"The pixels of {path} have {bits} bits, but in the first frames none is over {top / 255:.1%} of white: "
            "they contain values of fewer bits, or the frames are dark. Give a folder of them as 16-bit images, "
            "with the bit depth of the camera (bit_depth, --bit-depth), or cut the dark frames off.",
            0,
        )


def _is_black(pixels: Any) -> bool:
    """Whether nearly all pixels are 0: if OpenCV does not convert a frame, it returns memory that was not written."""
    return bool(np.count_nonzero(pixels[::2, ::2]) < 0.01 * pixels[::2, ::2].size)


def _property(name: str) -> int:
    cv2 = load_opencv()
    return int(getattr(cv2, f"CAP_PROP_{name}"))


def _frame_count(capture: Any) -> int | None:
    """The number of frames that the header announces; a damaged header gives large negative numbers."""
    count = capture.get(_property("FRAME_COUNT"))
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else None


@contextmanager
def _capture(path: Path, *settings: int) -> Iterator[Any]:
    """An open capture of FFmpeg in one thread: with several threads, the frames before a damaged one are lost."""
    cv2 = load_opencv()
    with quiet_opencv(), _quiet_ffmpeg():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [*settings, cv2.CAP_PROP_N_THREADS, 1])
    try:
        if not capture.isOpened():
            raise _unreadable(path, "OpenCV")
        yield capture
    finally:
        capture.release()


@contextmanager
def _quiet_ffmpeg() -> Iterator[None]:
    """Keep FFmpeg's own messages about damaged files off stderr, unless the user requested them."""
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
    """What is wrong with each frame of a motion JPEG file; empty if nothing is, or if that cannot be determined.

    FFmpeg fills missing parts of a JPEG with gray and OpenCV silently returns them; the packets show the damage.
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
            # Nothing can be determined for other codecs, and for cameras that write no end markers.
            first, whole_at_first = False, not flaw
        if not whole_at_first:
            break
        yield flaw
    while True:
        yield ""


def open_camera(number: int) -> Any:
    """Open a camera with OpenCV, see `htnet.recordings.camera_stream`; it may not be open afterwards."""
    return load_opencv().VideoCapture(number)
