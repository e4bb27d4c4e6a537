"""What is drawn before a recording is rendered: its clock, its shots, who is in them and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.types import Float64Array
from htnet.synthesis.recordings.config import RecordingConfig
from htnet.synthesis.recordings.script import Act, between

#: Largest face, share of the frame's height, and of the width that each face has.
_TALLEST, _WIDEST = 0.56, 0.62


def stream(seed: int, *keys: int) -> np.random.Generator:
    """Random numbers of one purpose of a seed: what is drawn for another purpose does not change them."""
    return np.random.default_rng([seed, *keys])


@dataclass(frozen=True, eq=False)
class Clock:
    """The camera's grid of frames and what became of it.

    Attributes:
        fps: of the grid.
        gap: frame of the grid before which the recording pauses; None without a pause.
        at: (G,) time of each frame of the grid, s, the pause included.
    """

    fps: float
    gap: int | None
    at: Float64Array

    def deliver(
        self, config: RecordingConfig, protected: set[int], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Float64Array]:
        """Frames that arrive: their places on the grid, the places that they show, and their time stamps.

        Args:
            config: how many are dropped or repeated.
            protected: places that are neither.
            rng: where randomness comes from.
        """
        count = len(self.at)
        free = np.array([k not in protected and 0 < k < count - 1 for k in range(count)])
        lost, again = (
            (rng.random(count) < between(rng, rate)) & free if rng.random() < share else np.zeros(count, bool)
            for share, rate in ((config.dropped, config.dropped_rate), (config.repeated, config.repeated_rate))
        )
        kept = np.flatnonzero(~lost)
        shown = kept.copy()
        repeats = np.flatnonzero(again[kept])
        repeats = repeats[(repeats > 0) & ~np.isin(repeats - 1, repeats)]
        shown[repeats] = kept[repeats - 1]
        spread = between(rng, config.jitter) / self.fps
        jitter = np.clip(rng.normal(0, 1, count) * spread, -0.3 / self.fps, 0.3 / self.fps)
        times = self.at[kept] + jitter[kept]
        return kept, shown, times - times[0]


def draw_clock(config: RecordingConfig, rng: np.random.Generator) -> Clock:
    """Rate, length and pause."""
    fps = float(choose(config.rates, rng)[0])
    count = round(between(rng, config.duration) * fps)
    at = np.arange(count) / fps
    gap = None
    if rng.random() < config.pause:
        gap = int(rng.uniform(0.2, 0.8) * count)
        at[gap:] += between(rng, config.pause_time)
    return Clock(fps, gap, at)


def choose(rows: tuple[tuple[Any, ...], ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """One row of weighted choices."""
    weights = np.array([row[-1] for row in rows], dtype=np.float64)
    return tuple(rows[int(rng.choice(len(rows), p=weights / weights.sum()))])


@dataclass(frozen=True)
class Role:
    """One face in one shot.

    Attributes:
        person: number of the drawn person; None for the portrait.
        shot: number of the shot.
        x: where the middle between the eyes rests, px.
        y: the same downward.
        size: side of the face, px.
        resting: yaw, pitch and roll at rest, degrees.
        layout: one of `LAYOUTS`, as far as it concerns this face.
    """

    person: int | None
    shot: int
    x: float
    y: float
    size: float
    resting: tuple[float, float, float]
    layout: str


def draw_roles(
    config: RecordingConfig,
    layout: str,
    size: tuple[int, int],
    people: range,
    portrait: bool,
    rng: np.random.Generator,
) -> list[Role]:
    """Who is seen, where: one face, two at a time, or one after the other.

    Args:
        config: how faces vary.
        layout: one of `LAYOUTS`.
        size: width and height of the frame, px.
        people: whom to draw from.
        portrait: whether the first face is the given portrait.
        rng: where randomness comes from.
    """
    count = 2 if layout in ("two_faces", "cut_face", "cut_shot") else 1
    chosen = [int(n) for n in rng.choice(np.arange(people.start, people.stop), 2, replace=False)]
    roles = []
    for k in range(count):
        person = chosen[0 if layout == "cut_shot" else k]
        shown = None if portrait and (k == 0 or layout == "cut_shot") else person
        columns = 2 if layout == "two_faces" else 1
        width, height = size[0] / columns, size[1]
        low, high = config.face_size
        high = max(48.0, min(high, _TALLEST * height, _WIDEST * width))
        low = min(low, high)
        face = float(low * (high / low) ** rng.random())
        # The whole face stays inside: it reaches 0.8 of its size above the eyes and below them.
        room_x, room_y = max(0.0, width / 2 - 0.62 * face), max(0.0, height / 2 - 0.85 * face)
        x = width * (k if columns == 2 else 0) + width / 2 + float(rng.uniform(-0.8, 0.8)) * room_x
        y = height / 2 - 0.05 * face + float(rng.uniform(-0.9, 0.7)) * room_y
        resting = tuple(float(np.clip(rng.normal(0, s), -2 * s, 2 * s)) for s in (4.0, 3.0, 2.0))
        special = layout if k == 0 and layout in ("leave", "away") else "single"
        roles.append(Role(shown, k if layout.startswith("cut") else 0, x, y, face, resting, special))  # type: ignore[arg-type]
    return roles


def protected_frames(acts: tuple[Act, ...]) -> set[int]:
    """Frames whose loss would change what is true of an expression or a blink."""
    return {k for act in acts if act.kind in ("micro", "macro", "blink") for k in (act.first, act.top, act.last)}
