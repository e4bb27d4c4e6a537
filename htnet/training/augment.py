"""Augmentation of whole-face flow images, batched."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from htnet.core.errors import RecipeError
from htnet.preprocess import MIRROR_68
from htnet.training.recipe import Augmentation

#: Index of each point's mirror partner, order left eye, right eye, nose, left mouth, right mouth.
MIRRORED_POINTS = (1, 0, 2, 4, 3)
#: Direction bins of `htnet.preprocess.hoof` in the motion features; they start at right and turn toward down.
_BINS = 16
#: Index of each motion feature's mirror partner: in the other side's region, with left and right exchanged.
MIRRORED_MOTION = tuple(other * _BINS + (_BINS // 2 - k) % _BINS for other in (1, 0, 3, 2) for k in range(_BINS))
_PARTNERS = {"points": MIRRORED_POINTS, "points68": MIRROR_68}


def mirror(images: Tensor, points: Tensor, which: Tensor, u_channel: int) -> tuple[Tensor, Tensor]:
    """Mirror some faces left to right.

    The horizontal flow changes its sign with the face; in a min-max scaled 0..255 channel that is
    255 - u. Left and right points change places.

    Args:
        images: (B, C, S, S) float, 0..255.
        points: (B, 5, 2) (x, y), px of the image.
        which: (B,) bool, the samples to mirror.
        u_channel: index of the channel that contains u.

    Returns:
        New images and points.
    """
    flipped = images.flip(-1)
    flipped[:, u_channel] = 255.0 - flipped[:, u_channel]
    return (
        torch.where(which[:, None, None, None], flipped, images),
        mirror_extras({"points": points}, which, images.shape[-1])["points"],
    )


def mirror_extras(extras: Mapping[str, Tensor], which: Tensor, size: int) -> dict[str, Tensor]:
    """Mirror a model's extra inputs.

    Points are swapped with their partners on the other side, and so are the motion features of the regions, in which
    motion to the right becomes motion to the left. The sides of action units (the last axis of "units") are swapped.

    Args:
        extras: by name, see `htnet.models.EXTRA_INPUTS`, or "units".
        which: (B,) bool, the samples to mirror.
        size: side of the image, px.

    Returns:
        New tensors under the same names.
    """
    out = {}
    for name, values in extras.items():
        if name == "units":
            swapped = values.flip(-1)
        elif name == "motion":
            swapped = values[..., torch.tensor(MIRRORED_MOTION, device=values.device)]
        else:
            swapped = values[:, torch.tensor(_PARTNERS[name], device=values.device)].clone()
            swapped[..., 0] = size - 1 - swapped[..., 0]
        out[name] = torch.where(which[:, None, None], swapped, values)
    return out


def shift(images: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Move each face by whole pixels; the uncovered margin repeats the border.

    The points are not shifted: a crop that moved along would show the same pixels as before. The regions of a shifted
    face are therefore off by (dx, dy), as with errors of alignment or landmarks. Points that a model reads are all off
    by the same (dx, dy), so their distances from each other are unchanged.

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
    images: Tensor,
    points: Tensor,
    settings: Augmentation,
    mean: Tensor,
    std: Tensor,
    u_channel: int,
    extras: Mapping[str, Tensor] = MappingProxyType({}),
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Apply all augmentations of a recipe; random numbers come from PyTorch's global generator.

    Args:
        images: (B, C, S, S) float, 0..255.
        points: (B, 5, 2) (x, y), px of the image.
        settings: strengths.
        mean: (C,) per-channel mean of the training set.
        std: (C,) per-channel deviation of the training set.
        u_channel: index of the channel that contains u.
        extras: extra inputs of the model. They are mirrored with the face, but not shifted with it (see `shift`). Gain,
            offset and noise change only the image.

    Returns:
        New images (no longer confined to 0..255), points and extras.

    Raises:
        RecipeError: the shift is half the side of the images or more.
    """
    extras = dict(extras)
    batch, channels = images.shape[:2]
    device = images.device
    if settings.mirror:
        which = torch.rand(batch, dtype=torch.float32, device=device) < settings.mirror
        images, points = mirror(images, points, which, u_channel)
        extras = mirror_extras(extras, which, images.shape[-1])
    if 2 * settings.shift >= images.shape[-1]:
        raise RecipeError(
            f"The augmentation shifts faces by up to {settings.shift} px, but the images have {images.shape[-1]} px: "
            "little of a face would remain. Give a shift below half the side."
        )
    if settings.shift:
        moves = torch.randint(-settings.shift, settings.shift + 1, (2, batch), device=device)
        images = shift(images, moves[0], moves[1])
    mean, std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)
    shape = (batch, channels, 1, 1)
    gain = 1 + settings.gain * (2 * torch.rand(shape, dtype=torch.float32, device=device) - 1)
    offset = settings.offset * (2 * torch.rand(shape, dtype=torch.float32, device=device) - 1)
    images = (images - mean) * gain + mean + std * offset
    if settings.noise:
        images = images + std * settings.noise * torch.randn_like(images)
    return images, points, extras
