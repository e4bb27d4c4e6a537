"""One face, drawn into frames."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv
from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.draw import Draws
from htnet.synthesis.muscles import ACTION_UNITS, MUSCLES, Bump
from htnet.synthesis.recordings.head import HeadShape, Pose
from htnet.synthesis.recordings.motion import FaceMotion
from htnet.synthesis.recordings.paint import Texture
from htnet.synthesis.recordings.parts import EyePart, EyeShape, MouthPart
from htnet.synthesis.recordings.script import Act
from htnet.synthesis.recordings.skin import (
    GRID_STEP,
    GRID_X,
    GRID_Y,
    SkinField,
    draw_expression,
    plain_field,
    rise_and_fall,
)

#: The head seen from the front, px of a 224 px face: left, top, right, bottom; with room for nodding and turning.
_BOX = (-128.0, -180.0, 128.0, 178.0)
#: Distance between the places at which the head's shape is computed, px of a 224 px face.
_COARSE = 2.5
#: The head's own shape is computed at every second of those places: it is smoother than the skin's motion.
_SPARSE = 2
#: Fields that are kept at once.
_KEPT = 24
_LID_FOLD = (Bump("eye", (0.0, -0.2), (0.0, 1.0), (0.2, 0.08)),)
_CORNERS = (Bump("mouth", (-0.02, 0.0), (-1.0, 0.0), (0.17, 0.13)),)


@dataclass(frozen=True, eq=False)
class Person:
    """What a face is drawn from.

    Attributes:
        texture: its skin.
        shape: of its head.
        five: (5, 2) points at rest, px of a 224 px face from the middle between the eyes.
        points: (68, 2) points at rest, or None where they are not known.
        eyes: image-left and image-right.
        lips: (N, 2) line where the lips meet.
        iris: RGB, or None where the texture shows the eyes.
        lashes: how dark the edges of the lids are, 0 to 1.
        seed: of eyes, teeth and the resting face.
    """

    texture: Texture
    shape: HeadShape
    five: Float64Array
    points: Float64Array | None
    eyes: tuple[EyeShape, EyeShape]
    lips: Float64Array
    iris: Float64Array | None
    lashes: float
    seed: int


class FaceRenderer:
    """Draws a face as its motion says.

    Args:
        person: the face.
        motion: its state in every frame of the grid.
        acts: its events.
        fps: of the grid.
        home: where the face rests, px of the frame, and px of the frame for one px of a 224 px face.
        exposure: how long the shutter is open, share of a frame's time.
        light: how much brighter it is from one side (positive: from the right).
        soft: blur of the lens, px of the frame.
    """

    def __init__(
        self,
        person: Person,
        motion: FaceMotion,
        acts: tuple[Act, ...],
        fps: float,
        home: tuple[float, float, float],
        exposure: float,
        light: float,
        soft: float,
    ) -> None:
        self.person, self.motion, self.acts, self.fps = person, motion, acts, fps
        self.home, self.exposure, self.light = home, exposure, light
        self.cv2 = load_opencv()
        texture, rng = person.texture, np.random.default_rng([person.seed, 2])
        blur = math.hypot(0.65, soft * texture.density / home[2])
        self.pixels = self.cv2.GaussianBlur(texture.pixels, (0, 0), blur)
        self.mask = None if texture.mask is None else self.cv2.GaussianBlur(texture.mask, (0, 0), blur)
        self.overlay = None if texture.overlay is None else self.cv2.GaussianBlur(texture.overlay, (0, 0), blur)
        smooth = Texture(self.pixels, texture.density, texture.left, texture.top)
        edge = 1.0 + blur
        self.eyes = tuple(EyePart(smooth, shape, person.iris, rng, person.lashes, edge) for shape in person.eyes)
        self.mouth = MouthPart(smooth, person.lips, rng, edge)
        self._eye_grid = [self._grid_of(eye) for eye in self.eyes]
        self._last: dict[str, tuple[float, ...]] = {}
        self._fields: dict[int, FloatArray] = {}
        self.tonic = [self._resting(rng) for _ in range(2)]
        five = person.five
        self.jaw = plain_field(MUSCLES[25], five).scaled(0.3).on_grid()
        self.corners, self.fold = (plain_field(bumps, five).on_grid() for bumps in (_CORNERS, _LID_FOLD))
        self._lowered = ACTION_UNITS.index(25)

    def pose(self, frame: int) -> Pose:
        """Where the head is in a frame of the grid."""
        motion, (x, y, scale) = self.motion, self.home
        side = 224 * scale
        return Pose(
            x + float(motion.x[frame]) * side,
            y + float(motion.y[frame]) * side,
            scale * float(motion.scale[frame]),
            *(float(v[frame]) for v in (motion.yaw, motion.pitch, motion.roll)),
        )

    def level(self, act: Act, frame: float) -> float:
        """How much of an event there is in a frame of the grid, 0 to 1."""
        moments = (act.first / self.fps, act.top / self.fps, act.last / self.fps)
        return float(rise_and_fall(np.array([frame / self.fps]), *moments, act.hold, act.relax)[0])

    def active(self, frame: int) -> list[tuple[Act, float]]:
        """Expressions in a frame, with their levels."""
        return [
            (act, self.level(act, frame)) for act in self.acts if act.skin is not None and act.first < frame < act.last
        ]

    def skin(self, frame: int, tonic: bool = True) -> FloatArray:
        """Displacement of the skin in a frame, (2, rows, columns) px on the grid of `skin.GRID_X` and `GRID_Y`.

        Args:
            frame: of the grid.
            tonic: whether the resting face's slow changes belong to it.
        """
        motion = self.motion
        field = np.zeros_like(self.jaw)
        for act, level in self.active(frame):
            field += np.float32(level) * self._field(act)
        for amount, basis in ((motion.mouth, self.jaw), (motion.narrow, self.corners), (motion.lid_skin, self.fold)):
            if amount[frame]:
                field += amount[frame] * basis
        return field + self._slow(frame) if tonic else field

    def _slow(self, frame: int) -> FloatArray:
        one, two = self.motion.tonic[frame]
        return np.asarray(one * self.tonic[0] + two * self.tonic[1])

    def opening(self, frame: int) -> float:
        """How far the lips are apart, px: speech, and lips that an expression parts."""
        parted = sum(
            level * float(act.units[self._lowered].mean()) for act, level in self.active(frame) if act.units is not None
        )
        return float(self.motion.mouth[frame]) + 1.3 * parted

    def draw(self, picture: FloatArray, frame: int) -> None:
        """Draw the face of a frame of the grid into a (H, W, 3) float32 picture."""
        pose = self.pose(frame)
        box = self._box(pose, picture.shape[:2])
        if box is None:
            return
        field = self.skin(frame, tonic=False)
        self._draw_parts(frame, field)
        field += self._slow(frame)
        left, top, width, height, step = box
        texture, block = self.person.texture, step * _SPARSE
        # Places of the sparse grid: centers of blocks of block x block px, one more on every side.
        x = left + (np.arange(-1, width // block + 1, dtype=np.float32) + 0.5) * block - 0.5
        y = top + (np.arange(-1, height // block + 1, dtype=np.float32) + 0.5) * block - 0.5
        u, v, out, across = self.person.shape.seen(*pose.from_frame(x, y), pose.yaw, pose.pitch)
        coarse = self._larger(np.stack([u, v], axis=-1), _SPARSE)
        density = np.float32(texture.density)
        at = (coarse - np.array([texture.left, texture.top], np.float32)) * density
        skin_at = at - self.sample(field, coarse[..., 0], coarse[..., 1]) * density
        square = across * across
        gain = 1 - np.float32(0.22) * square * square + np.float32(self.light) * across
        cv2 = self.cv2
        maps = self._fine(skin_at, step)
        face = cv2.remap(self.pixels, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if self.overlay is not None:
            glass = cv2.remap(
                self.overlay, self._fine(at, step), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
            )
            cover = np.ascontiguousarray(glass[..., 3])
            face = cv2.blendLinear(np.ascontiguousarray(glass[..., :3]), face, cover, 1 - cover)
        face = cv2.multiply(face, self._fine(cv2.cvtColor(gain, cv2.COLOR_GRAY2RGB), block), dst=face)
        alpha = self._fine(out.astype(np.float32), block) * np.float32(
            pose.scale / (1 + 0.6 * pose.scale)
        ) + np.float32(0.5)
        alpha = np.clip(alpha, 0, 1, out=alpha)
        if self.mask is not None:
            alpha *= cv2.remap(self.mask, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        bottom, right = min(top + height, picture.shape[0]), min(left + width, picture.shape[1])
        part, inner = np.s_[top:bottom, left:right], np.s_[: bottom - top, : right - left]
        face, alpha = face[inner], alpha[inner]
        picture[part] = cv2.blendLinear(face, picture[part], alpha, 1 - alpha)
        self._smear(picture, part, frame, pose)

    def sample(self, field: FloatArray, u: FloatArray | Float64Array, v: FloatArray | Float64Array) -> FloatArray:
        """Displacement at places of the unrolled head: (..., 2) px."""
        x, y = ((k - g[0]) / GRID_STEP for k, g in ((u, GRID_X), (v, GRID_Y)))
        planes = [
            self.cv2.remap(
                plane,
                np.atleast_2d(x).astype(np.float32),
                np.atleast_2d(y).astype(np.float32),
                self.cv2.INTER_LINEAR,
                borderMode=self.cv2.BORDER_CONSTANT,
            )
            for plane in field
        ]
        return np.stack(planes, axis=-1).reshape(*u.shape, 2)

    def where(self, points: Float64Array, frame: int) -> Float64Array:
        """Where (N, 2) points of the resting face are seen in a frame, px of the frame."""
        pose, field = self.pose(frame), self.skin(frame)
        moved = points
        for _ in range(30):
            there = self.sample(field, moved[:, 0], moved[:, 1]).astype(np.float64)
            last, moved = moved, points + there
            if np.abs(moved - last).max() < 1e-4:
                break
        return pose.to_frame(self.person.shape.place(moved, pose.yaw, pose.pitch))

    def points68(self, frame: int) -> Float64Array | None:
        """The 68 points in a frame, lids and lips as they are: (68, 2) px, or None where they are not known."""
        points = self.person.points
        if points is None:
            return None
        at = points.copy()
        for start, shape, opening in zip(
            (36, 42), self.person.eyes, (self.motion.open_left, self.motion.open_right), strict=True
        ):
            for rows, lid in (((start + 1, start + 2), 0), ((start + 4, start + 5), 1)):
                for row in rows:
                    x = at[row : row + 1, 0]
                    at[row, 1] += float((shape.lids(x, float(opening[frame]))[lid] - shape.lids(x, 1.0)[lid])[0])
        opening_px = self.opening(frame)
        at = self.mouth.moved(at, opening_px)
        # The inner upper lip is the line's upper edge, the inner lower lip its lower one.
        line, up, down = self.mouth.edges(at[60:68, 0], opening_px)
        at[60:68, 1] = np.where(np.isin(np.arange(60, 68), (65, 66, 67)), line + down, line - up)
        return self.where(at, frame)

    def _box(self, pose: Pose, shape: tuple[int, int]) -> tuple[int, int, int, int, int] | None:
        """Left, top, width, height of the part of the frame that the head covers, and the coarse step; None outside."""
        left, top, right, bottom = _BOX
        nod = 112 * math.sin(math.radians(pose.pitch))
        corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]]) + np.array((0, nod))
        at = pose.to_frame(corners)
        low, high = np.floor(at.min(0)).astype(int), np.ceil(at.max(0)).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, (shape[1], shape[0]))
        if (high - low < 2).any():
            return None
        step = int(max(1, round(_COARSE * pose.scale)))
        block = step * _SPARSE
        width, height = (int(-(-(b - a) // block) * block) for a, b in zip(low, high, strict=True))
        return int(low[0]), int(low[1]), width, height, step

    def _larger(self, coarse: FloatArray, factor: int) -> FloatArray:
        """Values of a grid with a margin of one, on a grid finer by a factor, with a margin of one, too."""
        size = (coarse.shape[1] * factor, coarse.shape[0] * factor)
        fine = self.cv2.resize(coarse, size, interpolation=self.cv2.INTER_LINEAR)
        return np.asarray(fine[factor - 1 : 1 - factor or None, factor - 1 : 1 - factor or None])

    def _fine(self, coarse: FloatArray, step: int) -> FloatArray:
        """Values of a grid with a margin of one, at every px of the box."""
        return self._larger(coarse, step)[1:-1, 1:-1]

    def _field(self, act: Act) -> FloatArray:
        if id(act) not in self._fields:
            if len(self._fields) >= _KEPT:
                del self._fields[next(iter(self._fields))]
            if act.skin is None:
                raise TypeError("only expressions have a field")
            self._fields[id(act)] = act.skin.on_grid()
        return self._fields[id(act)]

    def _resting(self, rng: np.random.Generator) -> FloatArray:
        """A direction in which the resting face changes slowly: a displacement of 1 px."""
        draws = Draws(torch.Generator().manual_seed(int(rng.integers(2**62))))
        _, _, skin = draw_expression(SynthesisConfig(edge=(2.0, 2.0)), self.person.five, draws)
        return SkinField(skin.center, skin.motion, skin.radius).scaled(1 / skin.peak).on_grid()

    def _grid_of(self, eye: EyePart) -> tuple[FloatArray, FloatArray]:
        shape = (eye.height, eye.width)
        return (
            np.broadcast_to((eye.x - np.float32(GRID_X[0])) / np.float32(GRID_STEP), shape).copy(),
            np.broadcast_to((eye.y - np.float32(GRID_Y[0])) / np.float32(GRID_STEP), shape).copy(),
        )

    def _draw_parts(self, frame: int, field: FloatArray) -> None:
        """Draw eyes and mouth into the skin, where they are not as they were last drawn."""
        motion = self.motion
        gaze = (float(motion.gaze_x[frame]), float(motion.gaze_y[frame]))
        before = max(frame - 1, 0)
        for name, eye, grid, opening in zip(
            ("left", "right"), self.eyes, self._eye_grid, (motion.open_left, motion.open_right), strict=True
        ):
            x, y = grid
            skin = None
            row, column = int(y[len(y) // 2, 0]), int(x[0, x.shape[1] // 2])
            near = field[:, row - 4 : row + 5, column - 9 : column + 10]
            if max(float(near.max()), -float(near.min())) > 0.01:
                skin = np.stack([self.cv2.remap(p, x, y, self.cv2.INTER_LINEAR) for p in field])
            speed = abs(float(opening[frame] - opening[before])) * self.exposure * (eye.shape.up + eye.shape.down)
            state = (float(opening[frame]), *gaze, speed)
            if skin is not None or self._last.get(name) != state:
                eye.draw(self.pixels, float(opening[frame]), gaze, skin, speed)
                self._last[name] = state if skin is None else ()
        opening_px = self.opening(frame)
        if self._last.get("mouth") != (opening_px,):
            self._last["mouth"] = (opening_px,)
            self.mouth.draw(self.pixels, opening_px)

    def _smear(self, picture: FloatArray, part: tuple[slice, slice], frame: int, pose: Pose) -> None:
        """Blur of a head that moves while the shutter is open."""
        before = self.pose(max(frame - 1, 0))
        nose = [
            p.to_frame(np.array([[112 * math.sin(math.radians(p.yaw)), 112 * math.sin(math.radians(p.pitch))]]))[0]
            for p in (before, pose)
        ]
        way = (nose[1] - nose[0]) * self.exposure
        length = float(np.hypot(*way))
        if length < 1.0:
            return
        size = 2 * math.ceil(min(length, 40.0) / 2) + 1
        kernel = np.zeros((size, size), np.float32)
        unit = way / length * min(length, 40.0) / 2
        ends = [tuple(round((size // 2 + s * k) * 16) for k in unit) for s in (-1, 1)]
        self.cv2.line(kernel, ends[0], ends[1], 1.0, 1, self.cv2.LINE_AA, 4)
        picture[part] = self.cv2.filter2D(
            picture[part], -1, kernel / kernel.sum(), borderType=self.cv2.BORDER_REPLICATE
        )
