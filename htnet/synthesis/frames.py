"""A given face that shows a generated micro-expression: pairs of frames and short clips, with the true flow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from htnet.core.errors import InputError, LandmarkError
from htnet.core.fields import whole
from htnet.core.types import EMOTIONS, ByteArray, FloatArray, Landmarks
from htnet.preprocess import FrameSource, read_frame
from htnet.preprocess.flow.warp import sample_cubic
from htnet.synthesis.config import SynthesisConfig
from htnet.synthesis.draw import Bumps, Draws, draw_scenes, template_reach

#: Steps of the fixed point that inverts a displacement: each makes the error smaller by the field's steepness.
_INVERSION_STEPS = 16
#: Change of a step, px, at which the inversion ends.
_NEAR_ENOUGH = 1e-3
#: Steepest displacement, px from one pixel to the next, that is shown: at 1 the skin would fold over.
_STEEPEST = 0.6
_RATES = (20.0, 2000.0)
_MOST_SEED = 2**31


@dataclass(frozen=True, eq=False)
class SyntheticPair:
    """Onset and apex of one generated micro-expression.

    Attributes:
        onset: (H, W, 3) uint8, RGB.
        apex: (H, W, 3) uint8, RGB.
        flow: (2, H, W) float32, the true motion from onset to apex, px; u to the right, v downward.
        emotion: one of `htnet.types.EMOTIONS`.
        units: (15, 2) float32, see `SyntheticFlows.units`.
        landmarks: the five points in px of the onset.
    """

    onset: ByteArray
    apex: ByteArray
    flow: FloatArray
    emotion: str
    units: FloatArray
    landmarks: Landmarks


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """A generated clip of T frames.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames per second.
        onset: last frame before anything moves.
        apex: frame of the strongest expression.
        offset: first frame at which the expression is over. Head and eyes stay where they went by the apex.
        emotion: one of `htnet.types.EMOTIONS`.
        units: (15, 2) float32 at the apex, see `SyntheticFlows.units`.
        landmarks: the five points in px of the first frame.
        parts: (3, 2, H, W) float32, px: what skin, eyes and head add to the flow.
        courses: (T, 3) float32, how much of each part there is in each frame.
    """

    frames: ByteArray
    fps: float
    onset: int
    apex: int
    offset: int
    emotion: str
    units: FloatArray
    landmarks: Landmarks
    parts: FloatArray
    courses: FloatArray

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def flow(self, number: int | None = None) -> FloatArray:
        """True motion from the onset to a frame (the apex, unless given): (2, H, W) float32, px."""
        course = self.courses[self.apex if number is None else number]
        return np.einsum("p,pchw->chw", course, self.parts).astype(np.float32)


def synthesize_pairs(
    face: FrameSource,
    landmarks: Landmarks | npt.ArrayLike,
    count: int,
    seed: int = 0,
    config: SynthesisConfig | None = None,
) -> list[SyntheticPair]:
    """Frames of a face before and at the apex of generated micro-expressions.

    Args:
        face: (H, W, 3) uint8, RGB, or a file.
        landmarks: five (x, y) in its px, order `htnet.types.POINT_NAMES`.
        count: number of pairs.
        seed: of everything random; pair i of a seed is the same whatever the count.
        config: what is generated. Identity, noise of the flow and its estimation have no part in it: the face is
            given, and the estimator's errors are the estimator's.

    Raises:
        FrameError: the picture cannot be read.
        LandmarkError: the points cannot be used.
        InputError: a count or seed that cannot be.
    """
    config = config or SynthesisConfig()
    whole().check("count", count)
    pixels, points = _checked(face, landmarks)
    pairs = []
    for number in range(count):
        draws = _draws(seed, number)
        emotion, units, parts = _moving_face(pixels, points, config, draws)
        flow = parts.sum(0)
        light = _light(config, draws, pixels)
        onset = _expose(pixels, torch.ones_like(light), draws, config)
        apex = _expose(_moved(pixels, flow), light, draws, config)
        pairs.append(SyntheticPair(onset, apex, flow.numpy(), emotion, units, points))
    return pairs


def synthesize_clip(
    face: FrameSource,
    landmarks: Landmarks | npt.ArrayLike,
    seed: int = 0,
    config: SynthesisConfig | None = None,
    fps: float = 200.0,
) -> SyntheticClip:
    """A clip of a face that shows one generated micro-expression, with some rest before and after.

    Args:
        face: (H, W, 3) uint8, RGB, or a file.
        landmarks: five (x, y) in its px, order `htnet.types.POINT_NAMES`.
        seed: of everything random.
        config: what is generated, and how long it takes.
        fps: frames per second, 20 to 2000.

    Raises:
        FrameError, LandmarkError, InputError: as `synthesize_pairs`, or an impossible rate.
    """
    config = config or SynthesisConfig()
    if not _RATES[0] <= fps <= _RATES[1]:
        raise InputError(f"fps is {fps!r}; give a number from {_RATES[0]:g} to {_RATES[1]:g}.")
    pixels, points = _checked(face, landmarks)
    draws = _draws(seed, 0)
    emotion, units, parts = _moving_face(pixels, points, config, draws)
    onset, apex, offset, length = _times(config, fps, draws)
    at = torch.arange(length)
    rise, fall = _ease((at - onset) / (apex - onset)), _ease((offset - at) / (offset - apex))
    drift = ((at - onset) / (apex - onset)).clamp(0, 1)
    courses = torch.stack([torch.where(at <= apex, rise, fall), rise, drift], dim=1)
    light = _light(config, draws, pixels)
    frames = []
    for share, course in zip((at / (length - 1)).tolist(), courses, strict=True):
        picture = _moved(pixels, torch.einsum("p,pchw->chw", course, parts))
        frames.append(_expose(picture, 1 + (light - 1) * share, draws, config))
    return SyntheticClip(
        np.stack(frames),
        float(fps),
        onset,
        apex,
        offset,
        emotion,
        units,
        points,
        parts.numpy(),
        courses.numpy(),
    )


def _checked(face: FrameSource, landmarks: Landmarks | npt.ArrayLike) -> tuple[Tensor, Landmarks]:
    """The face as (3, H, W) float32 and its points, with eyes that tell the face's size and turn."""
    frame = read_frame(face)
    given = np.asarray(landmarks, dtype=np.float32) if not isinstance(landmarks, Landmarks) else landmarks
    points = given if isinstance(given, Landmarks) else Landmarks(given, "array")
    across = points.points[1] - points.points[0]
    if not (np.hypot(*across) >= 8 and across[0] > 0):
        raise LandmarkError(
            f"The eyes lie at {points.points[0].tolist()} and {points.points[1].tolist()}; give the image-left one "
            "first, 8 px or more apart."
        )
    return torch.from_numpy(frame.pixels.astype(np.float32)).permute(2, 0, 1), points


def _draws(seed: int, number: int) -> Draws:
    whole(0, lt=_MOST_SEED).check("seed", seed)
    return Draws(torch.Generator().manual_seed(seed * _MOST_SEED + number))


def _moving_face(
    pixels: Tensor, landmarks: Landmarks, config: SynthesisConfig, draws: Draws
) -> tuple[str, FloatArray, Tensor]:
    """Emotion and units of a scene on this face, and the motion of skin, eyes and head: (3, 2, H, W), px.

    The skin is smooth here: steep edges are what flow estimation makes of it. A motion that would fold the skin is
    made weaker, and the units with it.
    """
    points = torch.from_numpy(landmarks.points)
    across = points[1] - points[0]
    cos, sin = (across / across.norm()).tolist()
    scale = template_reach(config) / float(across.norm())
    turn = torch.tensor([[cos, sin], [-sin, cos]])  # picture to upright face
    smooth = dataclasses.replace(config, edge=(2.0, 2.0))
    scene = draw_scenes(smooth, 1, draws, (points - points[0]) @ turn.T * scale)
    height, width = pixels.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = (torch.stack([columns, rows], dim=-1) - points[0]) @ turn.T * scale  # (H, W, 2)
    head = (places - scene.points[0].mean(0)) @ scene.linear[0].T + scene.shift[0] + field_at(scene.depth, places)
    parts = torch.stack([field_at(scene.skin, places), field_at(scene.eyes, places), head])
    parts = (parts @ turn / scale).permute(0, 3, 1, 2).contiguous()
    weaker = min(1.0, _STEEPEST / max(sum(map(_steepness, parts)), 1e-6))
    return EMOTIONS[int(scene.labels)], (scene.units[0] * weaker).numpy(), parts * weaker


def _steepness(flow: Tensor) -> float:
    """Largest change of a (2, H, W) field from one pixel to the next, px."""
    return max(float(flow.diff(dim=k).abs().max()) for k in (1, 2))


def field_at(bumps: Bumps, places: Tensor) -> Tensor:
    """Displacement of one face at any places: (H, W, 2) for (H, W, 2) px of a 224 px face."""
    field = torch.zeros_like(places)
    for center, motion, radius, edge in zip(
        bumps.center[0], bumps.motion[0], bumps.radius[0], bumps.edge[0], strict=True
    ):
        if bool(motion.any()):
            away = ((places - center).abs() / radius) ** edge
            field += torch.exp(-0.5 * away.sum(-1, keepdim=True)) * motion
    return field


def _moved(pixels: Tensor, flow: Tensor) -> Tensor:
    """The picture in which each pixel x of ``pixels`` lies at x + flow(x): a fixed point of x <- y - flow(x)."""
    height, width = pixels.shape[1:]
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    x, y = columns[None], rows[None]
    for _ in range(_INVERSION_STEPS):
        moved = sample_cubic(flow[None], x, y)
        last, (x, y) = x, (columns - moved[:, 0], rows - moved[:, 1])
        if float((x - last).abs().max()) < _NEAR_ENOUGH:
            break
    return sample_cubic(pixels[None], x, y)[0]


def _times(config: SynthesisConfig, fps: float, draws: Draws) -> tuple[int, int, int, int]:
    """Onset, apex, offset and number of frames."""
    low, high = config.rise
    rise = low + (high - low) * float(draws.uniform(1))
    low, high = config.duration
    whole = max(low, rise + low / 2) + (high - max(low, rise + low / 2)) * float(draws.uniform(1))
    onset = max(1, round(config.rest * fps))
    apex = onset + max(1, int(rise * fps))
    offset = max(apex + 1, onset + int(whole * fps))
    return onset, apex, offset, offset + max(1, round(config.rest * fps)) + 1


def _ease(share: Tensor) -> Tensor:
    """From 0 to 1 with the least jerk (Flash and Hogan 1985); resting before and after."""
    t = share.clamp(0, 1)
    return t**3 * (10 - 15 * t + 6 * t**2)


def _light(config: SynthesisConfig, draws: Draws, pixels: Tensor) -> Tensor:
    """Factor of the light at the end, (H, W): a change of the whole and a slope across the picture."""
    height, width = pixels.shape[1:]
    whole = config.light * float(2 * draws.uniform(1) - 1)
    slope = config.shading * (2 * draws.uniform(2) - 1)
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
    return 1 + whole + slope[0] * across + slope[1] * down[:, None]


def _expose(picture: Tensor, light: Tensor, draws: Draws, config: SynthesisConfig) -> ByteArray:
    """What the sensor makes of a picture: (H, W, 3) uint8."""
    seen = picture * light + config.sensor_noise * draws.normal(*picture.shape)
    return seen.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
