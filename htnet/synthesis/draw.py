"""What is drawn for each sample: emotion, units, places, head, eyes. All from one generator on the CPU."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from htnet.core.types import EMOTIONS, TEMPLATE_SIZE
from htnet.synthesis.config import FACE, SynthesisConfig
from htnet.synthesis.muscles import (
    ACTION_UNITS,
    BLINK,
    CHEEKS,
    DEPTH,
    GAZE,
    MUSCLES,
    BumpTable,
    anchor_points,
    bump_table,
)

#: Pixels of a 224 px face in one 28 px unit.
UNIT_28 = FACE / TEMPLATE_SIZE
_MUSCLES = bump_table(MUSCLES)
_BLINK, _GAZE, _DEPTH, _CHEEKS = (bump_table({0: bumps}) for bumps in (BLINK, (GAZE,), DEPTH, CHEEKS))


@dataclass(frozen=True, eq=False)
class Bumps:
    """Moving patches of N faces, M each; lengths in px of a 224 px face.

    Attributes:
        center: (N, M, 2) x, y.
        motion: (N, M, 2) displacement at the center.
        radius: (N, M, 2).
        edge: (N, M) exponent of the profile.
    """

    center: Tensor
    motion: Tensor
    radius: Tensor
    edge: Tensor

    def __add__(self, other: Bumps) -> Bumps:
        """These and the other's patches on the same faces."""
        names = [f.name for f in dataclasses.fields(self)]
        return Bumps(*(torch.cat([getattr(self, n), getattr(other, n)], dim=1) for n in names))

    def active(self) -> Bumps:
        """Those that move, and as many others as it takes to leave every face equally many."""
        moves = self.motion.any(-1)
        order = moves.long().argsort(dim=1, descending=True, stable=True)[:, : max(1, int(moves.sum(1).max()))]
        pairs = order[..., None].expand(-1, -1, 2)
        center, motion, radius = (tensor.gather(1, pairs) for tensor in (self.center, self.motion, self.radius))
        return Bumps(center, motion, radius, self.edge.gather(1, order))


@dataclass(frozen=True, eq=False)
class Scene:
    """What moves in N faces from onset to apex.

    Attributes:
        labels: (N,) int64, index into `htnet.types.EMOTIONS`.
        units: (N, 15, 2) float32, displacement of each of `ACTION_UNITS` at its center, px, image-left and
            image-right side.
        points: (N, 5, 2) float32, px of a 224 px face.
        skin: bumps of the units.
        eyes: bumps of lids and pupils.
        depth: bumps of parts that move with a turn of the head.
        cheeks: smooth skin; the first component of its motion is the share that an estimator misses.
        shift: (N, 2) translation of the head, px.
        linear: (N, 2, 2) its linear part: px of motion for px from the face's middle.
    """

    labels: Tensor
    units: Tensor
    points: Tensor
    skin: Bumps
    eyes: Bumps
    depth: Bumps
    cheeks: Bumps
    shift: Tensor
    linear: Tensor


class Draws:
    """Random numbers of a known generator, float32 on the CPU."""

    def __init__(self, generator: Generator) -> None:
        """Keep the generator."""
        self.generator = generator

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from 0 to 1."""
        return torch.rand(*shape, generator=self.generator)

    def spread(self, size: float, *shape: int) -> Tensor:
        """Factors of median 1 whose logarithm has the standard deviation ``size``."""
        return torch.exp(size * self.normal(*shape))

    def chance(self, probability: float, *shape: int) -> Tensor:
        """1 with the given probability, else 0."""
        return (self.uniform(*shape) < probability).float()

    def choose(self, weights: Tensor, count: int) -> Tensor:
        """Indexes drawn by weight, (count,) int64."""
        return torch.multinomial(weights, count, replacement=True, generator=self.generator)


def draw_scenes(config: SynthesisConfig, count: int, draws: Draws, points: Tensor | None = None) -> Scene:
    """Draw ``count`` faces.

    Args:
        config: what varies, and how much.
        count: number of faces.
        draws: where randomness comes from.
        points: (5, 2) px of a 224 px face: the face to move; None to draw one for each sample.
    """
    labels, active = draw_expressions(config, count, draws)
    units = draw_intensities(config, active, draws)
    places = _draw_points(config, count, draws) if points is None else points.expand(count, 5, 2)
    reach = (places[:, 1] - places[:, 0]).norm(dim=1)
    size = draws.spread(config.size_spread, count, 1, 1)
    amount = units[:, _MUSCLES.unit, _MUSCLES.side] * _shares(config, count, draws)
    skin = _place(config, _MUSCLES, places, reach, amount, size, draws)
    eyes = _draw_eyes(config, places, reach, draws)
    head = draws.spread(config.head_spread, count, 1)
    shift = config.head_shift * head * draws.normal(count, 2)
    linear = config.head_affine * head[..., None] * draws.normal(count, 2, 2) / reach[:, None, None]
    turn = config.head_turn * head * draws.normal(count, 2)
    depth = _place(config, _DEPTH, places, reach, torch.ones(count, len(_DEPTH.unit)), size, draws)
    depth = dataclasses.replace(depth, motion=_DEPTH.motion.abs() * turn[:, None])
    blind = draws.chance(config.cheeks, count, 1) * draws.uniform(count, 1)
    cheeks = _place(config, _CHEEKS, places, reach, torch.ones(count, len(_CHEEKS.unit)), size, draws)
    cheeks = dataclasses.replace(cheeks, motion=_CHEEKS.motion.abs() * blind[..., None])
    return Scene(labels, units, places, skin, eyes, depth, cheeks, shift, linear)


def draw_expressions(config: SynthesisConfig, count: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """Labels (count,) int64 and the share of full intensity of each unit, (count, 15): 1, or a distractor's, or 0."""
    emotions = torch.tensor([EMOTIONS.index(emotion) for emotion, _, _ in config.expressions])
    weights = torch.tensor([weight for _, _, weight in config.expressions])
    totals = torch.zeros(len(EMOTIONS)).index_add(0, emotions, weights)
    members = torch.tensor([[float(u in units) for u in ACTION_UNITS] for _, units, _ in config.expressions])
    chosen = draws.choose(torch.tensor(config.shares)[emotions] * weights / totals[emotions], count)
    other = draws.chance(config.distractor, count, len(ACTION_UNITS)) * config.distractor_strength
    return emotions[chosen], torch.maximum(members[chosen], other)


def draw_intensities(config: SynthesisConfig, active: Tensor, draws: Draws) -> Tensor:
    """Displacements of the units by side, px: (N, 15, 2)."""
    count, units = active.shape
    strength = config.strength * draws.spread(config.strength_spread, count, 1)
    both = strength * active * draws.spread(config.unit_spread, count, units)
    sides = draws.spread(config.side_spread / 2**0.5, count, units, 2)
    weaker = draws.chance(0.5, count).long()
    factor = torch.where(
        draws.chance(config.one_sided, count) > 0, config.other_side * draws.uniform(count), torch.ones(count)
    )
    sides[torch.arange(count), :, weaker] *= factor[:, None]
    return both[..., None] * sides


def _draw_points(config: SynthesisConfig, count: int, draws: Draws) -> Tensor:
    template = torch.tensor(config.template)
    own = torch.tensor(config.identity) * draws.normal(count, 5, 2)
    together = torch.tensor(config.identity_shift) * draws.normal(count, 1, 2)
    return (template + own + together) * UNIT_28


def _shares(config: SynthesisConfig, count: int, draws: Draws) -> Tensor:
    """Each bump's share in its unit's motion, (N, M); the same on both sides."""
    rows = len(_MUSCLES.unit) // 2
    return draws.spread(config.gain_spread, count, rows).repeat_interleave(2, dim=1)


def _place(
    config: SynthesisConfig,
    table: BumpTable,
    points: Tensor,
    reach: Tensor,
    amount: Tensor,
    size: Tensor,
    draws: Draws,
) -> Bumps:
    """Put a table's bumps on faces; ``amount`` (N, M) is the displacement of each, px."""
    count, rows = amount.shape
    unit = reach[:, None, None]
    offset = table.offset + config.place_jitter * draws.normal(count, rows, 2)
    center = anchor_points(points)[:, table.anchor] + offset * unit
    angle = config.turn * draws.normal(count, rows)
    cos, sin = angle.cos(), angle.sin()
    x, y = table.motion[:, 0], table.motion[:, 1]
    motion = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=2) * amount[..., None]
    radius = table.radius * unit * size * draws.spread(config.radius_spread, count, rows, 2)
    low, high = config.edge
    edge = low + (high - low) * draws.uniform(count, rows)
    # The face's size scales the motion with everything else.
    scale = unit / template_reach(config)
    return Bumps(center, motion * scale, radius, edge)


def template_reach(config: SynthesisConfig) -> float:
    """Distance between the template's eyes, px of a 224 px face."""
    (x0, y0), (x1, y1) = config.template[:2]
    return float(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5) * UNIT_28


def _draw_eyes(config: SynthesisConfig, points: Tensor, reach: Tensor, draws: Draws) -> Bumps:
    """Lids that close or open and pupils that wander, both eyes alike."""
    count = len(points)
    lids = draws.chance(config.blink, count) * config.blink_strength * draws.spread(0.5, count)
    lids = lids * (2 * draws.chance(0.5, count) - 1)
    amount = lids[:, None] * draws.spread(config.side_spread, count, len(_BLINK.unit))
    one = torch.ones(count, 1, 1)
    closing = _place(config, _BLINK, points, reach, amount, one, draws)
    look = draws.chance(config.gaze, count) * config.gaze_strength * draws.spread(0.5, count)
    direction = 2 * torch.pi * draws.uniform(count)
    looking = _place(config, _GAZE, points, reach, torch.zeros(count, len(_GAZE.unit)), one, draws)
    aside = torch.stack([direction.cos(), 0.5 * direction.sin()], dim=1) * look[:, None]
    motion = aside[:, None].expand_as(looking.motion)
    return closing + dataclasses.replace(looking, motion=motion)
