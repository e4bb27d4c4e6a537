"""Faces with a palsy of a known amount: drawn people, and renderings of one free portrait.

No patient's face is needed, and the truth is known: one side of a face is pulled down by an amount that is the grade.
Every identity is drawn from a seed of its own (proportions, colors, hair, skin), so identities of other seeds
were never seen. The portrait is scikit-image's astronaut, whose proportions and colors are changed from identity to
identity by a warp that is the same on both sides.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.types import LANDMARK_GROUPS, POINT_NAMES, ByteArray, Landmarks68
from htnet.preprocess.mean_shape import MEAN_SHAPE_MM, MIRROR_68

SIDE = 224
#: Px per mm of the mean face, and where its origin (midway between the eyes) lies: as `htnet.palsy.PALSY_SPEC` aligns.
SCALE, MIDDLE, EYES = 1.3, (SIDE - 1) / 2, 74.0
#: Drop of the corner of the mouth, px, from one grade to the next.
STEP = 3.2
KINDS = ("drawn", "portrait")
#: Where one side is pulled, mm from the midpoint of the eyes on the image's right: (x, y), how far (x, y) as a share
#: of the mouth's drop (x toward the healthy side is negative), and radius in mm.
_PULLS = (
    ((30, -19), (0.0, 0.65), 15),  # brow
    ((30, 6), (0.0, 0.4), 8),  # lower lid
    ((38, 38), (-0.1, 0.55), 15),  # cheek
    ((25, 61), (-0.3, 1.0), 14),  # corner of the mouth
    ((8, 36), (-0.25, 0.1), 10),  # wing of the nose
)

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PalsyFace:
    """One generated face.

    Attributes:
        image: (224, 224, 3) uint8 RGB, aligned as `htnet.palsy.PALSY_SPEC` says but for small errors.
        grade: 1 to 6.
        side: -1 if the image's left side is pulled, 1 if the right one is.
        points: the 68 true points, px of the image; None for the portrait.
    """

    image: ByteArray
    grade: int
    side: int
    points: Landmarks68 | None


def palsy_face(identity: int, grade: int, rendering: int = 0, kind: str = "drawn", side: int = 0) -> PalsyFace:
    """A face of one person, pulled down on one side by `STEP` x (grade - 1) px, in one picture.

    Args:
        identity: seed of the person.
        grade: 1 (even) to 6.
        rendering: seed of the picture: light, noise, blur, and small errors of the alignment.
        kind: one of `KINDS`.
        side: -1 or 1; by the identity if 0.
    """
    person = np.random.default_rng([identity, KINDS.index(kind), 1])
    picture = np.random.default_rng([identity, KINDS.index(kind), 2, rendering, grade])
    side = side or int(person.choice((-1, 1)))
    if kind == "drawn":
        points = _shape(person)
        # People are not even: this is what a grade has to be told from.
        points += person.normal(0, 0.35, points.shape)
        canvas = _draw(points, person)
    else:
        points, canvas = None, _portrait(person)
    move = _placing(picture)
    image = _warp(canvas, side, STEP * (grade - 1), move)
    if points is not None:
        points = _moved(points, side, STEP * (grade - 1), move)
    truth = None if points is None else Landmarks68(points.astype(np.float32), "drawn")
    return PalsyFace(_render(image, picture), grade, side, truth)


def write_fnp(
    folder: Path, patients: int = 24, per_patient: int = 5, *, seed: int = 0, portraits: float = 0.25
) -> list[dict[str, Any]]:
    """Write ``grade_N/PATIENT_k.png`` as FNP lies on a disk, and ``landmarks.csv`` with the five true points.

    Grades go round, so each patient is shown at several and each grade is as frequent.

    Args:
        folder: made if need be.
        patients: people, named p000, ...
        per_patient: images of each.
        seed: another seed, other people.
        portraits: share of people that are renderings of the portrait.

    Returns:
        A row an image: path, grade, patient, side, kind.
    """
    import cv2

    rows, points = [], []
    for patient in range(patients):
        kind = KINDS[int((patient * portraits) % 1 + portraits >= 1)]
        for k in range(per_patient):
            grade = (patient * per_patient + k) % 6 + 1
            face = palsy_face(100_000 * (seed + 1) + patient, grade, k, kind)
            name = f"grade_{grade}/p{patient:03d}_{k}"
            path = folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", face.image[..., ::-1])[1].tobytes())
            rows.append({"path": path, "grade": grade, "patient": f"p{patient:03d}", "side": face.side, "kind": kind})
            if face.points is not None:
                points.append([name, *face.points.five().points.ravel().round(2).tolist()])
    with (folder / "landmarks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", *(f"{name}_{axis}" for name in POINT_NAMES for axis in "xy")])
        writer.writerows(points)
    return rows


def _shape(person: np.random.Generator) -> Points:
    """The 68 points of an even face with its own proportions, px."""
    mm = MEAN_SHAPE_MM.copy()

    def of(*groups: str) -> list[int]:
        return [i for group in groups for i in LANDMARK_GROUPS[group]]

    def stretch(index: Sequence[int], x: float, y: float) -> None:
        center = mm[index].mean(0)
        mm[index] = center + (mm[index] - center) * (x, y)

    stretch(of("jaw"), person.uniform(0.9, 1.08), person.uniform(0.92, 1.04))
    open_, wide = person.uniform(0.75, 1.4), person.uniform(0.88, 1.1)
    for eye in ("left_eye", "right_eye"):
        stretch(of(eye), wide, open_)
    arch, lift = person.uniform(0.6, 1.4), person.uniform(-3, 3)
    for brow in ("left_brow", "right_brow"):
        stretch(of(brow), 1, arch)
    mm[of("left_brow", "right_brow"), 1] += lift
    stretch(of("nose"), person.uniform(0.85, 1.2), person.uniform(0.88, 1.1))
    stretch(of("outer_lip", "inner_lip"), person.uniform(0.85, 1.15), person.uniform(0.75, 1.3))
    mm[of("outer_lip", "inner_lip"), 1] += person.uniform(-3, 3)
    smile = person.uniform(-2.5, 3)
    lips = of("outer_lip", "inner_lip")
    mm[lips, 1] -= smile * (np.abs(mm[lips, 0]) / 25) ** 2
    mirrored = mm[list(MIRROR_68)] * (-1, 1)
    return np.asarray((mm + mirrored) / 2 * SCALE + (MIDDLE, EYES))


def _smooth(points: Points, closed: bool, rounds: int = 3) -> Points:
    """Corners cut by Chaikin's rule."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0) if closed else points[1:]
        first = points if closed else points[:-1]
        cut = np.stack([0.75 * first + 0.25 * following, 0.25 * first + 0.75 * following], axis=1).reshape(-1, 2)
        points = cut if closed else np.concatenate([points[:1], cut, points[-1:]])
    return points


def _draw(points: Points, person: np.random.Generator) -> npt.NDArray[np.float64]:
    """The face as (S, S, 3) float64 0..255, drawn twice as large and averaged."""
    import cv2

    zoom, bits = 2, 4
    skin = np.array([person.uniform(120, 240), 0, 0])
    skin[1:] = skin[0] * person.uniform(0.72, 0.86), skin[0] * person.uniform(0.55, 0.75)
    hair = np.array([1.0, 0.75, 0.5]) * person.uniform(15, 150) + person.uniform(0, 30)
    background = person.uniform(30, 230, 3)
    canvas = np.empty((zoom * SIDE, zoom * SIDE, 3))
    canvas[:] = background

    def fill(shape: Points, color: Any, closed: bool = True, thickness: float = 0) -> None:
        pixels = np.rint((_smooth(shape, closed) * zoom + (zoom - 1) / 2) * 2**bits).astype(np.int32)
        level = tuple(float(v) for v in np.clip(color, 0, 255))
        if thickness:
            cv2.polylines(canvas, [pixels], closed, level, max(1, round(thickness * zoom)), cv2.LINE_AA, bits)
        else:
            cv2.fillPoly(canvas, [pixels], level, cv2.LINE_AA, bits)

    def part(group: str) -> Points:
        return points[list(LANDMARK_GROUPS[group])]

    jaw = part("jaw")
    top = jaw[[16, 0]] + np.array([[0, -50.0], [0, -50.0]])
    skull = np.concatenate([top[:1], [[MIDDLE + 45, -40], [MIDDLE - 45, -40]], top[1:]])
    fill(np.concatenate([jaw + (jaw - jaw.mean(0)) * 0.12, skull]), hair)
    hairline = np.concatenate([jaw[[16]] - (0, 55), [[MIDDLE + 40, person.uniform(2, 14)]]])
    fill(np.concatenate([jaw, hairline, hairline[::-1] * (-1, 1) + (2 * MIDDLE, 0)]), skin)
    if person.random() < 0.3:  # a beard
        chin = np.concatenate([jaw[2:15], (part("outer_lip")[[6, 9, 0]] + (0, 3))])
        fill(chin, 0.5 * (skin + hair) * person.uniform(0.8, 1))
    shade = skin * person.uniform(0.72, 0.88)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    lid, iris = skin * person.uniform(0.86, 0.97), person.uniform(30, 130, 3)
    for name in ("left_eye", "right_eye"):
        eye = part(name)
        center = eye.mean(0)
        fill(center + (eye - center) * (1.35, 1.9), lid)
        fill(center + (eye - center) * 1.12, (235, 232, 228))
        radius = 0.5 * np.ptp(eye[:, 1]) + 1.2
        fill(center + ring * radius, iris)
        fill(center + ring * radius * 0.45, (10, 10, 10))
        fill(eye[[0, 1, 2, 3]], shade * 0.45, closed=False, thickness=1.8)
    nose = part("nose")
    fill(nose[:4], skin * 1.08, closed=False, thickness=4)
    fill(nose[[4, 5, 6, 7, 8]], shade * 0.8, closed=False, thickness=2)
    for wing, out in ((4, -1), (8, 1)):
        fill(np.stack([nose[wing] + (out * 1.5, -6), nose[wing] + (out * 3.5, -2), nose[wing]]), shade, False, 1.6)
        cheek = (nose[wing] + (out * 4, 0), nose[wing] + (out * 15, 12), points[48 if out < 0 else 54] + (out * 9, -2))
        fill(np.stack(cheek), shade, closed=False, thickness=1.2)
    lips = np.array([1.0, 0.5, 0.5]) * person.uniform(110, 210)
    fill(part("outer_lip"), 0.5 * (lips + skin * (1, 0.75, 0.75)))
    fill(part("inner_lip"), lips * 0.4)
    fill(part("inner_lip")[:5], lips * 0.4, closed=False, thickness=1.2)
    thick = person.uniform(2.5, 6)
    for name in ("left_brow", "right_brow"):
        fill(part(name), hair * 0.9, closed=False, thickness=thick)
    image = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grain = cv2.GaussianBlur(person.normal(0, 1, (SIDE, SIDE)), (0, 0), person.uniform(1, 4))
    return np.asarray(image + (grain / grain.std() * person.uniform(1, 5))[..., None])


@lru_cache(maxsize=1)
def _astronaut() -> ByteArray:
    """The portrait's face, aligned with its eyes level and its middle in the middle."""
    import cv2
    from skimage.data import astronaut

    from htnet.preprocess import similarity

    sample = Path(__file__).resolve().parents[1] / "htnet" / "assets" / "sample" / "landmarks.json"
    five = np.array(json.loads(sample.read_text("utf-8"))) * (104 / 224) + (169, 71)
    half = 30.5 * SCALE
    places = [(MIDDLE - half, EYES), (MIDDLE + half, EYES), (MIDDLE, EYES + 33 * SCALE)]
    matrix = similarity(five[:3], places)
    return np.asarray(
        cv2.warpAffine(astronaut(), matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )


def _portrait(person: np.random.Generator) -> npt.NDArray[np.float64]:
    """The portrait with other proportions, the same on both sides, and other colors."""
    import cv2

    field = np.stack([cv2.GaussianBlur(person.normal(0, 1, (SIDE, SIDE)), (0, 0), 26) for _ in range(2)])
    field *= person.uniform(3, 7) / np.abs(field).max()
    even = np.stack([(field[0] - field[0][:, ::-1]) / 2, (field[1] + field[1][:, ::-1]) / 2])
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    at = (x + even[0]).astype(np.float32), (y + even[1]).astype(np.float32)
    image = cv2.remap(_astronaut(), *at, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float64)
    gray = image.mean(-1, keepdims=True)
    tone = person.uniform(0.75, 1.2, 3)
    return np.asarray((gray + (image - gray) * person.uniform(0.4, 1.2)) * tone)


def _placing(picture: np.random.Generator) -> npt.NDArray[np.float64]:
    """(2, 3): the small error of an alignment: turn, size and shift."""
    angle, size = np.deg2rad(picture.normal(0, 0.8)), 1 + picture.normal(0, 0.01)
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    center = np.array([MIDDLE, MIDDLE])
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([linear, (center - linear @ center + picture.normal(0, 1.0, 2))[:, None]])


def _pull(points: Points, side: int, drop: float) -> Points:
    """How far points of the pulled face lie from where they came from, px: (..., 2)."""
    out = np.zeros_like(points)
    for (x, y), (dx, dy), radius in _PULLS:
        center = np.array([MIDDLE + side * x * SCALE, EYES + y * SCALE])
        weight = np.exp(-0.5 * ((points - center) ** 2).sum(-1) / (radius * SCALE) ** 2)
        out += drop * weight[..., None] * np.array([side * dx, dy])
    return out


def _warp(
    canvas: npt.NDArray[np.float64] | ByteArray, side: int, drop: float, move: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The face pulled, then placed; sampled once."""
    import cv2

    grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1).astype(np.float64)
    before = (grid - move[:, 2]) @ np.linalg.inv(move[:, :2]).T
    at = (before - _pull(before, side, drop)).astype(np.float32)
    source = np.asarray(canvas, dtype=np.float32)
    return np.asarray(
        cv2.remap(source, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), dtype=np.float64
    )


def _moved(points: Points, side: int, drop: float, move: npt.NDArray[np.float64]) -> Points:
    """Where points of the even face lie in the pulled and placed one: found by a fixed point."""
    pulled = points.copy()
    for _ in range(50):
        pulled = points + _pull(pulled, side, drop)
    return np.asarray(pulled @ move[:, :2].T + move[:, 2])


def _render(image: npt.NDArray[np.float64], picture: np.random.Generator) -> ByteArray:
    """Light from somewhere, gamma, blur and noise."""
    import cv2

    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    angle = picture.uniform(0, 2 * np.pi)
    light = 1 + picture.uniform(0, 0.22) * (np.cos(angle) * x + np.sin(angle) * y)
    image = np.clip(image * light[..., None], 0, 255)
    image = 255 * (image / 255) ** np.exp(picture.normal(0, 0.15)) + picture.uniform(-12, 12)
    image = cv2.GaussianBlur(image, (0, 0), picture.uniform(0.3, 1.2))
    return np.clip(np.rint(image + picture.normal(0, picture.uniform(1, 5), image.shape)), 0, 255).astype(np.uint8)
