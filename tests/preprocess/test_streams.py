"""Of several videos in one file the largest is read, and the others are told."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from htnet.preprocess import open_video
from htnet.preprocess.video.readers import _main_stream, player_clock

av = pytest.importorskip("av")


def write(path, sides):
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=10) for _ in sides]
        for stream, side in zip(streams, sides, strict=True):
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
        for number in range(5):
            for stream, side in zip(streams, sides, strict=True):
                picture = np.full((side, side, 3), 40 * number + 20, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("sides", [(64, 96), (96, 64), (64, 64), (64,)])
def test_the_largest_of_several_videos_is_read_and_the_others_are_told(tmp_path, sides):
    video = open_video(write(tmp_path / "a.mkv", sides), reader="pyav")
    assert video.size == (max(sides), max(sides))
    assert len(list(video)) == 5
    told = [warning.message for warning in video.warnings if warning.code == "several_streams"]
    assert len(told) == (len(sides) > 1)
    if told:
        other = 1 - sides.index(max(sides))
        assert f"not number {other} of {sides[other]}x{sides[other]} px" in told[0]


def with_sound(path, early):
    """Ten frames of 25 a second, whose sound begins ``early`` s before."""
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=25), container.add_stream("aac", rate=48000)
        video.width = video.height = 64
        sound.layout = "mono"
        for k in range(2):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, 1024 * k
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 * number, np.uint8), format="rgb24")
            picture.pts, picture.time_base = number + round(25 * early), Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("form", ["mp4", "mkv"])
@pytest.mark.parametrize("early", [0.0, 0.04, 0.8])
def test_a_picture_that_begins_after_its_sound_is_told(tmp_path, form, early):
    path = with_sound(tmp_path / f"a.{form}", early)
    video = open_video(path, reader="pyav")
    assert [frame.time for frame in video][:2] == pytest.approx([0, 0.04], abs=1e-3)
    told = [warning.message for warning in video.warnings if warning.code == "late_picture"]
    assert len(told) == (early > 0.1)
    assert all(f"begins {early:.2f} s after its sound" in message for message in told)
    clock = player_clock(path)
    assert (clock.start, clock.fps) == (pytest.approx(early, abs=0.03), 25)


def test_a_cover_picture_is_not_the_video():
    def stream(index, side, disposition):
        codec = SimpleNamespace(width=side, height=side)
        return SimpleNamespace(index=index, codec_context=codec, disposition=disposition)

    cover = stream(0, 900, av.stream.Disposition.attached_pic)
    film = stream(1, 64, av.stream.Disposition.default)
    assert _main_stream(SimpleNamespace(streams=SimpleNamespace(video=[cover, film]))) is film
