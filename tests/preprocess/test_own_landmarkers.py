"""Landmarkers of one's own: what they return is checked, and what they do to the frame has no effect."""

import numpy as np
import pytest
from skimage.data import astronaut

from htnet import Predictor
from htnet.core.errors import LandmarkError
from htnet.core.types import Frame, Landmarks, Landmarks68
from htnet.data import SampleReader
from htnet.data.prepare import prepare
from htnet.preprocess import CachedLandmarker, Preprocessor, YuNetLandmarker, estimate_68, landmarks_68
from htnet.preprocess.video.spotting import find_points
from htnet.training import load_flow_set
from tests.support.pairs import QUICK, pair_manifest
from tests.support.wings import with_wings

PICTURE = astronaut()[:300, 100:400]
POINTS = YuNetLandmarker()(Frame(PICTURE)).points
APEX = np.roll(PICTURE, 1, axis=0)


def through_pair(landmarker):
    return Preprocessor(QUICK, landmarker).pair(PICTURE, APEX).landmarks.points


def through_cache(landmarker, tmp_path):
    kept = CachedLandmarker(landmarker, tmp_path / "cache", identity={"version": 1})
    return Preprocessor(QUICK, kept).pair(PICTURE, APEX).landmarks.points


def through_estimate(landmarker):
    return landmarks_68(landmarker, Frame(PICTURE), estimate=True).five().points


def through_spotting(landmarker):
    return find_points(Frame(PICTURE), landmarker, "").points


WAYS = with_wings("own_landmarkers", "WAYS", (through_pair, through_cache, through_estimate, through_spotting))


def call(way, landmarker, tmp_path):
    return way(landmarker, tmp_path) if way is through_cache else way(landmarker)


def good(frame, sample=""):
    return Landmarks(POINTS, "own")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned None .*NoFaceError"),
        (POINTS, r"returned a value of type ndarray .*Landmarks\(points, source\), with five"),
        (POINTS.tolist(), "returned a value of type list"),
        ((POINTS, 0.9), "returned a value of type tuple"),
    ],
)
def test_what_is_no_points_is_refused(way, returned, message, tmp_path):
    def own(frame, sample=""):
        return returned

    with pytest.raises(LandmarkError, match=f"landmarker .*own {message}"):
        call(way, own, tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_a_landmarker_that_cannot_be_called_is_refused(way, tmp_path):
    with pytest.raises(LandmarkError, match=r'def .*<lambda>\(frame, sample=""\)'):
        call(way, lambda frame: good(frame), tmp_path)


def test_points_are_no_landmarker():
    for given in (POINTS, POINTS.tolist(), Landmarks(POINTS, "own"), 3):
        with pytest.raises(LandmarkError, match="cannot be called.*give them with the frame"):
            Preprocessor(QUICK, given).pair(PICTURE, APEX)


@pytest.mark.parametrize("way", WAYS)
def test_drawing_on_the_frame_changes_nothing(way, tmp_path):
    def draws(frame, sample=""):
        frame.pixels[:] = 0
        return good(frame)

    np.testing.assert_array_equal(call(way, draws, tmp_path), call(way, good, tmp_path / "other"))
    assert PICTURE.any()


def test_images_are_the_same_after_drawing():
    def draws(frame, sample=""):
        frame.pixels[:] = 0
        return good(frame)

    one, other = (Preprocessor(QUICK, own).pair(PICTURE.copy(), APEX.copy()) for own in (good, draws))
    np.testing.assert_array_equal(one.image, other.image)


def test_68_points_of_a_call_give_five():
    def own(frame, sample=""):
        return estimate_68(Landmarks(POINTS, "own"))

    assert through_pair(own).shape == (5, 2)


def test_68_points_are_checked_too():
    class Own:
        def __call__(self, frame, sample=""):
            return good(frame)

        def points68(self, frame, sample=""):
            return good(frame)

    with pytest.raises(LandmarkError, match=r"Landmarks68\(points, source\), with 68"):
        landmarks_68(Own(), Frame(PICTURE))

    class One(Own):
        def points68(self, frame):
            return estimate_68(good(frame))

    with pytest.raises(LandmarkError, match="cannot be called with a frame and a sample's name"):
        landmarks_68(One(), Frame(PICTURE))


def test_data_sets_say_which_sample(tmp_path):
    manifest = pair_manifest(tmp_path / "in", 2)

    def own(frame, sample=""):
        return None

    for use in (
        lambda: load_flow_set(manifest, QUICK, own),
        lambda: SampleReader(QUICK, own)(manifest.samples[0]),
        lambda: prepare(manifest, tmp_path / "out", QUICK, own),
    ):
        with pytest.raises(LandmarkError, match="'s0'.*returned None"):
            use()


def test_predict_takes_them():
    given = Predictor("composite", landmarks=good).pair(PICTURE, APEX)
    assert given.landmarks.source == "own"
    with pytest.raises(LandmarkError, match="returned None"):
        Predictor("composite", landmarks=lambda frame, sample: None).pair(PICTURE, APEX)


@pytest.mark.parametrize(
    "told", [{"score": float("nan")}, {"score": "0.9"}, {"score": True}, {"faces": 0}, {"faces": 1.0}, {"faces": "1"}]
)
@pytest.mark.parametrize("kind", [Landmarks, Landmarks68])
def test_what_a_detector_says_of_its_points_are_numbers(told, kind):
    """A score of text was written into documents as text."""
    points = POINTS if kind is Landmarks else estimate_68(Landmarks(POINTS, "own")).points
    with pytest.raises(LandmarkError, match=rf"{next(iter(told))} of the landmarks \(own\) is .*; give a"):
        kind(points, "own", **told)
    assert type(kind(points, "own", score=np.float32(0.5)).score) is float
