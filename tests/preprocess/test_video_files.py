"""Files as cameras and editors write them: the header's count is a hint, time stamps and sizes are the truth."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from htnet.core.errors import InputError, MissingExtraError, VideoError
from htnet.preprocess import VIDEO_READERS, open_clip, open_video
from htnet.preprocess.video import readers
from htnet.preprocess.video.clip_quality import frame_rate, time_warnings
from htnet.preprocess.video.containers import container_kind, file_flaw, stored_span
from htnet.preprocess.video.readers import Header, Shot
from htnet.preprocess.video.shots import file_shots
from tests.support.pairs import save
from tests.support.videos import number_of, numbered, numbered_video, overwrite, write_timed

N = 24
EVEN = np.arange(N) / 30
FALLING = np.concatenate([EVEN[:12], EVEN[11] + np.arange(1, 13) / 15])
DROPPED = EVEN + (np.arange(N) >= 10) / 30
LATE = EVEN + 2
PIECES = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    return [numbered(i, rng) for i in range(N)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """`write_timed` that encodes a file once, for both readers and whatever is done to it."""
    folder, made = tmp_path_factory.mktemp("files"), {}

    def write(path, frames, times, codec="libx264", **settings):
        key = path.name, tuple(times), codec, repr(settings)
        if key not in made:
            made[key] = write_timed(folder / path.name, frames, times, codec, **settings).read_bytes()
        path.write_bytes(made[key])
        return path

    return write


@pytest.fixture(params=VIDEO_READERS)
def reader(request):
    return request.param


def healthy():
    """Name, times, codec and other settings of files that every player shows whole."""
    for ending, codec in (("mp4", "libx264"), ("mov", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9")):
        for name, times in (("even", EVEN), ("falling", FALLING), ("dropped", DROPPED), ("late", LATE)):
            yield pytest.param(f"{name}.{ending}", times, codec, {}, id=f"{name}.{ending}")
    for name, times in (("even", EVEN), ("falling", FALLING)):
        yield pytest.param(f"{name}8.webm", times, "libvpx", {}, id=f"{name}-vp8.webm")
    yield pytest.param("even.avi", EVEN, "mpeg4", {}, id="even.avi")
    # AVI has no time stamps; a dropped frame is an empty chunk, which the header counts.
    yield pytest.param("dropped.avi", DROPPED, "mpeg4", {}, id="dropped.avi")
    yield pytest.param("jpeg.avi", EVEN, "mjpeg", {"pixels": "yuvj420p"}, id="jpeg.avi")
    for ending in ("mp4", "mkv"):
        yield pytest.param(f"sound.{ending}", EVEN, "libx264", {"sound": 1.6}, id=f"sound.{ending}")
    yield pytest.param(
        "pieces.mp4", EVEN, "libx264", {"flags": {"movflags": "frag_keyframe+empty_moov"}}, id="pieces.mp4"
    )
    # A header's count is duration times rate here.
    yield pytest.param("falling.ts", FALLING, "libx264", {}, id="falling.ts")
    yield pytest.param("ten.mkv", EVEN, "ffv1", {"pixels": "yuv420p10le"}, id="ten-bit.mkv")
    yield pytest.param("gray.mkv", EVEN, "ffv1", {"pixels": "gray"}, id="gray.mkv")


@pytest.mark.parametrize(("name", "times", "codec", "settings"), list(healthy()))
def test_healthy_files_are_read_whole_with_their_times(tmp_path, frames, written, name, times, codec, settings, reader):
    path = written(tmp_path / name, frames, times, codec, **settings)
    found = list(open_video(path, reader=reader))
    assert [number_of(f.pixels) for f in found] == [f.number for f in found] == list(range(N))
    np.testing.assert_allclose([f.time for f in found], times - times[0], atol=0.0021)
    assert file_flaw(path) == ""
    codes = [w.code for w in time_warnings(np.array([f.time for f in found]))]
    assert codes == {"falling": ["variable_rate"], "dropped": ["time_gaps"]}.get(name.split(".")[0].rstrip("8"), [])


@pytest.fixture
def trimmed(tmp_path, frames, written):
    """A phone's trimmed clip: its list of edits shows 0.4 s from 0.2 s on; the header still counts all frames."""
    path = written(tmp_path / "trimmed.mp4", frames, EVEN, options={"bf": "0"})
    data = path.read_bytes()
    scale = struct.unpack(">I", data[data.index(b"mvhd") + 16 :][:4])[0]
    media_scale = struct.unpack(">I", data[data.index(b"mdhd") + 16 :][:4])[0]
    overwrite(path, data.index(b"elst") + 12, struct.pack(">Ii", round(0.4 * scale), round(0.2 * media_scale)))
    return path


def test_a_trimmed_clip_shows_what_a_player_shows(trimmed, reader):
    found = list(open_video(trimmed, reader=reader))
    assert [number_of(f.pixels) for f in found] == list(range(6, 18))
    np.testing.assert_allclose([f.time for f in found], np.arange(12) / 30, atol=0.0021)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_frames_are_turned_as_the_file_says(tmp_path, frames, written, reader, turn):
    path = written(tmp_path / "clip.mp4", frames, EVEN)
    plain = next(iter(open_video(path, reader=reader))).pixels
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    at = path.read_bytes().index(b"tkhd") + 4 + 4 + 20 + 16
    matrix = (cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    overwrite(path, at, struct.pack(">9i", *matrix))
    video = open_video(path, reader=reader)
    shown = next(iter(video)).pixels
    assert shown.shape[:2] == video.size
    np.testing.assert_array_equal(shown, np.rot90(plain, -turn // 90))


@pytest.mark.parametrize("share", [0.4, 0.8, 0.93])
@pytest.mark.parametrize(
    ("name", "codec", "settings"),
    [
        ("clip.avi", "mpeg4", {}),
        ("jpeg.avi", "mjpeg", {"pixels": "yuvj420p"}),
        ("clip.mkv", "libx264", {}),
        ("clip.webm", "libvpx-vp9", {}),
        ("clip.mp4", "libx264", {}),
        ("fast.mp4", "libx264", {"flags": {"movflags": "faststart"}}),
        ("pieces.mp4", "libx264", {"flags": PIECES, "options": {"g": "6"}}),
    ],
)
def test_a_file_that_was_cut_off_is_reported(tmp_path, frames, written, reader, name, codec, settings, share):
    """The frames before the cut are delivered, rightly, and the error has the number of the first that is missing."""
    path = written(tmp_path / name, frames, EVEN, codec, **settings)
    data = path.read_bytes()
    end = len(data)
    if name.endswith("avi"):  # the cut lies in the frames, not in the index behind them
        end = data.index(b"idx1")
    path.write_bytes(data[: int(share * end)])
    seen = []
    with pytest.raises(VideoError, match=r"cut off|damaged") as caught:
        seen.extend(number_of(f.pixels) for f in open_video(path, reader=reader))
    assert str(path) in str(caught.value)
    last = caught.value.frame or 0
    assert seen[:last] == list(range(last))
    if last:
        assert [f.number for f in open_video(path, to_frame=last - 1, reader=reader)] == list(range(last))


def test_a_lost_index_costs_no_frame(tmp_path, frames, written, reader):
    for name, codec, part in (("clip.avi", "mpeg4", b"idx1"), ("clip.mkv", "libx264", b"\x1c\x53\xbb\x6b")):
        path = written(tmp_path / name, frames, EVEN, codec)
        data = path.read_bytes()
        path.write_bytes(data[: data.rindex(part) + 12])
        assert len(list(open_video(path, reader=reader))) == N


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mkv", "libx264"), ("clip.webm", "libvpx"), ("clip.mp4", "mpeg4"), ("clip.avi", "mjpeg")]
)
def test_damage_in_the_middle_is_reported(tmp_path, frames, written, reader, name, codec):
    path = written(tmp_path / name, frames, EVEN, codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    size = path.stat().st_size
    overwrite(path, size // 2, bytes(size // 12))
    with pytest.raises(VideoError, match=r"damaged|cut off") as caught:
        list(open_video(path, reader=reader))
    assert 0 < caught.value.frame < N


def test_pyav_sees_a_few_damaged_bytes_inside_a_frame(tmp_path, frames, written):
    """OpenCV passes such frames on in silence, and PyAV those that FFmpeg's decoder does not mark; docs/video.md."""
    path = written(tmp_path / "clip.mkv", frames, EVEN, options={"bf": "0", "x264-params": "slices=1"})
    whole, clean, reported, silent = path.read_bytes(), [f.pixels for f in open_video(path)], 0, 0
    for place in np.linspace(0.2, 0.8, 20):  # which of them the decoder marks depends on the encoder's version
        path.write_bytes(whole)
        overwrite(path, int(len(whole) * place), np.random.default_rng(3).bytes(60))
        found = []
        try:
            found.extend(f.pixels for f in open_video(path, reader="pyav"))
        except VideoError:
            reported += 1
        else:
            silent += len(found) < N or any(not np.array_equal(a, b) for a, b in zip(found, clean, strict=True))
    assert reported >= 12, (reported, silent)
    assert silent <= 4, (reported, silent)


def test_a_damaged_block_header_ends_no_video_in_silence(tmp_path, frames, written, reader):
    """FFmpeg's parser stops at such a block; the structure around it is whole, and 5 of 24 frames were all."""
    path = written(tmp_path / "clip.mkv", frames, EVEN, options={"bf": "0", "x264-params": "slices=1"})
    whole = path.read_bytes()
    blocks = [at for at in range(len(whole) - 4) if whole[at] == 0xA3 and whole[at + 3] == 0x81]
    reported = 0
    for at in blocks[3:20:4]:
        path.write_bytes(whole)
        overwrite(path, at + 6, b"\xff" * 40)  # flags, the lacing and the beginning of the picture
        found = []
        try:
            found.extend(f.pixels for f in open_video(path, reader=reader))
        except VideoError:
            reported += 1
        else:
            assert len(found) >= N - (2 if reader == "pyav" else 17)
    assert reported >= (3 if reader == "pyav" else 1)  # OpenCV does not tell when its first frame is


@pytest.mark.parametrize("codec", ["libx264", "libvpx", "libvpx-vp9", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm"])
def test_whole_matroska_files_state_what_is_read(tmp_path, frames, written, reader, codec, name):
    if name.endswith("webm") and not codec.startswith("libvpx"):
        pytest.skip("not a codec of WebM")
    path = written(tmp_path / name, frames, LATE, codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    assert len(list(open_video(path, reader=reader))) == N
    count, earliest, latest = stored_span(path)
    assert N <= count <= N + 4
    assert (earliest, latest) == pytest.approx((LATE[0], LATE[-1]), abs=0.002)


def test_frames_before_the_first_that_can_be_decoded_are_no_damage(tmp_path, frames, reader):
    """A part cut from a longer video begins with frames that refer to others before it."""
    options = {"x265-params": "open-gop=1:keyint=12:min-keyint=12:bframes=8:b-adapt=0:scenecut=0:log-level=none"}
    whole, part = tmp_path / "whole.mkv", tmp_path / "part.mkv"
    with av.open(str(whole), "w") as file:
        stream = file.add_stream("libx265", rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(48):
            frame = av.VideoFrame.from_ndarray(frames[number % N], format="rgb24")
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    keys = 0
    with av.open(str(whole)) as source, av.open(str(part), "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            keys += packet.is_keyframe
            if packet.dts is not None and keys >= 2:
                packet.stream = stream
                file.mux(packet)
    count = stored_span(part)[0]
    assert len(list(open_video(part, reader=reader))) < count


@pytest.mark.parametrize("told", [True, False], ids=["as installed", "without the order of fields"])
def test_interlaced_video_is_never_black_in_silence(tmp_path, frames, written, monkeypatch, told):
    if not told:  # PyAV 17 and older
        monkeypatch.setattr(readers, "_field_order", lambda coded: None)
    path = written(tmp_path / "clip.mp4", frames, EVEN, options={"x264-params": "interlaced=1"})
    video = open_video(path, reader="pyav")
    assert [number_of(f.pixels) for f in video] == list(range(N))
    assert "interlaced" in [warning.code for warning in video.warnings]
    plain = open_video(written(tmp_path / "plain.mp4", frames, EVEN), reader="pyav")
    assert "interlaced" not in [warning.code for warning in plain.warnings]
    told = ""
    try:
        video = open_video(path, reader="opencv")
        found, told = [number_of(f.pixels) for f in video], "".join(w.message for w in video.warnings)
    except VideoError as error:
        found, told = [], str(error)
    # An OpenCV that converts it is right.
    assert found == list(range(N)) or ("OpenCV shows interlaced video" in told and "htnet[video]" in told)


def test_both_readers_give_the_same_pixels(tmp_path, frames, written):
    for name, codec in (("clip.mp4", "libx264"), ("clip.webm", "libvpx-vp9"), ("clip.avi", "mpeg4")):
        path = written(tmp_path / name, frames, EVEN, codec)
        one, other = (open_video(path, reader=reader) for reader in VIDEO_READERS)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a.pixels, b.pixels)


def test_wide_pixels_and_kinds_that_opencv_cannot_check_are_told(tmp_path, frames, written, reader):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    (warning,) = open_video(path, reader=reader).warnings
    assert (warning.code, "1.33 times" in warning.message) == ("pixel_aspect", True)
    stream_file = written(tmp_path / "clip.ts", frames, EVEN)
    assert container_kind(stream_file) == ""
    codes = [w.code for w in open_video(stream_file, reader=reader).warnings]
    assert codes == (["unverified_video"] if reader == "opencv" else [])


@pytest.fixture(params=["file", "folder", "file with a rate"])
def part_of(request, tmp_path, frames, written, reader):
    """Opens parts of a recording whose rate falls from 30 to 15, or of one of constant rate."""
    if request.param == "folder":
        for k, rgb in enumerate(frames):
            save(tmp_path / "frames" / f"{k}.png", rgb)
        return (lambda **part: open_video(tmp_path / "frames", fps=30, **part)), EVEN
    path = written(tmp_path / "clip.mkv", frames, FALLING)
    if request.param == "file":
        return (lambda **part: open_video(path, reader=reader, **part)), FALLING
    return (lambda **part: open_video(path, fps=100, reader=reader, **part)), np.arange(N) / 100


def test_parts_by_time_and_by_number(part_of):
    """Numbers and times are those of the whole recording; both ends are included."""
    open_part, times = part_of
    for part, first, last in (
        ({"from_frame": 5}, 5, N - 1),
        ({"to_frame": 7}, 0, 7),
        ({"from_frame": 5, "to_frame": 5}, 5, 5),
        ({"from_time": times[4] - 0.004}, 4, N - 1),
        ({"to_time": times[18] + 0.004}, 0, 18),
        ({"from_time": times[14] - 0.004, "to_time": times[20] + 0.004}, 14, 20),
        ({"from_frame": 3, "to_time": times[20] + 0.004}, 3, 20),
        ({"from_time": times[14] - 0.004, "to_frame": 20}, 14, 20),
    ):
        found = list(open_part(**part))
        assert [f.number for f in found] == [number_of(f.pixels) for f in found] == list(range(first, last + 1))
        np.testing.assert_allclose([f.time for f in found], times[first : last + 1], atol=0.0011)


@pytest.mark.parametrize(
    ("part", "error", "message"),
    [
        ({"from_frame": N}, VideoError, f"from_frame is {N}, but .* has {N} frames, 0 to {N - 1}"),
        ({"to_frame": N}, VideoError, f"to_frame is {N}, but .* has {N} frames"),
        ({"from_time": 60.0}, VideoError, r"from_time is 60 s, but .* the last one from"),
        ({"to_time": 60.0}, VideoError, r"to_time is 60 s, but .* the last one from"),
        ({"from_time": 1.0, "from_frame": 2}, InputError, "from_frame and from_time are both given"),
        ({"to_time": 1.0, "to_frame": 2}, InputError, "to_frame and to_time are both given"),
        ({"from_frame": 5, "to_frame": 4}, InputError, "to_frame 4 comes before from_frame 5"),
        ({"from_time": 0.5, "to_time": 0.4}, InputError, "to_time 0.4 comes before from_time 0.5"),
        ({"from_time": 0.001, "to_time": 0.002}, VideoError, "no frame between 0.001 s and 0.002 s"),
    ],
)
def test_parts_that_cannot_be(part_of, part, error, message):
    open_part, _ = part_of
    with pytest.raises(error, match=message):
        list(open_part(**part))


def test_frames_with_one_time_stamp_do_not_move_those_after_them(tmp_path, reader):
    """Two frames of a file may be rounded to the same millisecond; `file_shots` is where it is decided."""
    stamps = [0.0, 0.033, 0.033, 0.067, 0.1, 0.1, 0.1, 0.133]

    class Stamped:
        name = reader

        def header(self, path):
            return Header(30.0, None)

        def shots(self, path, read_on):
            return (Shot(np.zeros((16, 16, 3), np.uint8), stamp) for stamp in stamps)

    path = tmp_path / "some.ts"
    path.write_bytes(b"x" * 400)
    times = [shot.time for _, shot in file_shots(path, Stamped())]
    np.testing.assert_allclose(times, [0.0, 0.033, 0.0335, 0.067, 0.1, 0.1005, 0.101, 0.133])


def test_a_folder_without_rate_has_no_times(tmp_path, frames):
    save(tmp_path / "0.png", frames[0])
    with pytest.raises(InputError, match=r"no times; also give .*--fps"):
        open_video(tmp_path, from_time=0)


def test_clips_of_manifests_read_the_frames_they_name(tmp_path, frames, written):
    path = written(tmp_path / "clip.webm", frames, FALLING, "libvpx-vp9")
    assert [number_of(f.pixels) for f in open_clip(path, "13", "20")] == list(range(13, 21))
    with pytest.raises(VideoError, match=f"to_frame is {N}, but .* has {N} frames"):
        list(open_clip(path, "13", str(N)))


def test_frame_rate_is_that_of_the_times():
    even = np.arange(40) / 59.5
    assert frame_rate(even, 59.5) == 59.5
    assert frame_rate(np.round(even, 3), 59.5) == 59.5, "Matroska rounds to 1 ms"
    assert frame_rate(even, 1000.0) == pytest.approx(59.5), "a WebM without default duration may state anything"
    assert frame_rate(even, None) == pytest.approx(59.5)
    assert frame_rate(np.round(DROPPED, 3), 30.0) == pytest.approx(30, rel=1e-3)
    assert time_warnings(np.round(even, 3)) == ()
    (gap,) = time_warnings(DROPPED, 100)
    assert "0.067 s after frame 109 (0.300 s)" in gap.message


def test_readers_by_name(tmp_path, frames, written, monkeypatch):
    path = written(tmp_path / "clip.mp4", frames, EVEN)
    assert open_video(path).reader == "pyav", "the better one, where it is installed"
    with pytest.raises(InputError, match="Did you mean 'opencv'"):
        open_video(path, reader="open-cv")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[video\]'"):
        open_video(path, reader="pyav")
    monkeypatch.setattr("htnet.preprocess.video.readers.find_spec", lambda name: None)
    video = open_video(path)
    assert video.reader == "opencv"
    assert len(list(video)) == N


def no_rate(path):
    """Take the rate out of an AVI file's headers."""
    at = path.read_bytes().index(b"vids")
    overwrite(path, at + 20, struct.pack("<II", 0, 0))
    overwrite(path, 32, struct.pack("<I", 0))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "assumed"),
    [
        ("a.h264", "libx264", True),
        ("a.hevc", "libx265", True),
        ("a.mjpeg", "mjpeg", True),
        ("none.avi", "mpeg4", True),
        ("a.avi", "mpeg4", False),
        ("a.ts", "libx264", False),
        ("a.mp4", "libx264", False),
        ("a.mkv", "libx264", False),
        ("a.flv", "libx264", False),
        ("a.ivf", "libvpx", False),
    ],
)
def test_times_that_rest_on_an_assumed_rate_are_told(tmp_path, frames, written, name, codec, assumed, reader):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = written(tmp_path / name, frames[:6], EVEN[:6], codec, pixels=pixels)
    path = no_rate(path) if name == "none.avi" else path
    video = open_video(path, reader=reader)
    told = [w for w in video.warnings if w.code == "assumed_rate"]
    assert len(told) == assumed
    times = [frame.time for frame in video]
    if assumed:
        assert times == pytest.approx(np.arange(6) / 25)
        assert "25 per second are assumed" in told[0].message
        given = open_video(path, fps=50, reader=reader)
        assert "assumed_rate" not in [w.code for w in given.warnings], "a rate that is given is not assumed"
        assert [frame.time for frame in given] == pytest.approx(np.arange(6) / 50)
    else:
        assert times == pytest.approx(EVEN[:6], abs=0.0011)


def write_sizes(path, parts):
    """One transport stream of several pictures' sizes, as broadcasts and recorders make them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        number = 0
        for part in parts:
            height, width = part[0].shape[:2]
            coder = av.CodecContext.create("libx264", "w")
            for settings in (stream, coder) if not number else (coder,):
                settings.height, settings.width, settings.pix_fmt = height, width, "yuv420p"
            coder.time_base, coder.framerate = Fraction(1, 30), Fraction(30)
            packets = []
            for rgb in part:
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                frame.pts, frame.time_base, number = number, Fraction(1, 30), number + 1
                packets += coder.encode(frame)
            for packet in (*packets, *coder.encode(None)):
                packet.stream, packet.time_base = stream, Fraction(1, 30)
                container.mux(packet)
    return path


def test_a_picture_that_changes_its_size_is_refused_or_told(tmp_path, frames, reader):
    path = write_sizes(tmp_path / "a.ts", [frames[:6], [np.tile(rgb, (2, 2, 1)) for rgb in frames[6:12]]])
    video = open_video(path, reader=reader)
    if reader == "pyav":
        with pytest.raises(VideoError, match="Frame 6 of .* is 256x192 px, the first one 128x96 px") as error:
            list(video)
        assert error.value.frame == 6
    else:
        assert {frame.size for frame in video} == {(96, 128)}, "OpenCV stretches the others"
        (warning,) = video.warnings
        assert "a change of the picture's size" in warning.message


@pytest.mark.parametrize(
    ("pixels", "bits", "fits"),
    [
        ("gray", 8, True),
        ("gray10le", 10, True),
        ("gray12le", 12, True),
        ("gray16le", 16, True),
        ("gray12le", 10, False),
        ("gray16le", 14, False),
        ("gray16le", 12, False),
        ("gray16le", 10, False),
        ("gbrp16le", 12, False),
        ("gbrp16le", 16, True),
    ],
)
def test_deep_pixels_that_hold_fewer_bits_are_refused(tmp_path, pixels, bits, fits, reader):
    values = np.linspace(0, 2**bits - 1, 96 * 128).reshape(96, 128).astype(np.uint8 if pixels == "gray" else np.uint16)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 96, 128, pixels
        for number in range(3):
            frame = av.VideoFrame(128, 96, pixels)
            for plane in frame.planes:
                rows = np.zeros((96, plane.line_size // values.itemsize), values.dtype)
                rows[:, :128] = values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if fits:
        first = next(iter(open_video(path, reader=reader))).pixels
        assert np.abs(first[..., 0] / 255 - values / (2**bits - 1)).max() < 0.01
    else:
        with pytest.raises(VideoError, match=r"values of fewer bits.*--bit-depth") as error:
            open_video(path, reader=reader)
        assert error.value.frame == 0


def test_streams_of_unknown_codecs_are_no_video(tmp_path):
    """PyAV gives them without a codec context."""
    data = bytearray(numbered_video(tmp_path / "v.avi", 3).read_bytes())
    for sign in (b"vidsMJPG", b"MJPG"):
        at = data.find(sign)
        while at >= 0:
            data[at + len(sign) - 4 : at + len(sign)] = b"xq7z"
            at = data.find(sign)
    (tmp_path / "u.avi").write_bytes(data)
    with pytest.raises(VideoError, match="u.avi"):
        open_video(tmp_path / "u.avi", reader="pyav")
