"""Pairs of frames of generated faces with and without an expression, and with other changes between two frames.

Faces are those of `benchmarks.droop_faces`: two ways of drawing and two free portraits. Motions of the skin are the
action units of `htnet.synthesis`; every frame is sampled once from a large picture of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.droop_faces import APART, ORIGIN, ZOOM, droop_face
from htnet.core.types import TEMPLATE_28, ByteArray, FloatArray
from htnet.preprocess import similarity
from htnet.synthesis import SynthesisConfig
from htnet.synthesis.draw import Draws, draw_scenes
from htnet.synthesis.frames import field_at

Array = npt.NDArray[Any]
#: Combinations of action units that are tested: those of `htnet.synthesis`.
UNITS = tuple(dict.fromkeys(units for _, units, _ in SynthesisConfig().expressions))
#: Side of the grid that displacements are computed on, px of a 224 px face, and where it begins.
_GRID, _START = 288, -32
_UNIT = 98.4  # px of a 224 px face between the template's eyes


@dataclass(frozen=True)
class Change:
    """What changes from onset to apex; lengths in px of a 224 px face.

    Attributes:
        units: action units that move; () for none.
        peak: longest displacement of the skin.
        noise: standard deviation of each frame's noise, gray levels.
        light: change of the light, relative.
        slope: change of the light from the middle to an edge, relative.
        shift: of the head.
        turn: of the head in the picture's plane, degrees.
        zoom: growth of the head, relative.
        yaw: turn of the head out of the picture's plane, degrees, about any axis in it.
        blink: how far the upper lids come down; 12 closes the eye.
        gaze: how far the pupils move.
        gamma: exponent between the two frames.
        still_background: the picture beside the face stays where it is.
    """

    units: tuple[int, ...] = ()
    peak: float = 0.0
    noise: float = 1.0
    light: float = 0.0
    slope: float = 0.0
    shift: float = 0.0
    turn: float = 0.0
    zoom: float = 0.0
    yaw: float = 0.0
    blink: float = 0.0
    gaze: float = 0.0
    gamma: float = 1.0
    still_background: bool = False


@dataclass(frozen=True)
class Camera:
    """How both frames are taken.

    Attributes:
        face: side of the aligned face in the frame, px.
        blur: sigma, px of the frame.
        gamma: exponent.
        quality: of JPEG; 0 for none.
        slope: light across the face, share a half width.
        tilt: of the face, degrees.
        glasses: dark frames around the eyes.
    """

    face: float = 224.0
    blur: float = 0.0
    gamma: float = 1.0
    quality: int = 0
    slope: float = 0.0
    tilt: float = 0.0
    glasses: bool = False


@lru_cache(maxsize=32)
def _person(seed: int, kind: str) -> tuple[Array, Array]:
    """A face, gray, and its five points, px of the canvas."""
    face = droop_face(seed, kind)
    gray = face.canvas @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    mm = np.array([[-APART / 2, 0], [APART / 2, 0], [0, 34.0], face.corners[0], face.corners[1]])
    return gray, mm * ZOOM + np.array(ORIGIN)


def make_pair(
    seed: int, kind: str, change: Change, camera: Camera | None = None, draw: int = 0
) -> tuple[ByteArray, ByteArray, FloatArray]:
    """Onset, apex, and the five points in px of the onset, with the error of a detector.

    Args:
        seed: of the person.
        kind: of `benchmarks.droop_faces.KINDS`.
        change: from onset to apex.
        camera: how both are taken.
        draw: seed of the noise and of what is drawn of the change.
    """
    camera = camera or Camera()
    rng = np.random.default_rng([seed, draw, 13])
    gray, on_canvas = _person(seed, kind)
    template = np.array(TEMPLATE_28) * 8.0
    to_face = similarity(on_canvas, template)  # canvas to 224 px face
    grow = camera.face / 224
    side = round(1.45 * camera.face)
    angle = np.deg2rad(camera.tilt)
    cos, sin = grow * np.cos(angle), grow * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([side / 2, side / 2]) + rng.uniform(-0.06, 0.06, 2) * side
    to_frame = np.hstack([linear, (middle - linear @ np.array([112.0, 118.0]))[:, None]])
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)
    back = np.linalg.inv(linear).astype(np.float32)
    seen = (grid - to_frame[:, 2].astype(np.float32)) @ back.T  # px of the 224 px face
    points = template @ linear.T + to_frame[:, 2] + rng.normal(0, 0.01 * _UNIT * grow, (5, 2))
    before = _unmoved(seen, change, template, rng)
    kept = np.ones(seen.shape[:2])
    if change.still_background:
        away = np.hypot((seen[..., 0] - 112) / 118, (seen[..., 1] - 100) / 150)
        kept = np.clip((1.25 - away) / 0.15, 0, 1)
        before = seen + kept[..., None] * (before - seen)
    frames = []
    for at, lit in ((seen, False), (before, True)):
        image = _sampled(gray, to_face, at, grow)
        if camera.glasses:
            image = _glasses(image, at, template)
        slope = camera.slope * np.tanh((seen[..., 0] - 112) / 112)
        light = 1 + slope
        if lit:
            light = light * (1 + change.light + change.slope * (seen[..., 0] + 0.5 * seen[..., 1] - 168) / 168)
        image = np.clip(image * light, 0, 255)
        exponent = camera.gamma * (change.gamma if lit else 1.0)
        image = 255 * (image / 255) ** exponent if exponent != 1 else image
        frames.append(_taken(image, camera, change.noise, rng))
    return frames[0], frames[1], points.astype(np.float32)


def _unmoved(seen: Array, change: Change, template: Array, rng: np.random.Generator) -> Array:
    """Places on the onset's face, px of the 224 px face, of what the apex shows at ``seen``."""
    import cv2

    middle = np.array([112.0, 112.0])
    angle = np.deg2rad(change.turn) * rng.choice([-1, 1])
    size = 1 + change.zoom * rng.choice([-1, 1])
    where = rng.uniform(0, 2 * np.pi)
    shift = change.shift * np.array([np.cos(where), np.sin(where)])
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    at = (seen - middle - shift) @ np.linalg.inv(linear).T + middle
    if change.yaw:
        at = _turned_back(at, np.deg2rad(change.yaw), rng.uniform(0, 2 * np.pi), template)
    for eye in template[:2]:
        x, y = (at[..., 0] - eye[0]) / _UNIT, (at[..., 1] - eye[1]) / _UNIT
        if change.blink:
            lid = np.exp(-0.5 * ((x / 0.17) ** 2 + ((y - 0.01) / 0.08) ** 2))
            at = at - np.stack([np.zeros_like(lid), change.blink * lid], -1)
    if change.gaze:
        toward = rng.uniform(0, 2 * np.pi)
        look = change.gaze * np.array([np.cos(toward), 0.5 * np.sin(toward)])
        for eye in template[:2]:
            x, y = (at[..., 0] - eye[0]) / _UNIT, (at[..., 1] - eye[1]) / _UNIT
            at = at - np.exp(-0.5 * ((x / 0.11) ** 2 + (y / 0.05) ** 2))[..., None] * look
    if change.units and change.peak:
        field = skin_field(change.units, change.peak, template, int(rng.integers(2**31)))
        goal = at
        for _ in range(6):
            x, y = (at[..., 0] - _START).astype(np.float32), (at[..., 1] - _START).astype(np.float32)
            moved = np.stack([cv2.remap(p, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for p in field], -1)
            at = goal - moved
    return at


def _turned_back(seen: Array, turn: float, axis: float, template: Array) -> Array:
    """Places on the onset's face of what is seen of a head turned by ``turn`` rad: a cylinder with a nose."""
    eyes = template[:2].mean(0)
    at = seen.copy()
    for _ in range(6):
        x, y = ((at - eyes) / _UNIT).transpose(2, 0, 1)
        depth = np.sqrt(1.4**2 - np.clip(x, -1.3, 1.3) ** 2) - 1.4 - 0.08 * (y - 0.6) ** 2
        depth += 0.3 * np.exp(-0.5 * ((x / 0.15) ** 2 + ((y - 0.5) / 0.22) ** 2))
        at = seen - np.sin(turn) * depth[..., None] * _UNIT * np.array([np.cos(axis), np.sin(axis)])
    return at


def skin_field(units: tuple[int, ...], peak: float, template: Array, seed: int) -> FloatArray:
    """(2, 288, 288) float32: displacement of the skin, px of the 224 px face, on a grid that begins at (-32, -32)."""
    config = SynthesisConfig(
        expressions=(("negative", units, 1.0),), shares=(1.0, 0.0, 0.0), distractor=0.0, edge=(2.0, 2.0)
    )
    scene = draw_scenes(
        config, 1, Draws(torch.Generator().manual_seed(seed)), torch.from_numpy(template.astype(np.float32))
    )
    at = torch.arange(_GRID, dtype=torch.float32) + _START
    places = torch.stack([at[None, :].expand(_GRID, _GRID), at[:, None].expand(_GRID, _GRID)], -1)
    field = field_at(scene.skin, places).numpy()
    field *= peak / np.hypot(field[..., 0], field[..., 1]).max()
    return np.ascontiguousarray(field.transpose(2, 0, 1), dtype=np.float32)


def _sampled(canvas: Array, to_face: Array, at: Array, grow: float) -> Array:
    """The canvas at places of the 224 px face; smoothed first where the frame is smaller."""
    import cv2

    linear, shift = to_face[:, :2].astype(np.float32), to_face[:, 2].astype(np.float32)
    on_canvas = ((at - shift) @ np.linalg.inv(linear).T).astype(np.float32)
    step = 1 / (grow * float(np.hypot(*linear[:, 0])))  # px of the canvas a px of the frame
    sigma = 0.5 * step
    smooth = cv2.GaussianBlur(canvas, (0, 0), sigma) if sigma > 0.4 else canvas
    sampled = cv2.remap(smooth, on_canvas[..., 0], on_canvas[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled)


def _glasses(image: Array, at: Array, template: Array) -> Array:
    weight = np.zeros(at.shape[:2])
    for eye in template[:2]:
        x, y = (at[..., 0] - eye[0]) / _UNIT, (at[..., 1] - eye[1] - 3) / _UNIT
        weight += np.exp(-0.5 * ((np.sqrt((x / 0.36) ** 4 + (y / 0.26) ** 4) - 1) / 0.09) ** 2)
    return np.asarray(image * (1 - 0.85 * np.clip(weight, 0, 1)))


def _taken(image: Array, camera: Camera, noise: float, rng: np.random.Generator) -> ByteArray:
    import cv2

    if camera.blur:
        image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    grain = noise * rng.standard_normal(image.shape, dtype=np.float32)
    pixels = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    if camera.quality:
        stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, camera.quality])[1]
        pixels = np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE))
    return np.repeat(pixels[..., None], 3, axis=2)
