"""A face of a recording: its position in every frame, and its motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import real_array
from htnet.core.errors import InputError, did_you_mean
from htnet.core.types import MOTION_REGIONS, Float64Array, FloatArray, QualityWarning
from htnet.recordings.measure import COLUMN, FEATURES
from htnet.recordings.stream import Missing

#: Reasons why a face is not measured in a frame, by the numbers in `FaceTrack.gaps`: it is measured (""), it was not
#: found, it looks aside, up or down, or it is cut off by the edge of the frame.
GAPS = ("", "lost", "turned", "edge")
#: Names of `FaceTrack.curves`.
CURVES = (
    *("left_brow", "right_brow", "left_eye_opening", "right_eye_opening", "mouth_opening"),
    *("left_mouth_corner_out", "left_mouth_corner_up", "right_mouth_corner_out", "right_mouth_corner_up"),
    *("mouth_oscillation", "head_x", "head_y", "head_roll", "head_size", "head_speed", "light"),
)

#: Longest stretch, s. Longer ones are milliseconds or frame numbers that were given as seconds.
LONGEST = 7 * 24 * 3600.0

# An eye is open at this quantile of its aperture over all rows.
_OPEN = 0.9
# Half widths of the windows in which the strength of the mouth's oscillation is measured, and in which slower motion is
# averaged and subtracted, s. Speech opens and closes the mouth two to eight times a second.
_WINDOW, _SLOW = 0.5, 0.25


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face of a recording, from the first frame that shows it to the last; N frames.

    Attributes:
        number: number of the face, from 0, in order of appearance.
        frames: (N,) int64, numbers of the frames in the recording.
        times: (N,) float64, times of the frames, s.
        points: (N, 5, 2) float32, the five points in px of the frame, moved with the head; NaN in gaps.
        boxes: (N, 4) float32, left, top, width and height, px of the frame; NaN in gaps.
        poses: (N, 3) float32: turn, height of the nose and roll, see `htnet.preprocess.pose.FaceShape`; NaN in gaps.
        quality: (N,) float32, similarity of the aligned face to that of the last seconds: a correlation, at most 1.
        gaps: (N,) uint8, index in `GAPS` of the reason why the face is not measured; 0 if it is measured.
        segments: first and last row of each stretch without a gap; no motion is measured across their borders.
        features: (N, len(FEATURES)) float32, see `htnet.recordings.FEATURES`; NaN in gaps and where a
            motion would start before the segment.
    """

    number: int
    frames: npt.NDArray[np.int64]
    times: Float64Array
    points: FloatArray
    boxes: FloatArray
    poses: FloatArray
    quality: FloatArray
    gaps: npt.NDArray[np.uint8]
    segments: tuple[tuple[int, int], ...]
    features: FloatArray

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def feature(self, name: str) -> FloatArray:
        """One column of ``features``, (N,).

        Raises:
            InputError: there is no such feature.
        """
        if name not in COLUMN:
            raise InputError(f"Unknown feature: {name!r}. {did_you_mean(name, FEATURES)}")
        return self.features[:, COLUMN[name]]

    def gap(self, row: int) -> str:
        """The reason why the face is not measured in a row, one of `GAPS`; "" if it is measured."""
        return GAPS[self.gaps[row]]

    @property
    def curves(self) -> dict[str, FloatArray]:
        """Curves by name, (N,) float32 each, NaN in gaps.

        Positions are in px of a 224 px face, and 0 at the start of each segment. Left and right are the sides of the
        image; those of action units are the subject's own.

        - left_brow, right_brow: upward position of the brow.
        - left_eye_opening, right_eye_opening: 1 if the eye is as wide open as usual, less as it closes. It is measured
          from the picture of the eye, so motion of the brow does not affect it.
        - mouth_opening: how far the chin has moved away from the upper lip. The chin is used instead of the lower lip,
          because parting lips uncover new content, so their motion cannot be followed.
        - left_mouth_corner_out and so on: outward and upward position of the corner.
        - mouth_oscillation: root mean square of the oscillation of mouth_opening within a second, as in speech.
        - head_x, head_y (px), head_roll (degrees), head_size (1 at the start of the segment), head_speed (px per s).
        - light: mean gray level of the face.
        """
        found: dict[str, npt.NDArray[np.floating]] = {}
        for side in ("left", "right"):
            brow = self.feature(f"{side}_inner_brow_v") + self.feature(f"{side}_outer_brow_v")
            found[f"{side}_brow"] = -brow / 2
            aperture = self.feature(f"{side}_eye_aperture")
            usual = np.nanquantile(aperture, _OPEN) if np.isfinite(aperture).any() else np.nan
            found[f"{side}_eye_opening"] = aperture / max(float(usual), 1e-6)
            out = self.feature(f"{side}_mouth_corner_u")
            found[f"{side}_mouth_corner_out"] = -out if side == "left" else out
            found[f"{side}_mouth_corner_up"] = -self.feature(f"{side}_mouth_corner_v")
        found["mouth_opening"] = self.feature("chin_v") - self.feature("upper_lip_v")
        found["mouth_oscillation"] = np.full(len(self), np.nan, np.float32)
        found["head_size"] = np.full(len(self), np.nan, np.float32)
        for name in ("head_x", "head_y", "head_roll"):
            found[name] = self.feature(name).copy()
        for first, last in self.segments:
            rows = slice(first, last + 1)
            found["mouth_oscillation"][rows] = oscillation(
                found["mouth_opening"][rows].astype(np.float32), self.times[rows]
            )
            for name in ("head_x", "head_y", "head_roll"):
                found[name][rows] -= found[name][first]
            size = self.feature("head_log_size")[rows]
            found["head_size"][rows] = np.exp(size - size[0])
        found["head_speed"] = np.hypot(self.feature("head_x_rate"), self.feature("head_y_rate"))
        found["light"] = self.feature("light")
        return {name: found[name].astype(np.float32) for name in CURVES}

    def regions(self, distance: str = "0.2s") -> FloatArray:
        """(N, 3) length of the motion of each of `htnet.types.MOTION_REGIONS` over a time, px, as returned by `spot`.

        Args:
            distance: time as in the names of the features, e.g. "0.2s".
        """
        parts = {
            "brows": ("left_outer_brow", "left_inner_brow", "right_inner_brow", "right_outer_brow"),
            "eyes": ("left_eye", "right_eye"),
            "mouth": ("left_mouth_corner", "right_mouth_corner", "upper_lip", "lower_lip"),
        }
        found = []
        for name in MOTION_REGIONS:
            of = [[self.feature(f"{region}_{axis}_{distance}") for axis in "uv"] for region in parts[name]]
            found.append(np.mean([np.hypot(u, v) for u, v in of], axis=0))
        return np.stack(found, axis=1).astype(np.float32)


def checked_stretch(times: npt.ArrayLike, features: npt.ArrayLike) -> tuple[Float64Array, FloatArray]:
    """Check the measurements of one stretch without a gap.

    Args:
        times: (N,) s of the frames, rising.
        features: (N, len(FEATURES)) of these frames; NaN where a motion would start before the stretch.

    Returns:
        The times as float64, the features as float32.

    Raises:
        InputError: they are not of the same frames, the times do not rise, or a number is infinite or not a real
            number.
    """
    at = real_array(times, "times", cure="(N,) s", dtype=np.float64)
    rows = real_array(features, "features", cure=f"(N, {len(FEATURES)})")
    if at.ndim != 1 or rows.shape != (len(at), len(FEATURES)):
        raise InputError(f"times has shape {at.shape} and features {rows.shape}; give (N,) and (N, {len(FEATURES)}).")
    if not np.isfinite(at).all():
        row = int(np.flatnonzero(~np.isfinite(at))[0])
        raise InputError(f"times[{row}] is {at[row]}; give the time of each frame in s.")
    steps = np.diff(at)
    if (steps <= 0).any():
        row = int(np.flatnonzero(steps <= 0)[0])
        raise InputError(
            f"times[{row + 1}] is {at[row + 1]:.10g}, not after the {at[row]:.10g} before it; give the frames of one "
            "stretch in order, each once."
        )
    if len(at) and at[-1] - at[0] > LONGEST:
        raise InputError(f"times go from {at[0]:.10g} to {at[-1]:.10g}, longer than a week; give seconds.")
    if (wrong := np.isinf(rows)).any():
        row, column = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f"{FEATURES[column]} is {rows[row, column]} in row {row} of the features; give finite numbers, or NaN for "
            "what was not measured."
        )
    return at, rows


def oscillation(values: FloatArray, times: Float64Array) -> FloatArray:
    """Strength of the oscillation of a curve.

    The curve's mean over half a second is subtracted, and the root mean square taken over a second. At the ends,
    windows are shortened on both sides, so that a slope does not count as oscillation.

    Args:
        values: (N,) values of one segment.
        times: (N,) s.
    """
    swing = values - _window_mean(values.astype(np.float64), times, _SLOW)
    return np.sqrt(np.maximum(_window_mean(swing**2, times, _WINDOW), 0)).astype(np.float32)


def _window_mean(values: Float64Array, times: Float64Array, half: float) -> Float64Array:
    """Mean over a window of ``half`` s to either side, or less on both sides near an end."""
    reach = np.minimum(half, np.minimum(times - times[0], times[-1] - times)) + 1e-6
    low, high = np.searchsorted(times, times - reach), np.searchsorted(times, times + reach, "right")
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((total[high] - total[low]) / (high - low))


@dataclass(frozen=True, eq=False)
class RecordingCurves:
    """The measured faces of a recording.

    Attributes:
        source: the file, the folder or the camera.
        fps: frames per second; None if unknown.
        size: (height, width) of a frame, px.
        frames: number of frames that were read.
        duration: time of the last frame, s.
        tracks: the faces, in order of appearance.
        missing: stretches without frames.
        cuts: numbers of the frames that begin a new shot.
        warnings: reasons to doubt the measured motion.
    """

    source: str
    fps: float | None
    size: tuple[int, int]
    frames: int
    duration: float
    tracks: tuple[FaceTrack, ...]
    missing: tuple[Missing, ...] = ()
    cuts: tuple[int, ...] = ()
    warnings: tuple[QualityWarning, ...] = ()
