"""Spotting of onset, apex and offset of the expression in a clip."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from htnet.core.errors import FrameError, VideoError, refuse_unknown
from htnet.core.fields import checked_fps
from htnet.core.global_state import usual_settings
from htnet.core.types import Float64Array, FloatArray, Frame, Landmarks, QualityWarning, Spotting
from htnet.preprocess.exposure import NO_CONTRAST, exposure_warnings, face_contrast
from htnet.preprocess.frames import read_clip
from htnet.preprocess.landmarks import Landmarker, make_landmarker, verified
from htnet.preprocess.landmarks.base import found_by
from htnet.preprocess.preprocessor import FrameSource, LandmarkSource, read_landmarks
from htnet.preprocess.video.clip_quality import (
    frame_rate,
    fresh_frames,
    known_times,
    noting_times,
    repeat_warnings,
    time_warnings,
    usual_interval,
)
from htnet.preprocess.video.face_motion import face_cells, follow_face
from htnet.preprocess.video.open import Video, open_video

#: Ways to search the curve for the apex.
SPOTTING_METHODS = ("peak", "divide_and_conquer")
#: Fewest frames of a clip, and fewest with which noise can be distinguished from motion.
LEAST_FRAMES, MIN_FRAMES = 3, 8

# Gaussian that smooths the curve: seconds, or frames if the rate is unknown; at least _LEAST_SIGMA frames.
_SIGMA_SECONDS, _SIGMA_FRAMES, _LEAST_SIGMA = 0.015, 2.0, 0.5
# How far the divide-and-conquer search climbs at a time: seconds, or frames.
_CLIMB_SECONDS, _CLIMB_FRAMES = 0.05, 5
# Confidence is 0.5 at this ratio of peak to noise; the noise is never assumed to be less than this, px.
_EVEN_RATIO, _LEAST_NOISE = 5.0, 0.006
# Noise, as a multiple of the peak's height, if the rest of the face rises as much as the strongest cells of the regions
# do; it grows with the square of that share. The share was 0.2 to 0.7 in compressed clips of a still face, 0 to 0.1 in
# expressions, and 0.15 in smiles, which move the cheeks.
_WHOLE_FACE = 4.0
# The strongest cells are those at this quantile.
_STRONG = 0.9
# Shares of the peak from whose times onset and offset are computed: a raised cosine takes as long from rest to the
# first as from the first to the second.
_LOW, _HIGH = 0.25, 0.75


@usual_settings()
def spot(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource],
    landmarks: LandmarkSource | Landmarker = "yunet",
    *,
    method: str = "peak",
    fps: float | None = None,
    sample: str = "",
    bit_depth: int | None = None,
) -> Spotting:
    """Spot onset, apex and offset of the one expression in a clip that begins with a neutral face.

    Each frame's flow from the first one is computed on the aligned face, without the head's motion (see
    `htnet.preprocess.video.face_motion.follow_face`); its mean length in brows, eyes and mouth is the curve, smoothed
    by a Gaussian of 15 ms (2 frames if the rate is unknown).

    - "peak": the apex is the highest point of the curve.
    - "divide_and_conquer": after Liong, See, Wong and Le Ngo, "Automatic apex frame spotting in
      micro-expression database" (ACPR 2015). The clip is halved repeatedly, and the half with the larger
      sum of magnitudes above rest is kept, until one frame is left. Two details are our own: all frames are summed,
      not only the local peaks, and from that frame the search climbs to the local maximum, by 50 ms
      (5 frames) at a time, because peaks may be asymmetric.

    Onset and offset: on each side, the curve crosses 25% and 75% of the apex's height above the lowest point on that
    side. Onset or offset lies outward of the 25% crossing by the distance between the two crossings.

    Confidence: r^2 / (r^2 + 25), where r is the peak's height (above the mean of the lowest points before and
    after it) divided by the noise. The noise is the larger of the frame-to-frame noise of the raw curve and, with
    8 or more frames outside onset..offset, their spread, each as 1.4826 times the median of absolute
    deviations; at least 0.006 px; and at least 4 s^2 times the height, where s is the rise of the rest of the face
    with the peak, as a multiple of the rise of the regions' strongest cells: compression moves all of a still face.
    The confidence states how clearly something moved, not whether it was a micro-expression.

    Frames that repeat the one before, as in copies of a lower or varying rate, are left out of
    the search and counted in a warning (see `clip_quality.fresh_frames`). With 3 to 7 different frames
    the apex is the one that differs most from the first, and there is no confidence.

    Args:
        source: a video file, a folder of frames, a `Video`, or frames in order (arrays are RGB). Read once, one
            frame at a time.
        landmarks: five points in px of the first frame or a file of them, or a landmarker or its name for
            `make_landmarker`; called for the first frame only.
        method: one of `SPOTTING_METHODS`.
        fps: frames per second, a constant rate; replaces that of a file, and its time stamps.
        sample: identifier for looking up points.
        bit_depth: bits of the values in 16-bit frames, if they are fewer; see `read_frame`.

    Returns:
        The frame numbers, the confidence and the curve.

    Raises:
        VideoError: the video is damaged or has fewer than 3 frames.
        FrameError: a frame given as an array or image file cannot be used, or the face has nearly no contrast.
        LandmarkError: no points were found or they cannot be used, or the face is lost on the way.
        InputError: an unknown method, or ``fps`` is not positive.
    """
    refuse_unknown([method], SPOTTING_METHODS, "spotting method")
    if isinstance(source, (str, os.PathLike)):
        source = open_video(source, fps=fps, bit_depth=bit_depth)
    stated = _rate(source, fps)
    clocks: list[float | None] = []
    frames = noting_times(read_frames(source, bit_depth), clocks)
    first = next(frames, None)
    if first is None:
        raise VideoError("There are no frames; give a clip.")
    points = find_points(first, landmarks, sample)
    motion = follow_face(chain([first], frames), points)
    count = len(motion.regions)
    if count < LEAST_FRAMES:
        name = f"The clip {source.source}" if isinstance(source, Video) else "The clip"
        raise VideoError(
            f"{name} has {count} frame{'s' * (count != 1)}; spotting needs {LEAST_FRAMES} or more. If onset and apex "
            "are known, give the two frames: htnet predict onset.png apex.png.",
            count,
        )
    contrast = face_contrast(motion.reference)
    if contrast < NO_CONTRAST and np.ptp(motion.reference):
        raise FrameError(
            f"The face in {first.source} has a standard deviation of {contrast:.1f} gray levels; with less than "
            f"{NO_CONTRAST:g}, motion cannot be distinguished from rounding and noise. Record with more light "
            "or without haze."
        )
    start = (first.number or 0) if isinstance(source, Video) else 0
    times = known_times([None] * count if fps is not None else clocks, stated, start)
    fresh = fresh_frames(motion.changes)
    rows = np.flatnonzero(fresh)
    rate = stated if times is None else frame_rate(times, stated)
    raw = motion.regions.mean(axis=1, dtype=np.float64)[rows]
    found = _search(raw, motion.cells[rows], None if times is None else times[rows], method)
    warnings = (*time_warnings(times, start),) if times is not None else ()
    if isinstance(source, Video):
        warnings = (*source.warnings, *warnings)
    return Spotting(
        onset=start + int(rows[found.onset]),
        apex=start + int(rows[found.apex]),
        offset=start + int(rows[found.offset]),
        confidence=found.confidence,
        curve=found.curve[np.cumsum(fresh) - 1].astype(np.float32),
        regions=motion.regions,
        heads=motion.heads,
        landmarks=points,
        fps=rate,
        method=method,
        warnings=(
            *exposure_warnings(motion.reference, first.source),
            *warnings,
            *repeat_warnings(fresh),
            *_few_warnings(len(rows)),
        ),
        source=source.source if isinstance(source, Video) else None,
        sample=sample,
        times=times,
        first=start,
    )


@dataclass(frozen=True, eq=False)
class _Found:
    """Rows of onset, apex and offset, the smoothed curve, and the confidence."""

    onset: int
    apex: int
    offset: int
    confidence: float | None
    curve: Float64Array


def _search(raw: Float64Array, cells: FloatArray, times: Float64Array | None, method: str) -> _Found:
    """Find the expression in the curve of frames that do not repeat each other, and in the face's cells, (N, 196)."""
    if len(raw) == 1:
        return _Found(0, 0, 0, 0.0, np.zeros(1))
    if len(raw) < MIN_FRAMES:
        # Too few frames to smooth, or to distinguish noise from motion: only the largest motion can be given.
        apex = int(raw.argmax())
        return _Found(flank(raw, apex, -1), apex, flank(raw, apex, 1), None, raw)
    rate = None if times is None else 1 / usual_interval(times)
    raw = raw.copy()
    raw[0] = raw[1]  # the first frame is compared with itself, so only it has no noise
    sigma = max(_LEAST_SIGMA, _SIGMA_FRAMES if rate is None else _SIGMA_SECONDS * rate)
    curve = smooth(raw, sigma)
    climb = _CLIMB_FRAMES if rate is None else max(1, round(_CLIMB_SECONDS * rate))
    apex = int(curve.argmax()) if method == "peak" else divide_and_conquer(curve, climb)
    onset, offset = flank(curve, apex, -1), flank(curve, apex, 1)
    share = everywhere(cells, curve, apex, sigma)
    return _Found(onset, apex, offset, confidence(curve, raw, onset, apex, offset, share), curve)


def _few_warnings(distinct: int) -> tuple[QualityWarning, ...]:
    if distinct == 1:
        return (QualityWarning("motionless", "All frames show the same picture; there is no expression to find."),)
    if distinct >= MIN_FRAMES:
        return ()
    message = (
        f"The clip has {distinct} different frames: too few to distinguish noise from motion, so there is no "
        "confidence, and the apex is the frame that differs most from the first. "
        f"Give {MIN_FRAMES} or more, or onset and apex."
    )
    return (QualityWarning("few_frames", message),)


def _rate(source: Video | Iterable[FrameSource], fps: float | None) -> float | None:
    """Frames per second, None if unknown."""
    given = checked_fps(fps)
    return source.fps if given is None and isinstance(source, Video) else given


def read_frames(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource], bit_depth: int | None = None
) -> Iterator[Frame]:
    """The frames of a clip, one at a time, from a video file, a folder of frames, a `Video`, or frames in order."""
    if isinstance(source, (str, os.PathLike)):
        source = open_video(source, bit_depth=bit_depth)
    return iter(source) if isinstance(source, Video) else read_clip(source, bit_depth)


def find_points(frame: Frame, landmarks: LandmarkSource | Landmarker, sample: str) -> Landmarks:
    """Five verified points of a frame: given directly, from a file of points, or from a landmarker or its name."""
    if isinstance(landmarks, (str, os.PathLike)):
        landmarks = make_landmarker(os.fspath(landmarks))
    if callable(landmarks) and not isinstance(landmarks, np.ndarray):
        found = found_by(landmarks, frame, sample, Landmarks)
    else:
        found = read_landmarks(landmarks, frame, sample)
    return verified(found, frame)


def smooth(values: Float64Array, sigma: float) -> Float64Array:
    """Gaussian smoothing of (N,) values; the ends repeat."""
    radius = max(1, math.ceil(4 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padded = np.pad(values, radius, mode="edge")
    return np.convolve(padded, weights / weights.sum(), mode="valid")


def divide_and_conquer(curve: Float64Array, climb: int) -> int:
    """The apex by halving; see `spot`.

    Args:
        curve: (N,) magnitudes.
        climb: length of one step of the final climb, frames.
    """
    above = curve - curve.min()
    low, high = 0, len(curve)
    while high - low > 1:
        middle = (low + high) // 2
        if above[low:middle].sum() >= above[middle:high].sum():
            high = middle
        else:
            low = middle
    apex, before = low, -1
    while apex != before:
        before, start = apex, max(0, apex - climb)
        apex = start + int(curve[start : apex + climb + 1].argmax())
    return apex


def flank(curve: Float64Array, apex: int, side: int) -> int:
    """The frame at rest before (side -1) or after (side 1) the apex; see `spot`."""
    hill = curve[apex::side] if side > 0 else curve[apex::-1]
    rest = float(hill.min())
    low, high = (_crossing(hill, rest + share * (float(hill[0]) - rest)) for share in (_LOW, _HIGH))
    return apex + side * min(len(hill) - 1, round(low + (low - high)))


def _crossing(hill: Float64Array, level: float) -> float:
    """Frames from the start of ``hill`` to where it first falls to ``level``."""
    after = int(np.argmax(hill <= level))
    if after == 0:
        return 0.0
    return after - float((level - hill[after]) / (hill[after - 1] - hill[after]))


def confidence(curve: Float64Array, raw: Float64Array, onset: int, apex: int, offset: int, share: float = 0.0) -> float:
    """How clearly the peak exceeds the noise, 0..1; see `spot`.

    Args:
        curve: (N,) smoothed.
        raw: (N,) as measured.
        onset: its row.
        apex: its row.
        offset: its row.
        share: share of the peak that appears all over the face, see `everywhere`.
    """
    height = _rise(curve, *_feet(curve, apex))
    # The difference of two frames has twice the variance of one.
    noise = _spread(np.diff(raw), 0.0) / math.sqrt(2)
    outside = np.concatenate([raw[:onset], raw[offset + 1 :]])
    if len(outside) >= MIN_FRAMES:
        noise = max(noise, _spread(outside, float(np.median(outside))))
    ratio = height / max(noise, _LEAST_NOISE, _WHOLE_FACE * share**2 * height)
    return ratio**2 / (ratio**2 + _EVEN_RATIO**2)


def everywhere(cells: FloatArray, curve: Float64Array, apex: int, sigma: float) -> float:
    """Rise of the rest of the face with the peak, relative to the rise of the strongest cells of brows, eyes and mouth.

    Args:
        cells: (N, 196) lengths of the flow, see `htnet.preprocess.video.face_motion.FaceMotion`.
        curve: (N,) smoothed curve of the regions.
        apex: row of its maximum.
        sigma: width of its smoothing, frames.

    Returns:
        0 or more; 1 if the face moves as much all over.
    """
    regions, rest = face_cells()
    feet = _feet(curve, apex)

    def rise(lengths: npt.ArrayLike) -> float:
        values = np.array(lengths, dtype=np.float64)
        values[0] = values[1]
        return _rise(smooth(values, sigma), *feet)

    strong = float(np.quantile([rise(cells[:, k]) for k in np.flatnonzero(regions)], _STRONG))
    return max(0.0, rise(np.median(cells[:, rest], axis=1))) / max(strong, _LEAST_NOISE)


def _feet(curve: Float64Array, apex: int) -> tuple[int, int, int]:
    """Rows of the peak and of the lowest points before and after it."""
    return apex, int(curve[: apex + 1].argmin()), apex + int(curve[apex:].argmin())


def _rise(curve: Float64Array, apex: int, before: int, after: int) -> float:
    return float(curve[apex] - (curve[before] + curve[after]) / 2)


def _spread(values: Float64Array, middle: float) -> float:
    """Robust standard deviation of normal values around ``middle``: a few large values have no effect."""
    return 1.4826 * float(np.median(np.abs(values - middle)))
