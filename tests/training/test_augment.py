import numpy as np
import pytest
import torch

from htnet.core.types import PreprocessSpec
from htnet.preprocess import crop_regions, optical_strain, template_points
from htnet.training.augment import augment, mirror, shift
from htnet.training.recipe import Augmentation


def published_image(uv):
    """(strain, v, u), each min-max scaled to 0..255, from a flow field: the published convention."""
    channels = np.stack([optical_strain(uv), uv[1], uv[0]])
    low, high = channels.min((1, 2), keepdims=True), channels.max((1, 2), keepdims=True)
    return torch.from_numpy((channels - low) / (high - low) * 255)


def test_mirroring_the_image_is_mirroring_the_face(rng):
    """The mirrored flow image equals the image of the mirrored flow, whose u is negated."""
    uv = rng.normal(size=(2, 28, 28))
    mirrored_flow = uv[:, :, ::-1].copy()
    mirrored_flow[0] *= -1
    images = torch.stack([published_image(uv)] * 2)
    points = torch.rand(2, 5, 2) * 27
    out, moved = mirror(images, points, torch.tensor([True, False]), u_channel=2)
    torch.testing.assert_close(out[0], published_image(mirrored_flow))
    assert torch.equal(out[1], images[1])
    assert torch.equal(moved[1], points[1])
    for ours, partner in enumerate((1, 0, 2, 4, 3)):  # left eye and right eye change places, ...
        torch.testing.assert_close(moved[0, ours, 0], 27 - points[0, partner, 0])
        torch.testing.assert_close(moved[0, ours, 1], points[0, partner, 1])


def test_shift_moves_the_face():
    images = torch.rand(6, 3, 28, 28)
    dx, dy = torch.randint(-2, 3, (6,)), torch.randint(-2, 3, (6,))
    out = shift(images, dx, dy)
    for i in range(6):
        assert torch.equal(out[i, :, 13 + int(dy[i]), 13 + int(dx[i])], images[i, :, 13, 13])
        for row in range(28):
            for column in range(28):
                source_row = min(max(row - int(dy[i]), 0), 27)
                source_column = min(max(column - int(dx[i]), 0), 27)
                assert torch.equal(out[i, :, row, column], images[i, :, source_row, source_column])


@pytest.mark.parametrize("layout", ["anatomical", "reference", "whole"])
def test_shift_changes_what_the_network_sees(layout):
    """A face that takes its crops along would look the same as before."""
    images = torch.rand(32, 3, 28, 28) * 255
    points = template_points(PreprocessSpec()).expand(32, 5, 2)
    settings = Augmentation(mirror=0, shift=2, gain=0, offset=0, noise=0)
    moved, kept, _ = augment(images, points, settings, torch.zeros(3), torch.ones(3), 2)
    assert torch.equal(kept, points)
    before, after = crop_regions(images, points, layout), crop_regions(moved, kept, layout)
    changed = (before != after).flatten(1).any(1)
    # One shift in 25 is none.
    assert changed.sum() >= 16


def test_strengths():
    """Gain, offset and noise have the sizes the recipe names; without them the image is untouched."""
    mean, std = torch.tensor([100.0, 120.0, 140.0]), torch.tensor([10.0, 20.0, 30.0])
    flat = mean.view(1, 3, 1, 1).expand(4000, 3, 2, 2) + std.view(1, 3, 1, 1)
    points = torch.full((4000, 5, 2), 1.0)
    none = {"mirror": 0, "shift": 0, "gain": 0, "offset": 0, "noise": 0}
    torch.testing.assert_close(augment(flat, points, Augmentation(**none), mean, std, 2)[0], flat)
    for name, expected in (("gain", 0.2), ("offset", 0.3), ("noise", 0.1)):
        settings = Augmentation(**{**none, name: expected})
        out, _, _ = augment(flat, points, settings, mean, std, 2)
        z = (out - flat) / std.view(1, 3, 1, 1)
        values = z.reshape(-1) if name == "noise" else z[:, :, 0, 0].reshape(-1)
        spread = expected if name == "noise" else expected / 3**0.5  # gain and offset are uniform
        assert abs(float(values.std()) / spread - 1) < 0.06
        assert name == "noise" or values.abs().max() <= expected * 1.0001
        assert abs(float(values.mean())) < 0.02
        if name != "noise":  # one draw a sample and channel, not a pixel
            torch.testing.assert_close(z[:, :, 0, 0], z[:, :, 1, 1])
