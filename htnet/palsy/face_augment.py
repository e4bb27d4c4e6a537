"""Random changes of face images that never exchange left and right.

No face is ever mirrored: models are to learn the side and the amount of an asymmetry, and a mirrored palsy beside its
original would teach that the side does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from htnet.core.fields import checked, real
from htnet.training.recipe import AnyAugmentation

#: Largest fraction of an image's area that one erased rectangle covers, and the largest ratio of its sides.
_MOST_ERASED = 0.15
_LONGEST = 3.0


@dataclass(frozen=True)
class FaceAugmentation(AnyAugmentation):
    """Random changes of a face image, 0..255; each strength is the limit of a uniform range unless stated otherwise.

    Attributes:
        brightness: up to ± this fraction of 255 is added.
        contrast: gray levels are multiplied by 1 ± contrast about the image's mean.
        gamma: levels are raised to the power exp(± gamma) on the scale 0..1.
        noise: standard deviation of Gaussian noise, as a fraction of 255; drawn from 0 to noise for each image.
        rotation: ± degrees about the center.
        scale: size times 1 ± scale about the center.
        erase: probability that a rectangle of up to 15 % of the image becomes the image's mean color.
        mixup: both parameters of the Beta distribution of the weight by which two images and their classes are mixed
            (Zhang et al., ICLR 2018); the image itself gets the larger weight. 0 for none.
    """

    of: ClassVar[str] = "face"
    brightness: float = checked(0.1, real(ge=0, le=1))
    contrast: float = checked(0.2, real(ge=0, le=1))
    gamma: float = checked(0.2, real(ge=0, le=2))
    noise: float = checked(0.02, real(ge=0, le=1))
    rotation: float = checked(4.0, real(ge=0, le=45))
    scale: float = checked(0.05, real(ge=0, le=0.5))
    erase: float = checked(0.0, real(ge=0, le=1))
    mixup: float = checked(0.0, real(ge=0, le=10))


def change_light(images: Tensor, brightness: Tensor, contrast: Tensor, gamma: Tensor) -> Tensor:
    """Gamma, then contrast about the mean, then brightness; the result is confined to 0..255.

    Args:
        images: (B, C, S, S) float, 0..255.
        brightness: (B,) levels to add, as a fraction of 255.
        contrast: (B,) factors about each image's mean.
        gamma: (B,) exponents on the scale 0..1.
    """
    brightness, contrast, gamma = (value.view(-1, 1, 1, 1) for value in (brightness, contrast, gamma))
    images = 255 * (images / 255).clamp(0, 1) ** gamma
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean + 255 * brightness).clamp(0, 255)


def turn_and_scale(images: Tensor, degrees: Tensor, scale: Tensor) -> Tensor:
    """Rotate about the center and magnify; the uncovered margin repeats the border.

    Args:
        images: (B, C, S, S) float.
        degrees: (B,) clockwise, as the image is displayed.
        scale: (B,) factor above 0; 2 shows everything twice as large.
    """
    angle = degrees * (math.pi / 180)
    # The grid says where each pixel of the result comes from: the inverse of the wanted motion.
    cos, sin, none = angle.cos() / scale, angle.sin() / scale, torch.zeros_like(angle)
    matrix = torch.stack([torch.stack([cos, sin, none], 1), torch.stack([-sin, cos, none], 1)], 1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def erase(images: Tensor, which: Tensor, area: Tensor, aspect: Tensor, at: Tensor) -> Tensor:
    """Fill a rectangle of some images with their mean color.

    Args:
        images: (B, C, S, S) float.
        which: (B,) bool, the images to erase in.
        area: (B,) fraction of the image.
        aspect: (B,) height over width.
        at: (B, 2) place (x, y) of the rectangle, from 0 (left, top) to 1 (right, bottom).
    """
    height, width = images.shape[-2:]
    high = (area * aspect).sqrt().clamp(max=1) * height
    wide = (area / aspect).sqrt().clamp(max=1) * width
    left, top = at[:, 0] * (width - wide), at[:, 1] * (height - high)
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device) + 0.5
    across = (x >= left[:, None]) & (x < (left + wide)[:, None])
    down = (y >= top[:, None]) & (y < (top + high)[:, None])
    inside = down[:, :, None] & across[:, None, :] & which[:, None, None]
    return torch.where(inside[:, None], images.mean(dim=(2, 3), keepdim=True), images)


def mix(images: Tensor, targets: Tensor, share: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
    """Mixup: mix each image and its target with those of a partner.

    Args:
        images: (B, C, S, S) float.
        targets: (B, classes) float, rows sum to 1.
        share: (B,) weight of the image itself, 0..1.
        partner: (B,) int64, index of the other image.
    """
    own = share.view(-1, 1, 1, 1)
    mixed = own * images + (1 - own) * images[partner]
    return mixed, share[:, None] * targets + (1 - share[:, None]) * targets[partner]


def augment_faces(
    images: Tensor, labels: Tensor, settings: FaceAugmentation, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Apply all changes of a recipe; random numbers come from PyTorch's global generator.

    Args:
        images: (B, C, S, S) float, 0..255.
        labels: (B,) int64.
        settings: strengths.
        num_classes: number of classes.

    Returns:
        New images, 0..255 except for the noise, and targets: the labels, or with mixup (B, num_classes) float.
    """
    batch, device = len(images), images.device

    def drawn(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, dtype=torch.float32, device=device)

    def spread(strength: float) -> Tensor:
        return strength * (2 * drawn() - 1)

    if settings.rotation or settings.scale:
        images = turn_and_scale(images, spread(settings.rotation), 1 + spread(settings.scale))
    if settings.brightness or settings.contrast or settings.gamma:
        light = spread(settings.brightness), 1 + spread(settings.contrast), spread(settings.gamma).exp()
        images = change_light(images, *light)
    if settings.erase:
        images = erase(
            images,
            drawn() < settings.erase,
            _MOST_ERASED * drawn(),
            spread(math.log(_LONGEST)).exp(),
            drawn(2),
        )
    if settings.noise:
        deviation = 255 * settings.noise * drawn(1, 1, 1)
        images = images + deviation * torch.randn_like(images)
    if not settings.mixup:
        return images, labels
    both = torch.tensor([settings.mixup] * 2, dtype=torch.float32)
    share = torch.distributions.Beta(*both).sample((batch,)).to(device)
    partner = torch.randperm(batch, device=device)
    return mix(images, F.one_hot(labels, num_classes).float(), torch.maximum(share, 1 - share), partner)
