"""A face's state in every frame of the grid: pose, lids, gaze, mouth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from htnet.core.types import Float64Array, FloatArray
from htnet.synthesis.recordings.config import Range, RecordingConfig
from htnet.synthesis.recordings.script import Act, Stage, between, syllable_course
from htnet.synthesis.recordings.skin import ease, rise_and_fall

#: Radius of an eyeball, px of a 224 px face: 12 mm where the eyes are 61 mm apart.
EYEBALL = 19.3
#: Waves that a drift is the sum of.
_WAVES = 9


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """A face in each of T frames of the grid, all (T,) float32.

    Attributes:
        x: place of the middle between the eyes beside where it rests, share of the face's size.
        y: the same downward.
        scale: factor of the face's size.
        yaw: turn to the image's right, degrees.
        pitch: nod downward, degrees.
        roll: turn in the picture, clockwise, degrees.
        open_left: how far the image-left eye is open, 1 at rest.
        open_right: the same of the image-right eye.
        gaze_x: displacement of the irises, px of a 224 px face.
        gaze_y: the same downward.
        mouth: opening of the mouth by speech, px.
        narrow: how far speech draws the corners of the mouth inward, px.
        lid_skin: how far the skin above the lids is lowered by blinks, px.
        tonic: (T, 2) slow changes of the resting face, px.
        body: (T, 3) x, y and scale of what the body follows: leaning, shifting, leaving.
    """

    x: FloatArray
    y: FloatArray
    scale: FloatArray
    yaw: FloatArray
    pitch: FloatArray
    roll: FloatArray
    open_left: FloatArray
    open_right: FloatArray
    gaze_x: FloatArray
    gaze_y: FloatArray
    mouth: FloatArray
    narrow: FloatArray
    lid_skin: FloatArray
    tonic: FloatArray
    body: FloatArray


def drift(rng: np.random.Generator, at: Float64Array, size: float, frequencies: Range) -> Float64Array:
    """A slow random motion of standard deviation ``size``: waves of falling strength."""
    low, high = frequencies
    found = low * (high / low) ** rng.random(_WAVES)
    weights = found**-0.5 * rng.uniform(0.5, 1.5, _WAVES)
    phases = rng.uniform(0, 2 * np.pi, _WAVES)
    total = sum(w * np.sin(2 * np.pi * f * at + p) for w, f, p in zip(weights, found, phases, strict=True))
    return np.asarray(total * (size * np.sqrt(2) / np.linalg.norm(weights)))


def _fixations(rng: np.random.Generator, at: Float64Array) -> Float64Array:
    """Small steps of an eye that looks ahead, px: it rests between them."""
    steps = int((at[-1] - at[0]) * 1.5) + 1
    moments = np.sort(rng.uniform(at[0], at[-1] + 1e-9, steps))
    places = np.concatenate([[0.0], rng.normal(0, 0.3, steps)])
    return np.asarray(places[np.searchsorted(moments, at, side="right")])


def play(
    acts: Iterable[Act],
    config: RecordingConfig,
    stage: Stage,
    at: Float64Array,
    resting: tuple[float, float, float],
    exit_at: float,
    rng: np.random.Generator,
) -> FaceMotion:
    """The state of a face in every frame of the grid.

    Args:
        acts: what happens.
        config: how the head drifts.
        stage: the camera.
        at: time of each frame of the grid, s, pauses included.
        resting: yaw, pitch and roll at rest, degrees.
        exit_at: how far to the side the face is out of the picture, share of its size.
        rng: where randomness comes from.
    """
    count = len(at)
    grid = np.arange(count) / stage.fps
    shift, turn = (between(rng, r) for r in (config.sway_shift, config.sway_turn))
    x, y = (drift(rng, at, shift / 224, config.sway_frequency) for _ in range(2))
    scale = 1 + drift(rng, at, shift / 600, config.sway_frequency)
    yaw, pitch, roll = (
        a + drift(rng, at, turn * r, config.sway_frequency) for a, r in zip(resting, (1, 0.8, 0.6), strict=True)
    )
    y += between(rng, config.pulse) / 224 * np.sin(2 * np.pi * rng.uniform(0.9, 1.6) * at)
    gaze = np.stack([_fixations(rng, at) for _ in range(2)])
    openness = np.ones((2, count)) + np.round(drift(rng, at, 0.012, (0.05, 0.5)), 3)
    mouth, narrow, lid_skin = np.zeros(count), np.zeros(count), np.zeros(count)
    body = np.stack([np.zeros(count), np.zeros(count), np.ones(count)], axis=1)
    for act in acts:
        part = slice(act.first, act.last + 1)
        now = grid[part]
        times = (act.first / stage.fps, act.top / stage.fps, act.last / stage.fps)
        course = rise_and_fall(now, *times, act.hold, act.relax)
        if act.kind == "blink":
            depth, skin, uneven = act.amount
            for side, sign in enumerate((1, -1)):
                openness[side, part] *= 1 - min(depth + sign * uneven * (1 - depth), 1.0) * course
            lid_skin[part] += skin * course
        elif act.kind == "gaze":
            gaze[:, part] += np.sin(np.deg2rad(np.array(act.amount)))[:, None] * EYEBALL * course
        elif act.kind == "speech":
            opening = syllable_course(now, act.parts)
            mouth[part] = np.maximum(mouth[part], opening)
            share, phase, rate = act.amount
            edge = np.clip(np.minimum(now - times[0], times[2] - now) / 0.2, 0, 1)
            narrow[part] += ease(edge) * (1.6 * np.sin(np.pi * rate * now + phase) + 1.5 * share)
            pitch[part] += ease(edge) * 1.2 * np.sin(0.5 * np.pi * rate * now + phase)
            yaw[part] += ease(edge) * 1.0 * np.sin(0.37 * np.pi * rate * now + 2 * phase)
        elif act.kind == "head":
            _turn(act, now, times, course, exit_at, part, x, y, scale, yaw, pitch, roll, body)
    # The upper lid follows the eye down and up.
    openness *= 1 - np.clip(0.035 * gaze[1], -0.12, 0.3)
    x, y, scale = x + body[:, 0], y + body[:, 1], scale * body[:, 2]
    tonic = np.stack([drift(rng, at, config.tonic, (0.01, 0.12)) for _ in range(2)], axis=1)
    arrays = (x, y, scale, yaw, pitch, roll, *np.clip(openness, 0, 1.3), *gaze, mouth, narrow, lid_skin, tonic, body)
    return FaceMotion(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))


def _turn(
    act: Act,
    now: Float64Array,
    times: tuple[float, float, float],
    course: Float64Array,
    exit_at: float,
    part: slice,
    x: Float64Array,
    y: Float64Array,
    scale: Float64Array,
    yaw: Float64Array,
    pitch: Float64Array,
    roll: Float64Array,
    body: Float64Array,
) -> None:
    """Add a movement of the head."""
    amount, detail = act.amount[0], act.detail
    if detail in ("nod", "shake"):
        share = np.clip((now - times[0]) / (times[2] - times[0]), 0, 1)
        wave = (
            np.sin(np.pi * act.amount[1] * share) ** 2 if detail == "nod" else np.sin(2 * np.pi * act.amount[1] * share)
        )
        (pitch if detail == "nod" else yaw)[part] += amount * wave * ease(np.minimum(share, 1 - share) * 6)
    elif detail == "turn":
        yaw[part] += amount * course
        pitch[part] += 0.3 * amount * act.amount[1] * course
    elif detail == "away":
        yaw[part] += amount * course
    elif detail == "tilt":
        roll[part] += amount * course
    elif detail == "lean":
        body[part, 2] *= 1 + amount * course
        body[part, 1] += 0.25 * amount * course
        pitch[part] += 8 * amount * course
    elif detail == "shift":
        body[part, 0] += amount * course
        body[part, 1] += amount * act.amount[1] * course
    elif detail == "leave":
        body[part, 0] += amount * exit_at * course
        yaw[part] += amount * 20 * np.sqrt(course)
