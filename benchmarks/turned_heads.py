"""Pairs of frames of heads that turn in space, with and without an expression.

Heads are those of `htnet.synthesis.recordings`: seen as solids, so the nose hides and shows the cheek behind it. Skins
are its drawn people ("solid") and the faces of `benchmarks.droop_faces` on its portrait's head. How deep a head is and
how far its features stand out varies from person to person.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.droop_faces import APART, ORIGIN, ZOOM, droop_face
from htnet.core.types import ByteArray, FloatArray
from htnet.synthesis import RecordingConfig, SynthesisConfig
from htnet.synthesis.draw import Draws
from htnet.synthesis.recordings.head import HeadShape
from htnet.synthesis.recordings.identity import draw_face
from htnet.synthesis.recordings.motion import FaceMotion
from htnet.synthesis.recordings.paint import Painter
from htnet.synthesis.recordings.parts import EyeShape
from htnet.synthesis.recordings.portrait import Portrait
from htnet.synthesis.recordings.render import FaceRenderer, Person
from htnet.synthesis.recordings.scene import paint_room
from htnet.synthesis.recordings.script import Act
from htnet.synthesis.recordings.skin import EYES_APART, draw_expression

Array = npt.NDArray[Any]
#: Kinds of heads besides the kinds of `benchmarks.droop_faces`.
SOLID = "solid"
#: Degrees to the side, downward and in the plane, of one of the two frames; each turn has a random sign.
Turn = tuple[float, float, float]
_DENSITY = 2.0


@lru_cache(maxsize=16)
def _person(seed: int, kind: str) -> Person:
    rng = np.random.default_rng([seed, 17])
    if kind == SOLID:
        face = draw_face(seed, RecordingConfig())
        eyes = EyeShape.of(face.points[36:42]), EyeShape.of(face.points[42:48])
        lips = face.points[[48, 60, 61, 62, 63, 64, 54]]
        skin = Painter(face, _DENSITY).paint()
        person = Person(skin, face.shape, face.five, face.points, eyes, lips, face.colors["eyes"], 0.7, face.seed)
    else:
        drawn = droop_face(seed, kind)
        mm = np.array([[-APART / 2, 0], [APART / 2, 0], [0, 34.0], drawn.corners[0], drawn.corners[1]])
        pixels = np.clip(np.rint(drawn.canvas), 0, 255).astype(np.uint8)
        person = Portrait(pixels, mm * ZOOM + np.array(ORIGIN)).person(_DENSITY, seed)
    shape, deep, far = person.shape, rng.uniform(0.85, 1.15), rng.uniform(0.75, 1.25)
    varied = HeadShape(shape.rows, shape.width, shape.depth * deep, shape.relief * np.float32(far), shape.relief_at)
    return dataclasses.replace(person, shape=varied)


def make_turned_pair(
    seed: int,
    kind: str,
    turn: Turn,
    units: tuple[int, ...] = (),
    peak: float = 0.0,
    *,
    shift: float = 0.0,
    noise: float = 1.0,
    draw: int = 0,
) -> tuple[ByteArray, ByteArray, FloatArray]:
    """Onset, apex, and the five points in px of the onset, with the error of a detector.

    Args:
        seed: of the person.
        kind: `SOLID` or one of `benchmarks.droop_faces.KINDS`.
        turn: from onset to apex.
        units: action units that move; () for none.
        peak: longest displacement of the skin, px of a 224 px face.
        shift: of the head before a background that stays where it is, px of a 224 px face.
        noise: standard deviation of each frame's noise, gray levels.
        draw: seed of the noise, the pose, and what is drawn of the change.
    """
    rng = np.random.default_rng([seed, draw, 19])
    person = _person(seed, kind)
    rest = rng.uniform(-4, 4, 3)
    pose = np.stack([rest, rest + np.array(turn) * rng.choice([-1, 1], 3)], axis=1).astype(np.float32)
    none, one = np.zeros(2, np.float32), np.ones(2, np.float32)
    toward = rng.uniform(0, 2 * np.pi)
    place = shift / 224 * np.array([[0, np.cos(toward)], [0, np.sin(toward)]], np.float32)
    motion = FaceMotion(
        *(*place, one, *pose, one, one, none, none, none, none, none),
        *(np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float32)),
    )
    acts: tuple[Act, ...] = ()
    if units and peak:
        config = SynthesisConfig(
            expressions=(("negative", units, 1.0),), shares=(1.0, 0.0, 0.0), distractor=0.0, edge=(2.0, 2.0)
        )
        seeded = Draws(torch.Generator().manual_seed(int(rng.integers(2**31))))
        skin = draw_expression(config, person.five, seeded)[2]
        acts = (Act("micro", 0, 1, 2, skin=skin.scaled(peak / skin.peak)),)
    side = 380
    home = (side / 2 + rng.uniform(-8, 8), 0.44 * side + rng.uniform(-8, 8), 1.0)
    renderer = FaceRenderer(person, motion, acts, 30.0, home, 0.0, float(rng.uniform(-0.25, 0.25)), 0.0)
    room = paint_room(rng, side, side, 1.0)
    frames = []
    for number in range(2):
        picture = room.copy()
        renderer.draw(picture, number)
        gray = picture @ np.array([0.299, 0.587, 0.114], np.float32)
        grain = noise * rng.standard_normal(gray.shape, dtype=np.float32)
        frames.append(np.repeat(np.clip(np.rint(gray + grain), 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    points = renderer.where(person.five, 0) + rng.normal(0, 0.01 * EYES_APART, (5, 2))
    return frames[0], frames[1], points.astype(np.float32)
