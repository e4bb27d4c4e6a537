"""The skin of a drawn face as a picture: the unrolled head, eyes open, mouth closed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from htnet.core.types import ByteArray, Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv
from htnet.synthesis.recordings.identity import RELIEF_AT, DrawnFace

#: Part of the unrolled head that is painted, px of a 224 px face: left, top, right, bottom.
EXTENT = (-250.0, -176.0, 250.0, 190.0)


@dataclass(frozen=True, eq=False)
class Texture:
    """A painted skin.

    Attributes:
        pixels: (H, W, 3) float32 RGB, 0 to 255.
        density: pixels for one px of a 224 px face.
        left: x of the first column, px of a 224 px face from the middle between the eyes.
        top: y of the first row.
        mask: (H, W) float32, how opaque it is; None where the head's outline says all.
        overlay: (H, W, 4) float32 RGB and opacity of glasses, which do not move with the skin; None without any.
    """

    pixels: FloatArray
    density: float
    left: float
    top: float
    mask: FloatArray | None = None
    overlay: FloatArray | None = None


def _covered(mask: FloatArray, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns in which a mask is not 0."""
    parts = []
    for axis in (1, 0):
        found = np.flatnonzero(np.abs(mask).max(axis=axis) > 0.002)
        parts.append(slice(max(0, found[0] - margin), found[-1] + 1 + margin) if len(found) else slice(0, 0))
    return parts[0], parts[1]


class Painter:
    """Paints one face at a density."""

    def __init__(self, face: DrawnFace, density: float) -> None:
        self.face, self.density = face, density
        self.rng = np.random.default_rng([face.seed, 1])
        left, top, right, bottom = EXTENT
        self.width, self.height = round((right - left) * density), round((bottom - top) * density)
        self.x = (left + np.arange(self.width, dtype=np.float32) / density)[None]
        self.y = (top + np.arange(self.height, dtype=np.float32) / density)[:, None]
        self.cv2 = load_opencv()
        self.picture: FloatArray = np.empty((self.height, self.width, 3), np.float32)

    def paint(self) -> Texture:
        """All of it."""
        self._skin()
        self._shade()
        self._marks()
        self._nose()
        self._lips()
        self._sockets()
        self._brows()
        self._beard()
        self._ears()
        self._hair()
        pixels = np.clip(self.picture, 2, 252)
        return Texture(pixels, self.density, *EXTENT[:2], overlay=self._glasses() if self.face.glasses else None)

    def noise(self, across: float, down: float | None = None) -> FloatArray:
        """Smooth noise of unit variance whose waves are this long, px of a 224 px face."""
        left, top, right, bottom = EXTENT
        shape = (int((bottom - top) / (down or across)) + 3, int((right - left) / across) + 3)
        coarse = self.rng.standard_normal(shape).astype(np.float32)
        found = self.cv2.resize(coarse, (self.width, self.height), interpolation=self.cv2.INTER_CUBIC)
        return np.asarray(found / 0.75)

    def blend(self, mask: FloatArray, color: Float64Array | FloatArray | tuple[float, ...]) -> None:
        """Paint a color, or the pixels of a picture, where a mask is 1."""
        part = _covered(mask)
        paint = np.asarray(color, np.float32)
        picture = self.picture[part]
        picture += self._thrice(mask[part]) * ((paint[part] if paint.ndim == 3 else paint) - picture)

    def darken(self, mask: FloatArray, strength: float) -> None:
        """Make it darker (or, below 0, lighter) where a mask is 1."""
        part = _covered(mask)
        self.picture[part] *= self._thrice(1 - strength * mask[part])

    def spot(self, x: float, y: float, rx: float, ry: float, edge: float = 2.0) -> FloatArray:
        """A Gaussian spot; a greater edge makes it flat with a steep rim."""
        across = np.exp(-0.5 * (np.abs(self.x - x) / rx) ** edge)
        down = np.exp(-0.5 * (np.abs(self.y - y) / ry) ** edge)
        return np.asarray(down * across, dtype=np.float32)

    def _thrice(self, mask: FloatArray) -> FloatArray:
        """A mask for each of the three colors: arrays of one shape are worked on faster than broadcast ones."""
        return np.asarray(self.cv2.cvtColor(np.ascontiguousarray(mask, np.float32), self.cv2.COLOR_GRAY2RGB))

    def area(self, points: Float64Array, soft: float) -> FloatArray:
        """A filled outline with a soft rim, px."""
        mask = np.zeros((self.height, self.width), np.uint8)
        self.cv2.fillPoly(mask, [self._fixed(points)], 255, self.cv2.LINE_AA, 4)
        return self._soft(mask, soft)

    def strokes(self, lines: list[Float64Array], thickness: float, soft: float) -> FloatArray:
        """Lines through points, px."""
        mask = np.zeros((self.height, self.width), np.uint8)
        wide = max(1, round(thickness * self.density))
        self.cv2.polylines(mask, [self._fixed(line) for line in lines], False, 255, wide, self.cv2.LINE_AA, 4)
        return self._soft(mask, soft)

    def _fixed(self, points: Float64Array) -> npt.NDArray[np.int32]:
        at = (np.asarray(points) - EXTENT[:2]) * self.density
        return np.asarray(np.round(at * 16).astype(np.int32))

    def _soft(self, mask: ByteArray, soft: float) -> FloatArray:
        out: FloatArray = mask.astype(np.float32) * np.float32(1 / 255)
        if soft <= 0 or not mask.any():
            return out
        rows, columns = _covered(out, math.ceil(4 * soft * self.density))
        out[rows, columns] = self.cv2.GaussianBlur(out[rows, columns], (0, 0), soft * self.density)
        return out

    def _skin(self) -> None:
        face = self.face
        self.picture[:] = face.colors["skin"]
        uneven = 0.5 * self.noise(60) + 0.4 * self.noise(22) + 0.3 * self.noise(9)
        pores = 0.6 * self.noise(2.6) + 0.8 * self.noise(1.3) + 0.5 * self.noise(0.8)
        gain = 1 + 0.018 * (0.5 + face.blotches) * uneven + (0.012 + 0.012 * face.blotches + 0.01 * face.age) * pores
        self.picture *= self._thrice(gain)
        red = np.zeros_like(uneven)
        for x, y, rx, ry in ((62, 42, 30, 24), (-62, 42, 30, 24), (0, 54, 16, 12), (0, 150, 24, 14)):
            red += self.spot(x, y, rx, ry)
        tint = np.array((1.03, 0.95, 0.95), np.float32) - 1
        flush = self._thrice(0.9 * red + 0.25 * self.noise(14))
        flush *= tint
        self.picture *= 1 + flush

    def _shade(self) -> None:
        """Light from above on the relief."""
        height = self.face.shape.relief
        down, across = np.gradient(height, RELIEF_AT[2])
        length = np.sqrt(1 + down**2 + across**2)
        light = (0.9 + 0.4 * down) / (0.9 * length**0.7)
        gloss = np.clip(light - 1.12, 0, 1) * 55
        left, top, step = RELIEF_AT
        maps = [
            np.broadcast_to((k - at) / step, (self.height, self.width)).astype(np.float32)
            for k, at in ((self.x, left), (self.y, top))
        ]
        for layer, add in ((light, False), (gloss, True)):
            wide = self.cv2.remap(
                layer.astype(np.float32), *maps, self.cv2.INTER_LINEAR, borderMode=self.cv2.BORDER_REPLICATE
            )
            if add:
                self.picture += self._thrice(wide)
            else:
                self.picture *= self._thrice(np.clip(wide, 0.5, 1.25))

    def _marks(self) -> None:
        """Wrinkles, moles, freckles."""
        face, rng = self.face, self.rng
        lines = []
        for row in range(3):
            y = -62 - 14 * row + rng.normal(0, 2)
            xs = np.linspace(-50, 50, 12)
            lines.append(np.stack([xs, y + 3 * np.cos(xs / 28 + rng.uniform(-1, 1)) + rng.normal(0, 0.6, 12)], axis=1))
        for sign in (-1, 1):
            for k in range(3):
                start = np.array([sign * 80, -4 + 6 * k])
                lines.append(np.stack([start, start + np.array((sign * 9, (k - 1) * 5))]))
            lines.append(np.array([[sign * 13, -20], [sign * 12, -32]]))
        self.darken(self.strokes(lines, 0.8, 0.9), 0.05 + 0.28 * face.age)
        folds = []
        for sign, corner in ((-1, face.points[48]), (1, face.points[54])):
            nose = np.array([sign * (abs(face.points[35, 0]) + 4), face.points[33, 1] - 8])
            middle = (nose + corner) / 2 + (sign * 6, -2)
            folds.append(np.stack([nose, middle, corner + np.array((sign * 7, 2))]))
        self.darken(self.strokes(folds, 2.0, 2.2), 0.12 + 0.3 * face.age)
        for _ in range(int(rng.poisson(3 * face.blotches))):
            self.blend(
                0.8
                * self.spot(rng.uniform(-80, 80), rng.uniform(-60, 150), rng.uniform(0.8, 2.2), rng.uniform(0.8, 2.2)),
                (70, 45, 38),
            )
        if face.blotches > 0.75:
            spots = self.spot(0, 40, 70, 30) * np.clip(self.noise(2.2) - 1.3, 0, 1)
            self.darken(spots, 0.35)

    def _nose(self) -> None:
        points = self.face.points
        base, half = points[33, 1], abs(points[35, 0])
        for sign in (-1, 1):
            self.darken(self.spot(sign * half * 0.48, base - 3.5, 4.6, 2.1, 2.5), 0.62)
            wing = np.array(
                [[sign * half * 0.86, base - 16], [sign * half * 1.12, base - 8], [sign * half * 0.9, base - 1]]
            )
            self.darken(self.strokes([wing], 1.4, 1.3), 0.27)
        self.darken(self.spot(0, base + 3, half * 1.0, 4), 0.13)
        self.darken(self.spot(0, base + 12, 4.0, 9), 0.06)

    def _lips(self) -> None:
        points, face = self.face.points, self.face
        upper = np.concatenate([points[48:55], points[[64, 63, 62, 61, 60]]])
        lower = np.concatenate([points[[48, 60, 67, 66, 65, 64, 54]], points[55:60]])
        ripple = 1 + 0.09 * self.noise(2.2, 14)
        for outline, gain in ((upper, 0.86), (lower, 1.04)):
            mask = self.area(outline, 0.9) * (0.75 + 0.25 * face.makeup)
            self.blend(mask, face.colors["lips"] * gain)
            self.darken(mask * (1 - ripple), 1.0)
        row = points[66, 1]
        self.darken(self.spot(0, row + 6, 14, 2.4), -0.12)
        line = np.concatenate([points[[48, 60, 61, 62, 63, 64, 54]]])
        self.darken(self.strokes([line], 1.3, 0.7), 0.62)
        for corner in points[[48, 54]]:
            self.darken(self.spot(corner[0], corner[1], 3.2, 2.4), 0.4)
        self.darken(self.spot(0, points[57, 1] + 5, 22, 3.5), 0.16)

    def _sockets(self) -> None:
        """Creases above the eyes and shadows below; the lids' edges follow the eyes and are drawn with them."""
        face = self.face
        for eye in (face.points[36:42], face.points[42:48]):
            center = eye.mean(0)
            self.darken(self.spot(center[0], center[1] - 6, 27, 12), 0.14 + 0.2 * face.makeup)
            self.darken(self.spot(center[0], center[1] + 14, 22, 4.5), 0.07 + 0.12 * face.age)
            crease = eye[:4] + np.array((0, -6.5))
            crease[[0, 3]] += (0, 2.0)
            self.darken(self.strokes([crease], 1.1, 0.8), 0.3)

    def _brows(self) -> None:
        face, rng = self.face, self.rng
        for brow in (face.points[17:22], face.points[22:27][::-1]):
            sign = 1 if brow[0, 0] < 0 else -1  # toward the inner end
            lines = []
            spread = 2.6 + 2.8 * face.brows
            for share in np.linspace(0, 1, 90):
                at = np.array([np.interp(share, np.linspace(0, 1, 5), brow[:, k]) for k in (0, 1)])
                thick = spread * np.sin(np.pi * min(0.93, 0.12 + 0.8 * share)) * 0.9
                start = at + np.array((rng.normal(0, 0.8), rng.uniform(-thick, thick)))
                length = rng.uniform(5, 9)
                lean = -0.5 + 0.45 * share if share < 0.85 else -0.9
                lines.append(np.stack([start, start + np.array((-sign * length, lean * length * 0.5 + length * 0.12))]))
            hair = self.strokes(lines, 0.75, 0.45)
            base = self.strokes([brow], spread * 1.1, 2.0)
            self.blend(
                np.clip(0.35 * face.brows * base + (0.35 + 0.45 * face.brows) * hair, 0, 0.95),
                face.colors["hair"] * 0.85,
            )

    def _beard(self) -> None:
        face = self.face
        if face.beard == "none":
            return
        cheek = np.clip((self.y - 62 - 0.0045 * (95 - np.abs(self.x)) ** 2 * 1.2) / 14, 0, 1)
        mouth = self.area(face.points[48:60], 2.5)
        lip = self.spot(0, face.points[51, 1] - 8, 30, 6, 3)
        chin = self.spot(0, face.points[8, 1] - 22, 24, 18, 3)
        where = {
            "stubble": np.maximum(cheek, lip),
            "moustache": lip,
            "full": np.maximum(cheek, lip),
            "goatee": np.maximum(chin, lip),
        }[face.beard]
        where = where * (np.abs(self.x) < 150) * (1 - np.clip(1.4 * mouth, 0, 1))
        streaks = 0.6 * self.noise(1.3, 5) + 0.5 * self.noise(0.9)
        thick = 0.3 if face.beard == "stubble" else 0.78
        self.blend(np.clip(where * (thick + 0.22 * streaks), 0, 0.92).astype(np.float32), face.colors["hair"] * 0.9 + 6)

    def _ears(self) -> None:
        wide = float(np.interp(20, self.face.shape.rows, self.face.shape.width))
        for sign in (-1, 1):
            x = sign * 1.26 * wide
            ear = self.spot(x, 18, 15, 30, 4)
            self.blend(ear, self.face.colors["skin"] * (0.95, 0.86, 0.84))
            self.darken(self.spot(x + sign * 2, 14, 7, 16, 3), 0.35)
            self.darken(np.clip(self.spot(x, 18, 18, 33, 6) - ear, 0, 1), 0.4)

    def _hair(self) -> None:
        face, rng = self.face, self.rng
        side = np.abs(self.x)
        line = {"receding": -118, "bald": -400, "fringe": -58 + 8 * rng.uniform(-1, 1), "buzzed": -98}.get(
            face.hair, -96
        )
        drop = {"long": 0.0052, "fringe": 0.0034}.get(face.hair, 0.0036)
        level = (
            line
            + drop * side**2
            + rng.uniform(-0.08, 0.08) * self.x
            + 3.0 * self.noise(12, 60)
            + 1.5 * self.noise(4, 60)
        )
        mask = np.clip((level - self.y) / 5 + 0.5, 0, 1)
        if face.hair in ("long", "fringe") and face.hair == "long":
            mask = np.maximum(mask, np.clip((side - 100 - 2 * self.noise(30, 60)) / 6, 0, 1))
        elif face.hair != "bald":
            burn = np.clip((side - 106) / 5, 0, 1) * np.clip((26 - self.y) / 6, 0, 1)
            ear = np.maximum(self.spot(1.26 * 112, 18, 17, 30, 6), self.spot(-1.26 * 112, 18, 17, 30, 6))
            back = np.clip((side - 160) / 5, 0, 1) * np.clip((80 - self.y) / 6, 0, 1)
            mask = np.maximum(mask, np.maximum(burn * (1 - ear), back))
        if face.hair == "buzzed":
            mask = mask * 0.6
        streaks = 0.5 * self.noise(2.2, 40) + 0.5 * self.noise(1.0, 25) + 0.35 * self.noise(8, 80)
        gloss = self.spot(-15 if face.seed % 2 else 15, -128, 70, 16)
        tone = np.clip(1 + 0.24 * streaks + 0.5 * gloss, 0.35, 2.2)
        self.darken(np.clip(np.roll(mask, round(5 * self.density), axis=0) - mask, 0, 1), 0.25)
        self.blend(mask.astype(np.float32), self._thrice(tone) * np.asarray(face.colors["hair"], np.float32))

    def _glasses(self) -> FloatArray:
        face, rng = self.face, self.rng
        layer = np.zeros((self.height, self.width, 4), np.float32)
        width, height = rng.uniform(31, 38), rng.uniform(20, 28)
        edge, thickness = float(rng.choice([2.4, 3.5, 6.0])), rng.uniform(1.2, 4.0)
        rim = np.zeros((self.height, self.width), np.float32)
        glass = np.zeros_like(rim)
        for eye in (face.points[36:42], face.points[42:48]):
            x, y = eye.mean(0) + np.array((0, 3))
            angle = np.linspace(0, 2 * np.pi, 60)
            power = 2 / edge
            outline = np.stack(
                [
                    np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power * width,
                    np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power * height,
                ],
                axis=1,
            ) + np.array((x, y))
            rim = np.maximum(rim, self.strokes([outline], thickness, 0.5))
            glass = np.maximum(glass, self.area(outline, 0.6))
            outer = np.sign(x)
            arm = np.array([[x + outer * width, y - 6], [outer * 140, y - 9], [outer * 170, y]])
            rim = np.maximum(rim, self.strokes([arm], thickness, 0.5))
        bridge = np.array([[-49 + width, -2], [0, -7], [49 - width, -2]])
        rim = np.maximum(rim, self.strokes([bridge], thickness, 0.5))
        shine = glass * np.clip(self.spot(-35, -8, 14, 8) + self.spot(62, -8, 14, 8), 0, 1) * rng.uniform(0.0, 0.25)
        frame = rng.choice([15, 40, 90, 150]) * np.array([1, rng.uniform(0.7, 1), rng.uniform(0.5, 1)])
        layer[..., :3] = np.where(rim[..., None] > 0.02, frame, 245)
        layer[..., 3] = np.clip(rim + shine + 0.03 * glass, 0, 1)
        return layer
