"""68 points: groups, the mean shape, and estimates from five."""

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from htnet.core.errors import LandmarkError
from htnet.core.types import LANDMARK_GROUPS, TEMPLATE_28, Frame, Landmarks, Landmarks68
from htnet.preprocess import (
    MEAN_SHAPE_28,
    Landmarker68,
    TemplateLandmarks,
    estimate_68,
    landmarks_68,
)
from htnet.preprocess.mean_shape import MEAN_SHAPE_MM, MIRROR_68
from tests.support.similarity import fitted_similarity

MEAN = Landmarks68(MEAN_SHAPE_28.astype(np.float32), "mean")
UPRIGHT = Landmarks68(MEAN_SHAPE_MM.astype(np.float32), "mean, mm")
SIDES = [("left_brow", "right_brow"), ("left_eye", "right_eye")]
FRAME = Frame(np.zeros((280, 280, 3), np.uint8), "black.png")


def test_groups_hold_every_index_once_in_the_sizes_of_the_field():
    assert sorted(i for group in LANDMARK_GROUPS.values() for i in group) == list(range(68))
    sizes = {"jaw": 17, "left_brow": 5, "right_brow": 5, "nose": 9, "left_eye": 6, "right_eye": 6}
    assert {name: len(group) for name, group in LANDMARK_GROUPS.items()} == {**sizes, "outer_lip": 12, "inner_lip": 8}
    assert LANDMARK_GROUPS["nose"] == (27, 28, 29, 30, 31, 32, 33, 34, 35)
    with pytest.raises(TypeError):
        LANDMARK_GROUPS["chin"] = (8,)


def test_group_picks_its_points(rng):
    points = rng.normal(size=(68, 2)).astype(np.float32)
    landmarks = Landmarks68(points, "x")
    np.testing.assert_array_equal(landmarks.group("outer_lip"), points[48:60])
    with pytest.raises(LandmarkError, match=r"'left_brows'\. Did you mean 'left_brow'"):
        landmarks.group("left_brows")


def test_five_are_eye_centers_nose_tip_and_corners(rng):
    points = rng.normal(size=(68, 2)).astype(np.float32)
    five = Landmarks68(points, "mine", 0.4).five()
    expected = [points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]
    np.testing.assert_allclose(five.points, expected, rtol=1e-5)
    assert (five.source, five.score) == ("mine", 0.4)


@pytest.mark.parametrize(
    ("points", "message"),
    [(np.zeros((98, 2)), r"from mine have shape \(98, 2\); give 68"), (np.full((68, 2), np.nan), "NaN")],
)
def test_other_points_are_refused(points, message):
    with pytest.raises(LandmarkError, match=message):
        Landmarks68(points, "mine")


def test_the_mean_shape_lies_on_the_template():
    assert np.hypot(*(MEAN.five().points - np.array(TEMPLATE_28)).T).max() < 0.3
    # Nothing is stretched: it is one similarity of the upright shape.
    fit = fitted_similarity(MEAN_SHAPE_MM, MEAN_SHAPE_28)
    np.testing.assert_allclose(fit(MEAN_SHAPE_MM), MEAN_SHAPE_28, atol=1e-9)
    with pytest.raises(ValueError):
        MEAN_SHAPE_28[0] = 0


def test_the_two_halves_mirror_each_other():
    np.testing.assert_array_equal(MEAN_SHAPE_MM[list(MIRROR_68)] * [-1, 1], MEAN_SHAPE_MM)
    for left, right in SIDES:
        assert sorted(MIRROR_68[i] for i in LANDMARK_GROUPS[left]) == list(LANDMARK_GROUPS[right])


def test_left_is_the_images_left():
    for left, right in SIDES:
        assert MEAN.group(left)[:, 0].max() < MEAN.group(right)[:, 0].min()
    five = MEAN.five().points
    assert five[0, 0] < five[1, 0]
    assert five[3, 0] < five[4, 0]


def test_the_order_is_that_of_ibug():
    x, y = UPRIGHT.points.T
    assert (np.diff(x[0:17]) > 0).all()  # jaw and brows run from left to right
    assert (np.diff(x[17:27]) > 0).all()
    assert np.argmax(y) == 8  # the chin is lowest
    assert (np.diff(y[27:31]) > 0).all()  # down the bridge to the tip
    assert (np.diff(x[31:36]) > 0).all()
    for first in (36, 42):  # corner, upper lid, corner, lower lid
        eye = slice(first, first + 6)
        assert np.argmin(x[eye]) == 0
        assert np.argmax(x[eye]) == 3
        assert max(y[first + 1 : first + 3]) < min(y[first + 4 : first + 6])
    for first, last, right in ((48, 60, 6), (60, 68, 4)):  # lips, likewise
        lip = slice(first, last)
        assert np.argmin(x[lip]) == 0
        assert np.argmax(x[lip]) == right
        assert max(y[first + 1 : first + right]) < min(y[first + right + 1 : last])


def area(points):
    """Of the polygon; positive where it runs clockwise on the screen (y downward)."""
    x, y = np.asarray(points, dtype=float).T
    return 0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1))


def test_parts_lie_as_in_a_face():
    group = UPRIGHT.group
    for brow, eye in (("left_brow", "left_eye"), ("right_brow", "right_eye")):
        assert group(brow)[:, 1].max() < group(eye)[:, 1].min()
    assert max(group("left_eye")[:, 1]) < group("nose")[3:, 1].min() < group("nose")[:, 1].max()
    assert group("nose")[:, 1].max() < group("outer_lip")[:, 1].min()
    assert group("outer_lip")[:, 1].max() < UPRIGHT.points[8, 1]
    for name in ("left_eye", "right_eye", "outer_lip", "inner_lip"):
        assert area(group(name)) > 0
    assert area(group("inner_lip")) < 0.2 * area(group("outer_lip"))  # the mouth is closed
    jaw, inner = group("jaw"), UPRIGHT.points[27:]
    assert jaw[:, 0].min() < inner[:, 0].min()
    assert jaw[:, 0].max() > inner[:, 0].max()


def test_an_estimate_follows_the_five_points(rng):
    for _ in range(20):
        move = SimilarityTransform(
            scale=rng.uniform(0.5, 30), rotation=rng.uniform(-np.pi, np.pi), translation=rng.uniform(-500, 500, 2)
        )
        noise = rng.normal(0, 0.6, (5, 2)) * move.scale
        landmarks = Landmarks(move(TEMPLATE_28) + noise, "yunet", 0.9)
        found = estimate_68(landmarks)
        five = MEAN.five().points.astype(float)
        expected = fitted_similarity(five, landmarks.points.astype(float))(MEAN_SHAPE_28)
        np.testing.assert_allclose(found.points, expected, rtol=1e-4, atol=1e-3 * move.scale)
        assert (found.estimated, found.source, found.score) == (True, "estimated from yunet", 0.9)
        # Its own five points are near the given ones, as near as the template is.
        assert np.hypot(*(found.five().points - landmarks.points).T).max() < 3 * move.scale


def test_an_estimate_needs_a_face():
    points = np.array(TEMPLATE_28) * 8
    for wrong in (points[[1, 0, 2, 4, 3]], points[:, ::-1]):
        with pytest.raises(LandmarkError, match=r"five points from mine are not arranged .*left eye, right eye"):
            estimate_68(Landmarks(wrong, "mine"))
    with pytest.raises(LandmarkError, match="coincide"):
        estimate_68(Landmarks(np.full((5, 2), 7), "mine"))


def test_estimates_are_never_made_unasked():
    five_only = TemplateLandmarks()
    assert not isinstance(five_only, Landmarker68)
    with pytest.raises(LandmarkError, match=r"TemplateLandmarks finds five points, not 68; .*estimate=True"):
        landmarks_68(five_only, FRAME)
    found = landmarks_68(five_only, FRAME, estimate=True)
    assert found.estimated
    np.testing.assert_array_equal(found.points, estimate_68(five_only(FRAME)).points)


def test_points_that_are_found_are_not_replaced_by_an_estimate():
    class Finder:
        def __call__(self, frame, sample=""):
            raise AssertionError("five points were asked for")

        def points68(self, frame, sample=""):
            return Landmarks68(MEAN_SHAPE_28 + len(sample), "finder")

    found = landmarks_68(Finder(), FRAME, "abc", estimate=True)
    assert (found.source, found.estimated) == ("finder", False)
    np.testing.assert_allclose(found.points, MEAN_SHAPE_28 + 3, rtol=1e-5)
