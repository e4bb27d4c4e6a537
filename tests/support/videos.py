"""Videos whose frames tell their number."""

from fractions import Fraction

import av
import cv2
import numpy as np

from tests.support.seeds import next_rng

HEIGHT, WIDTH = 96, 128
_BITS, _BLOCK = 8, 16


def numbered(number, rng):
    """(96, 128, 3) uint8 RGB: the number in black and white blocks over colored noise."""
    noise = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2)
    noise[..., 0] = np.maximum(noise[..., 0], 128)  # reddish, so swapped channels show
    noise[..., 2] //= 4
    for bit in range(_BITS):
        noise[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 * (number >> bit & 1)
    return noise


def number_of(pixels):
    blocks = pixels[4:12].reshape(8, _BITS, _BLOCK, 3)[:, :, 4:12].mean((0, 2, 3))
    return sum(int(level > 127) << bit for bit, level in enumerate(blocks))


def write_video(path, frames, fps=50.0, codec=None):
    """Write RGB frames; MJPG for .avi and mp4v for all else unless a codec is named. Returns the path."""
    frames = iter(frames)
    first = next(frames)
    codec = codec or ("MJPG" if path.suffix == ".avi" else "mp4v")
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (first.shape[1], first.shape[0]))
    assert writer.isOpened(), f"OpenCV cannot write {codec} here"
    for frame in (first, *frames):
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def numbered_video(path, count, fps=50.0, codec=None):
    rng = next_rng()
    return write_video(path, (numbered(i, rng) for i in range(count)), fps, codec)


def frame_chunks(path):
    """(start, length) of the data of every frame in an AVI file, by walking its chunks."""
    data = path.read_bytes()
    at = data.index(b"movi") + 4
    found = []
    while data[at : at + 4] == b"00dc":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((at + 8, size))
        at += 8 + size + size % 2
    return found


def overwrite(path, start, new):
    data = bytearray(path.read_bytes())
    data[start : start + len(new)] = new
    path.write_bytes(data)


def write_timed(path, frames, times, codec="libx264", *, pixels="yuv420p", sound=0.0, options=None, flags=None):
    """Write RGB frames to be shown at ``times`` (s), by PyAV, and ``sound`` seconds of silence. Returns the path."""
    options = dict(options or {})
    if codec.startswith("libvpx"):
        options = {"deadline": "realtime", "cpu-used": "8", **options}
    with av.open(str(path), "w", options=flags or {}) as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        stream.codec_context.time_base = Fraction(1, 1000) if codec != "mpeg4" else Fraction(1, 30)
        audio = container.add_stream("aac", rate=48000) if sound else None
        for time, rgb in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / float(frame.time_base))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for at in range(0, round(sound * 48000), 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 48000, at
            container.mux(audio.encode(silence))
        if audio is not None:
            container.mux(audio.encode())
    return path
