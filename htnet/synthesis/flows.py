"""Flow images of faces that do not exist, with what moved in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from htnet.core.fields import whole
from htnet.preprocess import optical_strain
from htnet.synthesis.config import FACE, SynthesisConfig
from htnet.synthesis.draw import Bumps, Draws, Scene, draw_scenes

#: Samples are drawn in blocks of this many, each from its own seed, so sample i is the same whatever
#: the batch that asks for it.
BLOCK = 256
_MOST_SEED = 2**31
#: Places that are rich in texture: brows, eyes, nostrils, mouth; (row of the points, x, y in units of the distance
#: between the eyes, radius).
_TEXTURE = ((0, 0.0, -0.1, 0.3), (1, 0.0, -0.1, 0.3), (2, 0.0, 0.08, 0.2), (3, 0.12, 0.0, 0.25), (4, -0.12, 0.0, 0.25))


@dataclass(frozen=True, eq=False)
class SyntheticFlows:
    """Generated flow images and the truth about them; S is the image's side.

    Attributes:
        images: (N, 3, S, S) uint8, (strain, v, u), each channel scaled from its minimum and maximum to 0..255.
        labels: (N,) int64, index into `htnet.types.EMOTIONS`.
        units: (N, 15, 2) float32: how far each unit of `ACTION_UNITS` moves the skin, px of a 224 px face, on the
            image's left (the subject's right) and right side. 0 where it is not active.
        points: (N, 5, 2) float32, the five points, px of the image.
        flow: (N, 2, S, S) float32, the true motion from onset to apex, px of the image, head and eyes included.
        observed: (N, 2, S, S) float32, what an estimator makes of it: the images show this.
    """

    images: Tensor
    labels: Tensor
    units: Tensor
    points: Tensor
    flow: Tensor
    observed: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def cut(self, start: int, stop: int) -> SyntheticFlows:
        """The samples from ``start`` up to ``stop``."""
        return SyntheticFlows(*(getattr(self, f.name)[start:stop] for f in fields(self)))


class FlowGenerator:
    """Makes flow images of generated micro-expressions.

    Sample i of a seed is always the same, to the byte on one machine's CPU, however many are asked for at a time.
    On a CUDA device the same faces are drawn (randomness always comes from the CPU), but sums are rounded in another
    order, so gray levels may differ by one here and there.

    Args:
        config: what is generated; the default is the calibrated one.
    """

    def __init__(self, config: SynthesisConfig | None = None) -> None:
        """Prepare what all blocks share."""
        self.config = config or SynthesisConfig()
        size = self.config.size
        # Pixel i of an image that was made from a face of 224 px lies here in that face.
        self._places = (torch.arange(size) + 0.5) * (FACE / size) - 0.5
        scales = self.config.noise_scales
        self._noise = [(_hat(cells, size), weight) for cells, weight in scales]
        self._blind = _hat(7, size)
        border = torch.minimum(self._places, FACE - 1 - self._places) / FACE
        near = torch.exp(-border / 0.04)
        self._border = torch.maximum(near[:, None], near[None])

    def __call__(self, count: int, seed: int = 0, device: str | torch.device = "cpu", first: int = 0) -> SyntheticFlows:
        """Samples ``first`` to ``first + count`` of a seed.

        Raises:
            InputError: a count, seed or first sample that cannot be.
        """
        parts = list(self.batches(count, seed, device, first))
        return SyntheticFlows(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(SyntheticFlows)))

    def batches(
        self, count: int, seed: int = 0, device: str | torch.device = "cpu", first: int = 0
    ) -> Iterator[SyntheticFlows]:
        """The same a block of at most `BLOCK` samples at a time, for more than memory holds."""
        for name, value, least in (("count", count, 1), ("seed", seed, 0), ("first", first, 0)):
            whole(least, lt=_MOST_SEED).check(name, value)
        for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1):
            start = max(0, first - block * BLOCK)
            yield self._block(seed, block, torch.device(device)).cut(start, first + count - block * BLOCK)

    def _block(self, seed: int, block: int, device: torch.device) -> SyntheticFlows:
        generator = torch.Generator().manual_seed(seed * _MOST_SEED + block)
        draws = Draws(generator)
        scene = draw_scenes(self.config, BLOCK, draws)
        scale = self.config.size / FACE
        true = self._motion(scene, device)
        observed = self._estimated(true, scene, draws)
        strain = optical_strain(observed * scale)
        strain = strain * draws.spread(self.config.speckle, *strain.shape).to(device)
        strain = strain ** (1 + self.config.ridges * draws.uniform(BLOCK, 1, 1)).to(device)
        planes = torch.stack([strain, observed[:, 1], observed[:, 0]], dim=1)
        return SyntheticFlows(
            published_range(planes),
            scene.labels.to(device),
            scene.units.to(device),
            (scene.points * scale).to(device),
            true * scale,
            observed * scale,
        )

    def _motion(self, scene: Scene, device: torch.device) -> Tensor:
        """True motion at the image's pixels, px of the 224 px face: (N, 2, S, S)."""
        x = self._places.to(device)
        field = bump_field((scene.skin + scene.eyes + scene.depth).active(), x, device)
        away = x - (FACE - 1) / 2
        linear, shift = scene.linear.to(device), scene.shift.to(device)
        across = linear[:, :, 0, None, None] * away + linear[:, :, 1, None, None] * away[:, None]
        return field + across + shift[:, :, None, None]

    def _estimated(self, true: Tensor, scene: Scene, draws: Draws) -> Tensor:
        """What an estimator makes of the motion: less where there is no texture, and smooth errors everywhere."""
        config, device, count = self.config, true.device, len(true)
        texture = draws.normal(count, 1, 7, 7).to(device)
        texture = self._spread(self._blind, texture) + 2 * _texture(scene, self._places).to(device)[:, None]
        lost = (config.blind * draws.uniform(count, 1, 1, 1)).to(device) * torch.sigmoid(1 - 2 * texture)
        faded = (config.fade * draws.uniform(count, 1, 1, 1)).to(device) * self._border.to(device)
        noise = torch.zeros_like(true)
        for hat, weight in self._noise:
            noise += self._spread(hat, weight * draws.normal(count, 2, hat.shape[1], hat.shape[1]).to(device))
        level = config.noise * draws.spread(config.noise_spread, count, 1, 1, 1)
        smooth = bump_field(scene.cheeks, self._places.to(device), device)[:, :1].clamp(max=1)
        seen = true * (1 - lost) * (1 - faded) * (1 - smooth) + noise * level.to(device)
        # Total variation prefers flat patches with steep edges: stairs of a random height.
        stairs = (config.stair_height * draws.spread(0.5, count, 1, 1, 1)).to(device)
        stairs = (stairs * seen.std((2, 3), keepdim=True)).clamp_min(1e-6)
        return seen - config.stairs * stairs / (2 * torch.pi) * torch.sin(2 * torch.pi * seen / stairs)

    @staticmethod
    def _spread(hat: Tensor, values: Tensor) -> Tensor:
        hat = hat.to(values.device)
        return hat @ values @ hat.T


def synthesize_flow(
    count: int, seed: int = 0, config: SynthesisConfig | None = None, device: str | torch.device = "cpu"
) -> SyntheticFlows:
    """Flow images of ``count`` generated micro-expressions, see `FlowGenerator`."""
    return FlowGenerator(config)(count, seed, device)


def bump_field(bumps: Bumps, places: Tensor, device: torch.device) -> Tensor:
    """Displacement at the pixels of a square grid, px: (N, 2, S, S).

    A bump is the product of a profile in x and one in y, so all M bumps of a face are two products of small
    matrices.
    """
    center, radius, edge = bumps.center.to(device), bumps.radius.to(device), bumps.edge.to(device)[..., None]
    gx, gy = (torch.exp(-0.5 * ((places - center[..., k, None]).abs() / radius[..., k, None]) ** edge) for k in (0, 1))
    motion = bumps.motion.to(device)
    weighted = torch.cat([gy * motion[..., k, None] for k in (0, 1)], dim=2)  # (N, M, 2 S)
    field = weighted.transpose(1, 2) @ gx
    return field.view(len(center), 2, len(places), len(places))


def published_range(planes: Tensor) -> Tensor:
    """Each channel scaled from its own minimum and maximum to 0..255 and rounded, as published; constant ones to 0.

    Args:
        planes: (N, C, S, S) float.

    Returns:
        (N, C, S, S) uint8.
    """
    low, high = planes.amin((2, 3), keepdim=True), planes.amax((2, 3), keepdim=True)
    return ((planes - low) * (255 / (high - low).clamp_min(1e-12))).round().to(torch.uint8)


def _hat(cells: int, size: int) -> Tensor:
    """(size, cells): a field of few cells across the image, interpolated between their middles by smooth weights."""
    at = (torch.arange(size) + 0.5) / size * cells - 0.5
    # Gaussian weights of unit power, so the interpolated noise is as strong everywhere.
    weights = torch.exp(-0.5 * ((at[:, None] - torch.arange(cells)) / 0.6) ** 2)
    return weights / weights.norm(dim=1, keepdim=True)


def _texture(scene: Scene, places: Tensor) -> Tensor:
    """How much there is to see at each pixel, about 0..1: (N, S, S)."""
    reach = (scene.points[:, 1] - scene.points[:, 0]).norm(dim=1)[:, None]
    total = torch.zeros(len(reach), len(places), len(places))
    for row, dx, dy, radius in _TEXTURE:
        x, y = (scene.points[:, row, k, None] + d * reach for k, d in ((0, dx), (1, dy)))
        gx, gy = (torch.exp(-0.5 * ((places - c) / (radius * reach)) ** 2) for c in (x, y))
        total += gy[:, :, None] * gx[:, None]
    return total
