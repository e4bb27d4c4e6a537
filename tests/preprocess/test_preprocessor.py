"""From frames and flow images to network inputs."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from htnet.core.errors import FlowError, FrameError, LandmarkError
from htnet.core.types import Frame, Landmarks, PreprocessSpec
from htnet.preprocess import Preprocessor, TemplateLandmarks, crop_regions, displace, template_points

# Eyes, nose, mouth corners of skimage's astronaut, px, read off the enlarged picture by eye.
FACE = np.array([[203, 101], [246, 103], [223, 126], [203, 140], [244, 141]], np.float32)
FAST = PreprocessSpec(flow="farneback", face_size=112)
CROP = (slice(30, 230), slice(120, 320))  # rows, columns of the head
POINTS = FACE - [120, 30]


@pytest.fixture(scope="module")
def pair():
    """The astronaut, and the same face with the mouth's corners drawn apart and up."""
    onset = np.ascontiguousarray(astronaut()[CROP])
    rows, columns = np.mgrid[0:200, 0:200].astype(np.float32)
    field = np.zeros((2, 200, 200), np.float32)
    for x, y, dx in ((83, 110, -1.5), (124, 111, 1.5)):
        weight = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 12.0**2))
        field += np.stack([weight * dx, -weight]).astype(np.float32)
    planes = [displace(np.ascontiguousarray(onset[..., c]), field) for c in range(3)]
    return onset, np.dstack(planes)


def crop_of(picture, points, spec):
    image = torch.from_numpy(picture.transpose(2, 0, 1).copy()).float()[None]
    return crop_regions(image, points, spec.layout)[0].numpy()


@pytest.mark.parametrize("flow", ["tvl1", "farneback"])
def test_pair_and_its_saved_flow_image_give_the_same_input(pair, tmp_path, flow):
    spec = dataclasses.replace(FAST, flow=flow)
    made = Preprocessor(spec).pair(*pair, POINTS)
    assert made.image.shape == (3, 28, 28)
    assert made.image.dtype == np.float32
    assert made.flow_image.shape == (28, 28, 3)
    assert made.flow.uv.shape == (2, 112, 112)
    assert made.flow.method == flow
    assert made.regions_at == "template"
    np.testing.assert_array_equal(made.landmarks.points, POINTS)
    path = tmp_path / "flow.png"
    cv2.imwrite(str(path), made.flow_image)
    for source in (path, str(path), made.flow_image):
        again = Preprocessor(spec).flow_picture(source)
        np.testing.assert_array_equal(again.image, made.image)
        np.testing.assert_array_equal(again.flow_image, made.flow_image)
        assert (again.regions_at, again.landmarks, again.flow) == ("template", None, None)


def test_the_flow_of_the_smile_is_where_the_mouth_is(pair):
    flow = Preprocessor(dataclasses.replace(FAST, layout="whole")).pair(*pair, POINTS).flow.uv
    template = np.array(FAST.template) * 4
    (_, eye_y), _, _, left, right = np.rint(template).astype(int)
    near = {"left": left, "right": right}
    u = {n: flow[0, y - 4 : y + 5, x - 4 : x + 5].mean() for n, (x, y) in near.items()}
    v = {n: flow[1, y - 4 : y + 5, x - 4 : x + 5].mean() for n, (x, y) in near.items()}
    assert u["left"] < -0.4 < 0.4 < u["right"]
    assert max(v.values()) < -0.3
    assert np.abs(flow[:, eye_y - 4 : eye_y + 5]).mean() < 0.15


@pytest.mark.parametrize("layout", ["anatomical", "reference"])
def test_regions_follow_the_spec(pair, layout):
    spec = dataclasses.replace(FAST, layout=layout)
    at_template = Preprocessor(spec).pair(*pair, POINTS)
    np.testing.assert_array_equal(at_template.image, crop_of(at_template.flow_image, template_points(spec), spec))
    own = dataclasses.replace(spec, region_points="landmarks")
    at_landmarks = Preprocessor(own).pair(*pair, POINTS)
    np.testing.assert_array_equal(at_landmarks.flow_image, at_template.flow_image)
    assert at_landmarks.regions_at == "landmarks"
    # A similarity cannot bring all five points onto the template; the nose apart, by a pixel or two.
    assert not np.array_equal(at_landmarks.image, at_template.image)


def test_mapped_landmarks_are_in_flow_image_pixels(rng):
    """With the template itself as landmarks the map must be the identity: same crop at both places."""
    onset = cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8), (0, 0), 3)
    apex = cv2.GaussianBlur(rng.integers(0, 256, (200, 200, 3), dtype=np.uint8), (0, 0), 3)
    images = [
        Preprocessor(dataclasses.replace(FAST, region_points=where), TemplateLandmarks()).pair(onset, apex).image
        for where in ("template", "landmarks")
    ]
    np.testing.assert_array_equal(*images)


def test_whole_is_the_flow_image_and_channels_are_reordered(pair):
    spec = dataclasses.replace(FAST, layout="whole", channels=("u", "strain", "v"))
    made = Preprocessor(spec).pair(*pair, POINTS)
    plain = Preprocessor(dataclasses.replace(FAST, layout="whole")).pair(*pair, POINTS)
    np.testing.assert_array_equal(made.flow_image, plain.flow_image)
    strain, v, u = np.moveaxis(plain.flow_image.astype(np.float32), 2, 0)
    np.testing.assert_array_equal(plain.image, [strain, v, u])
    np.testing.assert_array_equal(made.image, [u, strain, v])
    np.testing.assert_array_equal(Preprocessor(spec).flow_picture(made.flow_image).image, made.image)


def test_flow_picture_at_given_landmarks(rng):
    picture = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    points = [[9, 10], [20, 9], [15, 15], [11, 19], [18, 21]]
    spec = PreprocessSpec(region_points="landmarks", layout="reference")
    made = Preprocessor(spec).flow_picture(picture, points)
    assert made.regions_at == "landmarks"
    np.testing.assert_array_equal(made.image, crop_of(picture, torch.tensor(points), spec))
    without = Preprocessor(spec).flow_picture(picture)
    assert without.regions_at == "template"
    np.testing.assert_array_equal(without.image, crop_of(picture, template_points(spec), spec))
    template = Preprocessor(dataclasses.replace(spec, region_points="template")).flow_picture(picture, points)
    assert template.regions_at == "template"
    np.testing.assert_array_equal(template.image, without.image)
    with pytest.raises(LandmarkError, match=r"right_mouth .* at \(180, 210\), far outside flow image \(28x28 px\)"):
        Preprocessor(spec).flow_picture(picture, [*points[:4], [180, 210]])


@pytest.mark.parametrize("bad", [np.zeros((28, 28, 3)), np.zeros((27, 28, 3), np.uint8), [[1]], None])
def test_wrong_flow_pictures_are_refused(bad):
    with pytest.raises(FlowError, match=r"give a \(28, 28, 3\) uint8"):
        Preprocessor(FAST).flow_picture(bad)


def test_landmarks_from_every_source(pair, tmp_path):
    asked = []

    def landmarker(frame, sample=""):
        asked.append((frame.size, sample))
        return Landmarks(POINTS, "stub", 0.5)

    wanted = Preprocessor(FAST).pair(*pair, POINTS).image
    path = tmp_path / "points.json"
    path.write_text(json.dumps(POINTS.tolist()))
    many = tmp_path / "many.json"
    many.write_text(json.dumps({"s7": POINTS.tolist()}))
    for given in (POINTS.tolist(), Landmarks(POINTS, "x"), path, str(path), many):
        made = Preprocessor(FAST, landmarker).pair(*pair, given, sample="s7")
        np.testing.assert_array_equal(made.image, wanted)
    assert asked == []
    found = Preprocessor(FAST, landmarker).pair(*pair, sample="s7")
    np.testing.assert_array_equal(found.image, wanted)
    assert found.landmarks.score == 0.5
    assert asked == [((200, 200), "s7")]


def test_frames_from_files_and_errors(pair, tmp_path):
    files = [tmp_path / "onset.png", tmp_path / "apex.png"]
    for path, pixels in zip(files, pair, strict=True):
        cv2.imwrite(str(path), pixels[..., ::-1])
    made = Preprocessor(FAST).pair(*files, POINTS)
    np.testing.assert_array_equal(made.image, Preprocessor(FAST).pair(*pair, POINTS).image)
    with pytest.raises(LandmarkError, match=r"No landmarks for .*onset\.png: give five .*make_landmarker"):
        Preprocessor(FAST).pair(*files)
    with pytest.raises(FrameError, match=r"gone\.png"):
        Preprocessor(FAST).pair(files[0], tmp_path / "gone.png", POINTS)
    with pytest.raises(FrameError, match="200x200 px, but apex"):
        Preprocessor(FAST).pair(files[0], pair[1][:-2], POINTS)


def test_points_far_outside_the_frame_are_refused(pair):
    frame = Frame(pair[0], "onset 5")
    near = POINTS.copy()
    near[3] = [-20, 113]
    with pytest.raises(LandmarkError, match="are not on the face"):
        Preprocessor(FAST).pair(frame, pair[1], near)
    far = POINTS.copy()
    far[1] = [251, 73]
    with pytest.raises(LandmarkError, match=r"right_eye .* at \(251, 73\), far outside onset 5 \(200x200 px\)"):
        Preprocessor(FAST).pair(frame, pair[1], far)
    with pytest.raises(LandmarkError, match="shape"):
        Preprocessor(FAST).pair(frame, pair[1], POINTS[:4])
    with pytest.raises(LandmarkError, match="not numbers"):
        Preprocessor(FAST).pair(frame, pair[1], [["a", "b"]] * 5)
    with pytest.raises(LandmarkError, match="NaN"):
        Preprocessor(FAST).pair(frame, pair[1], np.full((5, 2), np.nan))


def test_flow_parameters_reach_the_flow(pair):
    changed = dataclasses.replace(FAST, flow="tvl1", flow_parameters=(("iterations", 2),))
    base = dataclasses.replace(FAST, flow="tvl1")
    first, second = (Preprocessor(spec).pair(*pair, POINTS).flow.uv for spec in (base, changed))
    assert not np.array_equal(first, second)
