"""Eyes that close and look aside, a mouth that opens: drawn anew into the skin's picture for each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv
from htnet.synthesis.recordings.head import Values
from htnet.synthesis.recordings.paint import Texture

#: Skin of the upper lid that is seen while the eye is open, px: what covers the eye is this, stretched.
_LID = 8.0
#: How far an iris can go from its place, px.
_REACH = 12.0
#: Radius of an iris: 5.9 mm where the eyes are 61 mm apart, px.
_IRIS = 9.4


@dataclass(frozen=True)
class EyeShape:
    """An open eye, px of a 224 px face from the middle between the eyes.

    Attributes:
        x: of its middle.
        y: the same downward, on the line between its corners.
        half: half of its width.
        up: height of the upper lid above that line.
        down: depth of the lower lid below it.
        slant: rise of that line, px for one px to the right.
    """

    x: float
    y: float
    half: float
    up: float
    down: float
    slant: float = 0.0

    @classmethod
    def of(cls, points: Float64Array) -> EyeShape:
        """The shape of an eye's six points in the order of iBUG 300-W."""
        left, right = points[0], points[3]
        middle = (left + right) / 2
        line = np.interp(points[:, 0], [left[0], right[0]], [left[1], right[1]])
        up = (line - points[:, 1])[1:3].mean() / 0.86
        down = (points[:, 1] - line)[4:6].mean() / 0.86
        slant = float((right[1] - left[1]) / (right[0] - left[0]))
        half = float(right[0] - left[0]) / 2
        return cls(float(middle[0]), float(middle[1]), half, float(up), float(down), slant)

    def profile(self, x: Values) -> Values:
        """Height of a lid along the eye: 1 in its middle, 0 at its corners and beyond."""
        return (np.clip(1 - ((x - self.x) / self.half) ** 2, 0, 1) ** 0.65).astype(x.dtype)

    def lids(self, x: Values, opening: float) -> tuple[Values, Values]:
        """Edges of the upper and of the lower lid; an opening of 1 is the open eye, 0 closed."""
        line, profile = self.y + self.slant * (x - self.x), self.profile(x)
        lower = line + self.down * profile * (0.75 + 0.25 * min(opening, 1.0))
        closed = line + self.down * profile * 0.75
        upper = closed + (line - self.up * profile - closed) * opening
        return upper.astype(x.dtype), np.maximum(lower, closed).astype(x.dtype)


class EyePart:
    """One eye of a texture.

    Args:
        texture: the skin.
        shape: of the eye.
        iris: RGB of the iris; None where the texture shows the eye already.
        rng: for the iris's pattern.
        lashes: how dark the edges of the lids are.
        soft: softness of edges, pixels of the texture.
    """

    def __init__(
        self,
        texture: Texture,
        shape: EyeShape,
        iris: Float64Array | None,
        rng: np.random.Generator,
        lashes: float,
        soft: float,
    ) -> None:
        self.shape, self.density, self.soft, self.lashes, self.drawn = (
            shape,
            texture.density,
            soft,
            lashes,
            iris is not None,
        )
        k = texture.density
        self.column = round((shape.x - shape.half - 6 - texture.left) * k)
        self.row = round((shape.y - shape.up - _LID - 6 - texture.top) * k)
        self.width, self.height = round((2 * shape.half + 12) * k), round((shape.up + shape.down + _LID + 14) * k)
        self.x = (texture.left + (self.column + np.arange(self.width, dtype=np.float32)) / k)[None]
        self.y = (texture.top + (self.row + np.arange(self.height, dtype=np.float32)) / k)[:, None]
        self.area = np.s_[self.row : self.row + self.height, self.column : self.column + self.width]
        self.skin = texture.pixels[self.area].copy()
        self.at_x = np.broadcast_to(np.arange(self.width, dtype=np.float32), (self.height, self.width)).copy()
        self.at_y = np.broadcast_to(np.arange(self.height, dtype=np.float32)[:, None], self.at_x.shape).copy()
        self.pad = int(np.ceil(_REACH * k))
        self.ball = self._ball(iris, rng) if iris is not None else self._given(texture)
        self.cv2 = load_opencv()
        # The light's reflection stays where it is when the eye turns.
        shine = np.exp(-0.5 * (((self.x - shape.x + 2.5) / 1.3) ** 2 + ((self.y - shape.y + 4.6) / 1.3) ** 2))
        self.shine = self._thrice(150 * shine)

    def draw(
        self, pixels: FloatArray, opening: float, gaze: tuple[float, float], skin: FloatArray | None, haste: float
    ) -> None:
        """Draw it into the texture's pixels.

        Args:
            pixels: of the texture.
            opening: 1 is open, 0 closed.
            gaze: displacement of the iris, px of a 224 px face.
            skin: (2, h, w) displacement of the skin here, which the eyeball does not follow; None where none is.
            haste: how far the lid moves while the shutter is open, px; its edge is blurred by as much.
        """
        k, shape = self.density, self.shape
        upper, lower = shape.lids(self.x, opening)
        open_at, _ = shape.lids(self.x, 1.0)
        crease = open_at - _LID
        # The lid's skin between crease and edge is stretched down to where the edge is now.
        margin = 1.6 * shape.profile(self.x)
        stretch = (_LID - margin) / np.maximum(upper - crease, 1.0)
        above = self.y - crease
        source = np.where((above > 0) & (self.y < lower), crease + above * stretch, self.y)
        source = np.where(self.y >= upper, np.minimum(source, open_at - margin), source)
        source = np.where(self.y >= lower, self.y, source)
        rows = self.at_y + (source - self.y) * k
        lid = self.cv2.remap(
            self.skin, self.at_x, rows.astype(np.float32), self.cv2.INTER_LINEAR, borderMode=self.cv2.BORDER_REPLICATE
        )
        width = max(self.soft, 1.0) + haste * k
        mask = np.clip((self.y - upper) * (k / width) + 0.5, 0, 1) * np.clip(
            (lower - self.y) * (k / max(self.soft, 1.0)) + 0.5, 0, 1
        )
        if opening > 0.02 and mask.any():
            x, y = self.at_x + self.pad, self.at_y + self.pad
            dx, dy = (np.float32(np.clip(g, -_REACH + 1, _REACH - 1) * k) for g in gaze)
            if self.drawn:
                x, y = x - dx, y - dy
            else:
                # In a given picture the iris is moved as a soft patch, the white stays.
                near = np.exp(
                    -0.5
                    * (((self.x - shape.x) / (0.45 * shape.half)) ** 2 + ((self.y - shape.y) / (1.2 * shape.up)) ** 2)
                    ** 1.5
                )
                x, y = x - dx * near, y - dy * near
            if skin is not None:
                x, y = x + skin[0] * k, y + skin[1] * k
            ball = self.cv2.remap(
                self.ball,
                x.astype(np.float32),
                y.astype(np.float32),
                self.cv2.INTER_LINEAR,
                borderMode=self.cv2.BORDER_REPLICATE,
            )
            if self.drawn:
                ball *= self._thrice(1 - 0.45 * np.exp(-np.maximum(self.y - upper, 0) / 2.6))
                ball += self.shine
            lid += self._thrice(mask) * (ball - lid)
        dark = self.lashes if self.drawn else self.lashes * min(1.0, max(0.0, 1.2 - 1.2 * opening))
        if dark > 0.01:
            inside = np.clip(1.15 - np.abs(self.x - shape.x) / shape.half, 0, 0.15) / 0.15
            thick = 1.25 + 0.5 * haste
            line = np.exp(-(((self.y - upper) / thick) ** 2)) * inside * dark * (1.25 / thick)
            line += np.exp(-(((self.y - lower - 0.6) / 1.1) ** 2)) * inside * 0.3 * dark
            lid *= self._thrice(1 - np.clip(line, 0, 0.95))
        pixels[self.area] = np.clip(lid, 2, 253)

    def _thrice(self, mask: FloatArray) -> FloatArray:
        """A mask for each of the three colors."""
        return np.asarray(self.cv2.cvtColor(np.ascontiguousarray(mask, np.float32), self.cv2.COLOR_GRAY2RGB))

    def _ball(self, iris: Float64Array, rng: np.random.Generator) -> FloatArray:
        """A drawn eyeball that looks ahead, with a margin of `_REACH` on every side."""
        k, shape, pad = self.density, self.shape, self.pad
        x = (np.arange(self.width + 2 * pad) - pad) / k + self.x[0, 0] - shape.x
        y = ((np.arange(self.height + 2 * pad) - pad) / k + self.y[0, 0] - shape.y + 0.2 * shape.up)[:, None]
        away = np.hypot(x[None], y)
        angle = np.arctan2(y, x[None])
        # As bright as the light on the skin around it allows.
        white = np.array((218, 208, 202)) * rng.uniform(0.84, 1.0) * np.clip(0.5 + self.skin.mean() / 320, 0.6, 1.0)
        ball = white * np.clip(1.04 - (away / (1.35 * shape.half)) ** 2, 0.35, 1)[..., None]
        ball[..., 1:] -= (10 * np.clip(away / shape.half - 0.5, 0, 1))[..., None]
        waves = rng.integers(9, 24, 4)
        phases = rng.uniform(0, 6, 4)
        pattern = sum(np.cos(w * angle + p) for w, p in zip(waves, phases, strict=True)) / 4
        inner = iris * (1.0 + 0.25 * pattern[..., None] - 0.5 * (np.clip(away / _IRIS, 0, 1.2)[..., None] ** 6))
        edge = np.clip((_IRIS - away) * 0.9 + 0.5, 0, 1)[..., None]
        ball += edge * (inner - ball)
        pupil = rng.uniform(3.0, 4.6)
        ball += np.clip((pupil - away) * 0.9 + 0.5, 0, 1)[..., None] * (14 - ball)
        ball = ball.astype(np.float32)
        return np.asarray(load_opencv().GaussianBlur(ball, (0, 0), max(self.soft, 0.6)))

    def _given(self, texture: Texture) -> FloatArray:
        """The eye that a given picture shows, with the same margin."""
        rows = np.clip(np.arange(self.row - self.pad, self.row + self.height + self.pad), 0, len(texture.pixels) - 1)
        columns = np.clip(
            np.arange(self.column - self.pad, self.column + self.width + self.pad), 0, texture.pixels.shape[1] - 1
        )
        return np.ascontiguousarray(texture.pixels[rows[:, None], columns])


class MouthPart:
    """The mouth of a texture: lips that part before teeth and tongue.

    Args:
        texture: the skin.
        line: (N, 2) points where the lips meet, from left to right, px of a 224 px face.
        rng: for the teeth.
        soft: softness of edges, pixels of the texture.
    """

    #: How far above and below the line the skin is drawn along, px.
    ABOVE, BELOW = 30.0, 58.0
    #: Share of the opening that the upper lip makes.
    UPPER = 0.25

    def __init__(self, texture: Texture, line: Float64Array, rng: np.random.Generator, soft: float) -> None:
        k = texture.density
        self.density, self.soft, self.line = k, soft, line
        self.left, self.right = float(line[0, 0]), float(line[-1, 0])
        middle = float(np.median(line[:, 1]))
        self.top, self.bottom = middle - self.ABOVE, middle + self.BELOW
        self.column, self.row = round((self.left - 4 - texture.left) * k), round((self.top - texture.top) * k)
        self.width, self.height = round((self.right - self.left + 8) * k), round((self.ABOVE + self.BELOW) * k)
        self.x = (texture.left + (self.column + np.arange(self.width, dtype=np.float32)) / k)[None]
        self.y = (texture.top + (self.row + np.arange(self.height, dtype=np.float32)) / k)[:, None]
        self.area = np.s_[self.row : self.row + self.height, self.column : self.column + self.width]
        self.skin = texture.pixels[self.area].copy()
        self.at_x = np.broadcast_to(np.arange(self.width, dtype=np.float32), (self.height, self.width)).copy()
        self.at_y = np.broadcast_to(np.arange(self.height, dtype=np.float32)[:, None], self.at_x.shape).copy()
        self.inside = self._inside(rng)
        self.cv2 = load_opencv()

    def edges(self, x: Float64Array | FloatArray, opening: float) -> tuple[Float64Array, Float64Array, Float64Array]:
        """The line where the lips meet, and how far the upper and the lower lip are from it, px."""
        line = np.interp(x, self.line[:, 0], self.line[:, 1])
        middle, half = (self.left + self.right) / 2, (self.right - self.left) / 2
        gap = opening * np.clip(1 - ((x - middle) / half) ** 2, 0, 1) ** 1.2
        return line, gap * self.UPPER, gap * (1 - self.UPPER)

    def draw(self, pixels: FloatArray, opening: float) -> None:
        """Draw it into the texture's pixels; the opening in px of a 224 px face."""
        if opening <= 0.01:
            pixels[self.area] = self.skin
            return
        line, up, down = (v.astype(np.float32) for v in self.edges(self.x, opening))
        y, top, bottom = self.y, np.float32(self.top), np.float32(self.bottom)
        upper = top + (y - top) * (line - top) / (line - up - top)
        lower = bottom - (bottom - y) * (bottom - line) / (bottom - line - down)
        source = np.where(y < line - up, upper, np.where(y > line + down, lower, line))
        rows = self.at_y + (source - y) * self.density
        out = self.cv2.remap(
            self.skin, self.at_x, rows.astype(np.float32), self.cv2.INTER_LINEAR, borderMode=self.cv2.BORDER_REPLICATE
        )
        width = max(self.soft, 1.0)
        mask = np.clip((y - line + up) * (self.density / width) + 0.5, 0, 1)
        mask *= np.clip((line + down - y) * (self.density / width) + 0.5, 0, 1)
        mask *= np.clip((up + down) * self.density, 0, 1)
        shade = 0.45 + 0.55 * np.clip((y - line + up) / 5, 0, 1)
        out += mask[..., None] * (self.inside * shade[..., None] - out)
        pixels[self.area] = out

    def moved(self, points: Float64Array, opening: float) -> Float64Array:
        """Where (N, 2) points of the closed mouth's skin lie when it is open: the inverse of what `draw` looks up."""
        line, up, down = self.edges(points[:, 0], opening)
        x, y = points.T
        within = (x > self.left) & (x < self.right) & (y > self.top) & (y < self.bottom)
        upper = self.top + (y - self.top) * (line - up - self.top) / (line - self.top)
        lower = self.bottom - (self.bottom - y) * (self.bottom - line - down) / (self.bottom - line)
        return np.stack([x, np.where(within, np.where(y <= line, upper, lower), y)], axis=1)

    def _inside(self, rng: np.random.Generator) -> FloatArray:
        """Teeth of the upper jaw, which do not move, and the tongue."""
        line = np.interp(self.x, self.line[:, 0], self.line[:, 1])
        middle, half = (self.left + self.right) / 2, (self.right - self.left) / 2
        inside = np.full((self.height, self.width, 3), (58, 22, 22), np.float32) * np.float32(rng.uniform(0.7, 1.2))
        tongue = np.exp(-0.5 * (((self.x - middle) / (0.5 * half)) ** 2 + ((self.y - line - 12) / 5) ** 2))
        inside += tongue[..., None] * (np.array((158, 78, 78), np.float32) - inside)
        reach = rng.uniform(1.0, 5.5)
        teeth = (
            np.clip((line + reach - self.y) / 1.2 + 0.5, 0, 1)
            * np.clip(1.15 - np.abs(self.x - middle) / (0.85 * half), 0, 0.3)
            / 0.3
        )
        gaps = 1 - 0.22 * np.exp(-((((self.x - middle) % 7.5) / 0.7) ** 2))
        bright = rng.uniform(0.82, 1.0) * np.clip(0.5 + self.skin.mean() / 320, 0.6, 1.0)
        color = np.array((226, 218, 200), np.float32) * np.float32(bright)
        inside += teeth[..., None] * (color * gaps[..., None] - inside)
        return np.asarray(inside, dtype=np.float32)
