"""Random changes of whole-face flow images, batched."""

from __future__ import annotations

import torch
from torch import Tensor

from htnet.training.recipe import Augmentation

#: Index of each point's mirror partner, order left eye, right eye, nose, left mouth, right mouth.
MIRRORED_POINTS = (1, 0, 2, 4, 3)


def mirror(images: Tensor, points: Tensor, which: Tensor, u_channel: int) -> tuple[Tensor, Tensor]:
    """Mirror some faces left to right.

    The horizontal flow changes its sign with the face; in a min-max scaled 0..255 channel that is
    255 - u. Left and right points change places.

    Args:
        images: (B, C, S, S) float, 0..255.
        points: (B, 5, 2) (x, y), px of the image.
        which: (B,) bool, the samples to mirror.
        u_channel: index of the channel that holds u.

    Returns:
        New images and points.
    """
    flipped = images.flip(-1)
    flipped[:, u_channel] = 255.0 - flipped[:, u_channel]
    order = torch.tensor(MIRRORED_POINTS, device=points.device)
    swapped = points[:, order].clone()
    swapped[..., 0] = images.shape[-1] - 1 - swapped[..., 0]
    return (
        torch.where(which[:, None, None, None], flipped, images),
        torch.where(which[:, None, None], swapped, points),
    )


def shift(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Move each face by whole pixels; what comes in from outside repeats the border.

    The points stay where they are: a crop that moved along would show the same pixels as before, and
    nothing would have changed. So the regions of a shifted face are off by (dx, dy), as they are where
    alignment or landmarks err.

    Args:
        images: (B, C, S, S).
        dx: (B,) int64, px to the right.
        dy: (B,) int64, px downward.

    Returns:
        New images.
    """
    batch, _, height, width = images.shape
    rows = (torch.arange(height, device=images.device) - dy[:, None]).clamp(0, height - 1)
    cols = (torch.arange(width, device=images.device) - dx[:, None]).clamp(0, width - 1)
    index = torch.arange(batch, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


def augment(
    images: Tensor, points: Tensor, settings: Augmentation, mean: Tensor, std: Tensor, u_channel: int
) -> tuple[Tensor, Tensor]:
    """All changes of a recipe, drawn from PyTorch's global generator.

    Args:
        images: (B, C, S, S) float, 0..255.
        points: (B, 5, 2) (x, y), px of the image.
        settings: strengths.
        mean: (C,) per-channel mean of the training set.
        std: (C,) per-channel deviation of the training set.
        u_channel: index of the channel that holds u.

    Returns:
        New images (no longer confined to 0..255) and points.
    """
    batch, channels = images.shape[:2]
    device = images.device
    if settings.mirror:
        images, points = mirror(images, points, torch.rand(batch, device=device) < settings.mirror, u_channel)
    if settings.shift:
        moves = torch.randint(-settings.shift, settings.shift + 1, (2, batch), device=device)
        images = shift(images, moves[0], moves[1])
    mean, std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)
    shape = (batch, channels, 1, 1)
    gain = 1 + settings.gain * (2 * torch.rand(shape, device=device) - 1)
    offset = settings.offset * (2 * torch.rand(shape, device=device) - 1)
    images = (images - mean) * gain + mean + std * offset
    if settings.noise:
        images = images + std * settings.noise * torch.randn_like(images)
    return images, points
