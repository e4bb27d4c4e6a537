"""Motion features of a flow field: magnitude, orientation, histograms (HOOF), and the head's own motion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.arrays import plain_array
from htnet.core.errors import FlowError, InputError, LandmarkError, refuse_unknown
from htnet.core.fields import whole
from htnet.core.types import HEAD_REGIONS, POINT_NAMES, TEMPLATE_28, TEMPLATE_SIZE, Float64Array, FloatArray
from htnet.preprocess.align import scale_points
from htnet.preprocess.flow.compute import float_field, wide_field
from htnet.preprocess.geometry import FRACTIONS_BELOW

ArrayOrTensor = TypeVar("ArrayOrTensor", FloatArray, torch.Tensor)

#: A rectangle of pixels: left, top, right, bottom; right and bottom are the first ones outside.
Box = tuple[int, int, int, int]

#: The four regions of HTNet, in the order of the features.
FACE_REGIONS = ("left_eye", "right_eye", "left_mouth", "right_mouth")
#: Half the side of a square of `head_boxes`, as a fraction of the distance between the eyes.
HEAD_REACH = 0.25
#: Mean length below which a region counts as still, px: rounding, not motion.
_STILL = 1e-6


def flow_magnitude(uv: ArrayOrTensor) -> ArrayOrTensor:
    """Length of the flow, ``sqrt(u^2 + v^2)``.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.

    Returns:
        (..., H, W) of the same kind, px.

    Raises:
        FlowError: the shape is wrong, or the type is not float.
    """
    u, v = _parts(uv)
    length: ArrayOrTensor = torch.hypot(u, v) if isinstance(u, torch.Tensor) else np.hypot(u, v)
    return length


def flow_orientation(uv: ArrayOrTensor) -> ArrayOrTensor:
    """Direction of the flow, ``atan2(v, u)``: 0 is to the image's right, pi/2 DOWN, pi left, -pi/2 up.

    v is positive downward, so the angle grows clockwise as one sees it.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.

    Returns:
        (..., H, W) of the same kind, radians from -pi to pi; 0 if nothing moves.

    Raises:
        FlowError: the shape is wrong, or the type is not float.
    """
    u, v = _parts(uv)
    angle: ArrayOrTensor = torch.atan2(v, u) if isinstance(u, torch.Tensor) else np.arctan2(v, u)
    return angle


def face_regions(size: int, points: npt.ArrayLike | None = None) -> tuple[Box, ...]:
    """The four regions of HTNet on a square face: both eyes over both mouth corners.

    Each is ``size // 2`` px wide and begins ``size // 4`` px before its point, moved so that it lies inside:
    the patches of the layout "anatomical" of `crop_regions`.

    Args:
        size: side of the aligned face, px; even, 4 or more.
        points: five (x, y) in px of the face, order `POINT_NAMES`; by default the template's.

    Returns:
        A box for each of `FACE_REGIONS`.

    Raises:
        InputError: the size is impossible.
        LandmarkError: not five finite points.
    """
    whole(4, even=True).check("size", size)
    at = _five(scale_points(TEMPLATE_28, size / TEMPLATE_SIZE) if points is None else points)
    start = np.rint(at[[POINT_NAMES.index(name) for name in FACE_REGIONS]]) - size // 4
    corners = start.clip(0, size - size // 2).astype(int).tolist()
    return tuple((x, y, x + size // 2, y + size // 2) for x, y in corners)


def hoof(uv: ArrayOrTensor, *, bins: int = 16, regions: Sequence[Box] | None = None) -> ArrayOrTensor:
    """Histogram of oriented optical flow (HOOF; Chaudhry et al., CVPR 2009), region by region.

    Each pixel adds its flow's length to the bins of its direction, and each region's histogram is divided by
    its sum, so it describes directions, not distances. Bin k is centered at the angle ``2 pi k / bins`` of
    `flow_orientation` (0 right, ``bins / 4`` down); a pixel is shared linearly between the two nearest centers,
    so that the result is continuous in the angle. The bins cover the full circle. The paper folds left onto
    right, to recognize actions that are seen from either side; in a face that would mix mouth corners drawn
    apart with corners pressed together.

    By default 4 regions of 16 bins: the 64 motion features per frame that the dual-stream model takes.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.
        bins: directions, 2 or more.
        regions: boxes (left, top, right, bottom) in px; by default `face_regions` at the template's points, for a
            square aligned face.

    Returns:
        (..., number of regions * bins) of the same kind, float32 for types of less than 32 bits; region after region.
        Each region sums to 1, or is all 0 if nothing moves (mean length under 1e-6 px).

    Raises:
        FlowError: the shape is wrong, the type is not float, a value is NaN or infinite, or the flow is not square and
            no regions are given.
        InputError: ``bins`` or a region is impossible.
    """
    uv = wide_field(_finite(uv))
    whole(2).check("bins", bins)
    height, width = uv.shape[-2:]
    if regions is None:
        if height != width or height < 4 or height % 2:
            raise FlowError(
                f"Flow has shape {tuple(uv.shape)}; give the flow of a square aligned face with an even side, or "
                "regions=[(left, top, right, bottom), ...]."
            )
        regions = face_regions(height)
    regions = _boxes(regions)
    length, place = flow_magnitude(uv), flow_orientation(uv) * (bins / (2 * math.pi))
    means = []
    for box in regions:
        left, top, right, bottom = _checked_box(box, height, width)
        weight, at = (plane[..., top:bottom, left:right] for plane in (length, place))
        for k in range(bins):
            away = abs((at - k + bins / 2) % bins - bins / 2)  # bins from this center, round the circle
            means.append((weight * (1 - away).clip(0, 1)).mean((-2, -1)))
    found = _stack(means).reshape((*uv.shape[:-3], len(regions), bins))
    total = found.sum(-1)[..., None]
    moves = total > _STILL
    shared: ArrayOrTensor = found * moves / (total + ~moves)
    return shared.reshape((*uv.shape[:-3], len(regions) * bins))


def head_boxes(points: npt.ArrayLike, region: str, height: int, width: int) -> tuple[Box, ...]:
    """Boxes in which the head's own motion is measured: a square around the nose, or one around each eye.

    The side is half the distance between the eyes; parts outside the image are cut off.

    Args:
        points: five (x, y) in px, order `POINT_NAMES`.
        region: "nose" or "eyes".
        height: of the flow, px.
        width: of the flow, px.

    Raises:
        InputError: an unknown region.
        LandmarkError: not five finite points, or the region lies outside the image.
    """
    refuse_unknown([region], HEAD_REGIONS, "region")
    at = dict(zip(POINT_NAMES, _five(points), strict=True))
    reach = max(1.0, HEAD_REACH * float(np.hypot(*(at["right_eye"] - at["left_eye"]))))
    boxes = []
    for name in ("nose",) if region == "nose" else ("left_eye", "right_eye"):
        low = np.ceil(at[name] - reach).clip(0, (width, height)).astype(int).tolist()
        high = (np.floor(at[name] + reach) + 1).clip(0, (width, height)).astype(int).tolist()
        if low[0] >= high[0] or low[1] >= high[1]:
            raise LandmarkError(
                f"The point {name} at ({at[name][0]:g}, {at[name][1]:g}) lies outside the flow "
                f"({width}x{height} px), so the head's motion cannot be measured there; give points in px of "
                "the flow, or another region."
            )
        boxes.append((low[0], low[1], high[0], high[1]))
    return tuple(boxes)


def remove_head_motion(uv: ArrayOrTensor, points: npt.ArrayLike, region: str = "nose") -> ArrayOrTensor:
    """Subtract the head's shift: the median flow of the nose, or of the eyes.

    The nose hardly takes part in expressions, so its flow is used as that of the head, as is usual in this
    field. The median of u and of v is used, not the mean: a blink or a wrinkled nose moves only a part of the
    region. Rotation of the head, and motion toward the camera, are not shifts and remain.

    The strain of the result is the same, and so is the published flow image, whose channels are scaled from
    their own minimum and maximum; what changes is the flow itself, its length, its direction and HOOF.

    Args:
        uv: (..., 2, H, W) float array or tensor, px.
        points: five (x, y) in px of the flow, order `POINT_NAMES`, for the whole batch.
        region: "nose" or "eyes", see `head_boxes`.

    Returns:
        (..., 2, H, W) of the same kind.

    Raises:
        FlowError: the shape is wrong, the type is not float, or a value is NaN or infinite.
        InputError: an unknown region.
        LandmarkError: not five finite points, or the region lies outside.
    """
    uv = _finite(uv)
    height, width = uv.shape[-2:]
    parts = [
        uv[..., top:bottom, left:right].reshape((*uv.shape[:-2], -1))
        for left, top, right, bottom in head_boxes(points, region, height, width)
    ]
    ordered: ArrayOrTensor
    if isinstance(uv, torch.Tensor):
        ordered = torch.cat(parts, dim=-1).sort(dim=-1).values
    else:
        ordered = np.sort(np.concatenate(parts, axis=-1), axis=-1)
    # Not torch.median, which returns the lower of two middle values.
    count = ordered.shape[-1]
    median: ArrayOrTensor = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) * 0.5
    left_over: ArrayOrTensor = uv - median[..., None, None]
    return left_over


def _parts(uv: ArrayOrTensor) -> tuple[ArrayOrTensor, ArrayOrTensor]:
    """The parts u and v, (..., H, W) each, of a field of the right shape."""
    uv = float_field(uv)
    return uv[..., 0, :, :], uv[..., 1, :, :]


def _finite(uv: ArrayOrTensor) -> ArrayOrTensor:
    uv = float_field(uv)
    finite = torch.isfinite(uv) if isinstance(uv, torch.Tensor) else np.isfinite(uv)
    if not bool(finite.all()):
        bad = int((~finite).sum())
        raise FlowError(f"Flow contains {bad} NaN or infinite values; recompute it or replace them first.")
    return uv


def _five(points: npt.ArrayLike) -> Float64Array:
    """Five finite points: (5, 2) float64."""
    found = plain_array(points, "Points have", LandmarkError)
    at = found.astype(np.float64) if found.dtype.kind in "iuf" else np.empty(0)
    if at.shape != (5, 2) or not np.isfinite(at).all():
        raise LandmarkError(
            f"The points are {points!r}; give five finite [x, y] in px of the flow, in the order "
            f"{', '.join(POINT_NAMES)}."
        )
    if np.abs(at).max() < FRACTIONS_BELOW:
        raise LandmarkError(f"The points are {points!r}, as fractions of the sides are; give px of the flow.")
    return at


def _boxes(regions: Iterable[Box]) -> list[Box]:
    given: Any = regions
    try:
        found = [tuple(box) for box in given]
    except TypeError:
        found = []
    if not found:
        said = "empty" if isinstance(given, (list, tuple)) and not given else repr(regions)
        raise InputError(f"regions is {said}; give one or more (left, top, right, bottom).")
    return found


def _checked_box(box: Sequence[int], height: int, width: int) -> Box:
    valid = len(box) == 4 and all(isinstance(side, (int, np.integer)) and not isinstance(side, bool) for side in box)
    if not valid or not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise InputError(
            f"The region {tuple(box)!r} does not lie in a flow of {width}x{height} px; give whole px "
            "(left, top, right, bottom), right and bottom being the first ones outside."
        )
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _stack(parts: list[ArrayOrTensor]) -> ArrayOrTensor:
    """Arrays or tensors along a new last axis."""
    joined: ArrayOrTensor = torch.stack(parts, dim=-1) if isinstance(parts[0], torch.Tensor) else np.stack(parts, -1)
    return joined
