"""Sequences of frames, and points kept on disk."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from htnet.core.errors import InputError, LandmarkError, LowScoreError, MultipleFacesError, NoFaceError, WeightsError
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, Landmarks68
from htnet.preprocess import (
    MEAN_SHAPE_28,
    CachedLandmarker,
    FaceAlignmentLandmarker,
    TemplateLandmarks,
    YuNetLandmarker,
    find_many,
    make_landmarker,
)
from tests.preprocess.test_landmarks import BLANK, MODEL, stub_face_alignment
from tests.support.seeds import next_rng


class Finder:
    """Points that follow the frame's first pixel; counts how often it is asked. 255: no face."""

    def __init__(self, **settings):
        self.settings, self.asked, self.asked68 = settings, 0, 0
        self.error = NoFaceError

    def identity(self):
        return {"landmarker": "finder", **self.settings}

    def __call__(self, frame, sample=""):
        self.asked += 1
        shift = int(frame.pixels[0, 0, 0])
        if shift == 255:
            raise self.error(f"nothing in {frame.source}")
        return Landmarks(np.array(TEMPLATE_28) * np.float32(1.1) + shift, "finder", 0.1 + shift / 1000)

    def points68(self, frame, sample=""):
        self.asked68 += 1
        return Landmarks68(MEAN_SHAPE_28 + int(frame.pixels[0, 0, 0]), "finder", None, estimated=True)


class Five(Finder):
    points68 = None


def random_frame(rng, value=None, source="f.png"):
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    pixels[0, 0, 0] = rng.integers(0, 200) if value is None else value
    return Frame(pixels, source)


def no_face(source="dark.png"):
    return random_frame(next_rng(), 255, source)


def entries(folder):
    return sorted(folder.rglob("*.json"))


def test_each_frame_of_a_sequence_is_read_when_it_is_asked_for(rng):
    frames = [random_frame(rng) for _ in range(4)]
    read = []

    def stream():
        for frame in frames:
            read.append(frame)
            yield frame

    found = find_many(Finder(), stream())
    assert read == []
    for number, points in enumerate(found):
        assert len(read) == number + 1
        np.testing.assert_array_equal(points.points, Finder()(frames[number]).points)


@pytest.mark.parametrize("error", [NoFaceError, LowScoreError])
def test_a_frame_without_a_face_ends_the_sequence_or_is_none(rng, error):
    finder = Finder()
    finder.error = error
    frames = [random_frame(rng), no_face(), random_frame(rng)]
    found = list(find_many(finder, frames, missing="none"))
    assert [points is None for points in found] == [False, True, False]
    stopping = find_many(finder, frames)
    next(stopping)
    with pytest.raises(error, match=r"^Frame 1 \(counted from 0\): nothing in dark\.png"):
        next(stopping)


def test_several_faces_are_never_none(rng):
    finder = Finder()
    finder.error = MultipleFacesError
    with pytest.raises(MultipleFacesError, match="^Frame 1 "):
        list(find_many(finder, [random_frame(rng), no_face()], missing="none"))


def test_what_to_do_without_a_face_is_checked_at_once():
    for start in (find_many, lambda _, frames, missing: YuNetLandmarker().many(frames, missing=missing)):
        with pytest.raises(InputError, match=r"missing is 'skip'.*none, raise"):
            start(Finder(), [], missing="skip")


def test_batches_are_checked_at_once(monkeypatch):
    stub_face_alignment(monkeypatch, [])
    for size in (0, 1.5):
        with pytest.raises(InputError, match=f"batch_size is {size}"):
            FaceAlignmentLandmarker().many68([], batch_size=size)


def test_yunet_reads_a_sequence_with_one_detector(monkeypatch):
    from skimage.data import astronaut

    from htnet.preprocess.landmarks import detector as opencv_detector

    built = []
    YuNetLandmarker(MODEL)(Frame(astronaut()))  # builds the detector of the check
    build = opencv_detector.build_detector
    monkeypatch.setattr(opencv_detector, "build_detector", lambda model: built.append(1) or build(model))
    detector = YuNetLandmarker(MODEL)
    frames = [Frame(astronaut()), BLANK, Frame(astronaut()[:400, :460])]
    found = list(detector.many(frames, missing="none"))
    assert len(built) == 1
    assert found[1] is None
    for frame, points in ((frames[0], found[0]), (frames[2], found[2])):
        np.testing.assert_array_equal(points.points, YuNetLandmarker(MODEL)(frame).points)


def test_a_hit_asks_nobody_and_gives_the_same(rng, tmp_path):
    for _ in range(5):
        finder, frame = Finder(), random_frame(rng)
        first = CachedLandmarker(finder, tmp_path)(frame)
        again = CachedLandmarker(finder, tmp_path)(Frame(frame.pixels.copy(), "another name"))
        assert finder.asked == 1
        np.testing.assert_array_equal(again.points, first.points)
        assert again.points.dtype == np.float32
        assert (again.source, again.score) == (first.source, first.score) == ("finder", finder(frame).score)


def test_68_points_are_kept_beside_the_five(rng, tmp_path):
    finder, frame = Finder(), random_frame(rng)
    cached = CachedLandmarker(finder, tmp_path)
    assert isinstance(cached(frame), Landmarks)
    first, again = cached.points68(frame), cached.points68(frame)
    assert (finder.asked, finder.asked68) == (1, 1)
    np.testing.assert_array_equal(again.points, first.points)
    assert again.estimated
    assert len(entries(tmp_path)) == 2
    assert [points.estimated for points in cached.many68([frame] * 3)] == [True] * 3
    with pytest.raises(LandmarkError, match=r"TemplateLandmarks finds five points, not 68; .*estimate_68"):
        CachedLandmarker(TemplateLandmarks(), tmp_path, identity={"a": 1}).points68(frame)


def test_one_changed_pixel_or_another_shape_misses(rng, tmp_path):
    finder, frame = Finder(), random_frame(rng)
    cached = CachedLandmarker(finder, tmp_path)
    cached(frame)
    changed = frame.pixels.copy()
    changed[tuple(rng.integers(1, side) for side in changed.shape)] ^= 1
    cached(Frame(changed))
    cached(Frame(frame.pixels.reshape(30, 20, 3)))
    assert finder.asked == 3
    # The same pixels in another memory layout are the same frame.
    cached(Frame(np.asfortranarray(frame.pixels)))
    assert finder.asked == 3


def test_other_settings_miss(rng, tmp_path):
    frame = random_frame(rng)
    finders = [Finder(), Finder(min_score=0.5), Finder(min_score=0.6), Finder(min_score="0.6")]
    for finder in finders:
        for _ in range(2):
            CachedLandmarker(finder, tmp_path)(frame)
        assert finder.asked == 1
    extra = Finder()
    CachedLandmarker(extra, tmp_path, identity={"version": 2})(frame)
    assert extra.asked == 1


def test_yunets_identity_holds_model_settings_and_version(tmp_path):
    import hashlib

    import cv2

    identity = YuNetLandmarker(MODEL).identity()
    assert identity["model"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert identity["opencv"] == cv2.__version__
    others = [YuNetLandmarker(MODEL, min_score=0.7), YuNetLandmarker(MODEL, several="raise")]
    assert all(other.identity() != identity for other in others)
    assert CachedLandmarker(YuNetLandmarker(MODEL), tmp_path)._key(BLANK, Landmarks) == CachedLandmarker(
        YuNetLandmarker(str(MODEL)), tmp_path
    )._key(BLANK, Landmarks)


@pytest.mark.parametrize("error", [NoFaceError, LowScoreError, MultipleFacesError])
def test_frames_without_a_face_are_remembered(tmp_path, error):
    finder, frame = Finder(), no_face()
    finder.error = error
    cached = CachedLandmarker(finder, tmp_path)
    messages = []
    for _ in range(2):
        with pytest.raises(error) as caught:
            cached(frame)
        messages.append(str(caught.value))
    assert finder.asked == 1
    assert messages == ["nothing in dark.png"] * 2
    with pytest.raises(error, match=r"^other\.png has the same pixels as dark\.png, which gave: nothing in dark"):
        cached(Frame(frame.pixels, "other.png"))


def test_failures_of_the_machine_are_not_remembered(tmp_path):
    finder, frame = Finder(), no_face()
    cached = CachedLandmarker(finder, tmp_path)
    for error in (WeightsError, LandmarkError):
        finder.error = error
        with pytest.raises(error):
            cached(frame)
    assert finder.asked == 2
    assert entries(tmp_path) == []


def shift_first_point(text):
    content = json.loads(text)
    content["entry"]["points"][0][0] += 1
    return json.dumps(content)


DAMAGE = {
    "empty": lambda text: "",
    "cut off": lambda text: text[: len(text) // 2],
    "edited": shift_first_point,
    "a list": lambda text: "[1, 2]",
    "no entry": lambda text: '{"key": 1}',
    "bytes": lambda text: "\udcff",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_found_again_and_replaced(rng, tmp_path, damage):
    finder, frame = Finder(), random_frame(rng)
    cached = CachedLandmarker(finder, tmp_path)
    first = cached(frame)
    (path,) = entries(tmp_path)
    whole = path.read_text("utf-8")
    path.write_bytes(damage(whole).encode("utf-8", "surrogateescape"))
    np.testing.assert_array_equal(cached(frame).points, first.points)
    assert finder.asked == 2
    assert path.read_text("utf-8") == whole


def test_the_entry_of_another_frame_is_not_taken(rng, tmp_path):
    finder, frames = Finder(), [random_frame(rng, value) for value in (3, 90)]
    cached = CachedLandmarker(finder, tmp_path)
    cached(frames[0])
    (stranger,) = entries(tmp_path)
    cached(frames[1])
    (path,) = (p for p in entries(tmp_path) if p != stranger)
    path.write_bytes(stranger.read_bytes())
    np.testing.assert_array_equal(cached(frames[1]).points, finder(frames[1]).points)


def test_writers_at_the_same_time_do_not_disturb_each_other(rng, tmp_path):
    frames = [random_frame(rng) for _ in range(5)]
    wall = threading.Barrier(8)

    def work(_):
        cached = CachedLandmarker(Finder(), tmp_path)
        wall.wait()
        return [cached(frame).points for frame in frames]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    for points in results:
        np.testing.assert_array_equal(points, results[0])
    assert len(entries(tmp_path)) == 5
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == entries(tmp_path)
    finder = Finder()
    list(CachedLandmarker(finder, tmp_path).many(frames))
    assert finder.asked == 0


def test_a_writer_that_dies_leaves_no_entry(rng, tmp_path, monkeypatch):
    from pathlib import Path

    def full(self, *args, **settings):
        with open(self, "w") as file:
            file.write("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cache .* cannot be written .*no space left"):
        CachedLandmarker(Finder(), tmp_path)(random_frame(rng))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_used_is_named(rng, tmp_path):
    file = tmp_path / "file"
    file.write_text("here")
    with pytest.raises(InputError, match=r"file.* cannot be (read|written)"):
        CachedLandmarker(Finder(), file)(random_frame(rng))


def test_a_landmarker_must_say_what_it_depends_on(tmp_path):
    with pytest.raises(InputError, match=r"TemplateLandmarks does not state .*identity="):
        CachedLandmarker(TemplateLandmarks(), tmp_path)
    with pytest.raises(InputError, match="not JSON"):
        CachedLandmarker(TemplateLandmarks(), tmp_path, identity={"model": b"bytes"})
    np.testing.assert_array_equal(
        CachedLandmarker(TemplateLandmarks(), tmp_path, identity={"own": 1})(BLANK).points,
        TemplateLandmarks()(BLANK).points,
    )


def test_make_landmarker_wraps_detectors_only(tmp_path, monkeypatch):
    stub_face_alignment(monkeypatch, [])
    for text, kind in (("yunet", YuNetLandmarker), ("face-alignment", FaceAlignmentLandmarker)):
        made = make_landmarker(text, cache=tmp_path)
        assert isinstance(made, CachedLandmarker)
        assert isinstance(made.inner, kind)
    assert isinstance(make_landmarker("template", cache=tmp_path), TemplateLandmarks)
