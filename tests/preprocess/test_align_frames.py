"""Alignment of any number of frames, from five or 68 points, with crops of the user's."""

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from htnet.core.errors import FrameError, InputError, LandmarkError
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, Landmarks68, PreprocessSpec
from htnet.preprocess import MEAN_SHAPE_28, Alignment, align_frames, align_pair, fit_alignment
from tests.support.similarity import fitted_similarity

FIVE, ALL = np.array(TEMPLATE_28), MEAN_SHAPE_28


def random_similarity(rng):
    """A face of 56 to 250 px, tilted by up to 60 degrees."""
    return SimilarityTransform(
        scale=rng.uniform(2, 9), rotation=np.radians(rng.uniform(-60, 60)), translation=rng.uniform(-40, 400, 2)
    )


def landmarks_of(points):
    kind = Landmarks if len(points) == 5 else Landmarks68
    return kind(points.astype(np.float32), "drawn")


def picture(rng, height=150, width=180):
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 3)


@pytest.mark.parametrize("template", [FIVE, ALL], ids=["five", "68"])
def test_a_moved_template_comes_back_to_its_place(template, rng):
    for _ in range(10):
        move = random_similarity(rng)
        alignment = fit_alignment(landmarks_of(move(template)), size=224)
        np.testing.assert_allclose(alignment.map(move(template)), template * 8, atol=1e-2)
        # The matrix is the move's inverse, in px.
        expected = SimilarityTransform(scale=8).params @ move.inverse.params
        np.testing.assert_allclose(alignment.matrix, expected[:2], rtol=1e-4, atol=0.02)
        assert alignment.scale == pytest.approx(8 / move.scale, rel=1e-5)


@pytest.mark.parametrize("template", [FIVE, ALL], ids=["five", "68"])
def test_noisy_points_are_fitted_as_scikit_image_fits_them(template, rng):
    for _ in range(10):
        points = (random_similarity(rng)(template) + rng.normal(0, 4, template.shape)).astype(np.float32)
        size = int(rng.integers(60, 400))
        expected = fitted_similarity(points.astype(float), template * (size / 28)).params[:2]
        np.testing.assert_allclose(fit_alignment(landmarks_of(points), size=size).matrix, expected, atol=1e-6)


def test_68_landmarks_can_be_fitted_to_five_places(rng):
    points = random_similarity(rng)(ALL) + rng.normal(0, 2, (68, 2))
    landmarks = landmarks_of(points)
    by_five = fit_alignment(landmarks, template=TEMPLATE_28)
    np.testing.assert_array_equal(by_five.matrix, fit_alignment(landmarks.five()).matrix)
    assert not np.allclose(by_five.matrix, fit_alignment(landmarks).matrix)


def test_own_templates_are_used(rng):
    own = FIVE + rng.normal(0, 1.5, (5, 2))
    move = random_similarity(rng)
    alignment = fit_alignment(landmarks_of(move(own)), template=own, size=112)
    np.testing.assert_allclose(alignment.map(move(own)), own * 4, atol=1e-2)


def test_points_go_there_and_back(rng):
    alignment = fit_alignment(landmarks_of(random_similarity(rng)(FIVE)))
    points = rng.uniform(-50, 500, (30, 2))
    np.testing.assert_allclose(alignment.unmap(alignment.map(points)), points, atol=1e-8)
    homogeneous = np.c_[points, np.ones(30)] @ alignment.matrix.T
    np.testing.assert_allclose(alignment.map(points), homogeneous)


def test_landmarks_are_mapped_with_all_that_is_known_of_them(rng):
    move = random_similarity(rng)
    landmarks = Landmarks68(move(ALL), "estimated from me", 0.7, estimated=True)
    alignment = fit_alignment(landmarks)
    mapped = alignment.map_landmarks(landmarks)
    np.testing.assert_allclose(mapped.points, ALL * 8, atol=1e-2)
    assert (mapped.source, mapped.score, mapped.estimated) == ("estimated from me", 0.7, True)
    assert isinstance(alignment.map_landmarks(landmarks.five()), Landmarks)


def test_margin_and_box_crop_in_units_of_the_template(rng):
    """The same place of the face lies where the crop's arithmetic says."""
    landmarks = landmarks_of(random_similarity(rng)(FIVE))
    plain = fit_alignment(landmarks, size=280)
    points = rng.uniform(0, 300, (20, 2))
    units = plain.map(points) / 10
    wide = fit_alignment(landmarks, size=280, margin=0.25)
    np.testing.assert_allclose(wide.map(points), (units + 7) * 280 / 42, atol=1e-6)
    tight = fit_alignment(landmarks, size=280, margin=-0.25)
    np.testing.assert_allclose(tight.map(points), (units - 7) * 280 / 14, atol=1e-6)
    x, y, w = rng.uniform(-5, 10), rng.uniform(-5, 10), rng.uniform(5, 30)
    boxed = fit_alignment(landmarks, size=(100, 200), box=(x, y, w, w / 2))
    np.testing.assert_allclose(boxed.map(points), (units - [x, y]) * 200 / w, atol=1e-6)
    assert boxed.size == (100, 200)
    both = fit_alignment(landmarks, size=200, box=(x, y, w, w / 2), margin=0.1)
    expected = (units - [x - 0.1 * w, y - 0.05 * w]) * 200 / (1.2 * w)
    np.testing.assert_allclose(both.map(points), expected, atol=1e-6)
    assert both.size == (100, 200)


def test_a_whole_number_is_the_longer_side():
    landmarks = landmarks_of(FIVE * 8)
    for box, size in (((0, 0, 10, 28), (100, 36)), ((0, 0, 28, 10), (36, 100))):
        for given in (100, size):
            alignment = fit_alignment(landmarks, size=given, box=box)
            assert alignment.size == size
            # 36 px show 10 units to the nearest px, at the scale of the longer side.
            assert alignment.scale == pytest.approx(100 / 28 / 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (100, 200)}, r"size \(100, 200\) has another aspect ratio .*28 by 28 units; give \(200, 200\), or a"),
        ({"size": 2}, "size is 2"),
        ({"size": 100.0}, "size is 100.0"),
        ({"size": (1, 2, 3)}, r"size is \(1, 2, 3\)"),
        ({"margin": -0.5}, "margin is -0.5"),
        ({"margin": float("nan")}, "margin is nan"),
        ({"box": (0, 0, 28)}, r"box is \(0, 0, 28\)"),
        ({"box": (0, 0, 28, 0)}, "above 0"),
        ({"box": 28}, "box is 28"),
        ({"box": "0 0 28 28"}, "box is '0 0 28 28'"),
        ({"box": (0, float("inf"), 28, 28)}, "box is"),
    ],
)
def test_impossible_crops_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        fit_alignment(landmarks_of(FIVE * 8), **settings)


def test_unfit_points_are_refused():
    mirrored = ALL * [-8, 8]
    with pytest.raises(LandmarkError, match=r"68 points from drawn are not arranged .*iBUG 300-W"):
        fit_alignment(landmarks_of(mirrored))
    with pytest.raises(LandmarkError, match="span a face of 5.0 px in clip 3"):
        fit_alignment(landmarks_of(ALL * (5 / 28)), frame="clip 3")
    with pytest.raises(LandmarkError, match=r"\(68, 2\), but there are 5 points"):
        fit_alignment(landmarks_of(FIVE * 8), template=ALL)
    with pytest.raises(LandmarkError, match="template is"):
        fit_alignment(landmarks_of(FIVE * 8), template=[[1, 2], [3]])


def test_every_frame_is_warped_alike_and_only_when_asked_for(rng):
    landmarks = landmarks_of(random_similarity(rng)(FIVE))
    pixels = [picture(rng) for _ in range(4)]
    read = []

    def frames():
        for number, image in enumerate(pixels):
            read.append(number)
            yield Frame(image, f"frame {number}")

    aligned, alignment = align_frames(frames(), landmarks, size=(70, 140), box=(0, 0, 28, 14), margin=0.1)
    assert read == [0]
    results = []
    for number, frame in enumerate(aligned):
        assert read == list(range(number + 1))
        results.append(frame)
    assert [frame.source for frame in results] == [f"frame {n}" for n in range(4)]
    rows, columns = np.mgrid[0:70, 0:140]
    back = alignment.unmap(np.stack([columns.ravel(), rows.ravel()], 1)).reshape(70, 140, 2).astype(np.float32)
    for image, result in zip(pixels, results, strict=True):
        expected = cv2.remap(image, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        assert result.size == (70, 140)
        assert np.abs(result.pixels.astype(int) - expected).max() <= 3


def test_motion_between_frames_survives(rng):
    """A dot that moves by d in the frame moves by scale * rotation * d in the aligned face: no frame is re-aligned."""
    move = SimilarityTransform(scale=4, rotation=0.3, translation=(60, 30))
    centers = move([[14, 14]]) + np.array([[0, 0], [3, -2], [6, -4]])
    rows, columns = np.mgrid[0:220, 0:240]
    blobs = [200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50) for x, y in centers]
    frames = [Frame(np.dstack([blob.astype(np.uint8)] * 3)) for blob in blobs]
    landmarks = landmarks_of(move(FIVE) + rng.normal(0, 1, (5, 2)))
    aligned, alignment = align_frames(frames, landmarks, size=160)
    rows, columns = np.mgrid[0:160, 0:160]
    for frame, center in zip(aligned, centers, strict=True):
        weight = frame.pixels[..., 0].astype(float)
        found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        np.testing.assert_allclose(found, alignment.map(center[None])[0], atol=0.1)


def test_a_frame_of_another_size_is_named_and_those_before_are_given(rng):
    frames = [Frame(picture(rng)), Frame(picture(rng)), Frame(picture(rng, 100, 100), "odd.png")]
    aligned, _ = align_frames(frames, landmarks_of(FIVE * 4))
    assert next(aligned).size == next(aligned).size == (224, 224)
    with pytest.raises(
        FrameError, match=r"Frame 2 \(odd\.png, counted from 0\) is 100x100 px, but the first .*180x150"
    ):
        next(aligned)
    with pytest.raises(FrameError, match="no frames"):
        align_frames([], landmarks_of(FIVE * 4))


def test_a_pair_is_two_frames(rng):
    """Bit for bit: `align_pair` is what models were trained on."""
    for side in (28, 112, 224):
        onset, apex = Frame(picture(rng), "on"), Frame(picture(rng), "ap")
        landmarks = landmarks_of(random_similarity(rng)(FIVE))
        spec = PreprocessSpec(face_size=side)
        first, second, matrix = align_pair(onset, apex, landmarks, spec)
        aligned, alignment = align_frames([onset, apex], landmarks, template=spec.template, size=side)
        np.testing.assert_array_equal(matrix, alignment.matrix)
        for one, other in zip((first, second), aligned, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_an_alignment_can_be_kept_and_made_again(rng):
    alignment = fit_alignment(landmarks_of(FIVE * 5))
    again = Alignment(np.array(alignment.matrix.tolist()), alignment.size)
    frame = Frame(picture(rng))
    np.testing.assert_array_equal(again.warp(frame).pixels, alignment.warp(frame).pixels)
