"""Spotting on what real recordings do to clips: repeated frames, gaps in time, haze, and very few frames."""

import re

import cv2
import numpy as np
import pytest

from benchmarks.clips import random_clip
from htnet.core.errors import FrameError, InputError, VideoError
from htnet.core.types import Frame, Prediction, PreprocessSpec
from htnet.preprocess import (
    VIDEO_READERS,
    Preprocessor,
    compute_flow,
    motion_features,
    open_video,
    spot,
    temporal_interpolation,
)
from htnet.preprocess.exposure import exposure_warnings
from htnet.preprocess.video.clip_quality import fresh_frames
from htnet.preprocess.video.face_motion import face_cells
from htnet.preprocess.video.spotting import confidence, everywhere
from tests.support.clips import short_clip, short_seeds
from tests.support.pairs import face, save
from tests.support.videos import write_timed

#: Which frames of a copy show something new, over and over.
PATTERNS = {"every second": "10", "3:2": "10100", "bursts": "111000000", "one in five": "11110"}


def copied(frames, pattern):
    """The frames with repeats, and the number of the original that each shows."""
    shown, source = [], -1
    while True:
        source += pattern[len(shown) % len(pattern)] == "1"
        if source == len(frames):
            return [frames[k] for k in shown], np.array(shown)
        shown.append(source)


def codes(answer):
    return [w.code for w in answer.warnings]


@pytest.fixture(scope="module")
def still():
    """A clip of 24 frames in which nothing moves but the head, and what is found in it."""
    clip = random_clip(next(short_seeds(1_000_000, below=50)), still=True)
    frames = [frame.pixels for frame in clip.rgb()][:24]
    return frames, clip.points, spot(frames, clip.points)


@pytest.fixture(scope="module")
def moving():
    clip = short_clip()
    frames = [frame.pixels for frame in clip.rgb()]
    return frames, clip, spot(frames, clip.points, fps=clip.fps)


@pytest.fixture
def given(tmp_path):
    """Gives the same frames in one of several ways, without loss."""

    def make(way, frames):
        if way == "arrays":
            return frames
        if way == "folder":
            for k, pixels in enumerate(frames):
                cv2.imwrite(str(save(tmp_path / f"{len(frames)}" / f"{k}.bmp", pixels)), pixels[..., ::-1])
            return tmp_path / f"{len(frames)}"
        path = write_timed(tmp_path / f"{len(frames)}.mkv", frames, np.arange(len(frames)) / 50, "ffv1")
        return open_video(path, reader=way)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "pattern"),
    [*(("arrays", pattern) for pattern in PATTERNS.values()), *((way, "10100") for way in ("folder", *VIDEO_READERS))],
)
def test_repeats_do_not_raise_the_confidence_of_a_still_clip(still, given, way, pattern):
    frames, points, _ = still
    copies, shown = copied(frames, pattern)
    found = spot(given(way, copies), points, fps=100 * len(copies) / len(frames))
    expected = spot(given(way, frames), points, fps=100)
    # Bursts have a higher rate than the whole, so their curve is smoothed over more frames: lower is right.
    assert found.confidence <= expected.confidence + 0.05
    repeats = len(copies) - len(frames)
    (warning,) = (w for w in found.warnings if w.code == "repeated_frames")
    assert warning.message.startswith(f"{repeats} of {len(copies)} frames repeat")
    assert len(found.curve) == len(copies)
    np.testing.assert_array_equal(found.curve, found.curve[np.searchsorted(shown, shown)])
    assert "repeated_frames" not in codes(expected)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_repeats_leave_the_apex_where_it_is(moving, pattern):
    frames, clip, expected = moving
    copies, shown = copied(frames, pattern)
    found = spot(copies, clip.points, fps=clip.fps * len(copies) / len(frames))
    assert abs(int(shown[found.apex]) - expected.apex) <= 2
    assert found.confidence <= expected.confidence + 0.05
    assert "repeated_frames" in codes(found)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["10", "10100"])
@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_copies_that_were_compressed_again_are_recognized(still, tmp_path, codec, pattern):
    """Their frames differ by what the encoder does; most are still seen as repeats."""
    frames, points, _ = still
    copies, _ = copied(frames, pattern)
    ending, pixels = ("avi", "yuvj420p") if codec == "mjpeg" else ("mp4", "yuv420p")
    options = {"q": "3"} if codec == "mjpeg" else {"b": "4000000"}
    path = write_timed(
        tmp_path / f"a.{ending}", copies, np.arange(len(copies)) / 30, codec, pixels=pixels, options=options
    )
    (warning,) = (w for w in spot(path, points).warnings if w.code == "repeated_frames")
    counted = int(re.match(r"\d+", warning.message).group())
    assert counted == pytest.approx(len(copies) - len(frames), rel=0.35)


#: Ending, codec and settings of copies that lost what they lose in practice.
LOSSY = {
    "h264 18": ("mp4", "libx264", {"crf": "18"}),
    "h264 23": ("mp4", "libx264", {"crf": "23"}),
    "h264 28": ("mp4", "libx264", {"crf": "28"}),
    "mpeg4": ("mp4", "mpeg4", {"b": "4000000"}),
    "vp9": ("webm", "libvpx-vp9", {"crf": "30", "b": "0"}),
    "mjpeg": ("avi", "mjpeg", {}),
}


def compressed(folder, frames, kind):
    ending, codec, options = LOSSY[kind]
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return write_timed(
        folder / f"a.{ending}", frames, np.arange(len(frames)) / 30, codec, pixels=pixels, options=options
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pattern"),
    [*((kind, "1") for kind in LOSSY), *((kind, p) for kind in ("h264 23", "mjpeg") for p in ("10", "11110"))],
)
def test_compression_makes_no_expression_of_a_still_face(still, tmp_path, kind, pattern):
    """Without the rest of the face as a measure, such copies had a confidence of up to 0.76."""
    frames, points, _ = still
    copies, _ = copied(frames, pattern)
    path = compressed(tmp_path, copies, kind)
    # Motion JPEG of this strength moves a few cells only, as expressions do.
    limit = 0.6 if kind == "mjpeg" else 0.4
    assert spot(path, points, fps=100 * len(copies) / len(frames)).confidence < limit


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("h264 18", 0.9), ("h264 28", 0.8), ("mpeg4", 0.9), ("mjpeg", 0.8)])
def test_an_expression_is_as_sure_after_compression(moving, tmp_path, kind, least):
    frames, clip, expected = moving
    assert expected.confidence > 0.9
    copies, shown = copied(frames, "10")
    found = spot(compressed(tmp_path, copies, kind), clip.points, fps=clip.fps * 2)
    assert found.confidence > least
    assert abs(int(shown[found.apex]) - expected.apex) <= 3


def test_motion_all_over_the_face_is_no_expression():
    cells = np.zeros((31, 196), np.float32)
    curve = np.sin(np.linspace(0, np.pi, 31))
    regions, rest = face_cells()
    assert not (regions & rest).any()
    cells[:, regions] = curve[:, None]
    assert everywhere(cells, curve, 15, 0.5) == pytest.approx(0)
    cells[:, rest] = curve[:, None]
    assert everywhere(cells, curve, 15, 0.5) == pytest.approx(1, abs=0.01)
    cells[:, rest] *= 0.1
    assert everywhere(cells, curve, 15, 0.5) == pytest.approx(0.1, abs=0.001)
    sure, half, none = (confidence(curve, curve, 0, 15, 30, share) for share in (0.05, 0.22, 0.5))
    assert sure > 0.85, "the step of a raised sine counts as noise too"
    assert 0.4 < half < 0.6
    assert none < 0.1


def test_what_counts_as_a_repeat():
    rng = np.random.default_rng(0)
    noise = rng.uniform(1, 2, 40)
    assert fresh_frames(np.append(0, noise)).all()
    assert fresh_frames(np.append(0, noise) * 20).all()
    motion = noise.copy()
    motion[10:20] *= 3
    assert fresh_frames(np.append(0, motion)).all(), "a rest before a motion is no repeat"
    noise[2::3] *= 0.1
    np.testing.assert_array_equal(fresh_frames(np.append(0, noise))[1:], np.arange(40) % 3 != 2)
    assert fresh_frames(np.zeros(5)).tolist() == [True, False, False, False, False]
    assert fresh_frames([]).tolist() == []


@pytest.mark.slow
def test_times_come_from_the_file(moving, tmp_path):
    """The rate of the camera falls by half in the middle; header and count would say otherwise."""
    frames, clip, _ = moving
    half = len(frames) // 2
    times = np.concatenate([np.arange(half) / 50, (half - 1) / 50 + np.arange(1, len(frames) - half + 1) / 25])
    path = write_timed(tmp_path / "clip.mkv", frames, times, "ffv1")
    for reader in VIDEO_READERS:
        found = spot(open_video(path, reader=reader), clip.points)
        np.testing.assert_allclose(found.times, times, atol=0.0011)
        for number in (found.onset, found.apex, found.offset):
            assert found.time(number) == pytest.approx(times[number], abs=0.0011)
        assert "variable_rate" in codes(found)
        given = spot(open_video(path, fps=100, reader=reader), clip.points)
        assert given.time(given.apex) == pytest.approx(given.apex / 100), "a given rate replaces the time stamps"
        assert "variable_rate" not in codes(given)
    assert spot(path, clip.points, fps=100).time(7) == pytest.approx(0.07)
    holes = np.delete(np.arange(len(frames)), slice(5, 8))
    path = write_timed(tmp_path / "gap.mkv", [frames[k] for k in holes], holes / 50, "ffv1")
    (gap,) = (w for w in spot(path, clip.points).warnings if w.code == "time_gaps")
    assert "0.080 s after frame 4 (0.080 s)" in gap.message


@pytest.mark.slow
def test_a_part_keeps_the_numbers_and_times_of_the_whole(moving, tmp_path):
    frames, clip, expected = moving
    lead = [frames[0]] * 3 + [frames[0] + np.uint8(1)] * 9
    for source in ("folder", "file"):
        if source == "folder":
            for k, pixels in enumerate(lead + frames):
                save(tmp_path / "frames" / f"{k}.png", pixels)
            video = open_video(tmp_path / "frames", fps=clip.fps, from_frame=12)
        else:
            path = write_timed(tmp_path / "c.mkv", lead + frames, np.arange(12 + len(frames)) / 100, "ffv1")
            video = open_video(path, from_time=0.1195)
        found = spot(video, clip.points)
        assert found.first == 12
        assert abs(found.apex - 12 - expected.apex) <= 1
        assert found.time(found.apex) == pytest.approx(found.apex / (clip.fps if source == "folder" else 100), abs=1e-3)
        assert found.curve[found.apex - 12] == found.curve.max()
        np.testing.assert_allclose(found.landmarks_at(12).points, clip.points, atol=1e-3)


@pytest.mark.parametrize("count", [3, 5, 7])
def test_few_frames_have_an_apex_and_no_confidence(moving, count):
    frames, clip, _ = moving
    steps = np.linspace(clip.onset, clip.apex, count).round().astype(int)
    found = spot([frames[k] for k in steps], clip.points)
    assert found.apex >= count - 2
    assert found.confidence is None
    assert "few_frames" in codes(found)
    assert found.to_dict()["confidence"] is None


def test_two_frames_are_a_pair(moving):
    frames, clip, _ = moving
    with pytest.raises(VideoError, match=r"has 2 frames; .*htnet predict onset\.png apex\.png"):
        spot(frames[:2], clip.points)


def dim(pixels, contrast, mean=110.0):
    """A face of another contrast (standard deviation), as haze gives it."""
    values = pixels.astype(np.float64)
    return np.rint(mean + (values - values.mean()) * contrast / values.std()).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("contrast", [45, 20, 10, 5, 3])
@pytest.mark.parametrize(("method", "tolerance"), [("farneback", 0.1), ("dis", 0.25), ("tvl1", 0.1)])
def test_flow_does_not_shrink_with_contrast(contrast, method, tolerance):
    """OpenCV's Farneback sees a quarter of this motion at 5 gray levels."""
    large = cv2.resize(face(112)[..., 1], (448, 448), interpolation=cv2.INTER_CUBIC)
    moved = cv2.warpAffine(large, np.float64([[1, 0, 4], [0, 1, 0]]), (448, 448), borderMode=cv2.BORDER_REPLICATE)
    onset, apex = (cv2.resize(i, (112, 112), interpolation=cv2.INTER_AREA).astype(np.float64) for i in (large, moved))
    gain = contrast / onset.std()
    before, after = (np.rint(110 + (i - onset.mean()) * gain).clip(0, 255).astype(np.uint8) for i in (onset, apex))
    seen = compute_flow(before, after, method).uv[0, 16:-16, 16:-16].mean()
    assert seen == pytest.approx(1, abs=tolerance)


def test_farneback_of_ordinary_faces_is_opencvs():
    before = face(112)[..., 1]
    before = np.rint(110 + (before - before.mean()) * 45 / before.std()).clip(0, 255).astype(np.uint8)
    after = np.roll(before, 1, axis=1)
    settings = {
        "pyr_scale": 0.5,
        "levels": 3,
        "winsize": 15,
        "iterations": 3,
        "poly_n": 5,
        "poly_sigma": 1.2,
        "flags": 0,
    }
    plain = cv2.calcOpticalFlowFarneback(before, after, None, **settings).transpose(2, 0, 1)
    np.testing.assert_array_equal(compute_flow(before, after, "farneback").uv, plain)


@pytest.mark.slow
def test_the_apex_is_found_in_haze(moving):
    frames, clip, expected = moving
    found = spot([dim(f, 8) for f in frames], clip.points, fps=clip.fps)
    assert abs(found.apex - expected.apex) <= 3
    assert "low_contrast" in codes(found)
    assert "low_contrast" not in codes(expected)
    with pytest.raises(FrameError, match="standard deviation of .* gray levels"):
        spot([dim(f, 1.2) for f in frames], clip.points)


def test_haze_and_wrong_exposure_are_told_by_every_way_to_an_answer(moving):
    frames, clip, _ = moving
    maker = Preprocessor(PreprocessSpec(flow="dis", face_size=112))
    for change, code in (
        (lambda f: dim(f, 6), "low_contrast"),
        (lambda f: dim(f, 60, 250), "exposure"),
        (lambda f: dim(f, 60, -50), "exposure"),
    ):
        pair = [change(frames[k]) for k in (clip.onset, clip.apex)]
        made = maker.pair(*pair, clip.points)
        assert code in codes(made)
        spotted = spot([change(f) for f in frames[:9]], clip.points)
        assert code in codes(spotted)
        answer = Prediction("a", {"a": 1.0}, "mine", made, spotting=spotted)
        assert codes(answer).count(code) == 1, "told once, by the onset's face and not by the first frame's too"
    assert codes(maker.pair(frames[0], frames[9], clip.points)) == []
    assert exposure_warnings(np.full((112, 112), 90, np.uint8), "x")[0].code == "low_contrast"


def test_frames_keep_number_and_time():
    frame = Frame(np.zeros((20, 20, 3), np.uint8), "a", 7, 0.25)
    from htnet.preprocess import read_frame

    again = read_frame(frame)
    assert (again.number, again.time, again.source) == (7, 0.25, "a")


def test_motion_features_follow_the_time_stamps(moving, tmp_path):
    """A recording at half the rate in its second half has the features of one at the full rate."""
    frames, clip, _ = moving
    part = frames[clip.onset : clip.onset + 13]
    spec = PreprocessSpec(flow="dis", face_size=112, clip_frames=4)
    expected = motion_features(part, clip.points, spec)
    kept = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12]
    path = write_timed(tmp_path / "clip.mkv", [part[k] for k in kept], np.array(kept) / 50, "ffv1")
    for reader in VIDEO_READERS:
        found = motion_features(open_video(path, reader=reader), clip.points, spec)
        assert np.abs(found - expected).mean() < 0.01, "the four moments are frames 0, 4, 8 and 12, up to the colors"
    uneven = motion_features([part[k] for k in kept], clip.points, spec)
    assert np.abs(uneven - expected).mean() > np.abs(found - expected).mean()
    assert motion_features(part[:2], clip.points, spec).shape == (4, 64), "two frames are enough"
    values = np.array([[0.0], [1.0], [4.0]])
    assert temporal_interpolation(values, 3, np.array([0, 1.0, 4.0])).ravel() == pytest.approx([0, 2, 4])
    for times in ([0.0, 1.0], [0.0, 0.0, 1.0]):
        with pytest.raises(InputError, match="give one each, in s, finite and increasing"):
            temporal_interpolation(values, 3, np.array(times))
