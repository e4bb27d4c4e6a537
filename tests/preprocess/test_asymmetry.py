"""Asymmetry of faces whose asymmetry is known."""

import json

import cv2
import numpy as np
import pytest

from htnet.errors import FrameError, LandmarkError
from htnet.preprocess import MEAN_SHAPE_28, TemplateLandmarks, estimate_68, face_asymmetry, transform_points
from htnet.preprocess.asymmetry import REGIONS
from htnet.preprocess.mean_shape import MEAN_SHAPE_MM
from htnet.types import Landmarks, Landmarks68
from tests.support.palsy_faces import SIDE, palsy_face


def even_face():
    """A face whose halves mirror each other, and its points."""
    face = palsy_face(int(np.random.default_rng().integers(1e6)), 1)
    half = face.image[:, : SIDE // 2]
    points = MEAN_SHAPE_MM * 1.3 + ((SIDE - 1) / 2, 74)
    image = np.concatenate([half, half[:, ::-1]], axis=1)
    return image, Landmarks68(points.astype(np.float32), "drawn")


def mean_points(**moves):
    """The mean face in a 224 px image, some of its points moved by (x, y) px: `_17=(0, 5)`."""
    points = MEAN_SHAPE_28 * 8
    for name, move in moves.items():
        points[int(name[1:])] += move
    return Landmarks68(points.astype(np.float32), "moved")


def shown(face):
    return face.image, face.points


def picture():
    return np.random.default_rng().integers(0, 255, (224, 224, 3), dtype=np.uint8)


def test_even_face_has_none():
    image, points = even_face()
    report = face_asymmetry(image, points, size=SIDE)
    for region in report.regions.values():
        assert region.landmark_distance < 0.1
        assert abs(region.landmark_drop) < 0.1
        assert region.flow_difference < 1.0
        assert abs(region.flow_drop) < 0.5


@pytest.mark.parametrize("identity", range(2))
def test_numbers_grow_with_the_palsy_and_name_the_side(identity):
    identity += int(np.random.default_rng().integers(1e6))
    reports = [
        face_asymmetry(*shown(palsy_face(identity, grade, side=side))).regions
        for side in (-1, 1)
        for grade in (1, 3, 6)
    ]
    for at, sign in ((0, 1), (3, -1)):  # the image's left side hangs, then the right one
        mild, middle, strong = reports[at : at + 3]
        assert mild["mouth"].landmark_distance < middle["mouth"].landmark_distance < strong["mouth"].landmark_distance
        assert strong["brow"].landmark_distance > mild["brow"].landmark_distance + 2
        assert strong["mouth"].flow_difference > 1.5 * mild["mouth"].flow_difference + 0.3
        assert sign * strong["mouth"].landmark_drop > 2.5
        assert sign * strong["mouth"].flow_drop > 0.3


def test_landmark_numbers_are_those_of_a_hand_count():
    # The eyes of the mean face lie level; only two points of the right brow (22..26) and one corner of the mouth move.
    report = face_asymmetry(picture(), mean_points(_22=(0, 6), _26=(0, 4), _54=(3, 8)))
    eyes = MEAN_SHAPE_28[[36, 39, 42, 45]] * 8
    unit = np.hypot(*(eyes[2:].mean(0) - eyes[:2].mean(0)))
    brow, mouth, nose = (report.regions[name] for name in ("brow", "mouth", "nose"))
    # Ten brow points: four of them belong to a pair that lies 6 or 4 px apart.
    assert brow.landmark_distance == pytest.approx(100 * (6 + 6 + 4 + 4) / 10 / unit, abs=0.02)
    assert brow.landmark_drop == pytest.approx(-100 * (6 + 4) / 5 / unit, abs=0.02), "the right side is lower"
    assert mouth.landmark_distance == pytest.approx(100 * 2 * np.hypot(3, 8) / 20 / unit, abs=0.02)
    assert mouth.landmark_drop == pytest.approx(-100 * 8 / 8 / unit, abs=0.02)
    assert nose.landmark_distance == pytest.approx(0, abs=0.02)
    assert report.regions["eye"].landmark_distance == pytest.approx(0, abs=0.02)


def test_turned_and_shrunk_faces_have_the_same_numbers():
    face = palsy_face(3, 5)
    angle = np.deg2rad(14)
    matrix = 0.9 * np.array([[np.cos(angle), -np.sin(angle), 40], [np.sin(angle), np.cos(angle), -20]])
    image = cv2.warpAffine(face.image, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
    points = Landmarks68(transform_points(matrix, face.points.points).astype(np.float32), "turned")
    one, other = face_asymmetry(face.image, face.points), face_asymmetry(image, points)
    for name in REGIONS:
        a, b = one.regions[name], other.regions[name]
        assert a.landmark_distance == pytest.approx(b.landmark_distance, abs=0.02)
        assert a.flow_difference == pytest.approx(b.flow_difference, rel=0.35, abs=0.6)


def test_five_points_tell_of_nose_and_mouth_only():
    face = palsy_face(4, 5)
    report = face_asymmetry(face.image, face.points.five())
    assert report.measured == "five"
    assert report.regions["brow"].landmark_distance is None
    assert report.regions["eye"].landmark_drop is None
    assert report.regions["nose"].landmark_drop is None
    assert report.regions["mouth"].landmark_distance > 5
    assert report.regions["brow"].flow_difference > 0
    assert np.sign(report.regions["mouth"].landmark_drop) == -face.side


def test_template_points_are_not_measured():
    report = face_asymmetry(palsy_face(4, 5).image, TemplateLandmarks())
    assert report.measured == "none"
    assert report.points is None
    assert all(r.landmark_distance is None for r in report.regions.values())


def test_estimated_points_are_refused():
    face = palsy_face(4, 5)
    with pytest.raises(LandmarkError, match=r"estimated from .*symmetric mean face.*Give the five points themselves"):
        face_asymmetry(face.image, estimate_68(face.points.five()))


def test_landmarker_that_finds_68_is_asked_for_them():
    face = palsy_face(5, 3)

    class Finder:
        def __call__(self, frame, sample=""):
            return face.points.five()

        def points68(self, frame, sample=""):
            return face.points

    assert face_asymmetry(face.image, Finder()).measured == "68"


def test_swapped_points_and_missing_files_are_named(tmp_path):
    face = palsy_face(5, 3)
    swapped = Landmarks(face.points.five().points[[1, 0, 2, 4, 3]], "swapped")
    with pytest.raises(LandmarkError, match="do not lie like those of a face"):
        face_asymmetry(face.image, swapped)
    with pytest.raises(FrameError, match=r"none\.png"):
        face_asymmetry(tmp_path / "none.png", TemplateLandmarks())


def test_report_is_json_and_boxes_mirror_themselves():
    face = palsy_face(6, 2)
    report = face_asymmetry(face.image, face.points)
    found = json.loads(json.dumps(report.to_dict()))
    assert list(found["regions"]) == list(REGIONS)
    assert found["landmarks_measured"] == "68"
    for left, top, right, bottom in report.boxes.values():
        assert left + right == SIDE
        assert 0 <= top < bottom <= SIDE
    # The bridge of the nose begins between the eyes.
    for name, group in zip(REGIONS, (range(17, 27), range(36, 48), range(29, 36), range(48, 68)), strict=True):
        left, top, right, bottom = report.boxes[name]
        inside = report.points[list(group)]
        assert (inside >= (left, top)).all(), name
        assert (inside <= (right, bottom)).all(), name
