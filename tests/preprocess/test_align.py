"""Similarity, shared by both frames."""

import csv

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from htnet.core.errors import LandmarkError
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, PreprocessSpec
from htnet.preprocess import align_pair, scale_points, similarity, transform_points
from htnet.preprocess.landmarks.files import COLUMNS
from tests.support.paths import COMPOSITE, needs_shared
from tests.support.similarity import fitted_similarity

SPEC = PreprocessSpec()
# Eyes, nose, mouth corners of skimage's astronaut, px, read off the enlarged picture by eye.
FACE = np.array([[203, 101], [246, 103], [223, 126], [203, 140], [244, 141]], np.float32)


def matrix_of(scale, degrees, x, y):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[c, -s, x], [s, c, y]])


def frame_of(pixels, source="array"):
    return Frame(np.ascontiguousarray(pixels), source)


def test_a_known_similarity_is_found_again(rng):
    for _ in range(20):
        true = matrix_of(rng.uniform(0.1, 9), rng.uniform(-180, 180), *rng.uniform(-300, 300, 2))
        points = rng.uniform(0, 500, (rng.integers(2, 9), 2))
        target = points @ true[:, :2].T + true[:, 2]
        np.testing.assert_allclose(similarity(points, target), true, atol=1e-9 * np.abs(true).max())
        np.testing.assert_allclose(transform_points(true, points), target)


def test_noisy_points_give_what_scikit_image_gives(rng):
    for _ in range(20):
        source = rng.uniform(0, 200, (5, 2))
        target = transform_points(matrix_of(1.7, rng.uniform(-180, 180), 5, -8), source) + rng.normal(0, 25, (5, 2))
        expected = fitted_similarity(source, target).params[:2]
        np.testing.assert_allclose(similarity(source, target), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.full((5, 2), 7.0), TEMPLATE_28, "source points coincide at"),
        (TEMPLATE_28, np.zeros((5, 2)), "target points coincide"),
        ([[1, 0], [0, 1], [-1, 0], [0, -1]], [[1, 0], [0, -1], [-1, 0], [0, 1]], "mirrored"),
        ([[0, 0], [1, np.nan]], [[0, 0], [1, 1]], "finite"),
        ([[0, 0]], [[0, 0]], "2 or more"),
        (TEMPLATE_28, TEMPLATE_28[:4], "not \\(5, 2\\) and \\(4, 2\\)"),
    ],
)
def test_points_without_a_similarity_are_refused(source, target, message):
    with pytest.raises(LandmarkError, match=message):
        similarity(source, target)


@needs_shared
def test_the_template_is_the_mean_of_the_published_faces_in_224_px():
    with (COMPOSITE / "landmarks_yunet_224px.csv").open() as file:
        rows = [[float(row[c]) for c in COLUMNS] for row in csv.DictReader(file)]
    mean = np.array(rows).reshape(-1, 5, 2).mean(axis=0)
    np.testing.assert_allclose(scale_points(TEMPLATE_28, 224 / 28), mean, atol=0.5)


def test_the_points_arrive_on_the_template():
    onset = frame_of(astronaut())
    face, _, matrix = align_pair(onset, onset, Landmarks(FACE, "hand"), SPEC)
    assert face.size == (224, 224)
    target = np.array(TEMPLATE_28) * 8
    arrived = transform_points(matrix, FACE)
    np.testing.assert_allclose(arrived.mean(0), target.mean(0), atol=1e-6)
    assert np.abs(arrived - target).max() < 20


def test_both_frames_are_warped_by_the_same_matrix(rng):
    """Also where the apex moved: its motion must survive the alignment."""
    onset = cv2.GaussianBlur(rng.integers(0, 256, (300, 260, 3), dtype=np.uint8), (0, 0), 4)
    apex = np.roll(onset, (3, -5), axis=(0, 1))
    points = transform_points(matrix_of(5, 12, 60, 50), TEMPLATE_28)
    face, moved, matrix = align_pair(frame_of(onset, "on"), frame_of(apex, "ap"), Landmarks(points, "x"), SPEC)
    assert (face.source, moved.source) == ("on", "ap")
    for pixels, result in ((onset, face), (apex, moved)):
        rows, columns = np.mgrid[0:224, 0:224]
        inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
        back = transform_points(inverse, np.stack([columns.ravel(), rows.ravel()], 1)).reshape(224, 224, 2)
        map_xy = back.astype(np.float32)
        expected = cv2.remap(pixels, map_xy, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(result.pixels.astype(int) - expected).max() <= 3


def test_a_strong_shrink_does_not_alias():
    """A fine checkerboard must come out gray, and a coarse picture in its place."""
    side = 1600
    fine = ((np.indices((side, side)).sum(0) % 2) * 255).astype(np.uint8)
    spec = PreprocessSpec(face_size=112)
    points = transform_points(matrix_of(1300 / 28, 7, 180, 20), TEMPLATE_28)
    face, _, _ = align_pair(*[frame_of(np.dstack([fine] * 3))] * 2, Landmarks(points, "x"), spec)
    assert face.pixels.std() < 6
    # A plane (value linear in x) is the same under any filter: it shows shifts.
    plane = np.broadcast_to((np.arange(side) * 255 / side)[None, :, None], (side, side, 3)).astype(np.uint8)
    face, _, matrix = align_pair(*[frame_of(plane)] * 2, Landmarks(points, "x"), spec)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    grid = np.stack(np.meshgrid(np.arange(112), np.arange(112)), -1).reshape(-1, 2)
    expected = np.clip(transform_points(inverse, grid)[:, 0], 0, side - 1).reshape(112, 112) * 255 / side - 0.5
    assert np.abs(face.pixels[..., 0] - expected).mean() < 0.6
    assert abs((face.pixels[..., 0] - expected).mean()) < 0.15


def test_the_shrunk_warp_has_no_shift():
    """A large disc's center of mass lies where the matrix sends it, within a fraction of a face pixel."""
    side, center = 2001, np.array([900.0, 1100.0])
    disc = np.zeros((side, side, 3), np.uint8)
    cv2.circle(disc, (900, 1100), 300, (255, 255, 255), -1)
    points = transform_points(matrix_of(1700 / 28, -20, 50, 350), TEMPLATE_28)
    face, _, matrix = align_pair(*[frame_of(disc)] * 2, Landmarks(points, "x"), SPEC)
    weight = face.pixels[..., 0].astype(float)
    rows, columns = np.mgrid[0:224, 0:224]
    found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    np.testing.assert_allclose(found, transform_points(matrix, center[None])[0], atol=0.05)


@pytest.mark.parametrize("order", [[1, 0, 2, 4, 3], [3, 4, 2, 0, 1]])
def test_points_in_a_wrong_order_are_refused(order):
    frame = frame_of(astronaut())
    with pytest.raises(LandmarkError, match=r"points from mine .*order left eye, right eye"):
        align_pair(frame, frame, Landmarks(FACE[order], "mine"), SPEC)
    with pytest.raises(LandmarkError, match="are not arranged like"):
        align_pair(frame, frame, Landmarks(FACE[:, ::-1], "mine"), SPEC)


def test_points_given_as_fractions_are_refused():
    frame = frame_of(astronaut(), "astronaut")
    with pytest.raises(LandmarkError, match=r"span a face of .* px in astronaut; give pixels"):
        align_pair(frame, frame, Landmarks(FACE / 512, "mine"), SPEC)
