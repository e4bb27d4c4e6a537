"""Frames through a real codec, in memory or into a file, by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError
from htnet.core.files import whole_file
from htnet.core.optional import require
from htnet.core.types import ByteArray
from htnet.synthesis.recordings.config import CODECS

#: Encoder, decoder, format of the pixels, and the largest quality number.
_ENCODERS = {
    "h264": ("libx264", "h264", "yuv420p", 51),
    "mpeg4": ("mpeg4", "mpeg4", "yuv420p", 31),
    "mjpeg": ("mjpeg", "mjpeg", "yuvj420p", 31),
}
#: Ticks of a second in files: whole for every rate, and few enough for MPEG-4.
TICKS = 60000


def check_codec(codec: str, quality: int) -> None:
    """Refuse a codec or quality that cannot be."""
    if codec not in CODECS:
        raise InputError(f"codec is {codec!r}; give one of {', '.join(CODECS)}.")
    if codec == "none":
        return
    most, least = _ENCODERS[codec][3], 0 if codec == "h264" else 1
    if isinstance(quality, bool) or not isinstance(quality, int) or not least <= quality <= most:
        raise InputError(f"quality is {quality!r}; give a whole number of {least} to {most} for {codec}.")


def compressed(frames: Iterator[ByteArray], codec: str, quality: int, fps: float) -> Iterator[ByteArray]:
    """The frames as a codec leaves them, a few at a time.

    Raises:
        MissingExtraError: PyAV is not installed.
        InputError: this build of PyAV lacks the codec.
    """
    av = require("av", "video", "Compressing recordings")
    encoder: Any = None
    decoder: Any = None
    for number, pixels in enumerate(frames):
        if encoder is None:
            encoder = _context(av, codec, "w")
            _set_up(encoder, codec, quality, pixels, fps)
            encoder.open()
            decoder = _context(av, codec, "r")
            decoder.thread_count = 1
            if encoder.extradata:
                decoder.extradata = encoder.extradata
        frame = _frame(av, pixels, codec)
        frame.pts, frame.time_base = number, Fraction(1, TICKS)
        for packet in encoder.encode(frame):
            yield from _decoded(decoder, packet)
    if encoder is not None:
        for packet in encoder.encode(None):
            yield from _decoded(decoder, packet)
        yield from _decoded(decoder, None)


def write_video(
    frames: Iterator[ByteArray], times: Iterator[float], path: Path, codec: str, quality: int, fps: float
) -> None:
    """Write frames into an MP4 file with their times."""
    av = require("av", "video", "Compressing recordings")
    _context(av, codec, "w")  # a codec that is missing is told before anything is written
    with whole_file(path) as place, av.open(str(place), "w", format="mp4") as container:
        stream: Any = None
        for pixels, time in zip(frames, times, strict=True):
            if stream is None:
                stream = container.add_stream(_ENCODERS[codec][0], rate=Fraction(fps).limit_denominator(1001))
                _set_up(stream.codec_context, codec, quality, pixels, fps)
                stream.time_base = Fraction(1, TICKS)
            frame = _frame(av, pixels, codec)
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))


def _context(av: Any, codec: str, mode: str) -> Any:
    name = _ENCODERS[codec][0 if mode == "w" else 1]
    try:
        return av.CodecContext.create(name, mode)
    except (ValueError, av.error.FFmpegError) as error:
        raise InputError(
            f"This build of PyAV lacks {name}. Choose another codec, or install the wheel of PyPI: pip install av"
        ) from error


def _set_up(context: Any, codec: str, quality: int, pixels: ByteArray, fps: float) -> None:
    """The same bytes on any machine's number of cores: one thread."""
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = _ENCODERS[codec][2]
    context.time_base = Fraction(1, TICKS)
    context.framerate = Fraction(fps).limit_denominator(1001)
    context.thread_count = 1
    if codec == "h264":
        context.options = {"crf": str(quality), "preset": "veryfast", "threads": "1"}
    else:
        context.options = {"qmin": str(quality), "qmax": str(quality), "threads": "1"}


def _frame(av: Any, pixels: ByteArray, codec: str) -> Any:
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=_ENCODERS[codec][2])


def _decoded(decoder: Any, packet: Any) -> Iterator[ByteArray]:
    for frame in decoder.decode(packet):
        yield frame.to_ndarray(format="rgb24")
