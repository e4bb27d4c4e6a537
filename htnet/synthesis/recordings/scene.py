"""What is behind a face: a room that does not move, and the body below the head."""

from __future__ import annotations

import numpy as np

from htnet.core.types import Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv

#: The body's picture, px of a 224 px face from the middle between the eyes: left, top, right, and the least bottom.
_BODY = (-330.0, -130.0, 330.0, 520.0)


def paint_room(rng: np.random.Generator, width: int, height: int, soft: float) -> FloatArray:
    """A background with structure: (H, W, 3) float32 RGB.

    Args:
        rng: where randomness comes from.
        width: px.
        height: px.
        soft: blur of the lens there, px.
    """
    cv2 = load_opencv()
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    wall = rng.uniform(50, 215) * (1 + rng.normal(0, 0.06, 3))
    room = np.empty((height, width, 3), np.float32)
    light = 1 + rng.uniform(-0.25, 0.25) * x + rng.uniform(-0.25, 0.25) * y
    room[:] = wall.astype(np.float32) * light[..., None]
    scale = height / 480
    style = rng.choice(["plain", "shelf", "posters", "window", "pattern"])
    if style == "shelf":
        for top in np.arange(rng.uniform(-40, 30), 480, rng.uniform(70, 130)):
            at = rng.uniform(-20, 10)
            while at < width / scale:
                wide, tall = rng.uniform(6, 26), rng.uniform(35, 62)
                low, high = (
                    (round(at * scale), round((top + 66 - tall) * scale)),
                    (round((at + wide) * scale), round((top + 66) * scale)),
                )
                cv2.rectangle(room, low, high, rng.uniform(20, 220, 3).tolist(), -1)
                at += wide + rng.uniform(0, 5)
            cv2.rectangle(
                room, (0, round((top + 66) * scale)), (width, round((top + 72) * scale)), (wall * 0.55).tolist(), -1
            )
    elif style in ("posters", "window"):
        for _ in range(int(rng.integers(1, 5))):
            px, py = rng.uniform(0, width), rng.uniform(0, height * 0.7)
            wide, tall = rng.uniform(60, 240) * scale, rng.uniform(60, 240) * scale
            color = rng.uniform(225, 250, 3) if style == "window" else rng.uniform(20, 230, 3)
            cv2.rectangle(room, (int(px), int(py)), (int(px + wide), int(py + tall)), color.tolist(), -1)
            for _ in range(int(rng.integers(0, 6))):
                ends = rng.uniform(0, 1, (2, 2)) * (wide, tall) + (px, py)
                cv2.line(
                    room, *(tuple(map(int, e)) for e in ends), rng.uniform(20, 230, 3).tolist(), int(rng.integers(1, 9))
                )
    elif style == "pattern":
        period, angle = rng.uniform(12, 60) * scale, rng.uniform(0, np.pi)
        wave = np.sin((x * width / 2 * np.cos(angle) + y * height / 2 * np.sin(angle)) * 2 * np.pi / period)
        room += rng.uniform(5, 30) * (wave if rng.random() < 0.5 else np.sign(wave))[..., None]
    for cells, size in ((5, 12), (20, 5), (80, 2.5)):
        coarse = rng.standard_normal((cells, cells * 4 // 3, 1)) + 0.25 * rng.standard_normal(
            (cells, cells * 4 // 3, 3)
        )
        coarse = coarse.astype(np.float32)
        room += size * rng.uniform(0.3, 1.2) * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    blur = np.hypot(soft, rng.choice([0.6, 1.5, 4.0]) * scale)
    return np.clip(cv2.GaussianBlur(room, (0, 0), float(blur)), 3, 250).astype(np.float32)


class Body:
    """Neck, shoulders and long hair of a person.

    Args:
        skin: RGB.
        shirt: RGB.
        hair: RGB of hair that falls behind the neck; None for none.
        jaw: half of the width of the jaw, px of a 224 px face.
        scale: px of the frame for one px of a 224 px face.
        reach: how far below the eyes it goes on, px of the frame.
        soft: blur of the lens, px of the frame.
        rng: where randomness comes from.
    """

    def __init__(
        self,
        skin: Float64Array,
        shirt: Float64Array,
        hair: Float64Array | None,
        jaw: float,
        scale: float,
        reach: float,
        soft: float,
        rng: np.random.Generator,
    ) -> None:
        self.cv2, self.scale = load_opencv(), scale
        left, top, right, least = _BODY
        bottom = max(least, reach / scale)
        width, height = round((right - left) * scale), round((bottom - top) * scale)
        color, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
        self._scale, self._origin = scale, np.array([left, top])
        slope = rng.uniform(55, 95)
        if hair is not None:
            self._fill(
                color, cover, [(-122, -60), (122, -60), (136, 150), (120, 250), (-120, 250), (-136, 150)], hair * 0.7
            )
        self._fill(
            color,
            cover,
            [(-jaw, 70), (jaw, 70), (jaw * 0.95, 190), (jaw * 1.3, 235), (-jaw * 1.3, 235), (-jaw * 0.95, 190)],
            skin * 0.72,
        )
        shoulder = [
            (-jaw * 1.15, 205),
            (-jaw * 0.4, 238),
            (jaw * 0.4, 238),
            (jaw * 1.15, 205),
            (190, 205 + slope * 0.6),
        ]
        shoulder += [
            (265, 205 + slope * 1.6),
            (300, bottom + 9),
            (-300, bottom + 9),
            (-265, 205 + slope * 1.6),
            (-190, 205 + slope * 0.6),
        ]
        before = cover.copy()
        self._fill(color, cover, shoulder, shirt)
        cloth = rng.standard_normal((round(bottom / 9), 50)).astype(np.float32)
        folds = self.cv2.resize(cloth, (width, height), interpolation=self.cv2.INTER_CUBIC)
        color *= (1 + 0.05 * folds * (cover - before + 0.1))[..., None]
        blur = float(np.hypot(0.7, soft))
        self.color = self.cv2.GaussianBlur(np.clip(color, 0, 250), (0, 0), blur)
        self.cover = self.cv2.GaussianBlur(cover, (0, 0), blur)

    def _fill(
        self, color: FloatArray, cover: FloatArray, outline: list[tuple[float, float]], paint: Float64Array
    ) -> None:
        at = np.round((np.array(outline) - self._origin) * self._scale * 16).astype(np.int32)
        mask = np.zeros(cover.shape, np.uint8)
        self.cv2.fillPoly(mask, [at], 255, self.cv2.LINE_AA, 4)
        share = mask.astype(np.float32) / 255
        # The color goes on beyond the rim, so the blurred rim has no dark edge.
        color += (share[..., None] if cover.any() else np.float32(1)) * (np.asarray(paint, np.float32) - color)
        np.maximum(cover, share, out=cover)

    def draw(self, picture: FloatArray, x: float, y: float, scale: float) -> None:
        """Draw it below a head: x, y and scale as of `Pose`."""
        factor = scale / self.scale
        matrix = np.array([[factor, 0, x + self._origin[0] * scale], [0, factor, y + self._origin[1] * scale]])
        size = (picture.shape[1], picture.shape[0])
        color = self.cv2.warpAffine(
            self.color, matrix, size, flags=self.cv2.INTER_LINEAR, borderMode=self.cv2.BORDER_REPLICATE
        )
        cover = self.cv2.warpAffine(self.cover, matrix, size, flags=self.cv2.INTER_LINEAR)
        picture[:] = self.cv2.blendLinear(color, picture, cover, 1 - cover)
