"""Video files and folders of frames, whole and damaged."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from htnet.core.errors import InputError, VideoError
from htnet.preprocess import VIDEO_READERS, Video, open_video
from htnet.preprocess.video.open import natural_key
from tests.support.pairs import save
from tests.support.paths import ROOT
from tests.support.videos import HEIGHT, WIDTH, frame_chunks, number_of, numbered, numbered_video, overwrite

COUNT = 30


@pytest.fixture(params=VIDEO_READERS)
def reader(request):
    """Every rule about files holds for every reader."""
    return request.param


def read(video):
    """Frames before the error, and the error."""
    frames = []
    try:
        for frame in video:
            frames.append(frame)
    except VideoError as error:
        return frames, error
    pytest.fail(f"no error; {len(frames)} frames")


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4", "clip.mkv"])
def test_every_frame_comes_once_in_order_as_rgb(tmp_path, name, reader):
    path = numbered_video(tmp_path / name, COUNT, 59.5)
    video = open_video(path, reader=reader)
    assert video.reader == reader
    assert isinstance(video, Video)
    assert video.fps == pytest.approx(59.5, rel=1e-3)
    assert video.size == (HEIGHT, WIDTH)
    assert video.count is None, "headers are hints"
    for _ in range(2):  # each iteration begins anew
        frames = list(video)
        assert [number_of(f.pixels) for f in frames] == [f.number for f in frames] == list(range(COUNT))
        np.testing.assert_allclose([f.time for f in frames], np.arange(COUNT) / 59.5, atol=0.0011)
    reds, _, blues = frames[0].pixels[20:].reshape(-1, 3).mean(0)
    assert reds > blues + 50
    assert frames[7].source == f"{path} frame 7"


def test_take_and_between(tmp_path, reader):
    path = numbered_video(tmp_path / "clip.mp4", COUNT)
    video = open_video(path, to_frame=10, reader=reader)
    assert [number_of(f.pixels) for f in video] == list(range(11))
    found = video.take([9, 2])
    assert {n: number_of(f.pixels) for n, f in found.items()} == {2: 2, 9: 9}
    with pytest.raises(VideoError, match="has no frame 11") as caught:
        video.take([3, 11])
    assert caught.value.frame == 11
    assert [f.number for f in video.between(4, 7)] == [4, 5, 6, 7]


def test_the_frame_rate_can_be_replaced(tmp_path):
    path = numbered_video(tmp_path / "clip.avi", 3, fps=25)
    assert open_video(path).fps == 25
    assert open_video(path, fps=200).fps == 200


def test_folder_in_natural_order(tmp_path, rng):
    numbers = rng.permutation(COUNT)
    for k in numbers.tolist():
        save(tmp_path / f"img{k}.png", numbered(k, rng))
    save(tmp_path / ".hidden.png", numbered(99, rng))
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    video = open_video(tmp_path)
    assert (video.fps, video.size, video.count) == (None, (HEIGHT, WIDTH), COUNT)
    frames = list(video)
    assert [number_of(f.pixels) for f in frames] == list(range(COUNT))
    assert frames[10].source == str(tmp_path / "img10.png")
    assert open_video(tmp_path, fps=100).fps == 100


def test_natural_order():
    names = ["img10.png", "img9.png", "a2b10", "a2b9", "006_5562.jpg", "006_0600.jpg", "IMG1.png", "img01.png"]
    assert sorted(names, key=natural_key)[:4] == ["006_0600.jpg", "006_5562.jpg", "a2b9", "a2b10"]
    assert sorted(names, key=natural_key)[-2:] == ["img9.png", "img10.png"]
    assert sorted(["x²", "x1"], key=natural_key) == ["x1", "x²"]


def test_gray_alpha_and_16_bit_frames(tmp_path, rng):
    rgb = numbered(5, rng)
    alpha = np.dstack([rgb, rng.integers(0, 256, rgb.shape[:2], dtype=np.uint8)])
    save(tmp_path / "1.png", rgb[..., 1])
    save(tmp_path / "2.png", alpha)
    save(tmp_path / "3.png", rgb.astype(np.uint16) * 257)
    save(tmp_path / "4.bmp", rgb)
    gray, *others = (f.pixels for f in open_video(tmp_path))
    np.testing.assert_array_equal(gray, np.repeat(rgb[..., 1:2], 3, axis=2))
    for pixels in others:
        np.testing.assert_array_equal(pixels, rgb)


def test_damaged_frame_of_a_folder(tmp_path, rng):
    for k in range(12):
        save(tmp_path / f"{k}.png", numbered(k, rng))
    bad = int(rng.integers(1, 12))
    data = (tmp_path / f"{bad}.png").read_bytes()
    (tmp_path / f"{bad}.png").write_bytes(data[: len(data) // 2])
    frames, error = read(open_video(tmp_path))
    assert [number_of(f.pixels) for f in frames] == list(range(bad))
    assert error.frame == bad
    assert f"{bad}.png is a cut off PNG" in str(error)
    assert len(list(open_video(tmp_path, to_frame=bad - 1))) == bad
    if bad < 11:
        assert [f.number for f in open_video(tmp_path, from_frame=bad + 1)] == list(range(bad + 1, 12))


def test_folder_of_several_sizes(tmp_path, rng):
    for k in range(4):
        save(tmp_path / f"{k}.png", numbered(k, rng)[: HEIGHT - (k == 2)])
    frames, error = read(open_video(tmp_path))
    assert (len(frames), error.frame) == (2, 2)
    assert "128x95 px, the first one 128x96 px" in str(error)


def test_damage_in_the_middle_of_motion_jpeg_is_found_at_its_frame(tmp_path, rng, reader):
    path = numbered_video(tmp_path / "clip.avi", COUNT)
    clean = list(open_video(path, reader=reader))
    bad = int(rng.integers(1, COUNT))
    start, length = frame_chunks(path)[bad]
    overwrite(path, start + length // 2, bytes(length - length // 2))
    frames, error = read(open_video(path, reader=reader))
    assert error.frame == bad
    assert f"Frame {bad} of {path} is a cut off JPEG" in str(error)
    assert f"--to-frame {bad - 1}" in str(error)
    assert len(frames) == bad
    for kept, whole in zip(frames, clean, strict=False):
        np.testing.assert_array_equal(kept.pixels, whole.pixels)
    assert len(list(open_video(path, to_frame=bad - 1, reader=reader))) == bad


def test_a_file_that_ends_early(tmp_path, reader):
    path = numbered_video(tmp_path / "clip.avi", COUNT)
    start, _ = frame_chunks(path)[17]
    path.write_bytes(path.read_bytes()[: start - 8])
    frames, error = read(open_video(path, reader=reader))
    assert [number_of(f.pixels) for f in frames] == list(range(17))
    assert error.frame == 17
    assert "cut off" in str(error)
    assert "17 frames can be read" in str(error)


def test_damage_in_the_middle_of_mp4(tmp_path, reader):
    """The decoder hides the frame that is hit and stops at the next one."""
    path = numbered_video(tmp_path / "clip.mp4", COUNT)
    clean = [f.pixels for f in open_video(path)]
    size = path.stat().st_size
    overwrite(path, size // 2, bytes(size // 10))
    frames, error = read(open_video(path, reader=reader))
    assert 5 < error.frame < 25
    assert len(frames) >= error.frame
    for kept, whole in zip(frames[: error.frame - 1], clean, strict=False):
        np.testing.assert_array_equal(kept.pixels, whole)
    assert f"Frame {error.frame} of {path} is damaged" in str(error)


def test_gap_in_matroska_is_found(tmp_path, reader):
    path = numbered_video(tmp_path / "clip.mkv", 60)
    clean = [f.pixels for f in open_video(path)]
    size = path.stat().st_size
    overwrite(path, size // 2, bytes(size // 10))
    frames, error = read(open_video(path, reader=reader))
    assert 10 < error.frame < 50
    for kept, whole in zip(frames[: error.frame - 1], clean, strict=False):
        np.testing.assert_array_equal(kept.pixels, whole)


def test_what_is_no_video(tmp_path, rng, reader):
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "empty.avi").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    save(tmp_path / "bad" / "0.png", numbered(0, rng)).write_bytes(b"")
    cut = numbered_video(tmp_path / "cut.mp4", 10)
    cut.write_bytes(cut.read_bytes()[:2000])  # an MP4's table of frames is at its end
    for name, message in (
        ("text.mp4", "is not a video"),
        ("empty.avi", r"is empty \(0 bytes\)"),
        ("nothing", "contains no frames"),
        ("none.mp4", "does not exist"),
        ("cut.mp4", r"is cut off \(2000 of"),
        ("bad", "0.png is empty"),
    ):
        with pytest.raises(VideoError, match=message) as caught:
            open_video(tmp_path / name, reader=reader)
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *(
            {"fps": 0},
            {"fps": -1},
            {"fps": float("nan")},
            {"fps": 1e300},
            {"fps": 1e-300},
            {"to_frame": 2.5},
            {"to_frame": -1},
        ),
        *({"from_frame": True}, {"from_time": -0.1}, {"to_time": float("nan")}, {"from_time": "1"}),
    ],
)
def test_impossible_settings(tmp_path, settings):
    path = numbered_video(tmp_path / "clip.avi", 3)
    with pytest.raises(InputError, match=f"{next(iter(settings))} is "):
        open_video(path, **settings)


def test_more_frames_than_any_video_has_are_asked_of_one_that_is_held(tmp_path):
    path = numbered_video(tmp_path / "clip.avi", 3)
    with pytest.raises(VideoError, match="to_frame is 1000000000.*, but .* has 3 frames"):
        list(open_video(path, to_frame=10**18).held())


_READ_ALL = """
import resource, sys
import numpy as np
from htnet.preprocess import open_video
video = open_video(sys.argv[1], reader=sys.argv[2])
frames = iter(video)
next(frames)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
held = sum(frame.pixels.nbytes for frame in frames)
print(held / 1e6, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_memory_does_not_grow_with_the_length(tmp_path, reader):
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (1280, 720))
    for k in range(150):
        writer.write(np.full((720, 1280, 3), k, np.uint8))
    writer.release()
    done = subprocess.run(
        [sys.executable, "-c", _READ_ALL, path, reader], capture_output=True, text=True, check=True, cwd=ROOT
    )
    held, grown = map(float, done.stdout.split())
    assert held > 400, "MB that a reader of the whole file would hold"
    assert grown < 60
