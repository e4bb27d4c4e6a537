"""Motion of the skin as sums of Gaussian bumps, and the courses that events take in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from htnet.core.types import Float64Array, FloatArray
from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.draw import UNIT_28, Draws, draw_scenes, template_reach
from htnet.synthesis.muscles import Bump, anchor_points, bump_table

#: Where the skin's displacement is kept: x and y of a grid in px of a 224 px face from the middle between the eyes.
GRID_STEP = 2.0
GRID_X = np.arange(-136.0, 137.0, GRID_STEP)
GRID_Y = np.arange(-110.0, 201.0, GRID_STEP)


@dataclass(frozen=True, eq=False)
class SkinField:
    """Displacement of the skin at the apex of an event.

    A point of the face that shows the event at x came from x less the field there; the farthest displacement is the
    same seen from either end.

    Attributes:
        center: (M, 2) px of a 224 px face from the middle between the eyes.
        motion: (M, 2) displacement there, px.
        radius: (M, 2) px.
    """

    center: Float64Array
    motion: Float64Array
    radius: Float64Array

    def on_grid(self) -> FloatArray:
        """(2, rows, columns) px on `GRID_Y` and `GRID_X`."""
        gx = np.exp(-0.5 * ((GRID_X - self.center[:, :1]) / self.radius[:, :1]) ** 2)
        gy = np.exp(-0.5 * ((GRID_Y - self.center[:, 1:]) / self.radius[:, 1:]) ** 2)
        return np.einsum("mk,my,mx->kyx", self.motion, gy, gx, optimize=True).astype(np.float32)

    def scaled(self, factor: float) -> SkinField:
        """The same motion, stronger or weaker."""
        return SkinField(self.center, self.motion * factor, self.radius)

    @property
    def peak(self) -> float:
        """The farthest displacement, px."""
        return float(np.hypot(*self.on_grid()).max())

    @property
    def steepness(self) -> float:
        """Largest change of the displacement from one px to the next."""
        field = self.on_grid()
        return max(float(np.abs(np.diff(field, axis=k)).max()) / GRID_STEP for k in (1, 2))


def draw_expression(config: SynthesisConfig, points: Float64Array, draws: Draws) -> tuple[int, FloatArray, SkinField]:
    """Class, displacement of each unit by side (15, 2), and skin of an expression on a face.

    Args:
        config: what is drawn.
        points: (5, 2) px of a 224 px face from the middle between the eyes.
        draws: where randomness comes from.
    """
    scene = draw_scenes(config, 1, draws, torch.from_numpy(points).float())
    moves = scene.skin.motion[0].any(-1)
    parts = [getattr(scene.skin, name)[0][moves].double().numpy() for name in ("center", "motion", "radius")]
    return int(scene.labels), scene.units[0].numpy(), SkinField(*parts)


def plain_field(bumps: tuple[Bump, ...], points: Float64Array) -> SkinField:
    """Bumps as they stand in the tables, on both sides of a face, for a displacement of 1 px."""
    table = bump_table({0: bumps})
    anchors = anchor_points(torch.from_numpy(points).float()[None])[0]
    reach = float(np.hypot(*(points[1] - points[0])))
    center = anchors[table.anchor] + table.offset * reach
    return SkinField(center.double().numpy(), table.motion.double().numpy(), (table.radius * reach).double().numpy())


def template_points() -> Float64Array:
    """The template's five points, (5, 2) px of a 224 px face from the middle between its eyes."""
    points = np.array(SynthesisConfig().template) * UNIT_28
    return points - points[:2].mean(0)


#: Distance between the eyes of the template, px of a 224 px face.
EYES_APART = template_reach(SynthesisConfig())


def ease(share: Float64Array) -> Float64Array:
    """From 0 to 1 with the least jerk (Flash and Hogan 1985); resting before and after."""
    t = np.clip(share, 0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t**2)


def rise_and_fall(
    at: Float64Array, onset: float, apex: float, offset: float, hold: float = 0.0, relax: float = 0.0
) -> Float64Array:
    """Course of an event: 0 at its onset, 1 at its apex, 0 from its offset on.

    Args:
        at: moments, s.
        onset: s.
        apex: s.
        offset: s.
        hold: share of the time after the apex that the event is held.
        relax: how much of it is lost by the end of the hold.
    """
    end = apex + hold * (offset - apex)
    held = 1 - relax * np.clip((at - apex) / max(end - apex, 1e-9), 0, 1)
    fall = ease((offset - at) / max(offset - end, 1e-9))
    return np.where(at <= apex, ease((at - onset) / (apex - onset)), held * fall)
