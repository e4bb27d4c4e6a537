"""Faces with one mouth corner lowered by a known fraction of the distance between the eyes.

No patient's face is needed, and the truth is known. Four kinds: two ways of drawing, and two free portraits (NASA's of
Eileen Collins in scikit-image, the US Navy's of Grace Hopper in matplotlib), each portrait as it is and made even by
mirroring one half. Every face has a seed of its own, which sets the person, the palsy (how far cheek, lids and brow
follow the mouth), and the picture: size, tilt, turn, light from a side, blur, noise, JPEG.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.palsy_faces import MIDDLE, SIDE, _draw, _shape
from htnet.core.types import ByteArray

Array = npt.NDArray[Any]
KINDS = ("drawn", "shaded", "portrait", "portrait-even", "hopper", "hopper-even")
#: Canvas: side, px a mm, and where its origin (midway between the eyes) lies.
CANVAS, ZOOM, ORIGIN = 640, 2.6, (319.5, 230.0)
#: Distance between the eyes, mm.
APART = 61.0
#: Points of the two portraits, px: eyes, nose tip, corners of the mouth. The first are those of the package's sample;
#: the second were read off the picture.
_HOPPER = ((221.0, 190.0), (303.0, 187.0), (266.0, 243.0), (228.0, 281.0), (306.0, 277.0))


@dataclass(frozen=True)
class Picture:
    """How a face is seen.

    Attributes:
        eye_distance: px.
        roll, yaw: degrees; a positive roll turns clockwise, a positive yaw turns the face to the image's right.
        light: slope of the light across the face, share a face's half width; its direction, degrees.
        blur: sigma, px.
        noise: standard deviation, gray levels.
        quality: of JPEG; 0 for none.
        gamma: exponent.
    """

    eye_distance: float = 80.0
    roll: float = 0.0
    yaw: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0
    gamma: float = 1.0


@dataclass(frozen=True)
class Palsy:
    """Where else the palsied side sinks, as shares of the mouth corner's drop, and the pull's radius, mm."""

    radius: float = 14.0
    inward: float = 0.2
    cheek: float = 0.4
    lid: float = 0.2
    brow: float = 0.3


@dataclass(frozen=True, eq=False)
class DroopFace:
    """One person, to be shown with any droop.

    Attributes:
        kind: one of `KINDS`.
        canvas: (640, 640, 3) float32, the face without palsy.
        corners: (2, 2) mm, the mouth's corners, image's left first.
        palsy, picture: as drawn.
        seed: of the noise.
        words: what is special ("beard", "open", ...).
    """

    kind: str
    canvas: npt.NDArray[np.float32]
    corners: npt.NDArray[np.float64]
    palsy: Palsy
    picture: Picture
    seed: int
    words: tuple[str, ...] = field(default=())

    def show(self, drop: float, side: int, picture: Picture | None = None, rendering: int = 0) -> ByteArray:
        """The face with the mouth's corner ``drop`` % of the eye distance lower on one side.

        Args:
            drop: % of the distance between the eyes.
            side: -1 for the image's left, 1 for its right.
            picture: another way to see it.
            rendering: another number, other noise.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        seen = picture or self.picture
        return _render(self, drop, side, seen, np.random.default_rng([self.seed, rendering, int(10 * drop), side + 1]))


def droop_face(seed: int, kind: str, *, even: bool = False) -> DroopFace:
    """A person of one kind, drawn from a seed.

    Args:
        seed: of all that is random.
        kind: one of `KINDS`.
        even: mirror one half, so the face without palsy is exactly even.
    """
    person = np.random.default_rng([seed, KINDS.index(kind), 7])
    words: list[str] = []
    if kind == "drawn":
        canvas, corners = _drawn(person, words)
    elif kind == "shaded":
        canvas, corners = _shaded(person, words)
    else:
        canvas, corners = _portrait(kind.split("-")[0], person)
        even = even or kind.endswith("even")
    if even:
        half = canvas[:, : CANVAS // 2] if person.random() < 0.5 else canvas[:, : CANVAS // 2 - 1 : -1]
        canvas = np.concatenate([half, half[:, ::-1]], axis=1)
        corners = (corners + corners[::-1] * (-1, 1)) / 2
    palsy = Palsy(*(float(person.uniform(*r)) for r in ((11, 18), (0, 0.35), (0.2, 0.6), (0, 0.3), (0, 0.5))))
    return DroopFace(kind, np.ascontiguousarray(canvas, np.float32), corners, palsy, draw_picture(person, kind), seed,
                     tuple(words))  # fmt: skip


def draw_picture(rng: np.random.Generator, kind: str = "drawn") -> Picture:
    """A way to see a face: each property over its whole range."""
    real = kind not in ("drawn", "shaded")
    apart = float(np.exp(rng.uniform(np.log(30), np.log(90 if real else 150))))
    return Picture(
        eye_distance=apart,
        roll=float(rng.uniform(-8, 8)),
        yaw=float(rng.uniform(-8, 8)),
        light=(float(rng.uniform(0, 0.4)), float(rng.uniform(0, 360))),
        blur=float(rng.uniform(0, 0.012) * apart),
        noise=float(rng.uniform(0, 5)),
        quality=int(rng.integers(50, 96)),
        gamma=float(np.exp(rng.normal(0, 0.15))),
    )


def _render(face: DroopFace, drop: float, side: int, seen: Picture, rng: np.random.Generator) -> ByteArray:
    import cv2

    scale = seen.eye_distance / APART  # px a mm
    height, width = round(190 * scale), round(170 * scale)
    shift = rng.uniform(-0.5, 0.5, 2)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    angle = np.deg2rad(seen.roll)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = np.array([(width - 1) / 2, 0.42 * height]) + shift
    seen_at = ((grid - center) / scale) @ turn.T  # mm, upright
    plane = _turned_back(seen_at, np.deg2rad(seen.yaw))
    before = plane - pull(plane, face, drop, side)
    at = (before * ZOOM + ORIGIN).astype(np.float32)
    blur = max(0.0, 0.5 * ZOOM / scale - 0.3)
    canvas = cv2.GaussianBlur(face.canvas, (0, 0), blur) if blur > 0.3 else face.canvas
    image = cv2.remap(canvas, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    slope, toward = seen.light[0], np.deg2rad(seen.light[1])
    light = 1 + slope * np.tanh((np.cos(toward) * seen_at[..., 0] + np.sin(toward) * seen_at[..., 1]) / 55)
    image = 255 * (np.clip(image * light[..., None], 0, 255) / 255) ** seen.gamma
    if seen.blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), seen.blur)
    pixels = np.clip(np.rint(image + rng.normal(0, 1, image.shape) * seen.noise), 0, 255).astype(np.uint8)
    if seen.quality:
        stored = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, seen.quality])[1]
        pixels = cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(pixels)


def pull(points: Array, face: DroopFace, drop: float, side: int) -> Array:
    """How far points of the palsied face, mm, lie from where they came from, (..., 2)."""
    palsy, fallen = face.palsy, drop / 100 * APART
    corner = face.corners[0 if side < 0 else 1]
    pulls = (
        ((side * 38, 38), (0.1, palsy.cheek), 15),
        ((side * 30, 9), (0.0, palsy.lid), 7),
        ((side * 30, -22), (0.0, palsy.brow), 11),
    )
    # The eyeball stays where it is; lids and brow slide over it.
    eyeball = 1 - np.exp(-0.5 * ((points - np.array((side * APART / 2, 0.0))) ** 2).sum(-1) / 6.0**2)

    def of(at: Array, place: tuple[float, float], radius: float) -> Array:
        return np.asarray(np.exp(-0.5 * ((at - np.array(place)) ** 2).sum(-1) / radius**2))

    out = np.zeros_like(points)
    for place, (inward, down), radius in pulls:
        weight = eyeball * of(points, place, radius)
        out += fallen * weight[..., None] * np.array([-side * inward, down])
    # The corner ends exactly ``fallen`` lower: what the cheek already gave is taken off.
    end = corner + np.array([-side * palsy.inward * fallen, fallen])
    given = sum(fallen * of(end, p, r) * np.array([-side * i, d]) for p, (i, d), r in pulls)
    mouth = np.array([-side * palsy.inward * fallen, fallen]) - given
    return out + of(points, (end[0], end[1]), palsy.radius)[..., None] * mouth


def _turned_back(seen: Array, yaw: float) -> Array:
    """Places on the flat face, mm, of what is seen of a head turned by ``yaw`` rad: a cylinder with a nose."""
    radius, far = 85.0, 600.0

    def forward(flat: Array) -> Array:
        x, y = flat[..., 0], flat[..., 1]
        nose = 18 * np.exp(-0.5 * ((x / 9) ** 2 + ((y - 30) / 13) ** 2))
        # Beyond the cylinder's edge the ground goes on straight.
        inside = np.clip(x, -0.9 * radius, 0.9 * radius)
        depth = np.sqrt(radius**2 - inside**2) - radius + nose
        turned_x = x * np.cos(yaw) + depth * np.sin(yaw)
        turned_z = -x * np.sin(yaw) + depth * np.cos(yaw)
        size = far / (far - turned_z)
        return np.asarray(np.stack([turned_x * size, y * size], -1))

    if yaw == 0:
        return seen
    flat = seen.copy()
    for _ in range(25):
        flat = flat + 0.8 * (seen - forward(flat))
    return flat


def _drawn(person: np.random.Generator, words: list[str]) -> tuple[Array, Array]:
    """The people of `benchmarks.palsy_faces`, some with an open mouth."""
    import cv2

    points = _shape(person)
    if person.random() < 0.3:
        words.append("open")
        gap = person.uniform(2, 10)
        below = [*range(55, 60), 65, 66, 67]
        points[below, 1] += gap
        points[[*range(3, 14)], 1] += 0.6 * gap
    points += person.normal(0, 0.35, points.shape)
    small = _draw(points, person)
    big = cv2.resize(small, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
    top, left = round(ORIGIN[1] - 2 * 74.0 - 0.5), (CANVAS - 2 * SIDE) // 2
    canvas = cv2.copyMakeBorder(big, top, CANVAS - top - 2 * SIDE, left, left, cv2.BORDER_REPLICATE)
    return np.clip(canvas, 0, 255), (points[[48, 54]] - (MIDDLE, 74.0)) / 1.3


def _shaded(person: np.random.Generator, words: list[str]) -> tuple[Array, Array]:
    """People drawn with soft shades, strokes for hair, teeth and folds."""
    import cv2

    u = person.uniform
    canvas = np.empty((CANVAS, CANVAS, 3), np.float32)
    canvas[:] = person.uniform(30, 220, 3)
    canvas *= np.linspace(u(0.7, 1), u(0.7, 1), CANVAS, dtype=np.float32)[:, None, None]
    skin = u(70, 235) * np.array([1, u(0.7, 0.85), u(0.5, 0.72)])
    hair = u(10, 150) * np.array([1, u(0.7, 0.95), u(0.4, 0.9)])
    yy, xx = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    mx, my = (xx - ORIGIN[0]) / ZOOM, (yy - ORIGIN[1]) / ZOOM

    def mask(soft: float, *shapes: Array) -> Array:
        plane = np.zeros((CANVAS, CANVAS), np.float32)
        for shape in shapes:
            pixels = np.rint((np.asarray(shape) * ZOOM + ORIGIN) * 16).astype(np.int32)
            cv2.fillPoly(plane, [pixels], 1.0, cv2.LINE_AA, 4)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(0.4, soft * ZOOM)))

    def line(shape: Array, width: float, soft: float) -> Array:
        plane = np.zeros((CANVAS, CANVAS), np.float32)
        pixels = np.rint((np.asarray(shape) * ZOOM + ORIGIN) * 16).astype(np.int32)
        cv2.polylines(plane, [pixels], False, 1.0, max(1, round(width * ZOOM)), cv2.LINE_AA, 4)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), max(0.4, soft * ZOOM)))

    def lay(weight: Array, color: Any) -> None:
        canvas[:] += weight[..., None] * (np.asarray(color, np.float32) - canvas)

    def ellipse(x: float, y: float, a: float, b: float, power: float = 2.0) -> Array:
        t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        c, s = np.cos(t), np.sin(t)
        return np.stack([x + a * np.sign(c) * abs(c) ** (2 / power), y + b * np.sign(s) * abs(s) ** (2 / power)], -1)

    def both(shape: Array) -> list[Array]:
        return [np.asarray(shape), np.asarray(shape) * (-1, 1)]

    wide, chin, crown = u(60, 72), u(98, 114), u(-88, -74)
    long_hair = person.random() < 0.4
    lay(mask(1.5, ellipse(0, -20, wide + 12, 75)), hair)
    if long_hair:
        lay(mask(2, *both([(40, -60), (wide + 16, -30), (wide + 14, 110), (wide - 16, 110), (wide - 6, 20)])), hair)
    lay(mask(2, [(-32, 60), (32, 60), (40, 170), (-40, 170)]), skin * 0.72)
    lay(mask(1, *both(ellipse(wide, 10, 8, 18))), skin * 0.85)
    middle = (chin + crown) / 2
    head = mask(0.8, ellipse(0, middle, wide, (chin - crown) / 2, u(2.0, 2.5)))
    shade = 1.08 - 0.35 * np.clip(np.abs(mx) / wide, 0, 1.2) ** 2.5 - 0.12 * np.clip((my - 60) / 60, 0, 1)
    canvas[:] += head[..., None] * (shade[..., None] * skin.astype(np.float32) - canvas)
    lay(mask(1.5, ellipse(0, crown - 4, wide * u(0.8, 1.0), u(28, 44))) * (my < -35), hair)
    # eyes
    a, b, cut = u(13, 17), u(4, 7), u(-1.5, 2.5)
    t = np.linspace(-1, 1, 25)
    upper, lower = -b * (1 - t**2) ** 0.7, 0.75 * b * (1 - t**2)
    almond = np.concatenate([np.stack([a * t, upper - cut * t], -1), np.stack([a * t, lower - cut * t], -1)[::-1]])
    lay(0.4 * mask(2.5, *both(almond * 1.3 + (30.5, -2))), skin * 0.6)
    lay(mask(0.4, *both(almond + np.array([30.5, 0.0]))), np.array([225, 222, 218]) * u(0.7, 1))
    inside = mask(0.3, *both(almond + np.array([30.5, 0.0])))
    iris = person.uniform(20, 130, 3)
    radius = u(5.2, 6.5)
    lay(inside * mask(0.3, *both(ellipse(30.5, -0.5, radius, radius))), iris)
    lay(inside * mask(0.2, *both(ellipse(30.5, -0.5, radius * 0.4, radius * 0.4))), (8, 8, 8))
    lid = np.stack([a * t + 30.5, upper - cut * t], -1)
    for shape in both(lid):
        lay(u(0.6, 1) * line(shape, u(0.8, 1.8), 0.3), skin * 0.25)
    for shape in both(lid * (1, 1.0) + (0, -u(3, 5))):
        lay(0.35 * line(shape, 0.8, 0.6), skin * 0.5)
    # brows, in strokes
    lift, arch, thick, tone = u(-24, -16), u(1, 5), u(1.5, 4), u(0.5, 1)
    for sign in (-1, 1):
        for _ in range(140):
            s = u(-1, 1)
            x, y = 31 + 18 * s, lift - arch * (1 - s**2) + u(-thick, thick) * (1 - 0.5 * max(s, 0))
            stroke = np.array([(sign * x, y), (sign * (x + u(1, 3.5)), y + u(-1.5, 0.8))])
            pixels = np.rint((stroke * ZOOM + ORIGIN) * 16).astype(np.int32)
            cv2.polylines(canvas, [pixels], False, (hair * tone).tolist(), 1, cv2.LINE_AA, 4)
    # nose
    tip, wing = u(32, 38), u(13, 18)
    lay(0.25 * mask(2.5, [(-3, 0), (3, 0), (6, tip), (-6, tip)]), np.clip(skin * 1.25, 0, 255))
    lay(0.35 * mask(3, *both([(6, 5), (10, 5), (wing + 2, tip + 2), (wing - 6, tip)])), skin * 0.6)
    lay(0.9 * mask(0.6, *both(ellipse(6.5, tip + 5, u(2.5, 4), u(1.2, 2)))), skin * 0.2)
    for shape in both([(wing - 3, tip - 7), (wing, tip), (wing - 3, tip + 5)]):
        lay(0.5 * line(shape, 1.2, 0.8), skin * 0.4)
    # mouth
    half, high = u(20, 29), u(55, 64)
    smile = u(-2, 5)
    opening = u(2, 12) if person.random() < 0.35 else 0.0
    seam = high - smile * t**2
    x = half * t
    profile = np.sqrt(np.clip(1 - t**2, 0, 1))
    bow = u(4, 7) * (1 - np.abs(t) ** 1.5) - 1.8 * np.exp(-((t / 0.16) ** 2))
    under = u(6, 10) * profile
    lip = skin * np.array([u(0.75, 1.1), u(0.45, 0.8), u(0.5, 0.85)])
    top, bottom = seam - 0.3 * opening * profile, seam + 0.7 * opening * profile
    lay(u(0.5, 1) * mask(u(0.3, 1), np.concatenate([np.stack([x, top - bow], -1), np.stack([x, top], -1)[::-1]])),
        lip * 0.85)  # fmt: skip
    lower_lip = np.concatenate([np.stack([x, bottom], -1), np.stack([x, bottom + under], -1)[::-1]])
    lay(u(0.5, 1) * mask(u(0.3, 1), lower_lip), lip)
    lay(0.3 * mask(2, ellipse(0, high + opening + under.max() + 4, half * 0.6, 2.5)), skin * 0.5)
    if opening:
        words.append("open")
        gap = np.concatenate([np.stack([x, top], -1), np.stack([x, bottom], -1)[::-1]])
        lay(mask(0.3, gap), (45, 15, 15))
        if person.random() < 0.6:
            words.append("teeth")
            teeth = np.concatenate([np.stack([x, top], -1), np.stack([x, np.minimum(bottom, top + 5)], -1)[::-1]])
            lay(0.95 * mask(0.3, teeth), (215, 210, 200))
    lay(u(0.7, 1) * line(np.stack([x, top], -1), u(0.8, 1.6), 0.35), skin * 0.2)
    fold = u(0, 0.5)
    for shape in both([(wing + 3, tip + 2), (half + 4, high - 12), (half + 8, high + u(-4, 4))]):
        lay(fold * line(shape, 1.5, 1.2), skin * 0.5)
    if smile > 2:
        words.append("smile")
    if person.random() < 0.3:
        words.append("beard")
        full = person.random() < 0.5
        for _ in range(4500 if full else 1500):
            x0, y0 = u(-wide, wide), u(tip + 8, chin + 4)
            away = (abs(x0) / (half + 6)) ** 2 + ((y0 - high - 0.4 * opening) / (12 + 0.6 * opening)) ** 2
            border = wide * np.sqrt(max(0.0, 1 - ((y0 - middle) / ((chin - crown) / 2)) ** 2))
            moustache = y0 < high - 6 and abs(x0) < half + 3
            if away < 1 or abs(x0) > border or (y0 < high - 4 and not moustache and abs(x0) < border - 14):
                continue
            stroke = np.array([(x0, y0), (x0 + u(-1.5, 1.5), y0 + u(1, 4))])
            pixels = np.rint((stroke * ZOOM + ORIGIN) * 16).astype(np.int32)
            cv2.polylines(canvas, [pixels], False, (hair * u(0.7, 1.3)).tolist(), 1, cv2.LINE_AA, 4)
    grain = cv2.GaussianBlur(person.normal(0, 1, (CANVAS, CANVAS)), (0, 0), u(1.5, 6))
    canvas += (grain / grain.std() * u(1, 6))[..., None].astype(np.float32)
    corners = np.array([(-half, high - smile), (half, high - smile)])
    return np.clip(canvas, 0, 255), corners


@lru_cache(maxsize=2)
def _photograph(name: str) -> tuple[Array, Array]:
    """A portrait on the canvas, its eyes level, and its mouth's corners, mm."""
    import cv2

    from htnet.preprocess import similarity, transform_points

    if name == "portrait":
        from skimage.data import astronaut

        sample = Path(__file__).resolve().parents[1] / "htnet" / "assets" / "sample" / "landmarks.json"
        photo, five = astronaut(), np.array(json.loads(sample.read_text("utf-8"))) * (104 / 224) + (169, 71)
    else:
        from matplotlib.cbook import get_sample_data

        with get_sample_data("grace_hopper.jpg") as file:
            data = np.frombuffer(file.read(), np.uint8)
        photo, five = np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]), np.array(_HOPPER)
    # The eyes' line is level; the middle is between the middle of the eyes and that of the mouth, so a slight turn
    # of the head is shared.
    matrix = similarity(five[:2], np.array([(-APART / 2, 0.0), (APART / 2, 0.0)]))
    mm = transform_points(matrix, five)
    middle = (mm[:2, 0].mean() + mm[3:, 0].mean()) / 2
    matrix[0, 2] -= middle
    to_canvas = matrix * ZOOM
    to_canvas[:, 2] += ORIGIN
    shown = cv2.warpAffine(photo, to_canvas, (CANVAS, CANVAS), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return shown.astype(np.float32), mm[3:] - (middle, 0)


def _portrait(name: str, person: np.random.Generator) -> tuple[Array, Array]:
    """A portrait with other proportions, the same on both sides, and other colors."""
    import cv2

    photo, corners = _photograph(name)
    small = np.stack([cv2.GaussianBlur(person.normal(0, 1, (160, 160)), (0, 0), 18) for _ in range(2)])
    plane = np.stack([cv2.resize(p, (CANVAS, CANVAS), interpolation=cv2.INTER_CUBIC) for p in small])
    plane *= person.uniform(4, 14) / np.abs(plane).max()
    even = np.stack([(plane[0] - plane[0][:, ::-1]) / 2, (plane[1] + plane[1][:, ::-1]) / 2])
    y, x = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    at = (x + even[0]).astype(np.float32), (y + even[1]).astype(np.float32)
    image = cv2.remap(photo, *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
    # Where the corners went: the place whose source they are.
    moved = corners.copy()
    for _ in range(20):
        px = np.clip(np.rint(moved * ZOOM + ORIGIN).astype(int), 0, CANVAS - 1)
        moved = corners - np.stack([even[0][px[:, 1], px[:, 0]], even[1][px[:, 1], px[:, 0]]], -1) / ZOOM
    gray = image.mean(-1, keepdims=True)
    image = (gray + (image - gray) * person.uniform(0.3, 1.2)) * person.uniform(0.7, 1.15, 3)
    if person.random() < 0.5:  # the other way round
        image, moved = image[:, ::-1], moved[::-1] * (-1, 1)
    return np.clip(image, 0, 255), moved
