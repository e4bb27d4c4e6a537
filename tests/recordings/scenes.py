"""Small recordings of a portrait whose head and skin move as told, and a finder that knows where it is."""

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np
from skimage.data import astronaut

from benchmarks.action_units import CROP, FACE_SIZE, displacement, face_crop
from htnet.core.types import Frame
from htnet.recordings.faces import SeenFace, overlap

#: Room around the face of 224 px, and the side of the picture that is pasted.
ROOM = 40
SIDE = FACE_SIZE + 2 * ROOM
SIZE = (360, 640)


@cache
def portrait():
    """(SIDE, SIDE, 3) float32 and its five points."""
    left, top, side = CROP
    scale = FACE_SIZE / side
    shift = 0.5 * scale - 0.5 + ROOM
    matrix = np.array([[scale, 0, shift - left * scale], [0, scale, shift - top * scale]])
    picture = cv2.warpAffine(astronaut(), matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
    return picture.astype(np.float32), np.asarray(face_crop()[1], np.float64) + ROOM


@cache
def field(unit, peak):
    """(2, SIDE, SIDE) displacement of an action unit of `benchmarks.action_units`, px; or a "smile" of whole cheeks."""
    if unit == "smile":
        return peak * smile()
    return displacement(unit, portrait()[1].astype(np.float32), (SIDE, SIDE), peak)


@cache
def lids():
    """(SIDE, SIDE, 1) where closed lids are, 0..1; and (SIDE, SIDE, 3) their picture: skin from above to below, and
    lashes."""
    picture, points = portrait()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    eyes = float(np.hypot(*(points[1] - points[0])))
    mask, closed = np.zeros((SIDE, SIDE), np.float32), picture.copy()
    for x, y in points[:2]:
        away = ((columns - x) / (0.26 * eyes)) ** 4 + ((rows - y) / (0.13 * eyes)) ** 4
        mask = np.maximum(mask, 1 / (1 + away**2))
        top, bottom = int(y - 0.17 * eyes), int(y + 0.17 * eyes)
        across = np.s_[int(x - 0.4 * eyes) : int(x + 0.4 * eyes)]
        down = np.linspace(0, 1, bottom - top, dtype=np.float32)[:, None, None]
        closed[top:bottom, across] = picture[top, across] * (1 - down) + picture[bottom, across] * down
        lash = np.exp(-0.5 * (((rows - y - 0.05 * eyes) / 1.5) ** 2 + ((columns - x) / (0.15 * eyes)) ** 2))
        closed *= 1 - 0.4 * lash[..., None].astype(np.float32)
    return mask[..., None], cv2.GaussianBlur(closed, (0, 0), 1.5)


@dataclass(frozen=True)
class Face:
    """The face in one frame: where its middle is, how large and turned it is, and what it shows."""

    x: float
    y: float
    scale: float = 0.7
    degrees: float = 0.0
    unit: str = "AU12"
    peak: float = 0.0
    closed: float = 0.0
    mouth: float = 0.0
    mirrored: bool = False
    turned: float = 0.0

    def matrix(self):
        """(2, 3) from the portrait to the frame."""
        a = self.scale * np.exp(1j * np.radians(self.degrees))
        linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
        middle = portrait()[1].mean(axis=0)
        return np.hstack([linear, (np.array([self.x, self.y]) - linear @ middle)[:, None]])

    def points(self):
        """(5, 2) px of the frame; those of a head turned by ``turned``, as `FaceShape.turn` tells it."""
        points = portrait()[1].copy()
        if self.mirrored:
            points = (points * [-1, 1] + [SIDE - 1, 0])[[1, 0, 2, 4, 3]]
        points[2, 0] += self.turned * float(np.hypot(*(points[1] - points[0])))
        matrix = self.matrix()
        return points @ matrix[:, :2].T + matrix[:, 2]

    def seen(self):
        low, high = self.points().min(axis=0), self.points().max(axis=0)
        size = 1.8 * (high - low)
        return SeenFace(np.concatenate([(low + high - size) / 2, size]), self.points(), 0.9)

    def picture(self):
        """The portrait with what it shows, (SIDE, SIDE, 3) float32."""
        return shown(self.unit, self.peak, self.closed, self.mouth)


@lru_cache(maxsize=4)  # in most frames it shows what it showed in the last
def shown(unit, peak, closed, mouth):
    picture = portrait()[0]
    motion = np.zeros((2, SIDE, SIDE), np.float32)
    if peak:
        motion += peak * field(unit, 1.0)
    if mouth:
        motion += mouth * lower_lip()
    if motion.any():
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        x, y = columns, rows
        for _ in range(6):
            u, v = (cv2.remap(part, x, y, cv2.INTER_LINEAR) for part in motion)
            x, y = columns - u, rows - v
        picture = cv2.remap(picture, x, y, cv2.INTER_CUBIC)
    mask, lashes = lids()
    return picture + closed * mask * (lashes - picture)


@cache
def smile():
    """(2, SIDE, SIDE) the corners of the mouth and the skin around them 1 px outward and upward."""
    points = portrait()[1]
    eyes = float(np.hypot(*(points[1] - points[0])))
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    found = np.zeros((2, SIDE, SIDE), np.float32)
    for (x, y), out in zip(points[3:], (-1, 1), strict=True):
        patch = np.exp(-(((columns - x) / (0.4 * eyes)) ** 4) - ((rows - y) / (0.35 * eyes)) ** 4)
        found += patch * np.array([0.6 * out, -0.8], np.float32)[:, None, None]
    return found


@cache
def lower_lip():
    """(2, SIDE, SIDE) the lower lip and the chin 1 px down."""
    points = portrait()[1]
    middle = points[3:].mean(axis=0)
    eyes = float(np.hypot(*(points[1] - points[0])))
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    bump = np.exp(-0.5 * (((columns - middle[0]) / (0.3 * eyes)) ** 2))
    down = 1 / (1 + np.exp(-(rows - middle[1]) / (0.03 * eyes)))
    return np.stack([np.zeros_like(bump), bump * down]).astype(np.float32)


@cache
def head():
    """(SIDE, SIDE) what belongs to the head, 0..1: an oval with a soft edge."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    away = np.hypot((columns - SIDE / 2) / (0.44 * SIDE), (rows - SIDE / 2) / (0.48 * SIDE))
    return np.clip((1 - away) * 20, 0, 1).astype(np.float32)


def background(rng):
    noise = rng.integers(40, 200, (12, 20, 3), dtype=np.uint8)
    return cv2.resize(noise, SIZE[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)


def paint(faces, behind):
    """(H, W, 3) float32: the faces, the later ones in front, on a background."""
    picture = behind.copy()
    for face in faces:
        matrix = face.matrix()
        if face.mirrored:
            matrix = np.hstack([matrix[:, :2] * [-1, 1], (matrix[:, 2] + matrix[:, 0] * (SIDE - 1))[:, None]])
        inside = cv2.warpAffine(head(), matrix, SIZE[::-1])[..., None]
        picture += inside * (cv2.warpAffine(face.picture(), matrix, SIZE[::-1], flags=cv2.INTER_CUBIC) - picture)
    return picture


def film(picture, rng, noise=1.0, gain=1.0):
    """(H, W, 3) uint8 of a picture, with noise."""
    grain = noises()[int(rng.integers(4))]
    grain = np.roll(grain, tuple(rng.integers(0, 200, 2)), axis=(0, 1))
    return np.clip(np.rint(picture * gain + noise * grain), 0, 255).astype(np.uint8)


@cache
def noises():
    """Four pictures of noise; drawing new ones takes longer than all else."""
    return np.random.default_rng(0).standard_normal((4, *SIZE, 3), dtype=np.float32)


class Scene:
    """Frames of a recording: what faces are in it at any time, told by a function of the time."""

    def __init__(self, faces_at, times, rng, *, noise=1.0, gain=lambda time: 1.0, behind=None):
        self.faces_at, self.times, self.rng, self.noise, self.gain = faces_at, list(times), rng, noise, gain
        still = background(rng)
        self.behind = behind or (lambda time: still)

    def __iter__(self):
        before = None, None
        for number, time in enumerate(self.times):
            seen = self.faces_at(time), self.behind(time)
            if seen[0] != before[0] or seen[1] is not before[1]:
                picture, before = paint(*seen), seen
            filmed = film(picture, self.rng, self.noise, self.gain(time))
            yield Frame(filmed, f"scene frame {number}", number, float(time))

    def finder(self):
        return TrueFaces(self.faces_at)


class TrueFaces:
    """A finder that knows the faces of a scene, so tests need no detector; its points are off by some px."""

    def __init__(self, faces_at, jitter=1.0, seed=0):
        self.faces_at, self.jitter, self.rng = faces_at, jitter, np.random.default_rng(seed)
        self.looks = 0

    def everywhere(self, frame):
        self.looks += 1
        found = []
        faces = [face.seen() for face in self.faces_at(frame.time)]
        for place, seen in enumerate(faces):
            hidden = any(overlap(seen.box, front.box) > 0.3 for front in faces[place + 1 :])
            if not hidden and (seen.points > 0).all() and (seen.points < np.array(SIZE[::-1]) - 1).all():
                shaken = seen.points + self.rng.normal(0, self.jitter, (5, 2))
                found.append(SeenFace(seen.box, shaken, seen.score))
        return found

    def near(self, frame, matrix):
        return self.everywhere(frame)
