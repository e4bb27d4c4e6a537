"""Motion features of a clip: the input of a motion stream, in addition to the flow image of onset and apex."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.arrays import plain_array, real_array
from htnet.core.errors import InputError, SpecError, VideoError
from htnet.core.fields import whole
from htnet.core.global_state import usual_settings
from htnet.core.types import HEAD_REGIONS, TEMPLATE_SIZE, Float64Array, FloatArray, Frame, Landmarks, PreprocessSpec
from htnet.preprocess.align import check_size, fit_alignment, scale_points
from htnet.preprocess.contrast import gray_face
from htnet.preprocess.flow.compute import compute_flow
from htnet.preprocess.flow.motion import face_regions, hoof, remove_head_motion
from htnet.preprocess.flow.registration import follow, register
from htnet.preprocess.landmarks import Landmarker
from htnet.preprocess.preprocessor import FrameSource, LandmarkSource
from htnet.preprocess.video.clip_quality import varying_times
from htnet.preprocess.video.open import Video
from htnet.preprocess.video.spotting import find_points, read_frames


@usual_settings()
def motion_features(
    source: str | os.PathLike[str] | Video | Iterable[FrameSource],
    landmarks: LandmarkSource | Landmarker = "yunet",
    spec: PreprocessSpec | None = None,
    *,
    sample: str = "",
    bit_depth: int | None = None,
) -> FloatArray:
    """Compute 64 features for each of 16 time points of a clip: directions of motion in four regions of the face.

    All frames are aligned by the similarity of the first; the aligned gray faces are interpolated to
    ``spec.clip_frames`` time points, evenly spaced from the first frame to the last (`temporal_interpolation`;
    by the file's time stamps if its frame rate varies, otherwise by the frame numbers); and the flow from the first
    face to each of them is summarized by `hoof`, 16 directions in each of `htnet.preprocess.FACE_REGIONS`.

    Flow is computed from the first frame, not from frame to frame. A micro-expression moves a pixel or two within tens
    of frames; between consecutive frames this is below the rounding of 8-bit pixels, and a normalized histogram
    of directions would show that noise at full size. Motion since the onset is also independent of the
    frame rate. At the first time point nothing has moved yet: its features are zeros.

    Args:
        source: the expression, from its onset frame on: a video file, a folder of frames, a `Video`, or frames in
            order. Read once, one frame at a time; the aligned gray faces are kept in memory.
        landmarks: five points in px of the first frame or a file of them, or a landmarker or its name for
            `make_landmarker`.
        spec: template, size of the face, flow, head motion, CLAHE, number of time points, points of the regions; by
            default the default spec. Features for a model must be computed with the model's own spec.
        sample: identifier for looking up points.
        bit_depth: bits of the values in 16-bit frames, if they are fewer; see `read_frame`.

    Returns:
        (clip_frames, 64) float32; each region's 16 numbers sum to 1, or are 0 if nothing moves.

    Raises:
        VideoError: a frame is damaged, or there are fewer than two.
        FrameError: a frame cannot be used, or has another size than the first.
        LandmarkError: no points were found, or they cannot be used.
        FlowError: the flow cannot be computed.
        SpecError: the spec belongs to a model without motion: ``clip_frames`` is 0.
    """
    spec = spec or PreprocessSpec()
    if not spec.clip_frames:
        raise SpecError("PreprocessSpec.clip_frames is 0: its model reads no motion. Give 2 or more for features.")
    frames = iter(read_frames(source, bit_depth))
    first = next(frames, None)
    if first is None:
        raise VideoError("There are no frames; give a clip from its onset on.")
    clip = ClipMotion(first, find_points(first, landmarks, sample), spec)
    for frame in frames:
        clip.add(frame)
    return clip.features()


class ClipMotion:
    """`motion_features` of a clip whose frames are given one at a time; only their small gray faces are kept.

    Attributes:
        spec: settings of the features.
        faces: (face_size, face_size) uint8 of each frame, aligned like the first one.
    """

    def __init__(self, first: Frame, points: Landmarks, spec: PreprocessSpec) -> None:
        """Start with the first frame.

        Args:
            first: the onset.
            points: five points in its px.
            spec: see `motion_features`.

        Raises:
            LandmarkError: the points cannot be used.
        """
        self.spec = spec
        self._first = first
        self._alignment = fit_alignment(points, template=spec.template, size=spec.face_size, frame=first.source)
        self._points = points
        self._onset = self._alignment.warp(first)
        self._head: Float64Array | None = None
        self.faces = [gray_face(self._onset, spec)]
        self._clocks = [first.time]

    def add(self, frame: Frame) -> None:
        """Add the next frame.

        Raises:
            FrameError: it has another size than the first.
            FlowError: it cannot be registered to the first, if the spec requires that.
        """
        check_size(frame, len(self.faces), self._first)
        alignment = self._alignment
        if self.spec.head_motion == "register":
            self._head = register(self._onset, frame, alignment, self._head)
            alignment = follow(alignment, self._head)
        self.faces.append(gray_face(alignment.warp(frame), self.spec))
        self._clocks.append(frame.time)

    def features(self) -> FloatArray:
        """The features of the frames so far, see `motion_features`.

        Raises:
            VideoError: there is only one.
            FlowError: the flow cannot be computed.
        """
        spec = self.spec
        if len(self.faces) < 2:
            raise VideoError(f"The clip has one frame ({self._first.source}); give two or more, from the onset on.", 1)
        on_face = self._alignment.map(self._points.points)
        faces, times = np.stack(self.faces), varying_times(self._clocks)
        moments = np.rint(temporal_interpolation(faces, spec.clip_frames, times)).astype(np.uint8)
        parameters = dict(spec.flow_parameters)
        uv = np.stack([compute_flow(moments[0], face, spec.flow, parameters).uv for face in moments])
        if spec.head_motion in HEAD_REGIONS:
            uv = remove_head_motion(uv, on_face, spec.head_motion)
        template = scale_points(spec.template, spec.face_size / TEMPLATE_SIZE)
        regions_at = on_face if spec.region_points == "landmarks" else template
        return hoof(uv, regions=face_regions(spec.face_size, regions_at))


@overload
def temporal_interpolation(values: torch.Tensor, count: int, times: Float64Array | None = None) -> torch.Tensor: ...


@overload
def temporal_interpolation(
    values: npt.NDArray[Any], count: int, times: Float64Array | None = None
) -> npt.NDArray[Any]: ...


def temporal_interpolation(
    values: npt.NDArray[Any] | torch.Tensor, count: int, times: Float64Array | None = None
) -> npt.NDArray[Any] | torch.Tensor:
    """Values at ``count`` evenly spaced times, each the weighted mean of the two frames around it.

    The first and the last value are unchanged. Clips of different speed become equally long; if a clip is shortened,
    frames between the chosen times are not used.

    Args:
        values: (T, ...) frames or features in order of time; array or tensor, any number type.
        count: length of the result, 1 or more; 1 returns the first frame.
        times: (T,) s, when each frame was taken, increasing; None for a constant rate.

    Returns:
        (count, ...) of the same kind: float32, or float64 for float64.

    Raises:
        InputError: ``count`` is not an integer of 1 or more, there are no frames, they are not real numbers, or the
            times do not fit them.
    """
    whole().check("count", count)
    if not isinstance(values, torch.Tensor):
        values = plain_array(values, "Frames have")
        real = values.dtype.kind in "biuf"
    else:
        real = not values.is_complex() and values.layout == torch.strided and not values.is_quantized
    if not real:
        raise InputError(f"Frames are of type {values.dtype}; give a dense array or tensor of real numbers, (T, ...).")
    if values.ndim < 1 or len(values) < 1:
        raise InputError(f"There are no frames to interpolate: the shape is {tuple(values.shape)}; give (T, ...).")
    at = np.linspace(0, len(values) - 1, count)
    if times is not None:
        times = real_array(times, "Times", cure="(T,) s", dtype=np.float64)
        if times.shape != (len(values),) or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
            raise InputError(
                f"There are {times.size} times of shape {times.shape} for {len(values)} frames; give one each, in s, "
                "finite and increasing."
            )
        at = np.interp(np.linspace(times[0], times[-1], count), times, np.arange(len(values)))
    before = np.floor(at).astype(np.int64)
    after = np.minimum(before + 1, len(values) - 1)
    shape = (count,) + (1,) * (values.ndim - 1)
    if isinstance(values, torch.Tensor):
        device = values.device
        kind = values.dtype if values.dtype == torch.float64 else torch.float32
        low, high = (values[torch.from_numpy(i).to(device)].to(kind) for i in (before, after))
        return low + (high - low) * torch.from_numpy(at - before).to(device, kind).view(shape)
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    share = (at - before).astype(dtype).reshape(shape)
    early, late = values[before].astype(dtype), values[after].astype(dtype)
    return np.asarray(early + (late - early) * share, dtype)
