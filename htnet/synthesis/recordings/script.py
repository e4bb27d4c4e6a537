"""What happens in a recording: the events of one face, drawn on the camera's grid of frames."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np
import torch

from htnet.core.events import EVENT_KINDS, LONGEST_MICRO_S
from htnet.core.types import EMOTIONS, Float64Array, FloatArray
from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.draw import Draws
from htnet.synthesis.muscles import ACTION_UNITS
from htnet.synthesis.recordings.config import Range, RecordingConfig
from htnet.synthesis.recordings.skin import SkinField, draw_expression

#: Kinds of events: those of `htnet.core.events`, and shifts of the gaze.
TRUE_KINDS = (*EVENT_KINDS, "gaze")
#: Units that speech does not move.
_UPPER = {1, 2, 4, 5, 6, 7}
#: Units of the brows, of the eyes and of the mouth: two expressions at once share none of these groups.
_GROUPS = ({1, 2, 4}, {5, 6, 7}, {9, 10, 12, 14, 15, 17, 20, 24, 25})
_TRIES = 40
#: Least time between two expressions of one kind, s.
_APART = 0.4


@dataclass(frozen=True, eq=False)
class Act:
    """One event as it is played: places on the camera's grid of frames, before any is dropped.

    Attributes:
        kind: one of `TRUE_KINDS`.
        detail: of a head movement: nod, shake, turn, tilt, lean, shift, away, leave.
        first: last frame of the grid before anything moves.
        top: frame of the strongest motion.
        last: first frame at which it is over.
        hold: share of the time after the apex that it is held.
        relax: share that is lost in that time.
        amount: what it is played with, by kind.
        emotion: of an expression.
        units: (15, 2) px, of an expression.
        skin: of an expression.
        parts: of speech: (syllables, 3) middle in s, width in s and opening in px.
    """

    kind: str
    first: int
    top: int
    last: int
    detail: str = ""
    hold: float = 0.0
    relax: float = 0.0
    amount: tuple[float, ...] = ()
    emotion: str | None = None
    units: FloatArray | None = None
    skin: SkinField | None = None
    parts: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def peak(self) -> float:
        """Of an expression: the farthest displacement, px."""
        return self.skin.peak if self.skin is not None else 0.0


@dataclass(frozen=True)
class Stage:
    """When a face can be seen, and the camera that sees it.

    Attributes:
        fps: of the camera's grid.
        start: first frame of the grid that shows the face.
        stop: the frame after the last one.
        gap: frame before which the recording pauses, if it does.
        layout: one of `LAYOUTS`, as far as it concerns this face.
        expressive: whether it shows expressions.
        speaks: whether it speaks.
    """

    fps: float
    start: int
    stop: int
    gap: int | None
    layout: str
    expressive: bool
    speaks: bool


def between(rng: np.random.Generator, limits: Range) -> float:
    """A number drawn evenly."""
    return float(rng.uniform(*limits))


class ScriptWriter:
    """Draws the events of one face.

    Args:
        config: how many, and how strong.
        stage: when the face can be seen.
        points: (5, 2) of the face, px of a 224 px face from the middle between the eyes.
        rng: where randomness comes from.
    """

    def __init__(self, config: RecordingConfig, stage: Stage, points: Float64Array, rng: np.random.Generator) -> None:
        self.config, self.stage, self.points, self.rng = config, stage, points, rng
        self.draws = Draws(torch.Generator().manual_seed(int(rng.integers(2**62))))
        self.acts: list[Act] = []
        self.minutes = (stage.stop - stage.start) / stage.fps / 60
        self.smooth = dataclasses.replace(config.face, edge=(2.0, 2.0))

    def write(self) -> tuple[Act, ...]:
        """All events, by their onset."""
        if self.stage.layout in ("leave", "away"):
            self._disappear()
        if self.stage.speaks:
            self._speak()
        self._move_head()
        if self.stage.expressive:
            self._express("macro", self.config.macro_rate)
            self._express("micro", self.config.micro_rate)
        self._look()
        self._blink()
        return tuple(sorted(self.acts, key=lambda act: (act.first, act.kind)))

    def _frames(self, seconds: float) -> int:
        return max(1, int(seconds * self.stage.fps + 1e-6))

    def _inside(self, first: int, last: int, margin: float = 0.2) -> bool:
        """Whether frames lie where the face is seen, and not across the pause."""
        edge = self._frames(margin)
        stage = self.stage
        if first < stage.start + edge or last > stage.stop - 1 - edge:
            return False
        return stage.gap is None or last < stage.gap - 1 or first > stage.gap

    def _meets(self, first: int, last: int, kinds: tuple[str, ...], margin: float = 0.0) -> list[Act]:
        """Events of some kinds that overlap these frames."""
        edge = int(margin * self.stage.fps)
        return [a for a in self.acts if a.kind in kinds and first - edge < a.last and last + edge > a.first]

    def _gone(self, first: int, last: int) -> bool:
        """Whether the face is turned away or out of the picture meanwhile."""
        return any(a.detail in ("away", "leave") for a in self._meets(first, last, ("head",), 0.3))

    def _place(self, length: int) -> int:
        low, high = self.stage.start + 1, self.stage.stop - length - 1
        return int(self.rng.integers(low, high)) if high > low else low

    def _count(self, rate: Range) -> int:
        return int(self.rng.poisson(between(self.rng, rate) * self.minutes))

    def _disappear(self) -> None:
        rng, config = self.rng, self.config
        wanted, done = max(1, round(self.minutes * rng.uniform(0.5, 1.5))), 0
        for _ in range(wanted * _TRIES):
            ease = between(rng, (0.4, 1.2))
            stay = between(rng, config.away_time)
            first = self._place(self._frames(stay + 2 * ease))
            top, last = first + self._frames(ease), first + self._frames(stay + 2 * ease) + 1
            if not self._inside(first, last, 1.0) or self._gone(first, last):
                continue
            side = float(rng.choice((-1, 1)))
            amount = (side * between(rng, config.away_turn) if self.stage.layout == "away" else side,)
            hold = stay / (stay + ease)
            self.acts.append(Act("head", first, top, last, self.stage.layout, hold, amount=amount))
            done += 1
            if done == wanted:
                break

    def _speak(self) -> None:
        rng, config, fps = self.rng, self.config, self.stage.fps
        for _ in range(max(1, self._count(config.speech_rate))):
            length = between(rng, config.speech_length)
            first = self._place(self._frames(length))
            last = first + self._frames(length) + 1
            if not self._inside(first, last) or self._gone(first, last) or self._meets(first, last, ("speech",), 0.5):
                continue
            rate = between(rng, config.syllables)
            moments, at = [], first / fps
            while at < (last - 1) / fps - 0.4 / rate:
                width = 0.5 / rate * rng.uniform(0.8, 1.1)
                size = between(rng, config.mouth_opening) * rng.uniform(0.3, 1.0)
                moments.append((at + width, width, size))
                at += rng.uniform(0.75, 1.25) / rate + (rng.uniform(0.1, 0.4) if rng.random() < 0.08 else 0)
            parts = np.array([m for m in moments if m[0] + m[1] <= last / fps + 1e-9])
            if len(parts) < 2:
                continue
            opening = syllable_course(np.arange(first, last + 1) / fps, parts)
            top = first + int(np.clip(opening.argmax(), 1, last - first - 1))
            amount = (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0, 2 * math.pi)), rate)
            self.acts.append(Act("speech", first, top, last, parts=parts, amount=amount))

    def _move_head(self) -> None:
        rng, config = self.rng, self.config
        limits = {"turn": config.turn, "tilt": config.tilt, "shift": config.shift}
        for _ in range(self._count(config.head_rate)):
            detail = str(
                rng.choice(["nod", "shake", "turn", "tilt", "lean", "shift"], p=[0.25, 0.1, 0.2, 0.15, 0.15, 0.15])
            )
            amount: tuple[float, ...]
            if detail in ("nod", "shake"):
                cycles, rate = int(rng.integers(1, 4)), between(rng, config.nod_frequency)
                length, rise, hold = cycles / rate, 0.5 / rate, 0.0
                amount = (between(rng, config.nod) * (1 if detail == "nod" else rng.choice((-1, 1))), float(cycles))
            else:
                rise, hold = between(rng, (0.3, 1.2)), between(rng, config.head_hold)
                length = 2.2 * rise + hold
                hold = hold / (length - rise)
                if detail == "lean":
                    amount = (between(rng, config.lean) - 1,)
                else:
                    amount = (between(rng, limits[detail]) * float(rng.choice((-1, 1))), float(rng.uniform(-0.4, 0.4)))
            first = self._place(self._frames(length))
            top = first + self._frames(rise)
            last = max(top + 1, first + self._frames(length) + 1)
            if self._inside(first, last) and not self._meets(first, last, ("head",), 0.2):
                self.acts.append(Act("head", first, top, last, detail, hold, amount=amount))

    def _express(self, kind: str, rate: Range) -> None:
        for _ in range(max(1, self._count(rate))):
            for _ in range(_TRIES):
                act = self._expression(kind)
                if act is not None:
                    self.acts.append(act)
                    break

    def _expression(self, kind: str) -> Act | None:
        """One expression, or None where it would meet what it must not."""
        rng, config = self.rng, self.config
        first, top, last, hold, relax = self._times(kind)
        if not self._inside(first, last, 0.3) or self._gone(first, last) or self._meets(first, last, (kind,), _APART):
            return None
        others = self._meets(first, last, ("micro", "macro"), 0.1)
        speech = bool(self._meets(first, last, ("speech",), 0.1))
        busy = others or speech or self._meets(first, last, ("head",), 0.1)
        if busy and rng.random() > config.overlap:
            return None
        if kind == "micro":
            weak = rng.random() < config.micro_weak
            peak = between(rng, config.micro_weak_px if weak else config.micro_strong_px)
        else:
            peak = between(rng, config.macro_px)
        drawn = self._skin(others, speech)
        if drawn is None:
            return None
        label, units, skin = drawn
        factor = min(peak / skin.peak, config.steepest / skin.steepness)
        if factor * skin.peak < (config.micro_weak_px if kind == "micro" else config.macro_px)[0]:
            return None
        emotion = EMOTIONS[label]
        return Act(
            kind, first, top, last, "", hold, relax, emotion=emotion, units=units * factor, skin=skin.scaled(factor)
        )

    def _skin(self, others: list[Act], speech: bool) -> tuple[int, FloatArray, SkinField] | None:
        """An expression that shares no part of the face with others, and leaves the mouth to speech."""
        crowded = bool(others) or speech
        config: SynthesisConfig = dataclasses.replace(self.smooth, distractor=0.0) if crowded else self.smooth
        taken = {u for act in others for u in active_units(act)}
        for _ in range(8 if crowded else 1):
            label, units, skin = draw_expression(config, self.points, self.draws)
            moving = {unit for unit, row in zip(ACTION_UNITS, units, strict=True) if row.any()}
            if speech and not moving <= _UPPER:
                continue
            if not any(group & moving and group & taken for group in _GROUPS):
                return label, units, skin
        return None

    def _times(self, kind: str) -> tuple[int, int, int, float, float]:
        """First, top and last frame, hold and relaxation of an expression."""
        rng, config = self.rng, self.config
        if kind == "micro":
            rise = between(rng, config.face.rise)
            low, high = config.face.duration
            low = max(low, rise + low / 2)
            whole, hold, relax = between(rng, (low, high)), float(rng.uniform(0, 0.4)), float(rng.uniform(0, 0.15))
        else:
            low, high = config.macro_duration
            whole = float(low * (high / low) ** rng.random())
            rise = whole * between(rng, config.macro_rise)
            hold, relax = float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.02, 0.3))
        up = self._frames(rise)
        length = max(up + 1, self._frames(whole))
        if kind == "micro":
            # Onset and offset included, it is no longer than a micro-expression may be.
            length = min(length, int(LONGEST_MICRO_S * self.stage.fps) - 1)
            up = min(up, length - 1)
        first = self._place(length)
        return first, first + up, first + length, hold, relax

    def _look(self) -> None:
        rng, config = self.rng, self.config
        for _ in range(self._count(config.gaze_rate)):
            angle, way = between(rng, config.gaze_angle), rng.uniform(0, 2 * math.pi)
            # The main sequence: a saccade takes 21 ms and 2.2 ms a degree (Carpenter, Movements of the Eyes, 1988).
            rise, hold = 0.021 + 0.0022 * angle, between(rng, config.gaze_hold)
            first = self._place(self._frames(2 * rise + hold))
            top = first + self._frames(rise)
            last = top + self._frames(hold) + self._frames(rise)
            if self._inside(first, last, 0.0) and not self._meets(first, last, ("gaze",), 0.15):
                amount = (angle * math.cos(way), 0.6 * angle * math.sin(way))
                share = 1 - self._frames(rise) / (last - top)
                self.acts.append(Act("gaze", first, top, last, "", share, amount=amount))

    def _blink(self) -> None:
        rng, config, fps = self.rng, self.config, self.stage.fps
        rest = 60 / between(rng, config.blink_rate)
        at = self.stage.start / fps + rng.uniform(0.3, rest)
        while at < self.stage.stop / fps:
            whole = between(rng, config.blink_duration)
            closing = self._frames(whole * between(rng, config.blink_closing))
            first = int(at * fps)
            last = first + max(closing + 1, self._frames(whole))
            if self._inside(first, last, 0.0):
                partial = rng.random() < config.blink_partial
                amount = (
                    between(rng, config.blink_partial_depth if partial else config.blink_depth),
                    between(rng, config.blink_skin),
                    float(rng.uniform(-0.04, 0.04)),
                )
                hold = float(rng.uniform(0.0, 0.25))
                self.acts.append(Act("blink", first, first + closing, last, "", hold, amount=amount))
            at = last / fps + 0.4 + rng.exponential(max(rest - whole - 0.4, 0.2))


def active_units(act: Act) -> tuple[int, ...]:
    """Numbers of the units that an expression moves."""
    if act.units is None:
        return ()
    return tuple(unit for unit, row in zip(ACTION_UNITS, act.units, strict=True) if row.any())


def syllable_course(at: Float64Array, parts: Float64Array) -> Float64Array:
    """Opening of the mouth, px: overlapping raised cosines, the widest of which counts."""
    opening = np.zeros(len(at))
    for middle, width, size in parts:
        near = np.clip((at - middle) / width, -1, 1)
        opening = np.maximum(opening, size * (0.5 + 0.5 * np.cos(np.pi * near)))
    return opening
