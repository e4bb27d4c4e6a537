"""More expressions for training: the motion of drawn ones, added to what was measured where nothing is expressed.

Features of motion add up while it is small, so an expression is its pattern over the regions times its course in time.
Patterns, strengths and courses are those of the generator of recordings; the noise, the light, the head and the codec
are those of the recording it is added to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from htnet.core.events import EXPRESSION_KINDS, LONGEST_MICRO_S
from htnet.preprocess.flow.compute import optical_strain
from htnet.preprocess.video.face_motion import CELL, FACE, TOLD_FACE
from htnet.recordings import DISTANCES, REGIONS
from htnet.recordings.follow import PLACES
from htnet.recordings.grid import PATTERNS, RATE, TOLD_PATTERNS, moving_mean
from htnet.recordings.measure import COLUMN
from htnet.recordings.regions import REGION_CELLS
from htnet.synthesis import RecordingConfig
from htnet.synthesis.draw import Draws
from htnet.synthesis.recordings.skin import GRID_X, GRID_Y, draw_expression, rise_and_fall, template_points

#: The part of the face below which speech moves it, by regions.
_MOUTH = [k for k, name in enumerate(REGIONS) if "lip" in name or "mouth" in name or name == "chin"]


@dataclass(frozen=True)
class Patterns:
    """Drawn expressions at a peak of 1 px.

    ``motion`` is (P, regions, 2), ``strain`` (P, regions), ``most`` (P,) the strongest peak the skin allows, px, and
    ``upper`` (P,) whether the mouth stays still.
    """

    motion: np.ndarray
    strain: np.ndarray
    most: np.ndarray
    upper: np.ndarray


def region_rows() -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of the skin's grid that each region covers; a cell is CELL px of the aligned face."""
    scale = TOLD_FACE / FACE
    middle = (PLACES[:2].mean(axis=0) + 0.5) * scale
    parts = []
    for (top, bottom), (left, right) in REGION_CELLS.values():
        x = (np.array([left, right + 1]) * CELL * scale) - middle[0]
        y = (np.array([top, bottom + 1]) * CELL * scale) - middle[1]
        parts.append(
            (np.flatnonzero((y[0] <= GRID_Y) & (y[1] > GRID_Y)), np.flatnonzero((x[0] <= GRID_X) & (x[1] > GRID_X)))
        )
    return parts


def patterns_of(fields: Iterable[np.ndarray]) -> Patterns:
    """Patterns over the regions of these fields of the skin's motion, (2, rows, columns) px, at a peak of 1 px."""
    config, parts, scale = RecordingConfig(), region_rows(), TOLD_FACE / FACE
    motion, strain, most = [], [], []
    for field in fields:
        field = field / float(np.hypot(*field).max())
        steep = max(float(np.abs(np.diff(field, axis=k)).max()) for k in (1, 2)) / 2
        # Strain as it is measured, cell by cell.
        cells = field[:, : field.shape[1] // 8 * 8, : field.shape[2] // 8 * 8]
        cells = cells.reshape(2, cells.shape[1] // 8, 8, cells.shape[2] // 8, 8).mean((2, 4))
        fine = np.kron(optical_strain(np.float32(cells[None] / (CELL * scale)))[0], np.ones((8, 8), np.float32))
        motion.append([field[:, rows[:, None], columns].mean((1, 2)) for rows, columns in parts])
        strain.append(
            [
                fine[np.minimum(rows, len(fine) - 1)[:, None], np.minimum(columns, fine.shape[1] - 1)].mean()
                for rows, columns in parts
            ]
        )
        most.append(config.steepest / steep)
    found = np.array(motion, np.float32)
    size = np.hypot(found[..., 0], found[..., 1])
    upper = size[:, _MOUTH].max(1) < 0.1 * size.max(1)
    return Patterns(found, np.array(strain, np.float32), np.array(most, np.float32), upper)


def draw_patterns(count: int, seed: int) -> Patterns:
    """Patterns over the regions of this many expressions of the generator, on the template's face."""
    smooth = replace(RecordingConfig().face, edge=(2.0, 2.0))
    draws = Draws(torch.Generator().manual_seed(seed))
    points = template_points()
    return patterns_of(draw_expression(smooth, points, draws)[2].on_grid() for _ in range(count))


def typical_patterns(motion: np.ndarray, seed: int = 0) -> np.ndarray:
    """Patterns that stand for many, at a peak of 1 px, with their mirror images: (2 `PATTERNS`, 2 regions).

    The first `TOLD_PATTERNS` are coarse, the others fine: centers of k-means on directions.

    Args:
        motion: (P, regions, 2) of drawn expressions.
        seed: of the centers' first places.
    """
    from sklearn.cluster import KMeans

    flat = motion.reshape(len(motion), -1)
    length = np.linalg.norm(flat, axis=1)
    found = []
    for count in (TOLD_PATTERNS, PATTERNS - TOLD_PATTERNS):
        groups = KMeans(count, n_init=4, random_state=seed).fit_predict(flat / length[:, None])
        for group in range(count):
            center = (flat / length[:, None])[groups == group].mean(axis=0)
            found.append(center / np.linalg.norm(center) * np.median(length[groups == group]))
    rows = np.stack(found).reshape(PATTERNS, len(REGIONS), 2)
    sides = [name.replace("left", "?").replace("right", "left").replace("?", "right") for name in REGIONS]
    mirror = rows[:, [REGIONS.index(name) for name in sides]] * np.array([-1, 1])
    return np.concatenate([rows, mirror]).reshape(2 * PATTERNS, -1).astype(np.float32)


def times_of(kind: str, rng: np.random.Generator, config: RecordingConfig) -> tuple[float, float, float, float]:
    """Rise and whole duration in s, hold and relaxation, as the generator draws them."""
    if kind == "micro":
        rise = rng.uniform(*config.face.rise)
        low, high = config.face.duration
        whole = min(rng.uniform(max(low, rise + low / 2), high), LONGEST_MICRO_S - 1 / RATE)
        return min(rise, whole - 1 / RATE), whole, rng.uniform(0, 0.4), rng.uniform(0, 0.15)
    low, high = config.macro_duration
    whole = low * (high / low) ** rng.random()
    return whole * rng.uniform(*config.macro_rise), whole, rng.uniform(0.1, 0.6), rng.uniform(0.02, 0.3)


class Adder:
    """Adds drawn expressions to features on the grid."""

    def __init__(self, patterns: Patterns) -> None:
        self.patterns, self.config = patterns, RecordingConfig()
        regions = range(len(REGIONS))
        self.back = np.array([[[COLUMN[f"{REGIONS[r]}_{a}_{d:g}s"] for a in "uv"] for r in regions] for d in DISTANCES])
        self.place = np.array([[COLUMN[f"{REGIONS[r]}_{a}"] for a in "uv"] for r in regions])
        self.strain = np.array([[COLUMN[f"{REGIONS[r]}_strain_{d:g}s"] for r in regions] for d in DISTANCES[2:]])

    def add(
        self, even: np.ndarray, events: list[tuple[str, float, float, float]], rng: np.random.Generator, wanted: int
    ) -> tuple[np.ndarray, list[tuple[str, float, float, float]], np.ndarray]:
        """Features with more expressions, and all their events (kind, onset, apex, offset in s from the first row).

        Also (2, T) by how far they move the skin, px, micro and macro.
        """
        even, events, count = even.copy(), list(events), len(even)
        at = np.arange(count) / RATE
        level = np.zeros((2, count), np.float32)
        for _ in range(wanted):
            kind = "micro" if rng.random() < 0.75 else "macro"
            rise, whole, hold, relax = times_of(kind, rng, self.config)
            if whole + 0.7 > at[-1]:
                continue
            for _ in range(8):
                start = rng.uniform(0.3, at[-1] - whole - 0.3)
                near = [e for e in events if e[1] - 0.4 < start + whole and e[3] + 0.4 > start]
                if any(e[0] in EXPRESSION_KINDS for e in near):
                    continue
                if any(e[0] in ("head", "speech") for e in near) and rng.random() > self.config.overlap:
                    continue
                speech = any(e[0] == "speech" for e in near)
                one = int(rng.integers(len(self.patterns.most)))
                if speech and not self.patterns.upper[one]:
                    continue
                if kind == "micro":
                    weak = rng.random() < self.config.micro_weak
                    peak = rng.uniform(*(self.config.micro_weak_px if weak else self.config.micro_strong_px))
                else:
                    peak = rng.uniform(*self.config.macro_px)
                peak = min(peak, float(self.patterns.most[one]))
                if peak < (self.config.micro_weak_px if kind == "micro" else self.config.macro_px)[0]:
                    continue
                moments = (start, start + rise, start + whole)
                course = rise_and_fall(at, *moments, hold, relax)
                self.put(even, one, peak, course, at, moments, (hold, relax))
                level[EXPRESSION_KINDS.index(kind)] = np.maximum(level[EXPRESSION_KINDS.index(kind)], peak * course)
                events.append((kind, *moments))
                break
        return even, events, level

    def disturb(self, even: np.ndarray, nuisance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same with more noise of the measurement, and with the head turning more than it did.

        Args:
            even: (T, features).
            nuisance: (N, regions, 2) directions in which regions move where nothing is expressed, of unit length.
            rng: where randomness comes from.
        """
        count, regions = len(even), len(REGIONS)
        longest = round(DISTANCES[-1] * RATE) + 1
        total = count + longest
        path = np.zeros((total, regions, 2))
        if rng.random() < 0.7:
            noise = rng.normal(0, 1, (total, regions, 2)) * np.exp(rng.normal(0, 0.5, (regions, 1)))
            keep = rng.uniform(0, 0.7)
            for row in range(1, total):
                noise[row] = keep * noise[row - 1] + np.sqrt(1 - keep**2) * noise[row]
            path += noise * np.exp(rng.uniform(np.log(0.01), np.log(0.15)))
        if rng.random() < 0.7:
            at = np.arange(total) / RATE
            for _ in range(3):
                direction = nuisance[int(rng.integers(len(nuisance)))]
                waves = sum(
                    rng.normal() * np.sin(2 * np.pi * f * at + rng.uniform(0, 2 * np.pi)) / np.sqrt(f + 0.1)
                    for f in np.exp(rng.uniform(np.log(0.05), np.log(1.5), 4))
                )
                path += rng.uniform(0, 0.4) * waves[:, None, None] * direction
        even = even.copy()
        even[:, self.place] += path[longest:].astype(np.float32)
        rows = np.arange(longest, total)
        for k, distance in enumerate(DISTANCES):
            back = rows - distance * RATE
            low = np.floor(back).astype(int)
            share = (back - low)[:, None, None]
            before = path[low] * (1 - share) + path[low + 1] * share
            even[:, self.back[k]] += (path[rows] - before).astype(np.float32)
        return even

    def mix(self, even: np.ndarray, other: np.ndarray, busy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same with the motion of another recording added, weaker and as it is without expressions.

        Small motions add up, so the sum is noise, head and blinks as a third recording might have them; no pair of
        recordings is met twice in the same places, so a network cannot learn the noise of its recordings by heart.

        Args:
            even: (T, features).
            other: (T, features) of another recording.
            busy: (T,) rows of the other one in which something is expressed.
            rng: where randomness comes from.
        """
        even = even.copy()
        share = float(np.exp(rng.uniform(np.log(0.15), np.log(1.0))))
        calm = moving_mean(1 - moving_mean(busy[:, None].astype(np.float32), 1.0).clip(max=1 / 3) * 3, 0.3)
        sign = 1.0 if rng.random() < 0.5 else -1.0
        for columns in (*self.back, self.place):
            flat = columns.ravel()
            motion = other[:, flat]
            if columns is self.place:
                motion = motion - moving_mean(motion, 1.0)
            even[:, flat] += (share * calm * motion * sign).astype(np.float32)
        return even

    def directions(self, evens: list[np.ndarray], count: int = 8) -> np.ndarray:
        """The directions in which the regions of these stretches move most within 0.2 s, (count, regions, 2)."""
        motion = np.concatenate([even[:, self.back[2]].reshape(len(even), -1) for even in evens])
        size = np.linalg.norm(motion, axis=1, keepdims=True)
        motion = motion / np.maximum(size, np.median(size))
        _, vectors = np.linalg.eigh(motion.T @ motion)
        return vectors[:, ::-1][:, :count].T.reshape(count, len(REGIONS), 2)

    def put(self, even, one, peak, course, at, moments, shape) -> None:
        """Add a pattern to features (T, features) at times ``at``, in place: its course times its peak, px."""
        motion, strain = self.patterns.motion[one] * peak, self.patterns.strain[one] * peak
        even[:, self.place] += (course[:, None, None] * motion).astype(np.float32)
        for k, distance in enumerate(DISTANCES):
            change = course - rise_and_fall(at - distance, *moments, *shape)
            even[:, self.back[k]] += (change[:, None, None] * motion).astype(np.float32)
            if k >= 2:
                moved = np.abs(change)[:, None] * strain
                even[:, self.strain[k - 2]] = np.hypot(even[:, self.strain[k - 2]], moved)
