"""Networks of the trials that the library does not have, and how all of them are made and shown an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.recipe_trials.settings import Network, Perceptron, View
from htnet.core.types import EMOTIONS
from htnet.models import create_model
from htnet.preprocess import crop_regions
from htnet.synthesis import ACTION_UNITS
from htnet.training import FlowSet
from htnet.training.augment import mirror

_SIZE = 28
_U_CHANNEL = 2


class ImageStandardize(nn.Module):
    """Each channel of each image to mean 0 and deviation 1; a channel without any structure stays 0."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        mean, variance = x.mean((-2, -1), keepdim=True), x.var((-2, -1), keepdim=True, unbiased=False)
        return (x - mean) / (variance + 1.0).sqrt()


class CoarsePerceptron(nn.Module):
    """A perceptron over the averages of the flow image's cells, with heads for emotions and action units."""

    cell_mean: Tensor
    cell_std: Tensor

    def __init__(self, settings: Perceptron) -> None:
        super().__init__()
        self.settings = settings
        self.standardize = ImageStandardize()
        width = len(settings.channels) * (_SIZE // settings.cell) ** 2
        self.register_buffer("cell_mean", torch.zeros(width))
        self.register_buffer("cell_std", torch.ones(width))
        layers: list[nn.Module] = []
        for _ in range(settings.layers):
            linear = nn.Linear(width, settings.hidden)
            nn.init.normal_(linear.weight, std=settings.gain / width**0.5)
            nn.init.normal_(linear.bias, std=0.5)
            layers += [linear, *([nn.LayerNorm(settings.hidden)] if settings.layer_norm else []), nn.GELU()]
            layers += [nn.Dropout(settings.dropout)] if settings.dropout else []
            width = settings.hidden
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, len(EMOTIONS))
        self.unit_head = nn.Linear(width, 2 * len(ACTION_UNITS))
        nn.init.zeros_(self.head.weight)

    def cells(self, x: Tensor) -> Tensor:
        """Images (B, 3, 28, 28) to averages of their cells (B, channels, cells, cells)."""
        return F.avg_pool2d(self.standardize(x)[:, list(self.settings.channels)], self.settings.cell)

    def fit_cells(self, images: Tensor) -> None:
        """Take each cell's mean and deviation from the training images (N, 3, 28, 28)."""
        cells = self.cells(images).flatten(1)
        self.cell_mean.copy_(cells.mean(0))
        self.cell_std.copy_(cells.std(0))

    def forward(self, x: Tensor, return_units: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Class scores (B, 3), and on request those of action units (B, units, 2)."""
        cells = self.cells(x)
        seen = self._hidden(cells)
        if self.settings.symmetric:
            sign = torch.tensor([-1.0 if channel == _U_CHANNEL else 1.0 for channel in self.settings.channels])
            seen = (seen + self._hidden(cells.flip(-1) * sign.view(1, -1, 1, 1))) / 2
        if not return_units:
            return self.head(seen)
        return self.head(seen), self.unit_head(seen).unflatten(1, (-1, 2))

    def _hidden(self, cells: Tensor) -> Tensor:
        return self.body((cells.flatten(1) - self.cell_mean) / self.cell_std)


def build(network: Network, mean: Tensor, std: Tensor, action_units: Sequence[int] = ()) -> nn.Module:
    """A fresh network; ``mean`` and ``std`` (C,) are those of what it will see."""
    if network.perceptron is not None:
        return CoarsePerceptron(network.perceptron)
    model = create_model(
        network.model,
        image_size=network.size,
        channels=len(mean),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        action_units=tuple(action_units),
    )
    if network.image_standardised:
        model.standardize = ImageStandardize()  # type: ignore[assignment]
    return model


def shown(images: Tensor, points: Tensor, data: FlowSet, view: View) -> Tensor:
    """What a network sees of whole-face images (B, 3, S, S): (B, 3 or 6, S, S)."""
    if view == "whole":
        return images
    regions = crop_regions(images, points, data.spec.layout)
    return regions if view == "regions" else torch.cat([regions, images], 1)


def enlarged(data: FlowSet, size: int) -> FlowSet:
    """The same set with larger images."""
    if data.spec.size == size:
        return data
    by = size / data.spec.size
    images = F.interpolate(data.images.float(), size=(size, size), mode="bilinear", align_corners=False)
    return dataclasses.replace(
        data,
        images=images.round().to(torch.uint8),
        points=(data.points + 0.5) * by - 0.5,
        spec=dataclasses.replace(data.spec, size=size),
    )


def statistics(data: FlowSet, view: View) -> tuple[Tensor, Tensor]:
    """Per-channel mean and deviation of what a network sees of a set."""
    flat = shown(data.images.float(), data.points, data, view).double().transpose(0, 1).flatten(1)
    return flat.mean(1).float(), flat.std(1).float()


def mirrored(data: FlowSet) -> Tensor:
    """All faces of a set mirrored, (N, 3, S, S)."""
    return mirror(data.images.float(), data.points, torch.ones(len(data), dtype=torch.bool), data.u_channel)[0]
