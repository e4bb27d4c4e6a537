"""Landmarkers: YuNet, face-alignment (stubbed), files and the template."""

import hashlib
import json
import socket
import sys
import types

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from htnet.core.errors import (
    CorruptWeightsError,
    InputError,
    LandmarkError,
    LowScoreError,
    MissingExtraError,
    MultipleFacesError,
    NoFaceError,
    WeightsError,
)
from htnet.core.schema import OUTPUT_POINTS
from htnet.core.types import POINT_NAMES, TEMPLATE_28, Frame
from htnet.preprocess import (
    MEAN_SHAPE_28,
    FaceAlignmentLandmarker,
    PrecomputedLandmarks,
    TemplateLandmarks,
    YuNetLandmarker,
    make_landmarker,
    read_points_json,
    scale_points,
)
from htnet.preprocess.landmarks import detector as yunet
from tests.support.paths import COMPOSITE, needs_shared

MODEL = yunet.BUNDLED_MODEL

# Eyes, nose, mouth corners of skimage's astronaut, px, read off the enlarged picture by eye.
FACE = np.array([[203, 101], [246, 103], [223, 126], [203, 140], [244, 141]])
FIVE = [[8.0, 9.0], [20.0, 9.5], [14.0, 15.0], [9.0, 20.0], [19.0, 21.0]]
HEADER = "sample," + ",".join(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")
ROW = ",".join(str(v) for point in FIVE for v in point)
BLANK = Frame(np.full((64, 64, 3), 127, np.uint8), "blank.png")


@pytest.fixture(scope="module")
def face():
    return Frame(astronaut(), "astronaut.png")


@pytest.fixture(scope="module")
def detector():
    return YuNetLandmarker(MODEL)


def test_yunet_gives_image_left_first(detector, face):
    found = detector(face)
    assert found.source == "yunet"
    assert found.score > 0.9
    np.testing.assert_allclose(found.points, FACE, atol=6)


@pytest.mark.parametrize("side", [32, 64, 224, 640, 2000])
@pytest.mark.parametrize("crop", [80, 113, 150])
def test_yunet_finds_faces_that_fill_small_and_large_frames(detector, face, side, crop):
    x0, y0 = 223 - crop // 2, 118 - crop // 2
    cut = face.pixels[y0 : y0 + crop, x0 : x0 + crop]
    smooth = cv2.INTER_AREA if side < crop else cv2.INTER_CUBIC
    found = detector(Frame(cv2.resize(cut, (side, side), interpolation=smooth)))
    assert found.score > 0.8
    back = (found.points + 0.5) * crop / side - 0.5 + [x0, y0]
    assert np.abs(back - FACE).mean() < 5  # of a face 113 px high


def test_yunet_maps_points_back_from_shrunk_frames_that_are_not_square(detector, face):
    wide = np.zeros((1000, 2400, 3), np.uint8)
    wide[200:712, 1500:2012] = face.pixels
    error = detector(Frame(wide)).points - FACE - [1500, 200]
    assert np.abs(error).mean() < 6  # the face was looked at 3.75 times smaller


def test_yunet_and_several_faces(detector, face):
    pair = Frame(np.hstack([cv2.resize(face.pixels, None, fx=0.5, fy=0.5), face.pixels[:256]]), "two.png")
    largest = detector(pair)
    np.testing.assert_allclose(largest.points, FACE + np.array([256, 0]), atol=8)
    with pytest.raises(MultipleFacesError, match=r"2 faces in two\.png; crop"):
        YuNetLandmarker(MODEL, several="raise")(pair)
    assert YuNetLandmarker(MODEL, several="raise")(face).score > 0.9


def test_yunet_without_a_face(detector, face):
    with pytest.raises(NoFaceError, match=r"No face found in blank\.png \(64x64 px\).*template"):
        detector(BLANK)
    with pytest.raises(LowScoreError, match=r"astronaut\.png scores 0\.9\d, below min_score 0\.999"):
        YuNetLandmarker(MODEL, min_score=0.999)(face)


def test_yunet_model_from_the_environment_is_loaded_once_and_late(monkeypatch, face):
    monkeypatch.setenv("HTNET_YUNET_MODEL", "/nowhere/yunet.onnx")
    landmarker = YuNetLandmarker()
    with pytest.raises(WeightsError, match=r"nowhere.yunet\.onnx cannot be read.*HTNET_YUNET_MODEL"):
        landmarker(face)
    monkeypatch.setenv("HTNET_YUNET_MODEL", str(MODEL))
    first = landmarker(face)
    monkeypatch.setenv("HTNET_YUNET_MODEL", "/nowhere/yunet.onnx")
    np.testing.assert_array_equal(landmarker(face).points, first.points)


def test_the_bundled_model_is_a_known_one_with_its_license():
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == yunet.YUNET_SHA256[MODEL.name]
    assert "Copyright (c) 2020 Shiqi Yu" in (MODEL.parent / "LICENSE-YuNet").read_text("utf-8")


def test_the_default_detector_opens_no_connection(monkeypatch, face):
    def refuse(*_, **__):
        raise AssertionError("a connection was tried")

    monkeypatch.delenv("HTNET_YUNET_MODEL", raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    np.testing.assert_allclose(make_landmarker("yunet")(face).points, FACE, atol=6)


def test_yunet_refuses_an_unknown_model(tmp_path, face):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(b"not a model")
    digest = hashlib.sha256(b"not a model").hexdigest()
    with pytest.raises(CorruptWeightsError) as caught:
        YuNetLandmarker(path)(face)
    for part in (str(path), digest, *yunet.YUNET_SHA256.values(), "HTNET_YUNET_MODEL"):
        assert part in str(caught.value)


def test_a_damaged_installation_is_told_from_a_wrong_path(monkeypatch, tmp_path, face):
    broken = tmp_path / "face_detection_yunet_2026may.onnx"
    broken.write_bytes(MODEL.read_bytes()[:-1])
    monkeypatch.setattr(yunet, "BUNDLED_MODEL", broken)
    monkeypatch.delenv("HTNET_YUNET_MODEL", raising=False)
    with pytest.raises(CorruptWeightsError, match="Install htnet again"):
        YuNetLandmarker()(face)


@pytest.mark.parametrize("size", [(16, 16), (24, 32), (32, 32), (32, 224), (224, 32)])
def test_yunet_is_never_shown_an_image_that_opencv_4_answers_with_noise(monkeypatch, face, size):
    seen = []

    class Detector:
        def setInputSize(self, size):  # noqa: N802
            seen.append(size)

        def detect(self, pixels):
            assert (pixels.shape[1], pixels.shape[0]) == seen[-1]
            return 0, None

    monkeypatch.setattr(yunet, "build_detector", lambda model: Detector())
    with pytest.raises(NoFaceError):
        YuNetLandmarker()(Frame(cv2.resize(face.pixels, size)))
    assert len(seen) >= 2  # the frame as it is, and a look for a turned face
    assert min(min(sides) for sides in seen) > 32


@pytest.mark.parametrize(
    "settings", [{"min_score": 1.5}, {"min_score": float("nan")}, {"several": "all"}, {"several": 0}, {"several": True}]
)
def test_yunet_checks_its_settings(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        YuNetLandmarker(**settings)


def stub_face_alignment(monkeypatch, faces):
    module = types.ModuleType("face_alignment")
    module.LandmarksType = types.SimpleNamespace(TWO_D="2d")
    module.built = []

    class FaceAlignment:
        def __init__(self, kind, *, device, flip_input):
            module.built.append((kind, device))

        def get_landmarks_from_image(self, image):
            assert image.shape == (64, 64, 3)
            return faces

    module.FaceAlignment = FaceAlignment
    monkeypatch.setitem(sys.modules, "face_alignment", module)
    return module


def test_face_alignment_points_are_reduced_to_five(monkeypatch, rng):
    points = MEAN_SHAPE_28 * 0.6 + rng.uniform(0, 1, (68, 2))
    module = stub_face_alignment(monkeypatch, [points, points * 3])
    landmarker = FaceAlignmentLandmarker("cuda:1")
    assert module.built == []
    found = landmarker(BLANK)
    landmarker(BLANK)
    assert module.built == [("2d", "cuda:1")]
    large = points * 3
    expected = [large[36:42].mean(0), large[42:48].mean(0), large[30], large[48], large[54]]
    np.testing.assert_allclose(found.points, expected, rtol=1e-5)
    assert (found.source, found.score) == ("face-alignment", None)
    with pytest.raises(MultipleFacesError, match="2 faces in blank"):
        FaceAlignmentLandmarker(several="raise")(BLANK)


@pytest.mark.parametrize("faces", [None, []])
def test_face_alignment_without_a_face(monkeypatch, faces):
    stub_face_alignment(monkeypatch, faces)
    with pytest.raises(NoFaceError, match="blank"):
        FaceAlignmentLandmarker()(BLANK)


def test_face_alignment_with_other_points_is_refused(monkeypatch):
    stub_face_alignment(monkeypatch, [np.zeros((98, 2))])
    with pytest.raises(LandmarkError, match=r"\(98, 2\)"):
        FaceAlignmentLandmarker()(BLANK)


def test_face_alignment_missing_prints_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[face-alignment\]'"):
        FaceAlignmentLandmarker()


def test_csv_of_many_samples(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(f"{HEADER},score\ns1,{ROW},0.75\ns2,{ROW.replace('8.0', '7.5')},\n")
    landmarks = PrecomputedLandmarks(path)
    first, second = landmarks(BLANK, "s1"), landmarks(BLANK, "s2")
    np.testing.assert_allclose(first.points, FIVE)
    assert (first.score, second.score) == (0.75, None)
    assert second.points[0, 0] == 7.5
    assert "points.csv" in first.source
    with pytest.raises(LandmarkError, match=r"points\.csv has no landmarks for sample 's11'.*Did you mean 's1'"):
        landmarks(BLANK, "s11")
    with pytest.raises(LandmarkError, match="Give the sample's name"):
        landmarks(BLANK)


def test_blanks_around_a_sample_make_no_difference(tmp_path):
    """A manifest is read without them too."""
    path = tmp_path / "points.csv"
    path.write_text(f"{HEADER}\n s1 ,{ROW}\n")
    for name in ("s1", " s1 "):
        np.testing.assert_allclose(PrecomputedLandmarks(path)(BLANK, name).points, FIVE)
    path.write_text(f"{HEADER}\ns1,{ROW}\ns1 ,{ROW}\n")
    with pytest.raises(LandmarkError, match="line 3 repeats sample 's1'"):
        PrecomputedLandmarks(path)


def test_points_of_a_sample_that_a_json_names_twice_are_refused(tmp_path):
    path = tmp_path / "points.json"
    path.write_text(f'{{"s1": {json.dumps(FIVE)}, "s1": [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]}}')
    with pytest.raises(LandmarkError, match="an object has the key 's1' twice"):
        PrecomputedLandmarks(path)


def test_scale_moves_points_to_larger_frames(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(f"{HEADER}\ns1,{ROW}\n")
    scaled = PrecomputedLandmarks(path, scale=8)(BLANK, "s1").points
    np.testing.assert_allclose(scaled, np.array(FIVE) * 8)
    for scale in ("2", True, None):
        with pytest.raises(InputError, match="scale is .*; give a number above 0"):
            PrecomputedLandmarks(path, scale=scale)
    for scale in (0, -1, float("nan")):
        with pytest.raises(InputError, match="scale"):
            PrecomputedLandmarks(path, scale=scale)
        with pytest.raises(LandmarkError, match="scale of the points is"):
            scale_points(FIVE, scale)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER},mouth\ns1,{ROW},3\n", "Unknown column of .*'mouth'"),
        (f"{HEADER.replace(',nose_y', '')}\ns1,{ROW[: ROW.rindex(',')]}\n", "lacks the columns nose_y"),
        ("", "contains no samples"),
        ("a\n1\n", "lacks the columns sample, left_eye_x"),
        (f"{HEADER},image_nose_x\ns1,{ROW},1\n", "Unknown column of .*'image_nose_x'"),
        (f"{HEADER},image_left_eye_x\ns1,{ROW},1\n", "contains a point twice"),
        (f"{HEADER}\ns1,{ROW}\ns1,{ROW}\n", "line 3 repeats sample 's1'"),
        (f"{HEADER}\ns1,{ROW.replace('15.0', 'x')}\n", "line 2: .* is 'x', which is not a number"),
        (f"{HEADER}\ns1,{ROW.replace('15.0', '')}\n", r"line 2 \(sample 's1'\) has an empty cell"),
        (f"{HEADER}\ns1,1,2\n", "line 2: 3 values for 11 columns"),
        (f"{HEADER}\ns1,{ROW.replace('15.0', 'nan')}\n", "NaN"),
    ],
)
def test_broken_csv_is_refused(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(LandmarkError, match=message):
        PrecomputedLandmarks(path)


def test_json_of_one_face_and_of_many(tmp_path):
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    one.write_text(json.dumps(FIVE))
    many.write_text(json.dumps({"s1": FIVE}))
    np.testing.assert_allclose(read_points_json(one).points, FIVE)
    assert read_points_json(str(one)).source == str(one)
    np.testing.assert_allclose(PrecomputedLandmarks(one)(BLANK, "any").points, FIVE)
    np.testing.assert_allclose(PrecomputedLandmarks(many)(BLANK, "s1").points, FIVE)
    with pytest.raises(LandmarkError, match="'s2'"):
        PrecomputedLandmarks(many)(BLANK, "s2")
    with pytest.raises(LandmarkError, match=r"not numbers|shape"):
        read_points_json(many)


@pytest.mark.parametrize("text", ["{", "[[1, 2]]", '"points"', "[[1, 2], [3]]", "null", '{"s1": [[1, 2]]}'])
def test_broken_json_is_refused(tmp_path, text):
    path = tmp_path / "points.json"
    path.write_text(text)
    for read in (read_points_json, PrecomputedLandmarks):
        with pytest.raises(LandmarkError, match=r"points\.json"):
            read(path)


def test_documents_that_htnet_wrote_are_read(tmp_path):
    path = tmp_path / "answer.json"
    points = dict(zip(OUTPUT_POINTS, FIVE, strict=True))
    path.write_text(json.dumps({"schema": "htnet.prediction", "schema_version": 1, "landmarks": {"points": points}}))
    np.testing.assert_allclose(read_points_json(path).points, FIVE)
    np.testing.assert_allclose(PrecomputedLandmarks(path)(BLANK, "any").points, FIVE)
    path.write_text(json.dumps({"schema": "htnet.list", "schema_version": 1}))
    with pytest.raises(LandmarkError, match=r"htnet\.list without landmarks"):
        read_points_json(path)


def test_points_named_by_another_detector_are_refused(tmp_path):
    path = tmp_path / "mtcnn.json"
    names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
    path.write_text(json.dumps(dict(zip(names, FIVE, strict=True))))
    for read in (read_points_json, PrecomputedLandmarks):
        with pytest.raises(LandmarkError, match="names its points left_eye.*name them image_left_eye"):
            read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\x89PNG\x00\x80", "cannot be read"), (b"\xff\xfe\x00\x80", "is not JSON")],
    ids=["binary", "UTF-16"],
)
def test_missing_and_binary_files_are_refused(tmp_path, content, message):
    binary = tmp_path / "points.json"
    binary.write_bytes(content)
    with pytest.raises(LandmarkError, match=message):
        read_points_json(binary)
    for name in ("gone.json", "gone.csv"):
        with pytest.raises(LandmarkError, match=rf"{name} does not exist"):
            PrecomputedLandmarks(tmp_path / name)


def test_template_is_stretched_over_the_frame():
    points = TemplateLandmarks()(Frame(np.zeros((56, 280, 3), np.uint8))).points
    expected = np.array(TEMPLATE_28) * [10, 2]
    np.testing.assert_allclose(points, expected, rtol=1e-5)
    assert TemplateLandmarks()(BLANK).source == "template"
    for bad in (TEMPLATE_28[:4], [[1, 2], [3]], [[float("nan"), 1]] * 5):
        with pytest.raises(LandmarkError):
            TemplateLandmarks(bad)


def test_make_landmarker(tmp_path, monkeypatch):
    path = tmp_path / "points.json"
    path.write_text(json.dumps(FIVE))
    stub_face_alignment(monkeypatch, [])
    assert isinstance(make_landmarker("yunet"), YuNetLandmarker)
    assert make_landmarker("yunet:models/y.onnx").model == "models/y.onnx"
    assert isinstance(make_landmarker("template"), TemplateLandmarks)
    assert isinstance(make_landmarker("face-alignment"), FaceAlignmentLandmarker)
    assert isinstance(make_landmarker(str(path)), PrecomputedLandmarks)
    with pytest.raises(InputError, match=r"'yunnet'\. Did you mean 'yunet'"):
        make_landmarker("yunnet")
    for text in ("", "yunet:", "points.txt"):
        with pytest.raises(InputError, match="Unknown landmarks"):
            make_landmarker(text)


@needs_shared
def test_published_points_are_read():
    yunet_points = PrecomputedLandmarks(COMPOSITE / "landmarks_yunet_224px.csv")(BLANK, "sub01_EP02_01f")
    assert yunet_points.score == pytest.approx(0.949)
    np.testing.assert_allclose(yunet_points.points[0], [58.55, 57.69], rtol=1e-5)
    mtcnn = PrecomputedLandmarks(COMPOSITE / "landmarks_mtcnn_28px.csv")(BLANK, "sub01_EP02_01f")
    np.testing.assert_allclose(mtcnn.points[4], [20, 21])
