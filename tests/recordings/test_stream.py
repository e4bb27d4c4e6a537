import threading

import av
import cv2
import numpy as np
import pytest

from htnet.core.errors import FrameError, InputError, VideoError
from htnet.core.types import Frame
from htnet.preprocess import open_video
from htnet.preprocess.video import readers
from htnet.recordings import FrameStream, camera_stream, recording_stream
from htnet.recordings.stream import read_ahead, thumbnail
from tests.support.videos import frame_chunks, number_of, numbered, numbered_video, overwrite, write_timed


@pytest.fixture(params=["pyav", "opencv"])
def reader(request):
    return request.param


def test_all_frames_of_a_whole_file(tmp_path, reader):
    path = numbered_video(tmp_path / "a.avi", 20, fps=25)
    stream = recording_stream(open_video(path, reader=reader))
    frames = list(stream)
    assert [number_of(frame.pixels) for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(20) / 25)
    assert stream.missing == []


def test_reading_goes_on_after_a_damaged_frame(tmp_path, reader):
    path = numbered_video(tmp_path / "a.avi", 20, fps=25)
    start, length = frame_chunks(path)[7]
    overwrite(path, start + length // 2, bytes(length - length // 2))
    stream = recording_stream(open_video(path, reader=reader))
    frames = list(stream)
    assert [frame.number for frame in frames] == [n for n in range(20) if n != 7]
    assert [number_of(frame.pixels) for frame in frames] == [frame.number for frame in frames]
    (gap,) = stream.missing
    assert (gap.reason, gap.before, gap.frames) == ("damaged", 8, 1)
    assert (gap.start, gap.end) == pytest.approx((6 / 25, 8 / 25))
    assert frames[7].time == pytest.approx(8 / 25)


def test_after_damage_in_predicted_frames_the_next_key_frame_follows(tmp_path, rng, monkeypatch):
    # Every tenth frame a key frame, and no other, as new as the pictures are.
    options = {"g": "10", "bf": "0", "sc_threshold": "0"}
    path = write_timed(tmp_path / "a.mkv", [numbered(n, rng) for n in range(30)], np.arange(30) / 30, options=options)
    seen = 0
    decode = av.Packet.decode

    class Refusing:
        """The decoder refuses packet 13."""

        def __init__(self, packet):
            self.packet = packet

        def __getattr__(self, name):
            return getattr(self.packet, name)

        def decode(self):
            nonlocal seen
            seen += 1
            if seen == 14:
                raise av.error.InvalidDataError(1, "no")
            return decode(self.packet)

    decoded = readers._decoded
    monkeypatch.setattr(readers, "_decoded", lambda packet, *rest: decoded(Refusing(packet), *rest))
    stream = recording_stream(open_video(path, reader="pyav"))
    seen = 0
    frames = list(stream)
    assert [frame.number for frame in frames] == [*range(13), *range(20, 30)]
    assert [number_of(frame.pixels) for frame in frames] == [frame.number for frame in frames]
    (gap,) = stream.missing
    assert (gap.reason, gap.before, gap.frames) == ("damaged", 20, 7)
    assert "predicted from a damaged one" in gap.detail


def test_a_file_that_is_cut_off_is_told_at_its_end(tmp_path, reader):
    path = numbered_video(tmp_path / "a.avi", 20, fps=25)
    path.write_bytes(path.read_bytes()[: frame_chunks(path)[12][0] + 40])
    stream = recording_stream(open_video(path, reader=reader))
    assert [frame.number for frame in stream][:12] == list(range(12))
    assert stream.missing[-1].reason == "damaged"
    assert "cut off" in "".join(gap.detail for gap in stream.missing)


def test_a_pause_and_a_dropped_frame_are_told_by_their_times(tmp_path, rng, reader):
    times = np.delete(np.concatenate([np.arange(60) / 30, 4 + np.arange(10) / 30]), 45)
    path = write_timed(tmp_path / "a.mkv", [numbered(n, rng) for n in range(len(times))], times)
    stream = recording_stream(open_video(path, reader=reader))
    assert [frame.time for frame in stream] == pytest.approx(times, abs=0.0011)
    assert [(gap.reason, gap.before) for gap in stream.missing] == [("dropped", 45), ("paused", 59)]
    assert stream.missing[1].end == pytest.approx(4, abs=0.0011)


def test_a_part_of_a_file_and_of_a_folder(tmp_path, rng):
    path = numbered_video(tmp_path / "a.avi", 20, fps=25)
    assert [f.number for f in recording_stream(open_video(path, from_frame=5, to_frame=8))] == [5, 6, 7, 8]
    assert [f.number for f in recording_stream(open_video(path, from_time=0.2, to_time=0.32))] == [5, 6, 7, 8]
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), numbered(number, rng)[..., ::-1])
    (folder / "3.png").write_bytes(b"no image")
    stream = recording_stream(folder, fps=50)
    assert [(f.number, f.time) for f in stream] == [(n, n / 50) for n in (0, 1, 2, 4, 5)]
    assert [(gap.reason, gap.before) for gap in stream.missing] == [("damaged", 4)]
    with pytest.raises(InputError, match="have no times; give its frames per second"):
        list(recording_stream(folder))


def test_a_recording_without_a_frame_is_refused():
    with pytest.raises(VideoError, match="has no frame that can be decoded"):
        list(FrameStream("empty.mp4", [(0, "damaged")]))


def own(*numbers, pixels=None):
    """Frames of one's own at 25 per second, as in the docs."""
    gray = np.full((48, 64, 3), 128, np.uint8) if pixels is None else pixels
    return [Frame(gray, "mine", number, place / 25) for place, number in enumerate(numbers)]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (own(None, None), "has the number None; number the frames from 0"),
        (own(0, 1, 1), "has the number 1 after 1; number"),
        (own(5, 4), "has the number 4 after 5; number"),
        (own("0"), "has the number '0'; number"),
        (own(0.0), "has the number 0.0; number"),
        (own(-1), "has the number -1; number"),
        ([Frame(own(0)[0].pixels, "mine", 0, "0")], "has the time '0' s; give rising times"),
        ([own(0)[0].pixels], "contains ndarray in place of a frame"),
        ("video.mp4", "recording_stream reads a file"),
        (5, "give an iterable of Frame"),
    ],
)
def test_frames_of_ones_own_need_numbers_and_times(frames, message):
    """Without numbers, every event was at frame 0."""
    with pytest.raises(InputError, match=message):
        list(FrameStream("mine", frames))


@pytest.mark.parametrize(
    "change",
    [
        lambda pixels: pixels.astype(np.float32) / 255,
        lambda pixels: pixels.astype(np.uint16) * 257,
        lambda pixels: pixels[..., 0],
        lambda pixels: pixels.tolist(),
    ],
)
def test_frames_of_ones_own_have_pixels_of_8_bits_in_rgb(change):
    """In numbers from 0 to 1, no face was found, in silence."""
    wrong = change(own(0)[0].pixels)
    with pytest.raises(FrameError, match=r"give \(H, W, 3\) uint8: read_frame"):
        list(FrameStream("mine", own(0, 1, pixels=wrong)))


@pytest.mark.parametrize("fps", ["25", 0, -1, float("nan"), True])
def test_an_impossible_rate_of_a_stream_is_refused(fps):
    with pytest.raises(InputError, match="fps of mine is"):
        FrameStream("mine", own(0), fps)


def test_numbers_of_numpy_and_gaps_are_frames():
    frames = [Frame(one.pixels, "mine", np.int64(one.number), np.float32(one.time)) for one in own(3, 4, 9)]
    read = list(FrameStream("mine", frames, np.float32(25)))
    assert [(type(one.number), type(one.time)) for one in read] == [(int, float)] * 3
    assert [one.number for one in read] == [3, 4, 9]


class Camera:
    """A stand-in for `cv2.VideoCapture`."""

    def __init__(self, count, opened=True):
        self.count, self.opened, self.released = count, opened, False

    def isOpened(self):  # noqa: N802
        return self.opened

    def read(self):
        if not self.count:
            return False, None
        self.count -= 1
        return True, np.full((48, 64, 3), (0, 0, 200), np.uint8)

    def release(self):
        self.released = True


def test_a_camera_gives_frames_with_the_times_of_their_arrival():
    camera, ticks = Camera(5), iter([10.0, 10.1, 10.25, 10.3, 10.4, *([11.0] * 40)])
    stream = camera_stream(2, open_camera=lambda number: camera, clock=lambda: next(ticks))
    frames = list(stream)
    assert [frame.number for frame in frames] == list(range(5))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.25, 0.3, 0.4])
    assert frames[0].pixels[0, 0].tolist() == [200, 0, 0], "RGB"
    assert camera.released


def test_a_camera_stops_after_the_time_asked_for_and_where_the_stream_is_given_up():
    camera, ticks = Camera(100), iter(np.arange(100) / 10)
    assert len(list(camera_stream(0, seconds=1, open_camera=lambda number: camera, clock=lambda: next(ticks)))) == 11
    camera = Camera(100)
    frames = iter(camera_stream(0, open_camera=lambda number: camera))
    next(frames)
    frames.close()
    del frames
    assert camera.released


def test_no_camera_is_told():
    with pytest.raises(VideoError, match="Camera 7 cannot be opened"):
        camera_stream(7, open_camera=lambda number: Camera(0, opened=False))
    for number, seconds in ((-1, None), (True, None), (0, 0.0)):
        with pytest.raises(InputError, match="give"):
            camera_stream(number, seconds=seconds, open_camera=lambda number: Camera(1))


def test_a_camera_is_opened_without_the_log_of_opencv():
    log = getattr(cv2.utils, "logging", cv2)
    before, levels = log.getLogLevel(), []

    def opening(number):
        levels.append(log.getLogLevel())
        return Camera(0, opened=False)

    with pytest.raises(VideoError):
        camera_stream(7, open_camera=opening)
    assert levels == [0] != [before]
    assert log.getLogLevel() == before


def test_reading_ahead_keeps_order_hands_errors_on_and_ends_with_the_reader():
    assert list(read_ahead(range(50), ahead=3)) == list(range(50))

    def failing():
        yield 1
        raise VideoError("gone", 1)

    items = read_ahead(failing())
    assert next(items) == 1
    with pytest.raises(VideoError, match="gone"):
        next(items)
    made = []

    def counting():
        for number in range(10**6):
            made.append(number)
            yield number

    threads = threading.active_count()
    items = read_ahead(counting(), ahead=4)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert threading.active_count() == threads
    assert len(made) < 20, "no more than waits is made"


def test_a_thumbnail_is_small_and_of_the_whole_frame(rng):
    pixels = rng.integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    small = thumbnail(pixels)
    assert small.shape == (36, 64)
    assert small[-1, -1] == pixels[700, 1260, 1]


@pytest.mark.parametrize(
    ("codec", "pixels", "told"),
    [
        ("libx264", "yuv420p", "H.264"),
        ("mpeg4", "yuv420p", "MPEG-4"),
        ("libvpx-vp9", "yuv420p", "VP9"),
        ("mjpeg", "yuvj420p", ""),
        ("ffv1", "yuv420p", ""),
    ],
)
def test_codecs_that_erase_weak_motion_are_told(tmp_path, rng, codec, pixels, told, reader):
    frames = [numbered(n, rng) for n in range(4)]
    path = write_timed(tmp_path / "a.mkv", frames, np.arange(4) / 30, codec, pixels=pixels)
    stream = recording_stream(open_video(path, reader=reader))
    found = [warning.message for warning in stream.warnings if warning.code == "lossy_video"]
    assert len(found) == bool(told)
    assert all(f"compressed with {told}," in message for message in found)
