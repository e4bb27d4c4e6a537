"""Region crops against plain slicing."""

import csv

import cv2
import numpy as np
import pytest
import torch

from htnet.core.errors import InputError, LandmarkError
from htnet.core.types import TEMPLATE_28, PreprocessSpec
from htnet.preprocess import crop_regions, template_points
from tests.support.paths import COMPOSITE, needs_shared


def by_slicing(image, points, layout):
    """One (C, S, S) image, cut as the rule reads, with numpy slices."""
    size = image.shape[-1]
    h = size // 4
    patches = []
    for x, y in points:
        if layout == "reference":
            first, second = int(min(max(x, h), size - h)), int(min(max(y, h), size - h))
        else:
            first, second = (int(min(max(np.rint(c), h), size - h)) for c in (y, x))
        patches.append(image[:, first - h : first + h, second - h : second + h])
    top = np.concatenate([patches[0], patches[1]], axis=2)
    return np.concatenate([top, np.concatenate([patches[3], patches[4]], axis=2)], axis=1)


@pytest.mark.parametrize("layout", ["anatomical", "reference"])
@pytest.mark.parametrize("size", [8, 28, 56])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_crops_equal_plain_slicing(layout, size, dtype, rng):
    images = (rng.random((6, 3, size, size)) * 255).astype(dtype)
    points = rng.uniform(-5, size + 5, (6, 5, 2)).astype(np.float32)
    out = crop_regions(torch.from_numpy(images), torch.from_numpy(points), layout)
    expected = np.stack([by_slicing(i, p, layout) for i, p in zip(images, points, strict=True)])
    assert out.dtype == torch.from_numpy(images).dtype
    assert out.is_contiguous()
    np.testing.assert_array_equal(out.numpy(), expected)
    shared = crop_regions(torch.from_numpy(images), torch.from_numpy(points[0]), layout)
    np.testing.assert_array_equal(shared.numpy(), [by_slicing(i, points[0], layout) for i in images])


def test_anatomical_mosaic_shows_each_part_in_its_place():
    image = torch.zeros(1, 1, 28, 28)
    points = torch.tensor([[8.0, 8], [20, 8], [14, 14], [9, 20], [19, 20]])
    for value, (x, y) in enumerate(points.long().tolist(), start=1):
        image[0, 0, y, x] = value
    mosaic = crop_regions(image, points, "anatomical")[0, 0]
    # Each point lands in the middle of its quadrant.
    assert [mosaic[7, 7], mosaic[7, 21], mosaic[21, 7], mosaic[21, 21]] == [1, 2, 4, 5]


def test_reference_mosaic_is_transposed_as_published():
    """x counts rows: the upper right patch shows the lower left of the face, and the other way round."""
    face = torch.zeros(1, 1, 28, 28)
    face[..., 14:, :14] = 3  # the image's lower left
    face[..., :14, 14:] = 1  # the image's upper right
    points = torch.tensor([[7.0, 7], [21, 7], [14, 14], [7, 21], [21, 21]])
    mosaic = crop_regions(face, points, "reference")[0, 0]
    assert (mosaic[:14, 14:] == 3).all()
    assert (mosaic[14:, :14] == 1).all()
    assert (crop_regions(face, points, "anatomical") == face).all()


def test_sides_that_four_does_not_divide_keep_their_size():
    image = torch.arange(30 * 30).float().view(1, 1, 30, 30)
    points = torch.tensor([[0.0, 0], [30, 0], [15, 15], [0, 30], [30, 30]])
    torch.testing.assert_close(crop_regions(image, points, "anatomical"), image)


def test_whole_is_the_image_itself():
    image = torch.rand(2, 3, 28, 28)
    assert crop_regions(image, template_points(PreprocessSpec()), "whole") is image


def test_crops_pass_gradients_and_integer_points():
    image = torch.rand(2, 3, 28, 28, requires_grad=True)
    points = torch.tensor([[7, 7], [21, 7], [14, 14], [7, 21], [21, 21]])
    crop_regions(image, points, "anatomical").sum().backward()
    assert image.grad is not None
    assert (image.grad == 1).all()


def test_template_points_are_in_flow_image_pixels():
    template = torch.tensor(TEMPLATE_28)
    torch.testing.assert_close(template_points(PreprocessSpec()), template)
    torch.testing.assert_close(template_points(PreprocessSpec(size=56)), 2 * template)


def test_wrong_input_is_refused():
    images, points = torch.zeros(2, 3, 28, 28), torch.zeros(5, 2)
    with pytest.raises(InputError, match=r"'anatomic'\. Did you mean 'anatomical'"):
        crop_regions(images, points, "anatomic")
    for shape in [(3, 28, 28), (2, 3, 28, 27), (2, 3, 27, 27), (2, 3, 2, 2)]:
        with pytest.raises(InputError, match="Flow images have shape"):
            crop_regions(torch.zeros(shape), points, "anatomical")
    for shape in [(4, 2), (3, 5, 2), (5, 3)]:
        with pytest.raises(InputError, match="Points have shape"):
            crop_regions(images, torch.zeros(shape), "anatomical")
    points[2, 0] = 1  # the nose is not cut, so its NaN does not matter
    points[4, 1] = float("nan")
    with pytest.raises(LandmarkError, match="NaN"):
        crop_regions(images, points, "reference")


@needs_shared
def test_reference_crop_of_published_images():
    with open(COMPOSITE / "landmarks_mtcnn_28px.csv", newline="") as file:
        rows = {row["sample"]: row for row in csv.DictReader(file)}
    names = sorted(path.stem.strip() for path in (COMPOSITE / "STSNet_whole_norm_u_v_os").glob("*.png"))
    names = [name for name in names if name in rows][:: max(1, len(rows) // 20)]
    assert len(names) >= 10
    images, points = [], []
    for name in names:
        files = list((COMPOSITE / "STSNet_whole_norm_u_v_os").glob(f"{name}*.png"))
        images.append(cv2.imread(str(files[0])).transpose(2, 0, 1))
        columns = [c for c in rows[name] if c.endswith(("_x", "_y"))]
        points.append(np.array([int(rows[name][c]) for c in columns]).reshape(5, 2))
    out = crop_regions(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(points)), "reference")
    for image, p, mosaic in zip(images, points, out.numpy(), strict=True):
        (x0, y0), (x1, y1), _, (x3, y3), (x4, y4) = p.tolist()
        np.testing.assert_array_equal(mosaic[:, :14, :14], image[:, x0 - 7 : x0 + 7, y0 - 7 : y0 + 7])
        np.testing.assert_array_equal(mosaic[:, :14, 14:], image[:, x1 - 7 : x1 + 7, y1 - 7 : y1 + 7])
        np.testing.assert_array_equal(mosaic[:, 14:, :14], image[:, x3 - 7 : x3 + 7, y3 - 7 : y3 + 7])
        np.testing.assert_array_equal(mosaic[:, 14:, 14:], image[:, x4 - 7 : x4 + 7, y4 - 7 : y4 + 7])
