"""Magnitude, orientation, HOOF, head motion and color pictures, against NumPy's histogram and hand computation."""

import colorsys

import numpy as np
import pytest
import torch

from htnet.core.errors import FlowError, InputError, LandmarkError
from htnet.core.types import TEMPLATE_28
from htnet.preprocess import (
    FACE_REGIONS,
    color_wheel,
    color_wheel_legend,
    crop_regions,
    face_regions,
    flow_magnitude,
    flow_orientation,
    head_boxes,
    hoof,
    optical_strain,
    remove_head_motion,
)
from tests.support.seeds import next_rng

POINTS = np.array(TEMPLATE_28) * 2  # px of a 56 px face


def field(*lead, height=56, width=56):
    return next_rng().standard_normal((*lead, 2, height, width)).astype(np.float32)


def toward(degrees, length=1.0, side=56):
    """The same motion everywhere; degrees clockwise from the right, as one sees it."""
    angle = np.deg2rad(degrees)
    uv = np.empty((2, side, side))
    uv[0], uv[1] = length * np.cos(angle), length * np.sin(angle)
    return uv


def test_magnitude_and_orientation_by_hand():
    uv = np.zeros((2, 2, 3))
    uv[:, 0, 0], uv[:, 0, 1], uv[:, 0, 2] = (3, 4), (2, 0), (0, 5)
    uv[:, 1, 0], uv[:, 1, 1] = (0, -1), (-7, 0)
    np.testing.assert_allclose(flow_magnitude(uv), [[5, 2, 5], [1, 7, 0]])
    down = np.pi / 2
    np.testing.assert_allclose(flow_orientation(uv), [[np.arctan(4 / 3), 0, down], [-down, np.pi, 0]])


@pytest.mark.parametrize(
    "function", [flow_magnitude, flow_orientation, hoof, lambda uv: remove_head_motion(uv, POINTS)]
)
def test_batches_and_tensors_agree(function):
    uv = field(3, 2)
    batch = function(uv)
    assert isinstance(batch, np.ndarray)
    assert batch.dtype == np.float32
    assert batch.shape[:2] == (3, 2)
    np.testing.assert_allclose(batch[2, 1], function(uv[2, 1]), atol=1e-6)
    tensor = function(torch.from_numpy(uv))
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), batch, atol=2e-6)


@pytest.mark.parametrize(
    "function", [flow_magnitude, flow_orientation, hoof, lambda uv: remove_head_motion(uv, POINTS)]
)
@pytest.mark.parametrize(
    "bad",
    [np.zeros((3, 8, 8)), np.zeros((8, 8)), np.zeros((2, 8, 8), np.int64), torch.zeros(2, 8, 8, dtype=torch.int32)],
)
def test_other_shapes_and_types_are_refused(function, bad):
    with pytest.raises(FlowError, match=r"type .*give float \(\.\.\., 2, H, W\)"):
        function(bad)


@pytest.mark.parametrize("function", [hoof, lambda uv: remove_head_motion(uv, POINTS), color_wheel])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_nan_is_refused(function, kind):
    uv = field()
    uv[0, 3, 4], uv[1, 5, 5] = np.nan, np.inf
    with pytest.raises(FlowError, match="2 NaN or infinite values; recompute it or replace"):
        function(kind(uv))


# HOOF


def test_hoof_is_64_numbers_a_frame_and_every_region_sums_to_one():
    found = hoof(field(5))
    assert found.shape == (5, 64)
    np.testing.assert_allclose(found.reshape(5, 4, 16).sum(-1), 1, rtol=1e-5)
    assert (found >= 0).all()


@pytest.mark.parametrize("bins", [2, 7, 16])
def test_directions_at_the_centers_give_numpys_histogram(bins, rng):
    """Where no pixel lies between two centers, soft bins are hard bins."""
    place, length = rng.integers(bins, size=(20, 30)), rng.uniform(0.1, 2, (20, 30))
    angle = 2 * np.pi * place / bins
    found = hoof(np.stack([length * np.cos(angle), length * np.sin(angle)]), bins=bins, regions=[(0, 0, 30, 20)])
    expected, _ = np.histogram(angle, bins, (-np.pi / bins, 2 * np.pi - np.pi / bins), weights=length)
    np.testing.assert_allclose(found, expected / length.sum(), atol=1e-9)


@pytest.mark.parametrize("bins", [2, 9, 16])
def test_random_directions_give_two_weighted_histograms(bins):
    uv = field(height=24, width=31).astype(float)
    boxes = [(0, 0, 31, 24), (3, 5, 12, 6), (30, 23, 31, 24)]
    found = hoof(uv, bins=bins, regions=boxes).reshape(3, bins)
    for row, (left, top, right, bottom) in zip(found, boxes, strict=True):
        u, v = uv[:, top:bottom, left:right].reshape(2, -1)
        place = np.arctan2(v, u) % (2 * np.pi) / (2 * np.pi) * bins
        share, edges = place % 1, np.arange(bins + 1)
        lower = np.histogram(np.floor(place), edges, weights=np.hypot(u, v) * (1 - share))[0]
        upper = np.histogram((np.floor(place) + 1) % bins, edges, weights=np.hypot(u, v) * share)[0]
        np.testing.assert_allclose(row, (lower + upper) / np.hypot(u, v).sum(), atol=1e-9)


@pytest.mark.parametrize(("degrees", "bin_"), [(0, 0), (90, 4), (180, 8), (270, 12), (45, 2)])
def test_where_the_bins_lie(degrees, bin_):
    found = hoof(toward(degrees)).reshape(4, 16)
    np.testing.assert_allclose(found, np.eye(16)[[bin_] * 4], atol=1e-9)


def test_hoof_is_continuous_in_the_angle_and_blind_to_length(rng):
    for degrees in (0, 11.25, 180, 360 - 1e-3, rng.uniform(0, 360)):
        step = np.abs(hoof(toward(degrees + 1e-3)) - hoof(toward(degrees))).max()
        assert step < 1e-4
    np.testing.assert_allclose(hoof(toward(11.25))[:2], 0.5, atol=1e-9)
    uv = field()
    np.testing.assert_allclose(hoof(uv), hoof(100 * uv), atol=1e-6)


def test_a_still_region_is_zero_and_the_others_are_not():
    left, top, right, bottom = face_regions(56)[1]
    uv = field()
    uv[:, top:bottom, left:right] = 0
    found = hoof(uv).reshape(4, 16)
    assert not found[1].any()
    np.testing.assert_allclose(found[[0, 2, 3]].sum(-1), 1, rtol=1e-5)
    assert not hoof(np.zeros((2, 2, 56, 56))).any()


@pytest.mark.parametrize("points", [None, POINTS, POINTS + np.array([3.4, -40]), POINTS + np.array([90, 9.6])])
def test_regions_are_htnets(points):
    """They hold the very pixels that the layout "anatomical" lays out."""
    index = torch.arange(56 * 56).view(1, 1, 56, 56)
    at = torch.tensor(POINTS if points is None else points)
    mosaic = crop_regions(index, at, "anatomical")[0, 0]
    boxes = face_regions(56, points)
    assert len(boxes) == len(FACE_REGIONS)
    for i, (left, top, right, bottom) in enumerate(boxes):
        row, column = 28 * (i // 2), 28 * (i % 2)
        assert torch.equal(index[0, 0, top:bottom, left:right], mosaic[row : row + 28, column : column + 28])


def test_hoof_at_given_points():
    uv = field()
    points = POINTS + np.array([6, -7])
    assert not np.array_equal(hoof(uv, regions=face_regions(56, points)), hoof(uv))
    np.testing.assert_array_equal(hoof(uv, regions=face_regions(56)), hoof(uv))


@pytest.mark.parametrize("bins", [1, 0, 16.0, "16"])
def test_wrong_bins(bins):
    with pytest.raises(InputError, match=r"bins is .*2 or more"):
        hoof(field(), bins=bins)


@pytest.mark.parametrize("box", [(0, 0, 57, 5), (-1, 0, 5, 5), (5, 5, 5, 9), (0, 0, 5), (0.5, 0, 5, 5)])
def test_wrong_regions(box):
    with pytest.raises(InputError, match=r"56x56 px; give whole px \(left, top, right, bottom\)"):
        hoof(field(), regions=[box])


def test_regions_that_cannot_be_cut():
    with pytest.raises(InputError, match="regions is empty"):
        hoof(field(), regions=[])
    for height, width in ((56, 58), (57, 57)):
        with pytest.raises(FlowError, match=r"square aligned face.*or regions="):
            hoof(field(height=height, width=width))
    for size in (57, 2, 56.0):
        with pytest.raises(InputError, match="size is"):
            face_regions(size)
    for points in (POINTS[:4], np.full((5, 2), np.nan), "abc", [["a", 1]] * 5):
        with pytest.raises(LandmarkError, match="give five finite"):
            face_regions(56, points)


# Head motion


def medians(uv, boxes):
    parts = [uv[..., top:bottom, left:right].reshape(*uv.shape[:-2], -1) for left, top, right, bottom in boxes]
    return np.median(np.concatenate(parts, axis=-1), axis=-1)


@pytest.mark.parametrize("region", ["nose", "eyes"])
def test_the_regions_median_becomes_zero_and_nothing_else_changes(region):
    uv = field(4)
    found = remove_head_motion(uv, POINTS, region)
    boxes = head_boxes(POINTS, region, 56, 56)
    np.testing.assert_allclose(medians(found, boxes), 0, atol=1e-6)
    taken = uv - found
    np.testing.assert_allclose(taken, np.broadcast_to(taken[..., :1, :1], uv.shape), atol=1e-6)
    np.testing.assert_allclose(taken[..., 0, 0], medians(uv, boxes), atol=1e-6)
    np.testing.assert_allclose(optical_strain(found), optical_strain(uv), atol=1e-5)


@pytest.mark.parametrize("region", ["nose", "eyes"])
def test_a_shift_of_the_head_goes_and_the_expression_stays(region, rng):
    smile = np.zeros((2, 56, 56))
    smile[0, 36:46, 14:24], smile[0, 36:46, 34:44] = -1.5, 1.5
    shift = rng.uniform(-3, 3, 2)
    np.testing.assert_allclose(remove_head_motion(smile + shift[:, None, None], POINTS, region), smile, atol=1e-12)


def test_a_blink_is_not_taken_for_the_head():
    blink = np.zeros((2, 56, 56))
    blink[1, 14:19, 12:19] = 2  # a part of the left eye's square
    np.testing.assert_array_equal(remove_head_motion(blink, POINTS, "eyes"), blink)


def test_head_boxes_by_hand():
    points = np.array([[10, 20], [30, 20], [20, 30], [12, 40], [28, 40]])
    assert head_boxes(points, "nose", 60, 60) == ((15, 25, 26, 36),)
    assert head_boxes(points, "eyes", 60, 60) == ((5, 15, 16, 26), (25, 15, 36, 26))
    assert head_boxes(points, "nose", 27, 60) == ((15, 25, 26, 27),)
    assert head_boxes(points, "eyes", 60, 27) == ((5, 15, 16, 26), (25, 15, 27, 26))


def test_head_motion_that_cannot_be_read():
    with pytest.raises(InputError, match=r"Unknown region: 'eye'\. Did you mean 'eyes'"):
        remove_head_motion(field(), POINTS, "eye")
    with pytest.raises(InputError, match="Unknown region: 'none'"):
        remove_head_motion(field(), POINTS, "none")
    with pytest.raises(LandmarkError, match=r"nose at \(128\.2, .*outside the flow \(56x56 px\)"):
        remove_head_motion(field(), POINTS + np.array([100, 0]), "nose")
    with pytest.raises(LandmarkError, match="five finite"):
        remove_head_motion(field(), POINTS[:3])


# Colors


@pytest.mark.parametrize(
    ("degrees", "color"),
    [
        (0, (255, 0, 0)),
        (90, (255, 255 * 13.75 / 15, 0)),  # down: 13.75 of the 15 steps from red to yellow
        (180, (0, 255 * (36 - 27.5) / 11, 255)),  # left: 2.5 of the 11 steps from cyan to blue
        (270, (255 * 5.25 / 13, 0, 255)),  # up: 5.25 of the 13 steps from blue to magenta
    ],
)
def test_hues_by_hand(degrees, color):
    picture = color_wheel(toward(degrees, 2.0, side=4))
    assert picture.dtype == np.uint8
    assert picture.shape == (4, 4, 3)
    assert np.abs(picture - np.array(color)).max() <= 0.5
    half = color_wheel(toward(degrees, 1.0, side=4), max_px=2.0)
    assert np.abs(half - (255 + np.array(color)) / 2).max() <= 0.5
    beyond = color_wheel(toward(degrees, 3.0, side=4), max_px=2.0)
    assert np.abs(beyond - 0.75 * np.array(color)).max() <= 0.5


def test_pictures_of_random_fields():
    """Saturation is the length; the hue grows with the angle, once round the circle."""
    uv = field(height=20, width=30)
    picture = color_wheel(uv, max_px=10.0).reshape(-1, 3).astype(int)
    length = np.hypot(*uv).ravel() / 10
    assert np.abs(255 - picture.min(1) - 255 * length).max() <= 0.5 + 1e-4
    assert (picture.max(1) == 255).all()
    angles = np.arange(0, 360, 2)
    hues = [colorsys.rgb_to_hsv(*(color_wheel(toward(d, side=4))[0, 0] / 255))[0] for d in angles]
    assert hues[0] == 0
    assert (np.diff(hues) > 0).all()
    assert hues[-1] > 0.98


def test_no_motion_is_white_and_tensors_are_taken():
    assert (color_wheel(np.zeros((2, 5, 6))) == 255).all()
    uv = field()
    np.testing.assert_array_equal(color_wheel(torch.from_numpy(uv)), color_wheel(uv))
    scaled = color_wheel(uv, max_px=float(np.hypot(*uv).max()))
    np.testing.assert_allclose(color_wheel(uv).astype(int), scaled.astype(int), atol=1)  # float32 against float64


def test_legend_is_the_wheel_of_a_disc():
    legend = color_wheel_legend(41)
    y, x = np.mgrid[-20:21, -20:21]
    inside = np.hypot(x, y) <= 20
    expected = color_wheel(np.stack([x, y]).astype(np.float32), max_px=20.0)
    assert np.abs(legend.astype(int) - expected)[inside].max() <= 1
    assert (legend[~inside] == 255).all()


def test_wrong_pictures_are_refused():
    for bad in (0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="max_px is"):
            color_wheel(field(), max_px=bad)
    for size in (2, 10.0):
        with pytest.raises(InputError, match="size is"):
            color_wheel_legend(size)
    with pytest.raises(FlowError, match=r"shape \(3, 2, 5, 5\)"):
        color_wheel(np.zeros((3, 2, 5, 5)))
