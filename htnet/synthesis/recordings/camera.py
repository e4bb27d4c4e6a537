"""What a camera makes of a scene: brightness over time, flicker of lamps, noise, focus, contrast."""

from __future__ import annotations

import math

import numpy as np

from htnet.core.types import ByteArray, Float64Array, FloatArray
from htnet.preprocess.opencv import load_opencv
from htnet.synthesis.recordings.config import RecordingConfig
from htnet.synthesis.recordings.motion import drift
from htnet.synthesis.recordings.script import between
from htnet.synthesis.recordings.skin import ease

#: Values of noise that every frame takes a part of, from a place of its own; beyond those of one frame.
_SPARE = 1 << 20


class Camera:
    """Exposes the frames of a recording.

    Args:
        config: how cameras vary.
        fps: of the grid.
        at: time of each frame of the grid, s.
        size: width and height, px.
        rng: where randomness comes from.

    Attributes:
        exposure: share of a frame's time that the shutter is open.
        soft: blur of the lens, px.
        noise: standard deviation of a pixel's noise, gray levels.
        flicker: frequency of the lamps' flicker, Hz: 100, 120, or 0 for none.
        depth: amplitude of the flicker that the exposure leaves, relative.
        brightness: (T,) factor of each frame of the grid, without flicker.
        contrast: factor of the contrast.
    """

    def __init__(
        self, config: RecordingConfig, fps: float, at: Float64Array, size: tuple[int, int], rng: np.random.Generator
    ) -> None:
        self.fps, self.at, self.size = fps, at, size
        self.exposure = between(rng, config.exposure)
        self.soft = between(rng, config.focus)
        self.noise = between(rng, config.noise)
        self.grain = between(rng, config.noise_grain)
        self.readout = between(rng, config.readout)
        mains, depth = float(rng.choice([50.0, 60.0])), between(rng, config.flicker_depth)
        self.phase = float(rng.uniform(0, 2 * math.pi))
        self.flicker = 2 * mains if rng.random() < config.flicker else 0.0
        # An open shutter averages the lamps' brightness.
        self.depth = depth * float(np.sinc(self.flicker * self.exposure / fps)) if self.flicker else 0.0
        self.brightness = self._brightness(config, rng)
        low = rng.random() < config.low_contrast
        self.contrast = between(rng, config.contrast) if low else float(rng.uniform(0.85, 1.05))
        self.middle = float(rng.uniform(90, 150))
        self.hunts = self._hunts(rng) if rng.random() < config.focus_hunt else []
        self.seed = int(rng.integers(2**31))
        self._pool: FloatArray | None = None

    def gain(self, frame: int) -> FloatArray:
        """Brightness of each row in a frame of the grid, (H,): lamps flicker while the shutter rolls."""
        height = self.size[1]
        if not self.depth:
            return np.full(height, self.brightness[frame], np.float32)
        moments = self.at[frame] + np.arange(height) / height * self.readout / self.fps
        wave = 1 + self.depth * np.cos(2 * math.pi * self.flicker * moments + self.phase)
        return (self.brightness[frame] * wave).astype(np.float32)

    def expose(self, picture: FloatArray, frame: int) -> ByteArray:
        """The frame that the sensor gives: (H, W, 3) uint8."""
        cv2 = load_opencv()
        blur = sum(size * max(0.0, 1 - abs(frame - middle) / width) for middle, width, size in self.hunts)
        if blur > 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), blur)
        gain, factor = self.gain(frame), self.contrast
        if self.depth:
            picture = (picture.reshape(len(picture), -1) * gain[:, None]).reshape(picture.shape)
        else:
            factor *= float(gain[0])
        offset = self.middle * (1 - self.contrast)
        if self.noise <= 0:
            return np.asarray(cv2.addWeighted(picture, factor, picture, 0.0, offset, dtype=cv2.CV_8U))
        noise = self._noise(frame)
        return np.asarray(cv2.addWeighted(picture, factor, noise, self.noise, offset, dtype=cv2.CV_8U))

    def _noise(self, frame: int) -> FloatArray:
        """Unit noise of a frame, (H, W, 3): a part of one large pool, from a place of its own."""
        width, height = self.size
        count = width * height * 3
        if self._pool is None:
            rows = -(-(count + _SPARE) // (3 * width))
            pool = np.random.default_rng(self.seed).standard_normal((rows, width, 3), dtype=np.float32)
            if self.grain > 0.25:
                pool = load_opencv().GaussianBlur(pool, (0, 0), self.grain)
                pool /= pool.std()
            self._pool = pool.reshape(-1)
        start = 3 * int(np.random.default_rng([self.seed, frame]).integers(_SPARE // 3))
        return self._pool[start : start + count].reshape(height, width, 3)

    def _brightness(self, config: RecordingConfig, rng: np.random.Generator) -> FloatArray:
        at = self.at
        level = 1 + drift(rng, at, between(rng, config.exposure_drift), (0.02, 0.3))
        minutes = (at[-1] - at[0]) / 60
        for _ in range(int(rng.poisson(between(rng, config.exposure_steps) * minutes))):
            moment, length = rng.uniform(at[0], at[-1]), between(rng, config.exposure_time)
            step = between(rng, config.exposure_step) * rng.choice((-1, 1))
            # Every step is taken back sooner or later: an exposure stays near what it should be.
            back = moment + length + rng.exponential(8.0)
            level *= 1 + step * (ease((at - moment) / length) - ease((at - back) / length))
        return np.asarray(level, dtype=np.float32)

    def _hunts(self, rng: np.random.Generator) -> list[tuple[float, float, float]]:
        """Moments at which the focus is lost: middle and half length in frames, blur in px."""
        count = 1 + int(rng.poisson(len(self.at) / self.fps / 60))
        scale = self.size[1] / 480
        return [
            (
                float(rng.uniform(0, len(self.at))),
                float(rng.uniform(0.15, 0.6) * self.fps),
                float(rng.uniform(0.6, 2.5) * scale),
            )
            for _ in range(count)
        ]
