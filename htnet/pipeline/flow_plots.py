"""Figures of flow on a face: arrows and color wheel, regions, asymmetry (extra ``plots``)."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import plain_array
from htnet.core.errors import InputError, refuse_type
from htnet.core.fields import real, whole
from htnet.core.files import check_outputs
from htnet.core.optional import require
from htnet.core.types import Float64Array, Flow, Frame, ModelInput, PreprocessSpec
from htnet.pipeline.overlays import region_boxes
from htnet.pipeline.plots import finished, new_figure
from htnet.preprocess import color_wheel, color_wheel_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BOX = "#0a84ff"
_FLOW = "a flow on the aligned face, such as prediction.input.flow, or htnet.types.Flow(uv, method)"


def plot_flow(
    flow: Flow,
    face: Frame | npt.ArrayLike | None = None,
    path: str | PathLike[str] | None = None,
    *,
    max_px: float | None = None,
    arrows: int = 18,
    overwrite: bool = False,
) -> Figure:
    """Draw the flow on a face as arrows and with the color wheel, and the legend of the wheel.

    The longest arrow is always 1.5 times as long as the distance between arrows; the title states its length in px.
    Over a face, a color is more opaque where the flow is longer.

    Args:
        flow: flow on the aligned face, such as ``prediction.input.flow``.
        face: the aligned face, (H, W, 3) uint8 RGB, as returned by `htnet.preprocess.align_pair`. Without it the
            background is white.
        path: also save the figure as this picture file (.png, .pdf, ...).
        max_px: length that has the full color, px; by default the longest of the flow. Set it to make several figures
            comparable.
        arrows: number of arrows in a row.
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: flow and face differ in size, ``max_px`` or ``arrows`` is not positive, or the file extension is not
            a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("flow", flow, Flow, _FLOW)
    whole().check("arrows", arrows)
    if max_px is not None:
        real(gt=0).check("max_px", max_px)
    gray = _gray(face, flow.uv.shape[1:])
    longest = float(np.hypot(*flow.uv).max())
    top = longest or 1.0 if max_px is None else max_px
    wheel = color_wheel(flow.uv, top) / 255
    figure = new_figure(10.5, 4.8)
    left, right, key = figure.subplots(1, 3, width_ratios=[1, 1, 0.32])
    for axis in (left, right):
        axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
    _arrows(left, flow, arrows, "black" if face is None else "#ffd60a")
    left.set_title(f"flow, longest {longest:.2f} px")
    opaque = np.ones(gray.shape) if face is None else np.clip(np.hypot(*flow.uv) / top, 0, 1)
    right.imshow(np.dstack([wheel, opaque]))
    right.set_title("direction and length")
    key.imshow(color_wheel_legend(121))
    key.set_title(f"edge: {top:.2f} px", fontsize=8)
    for axis in (left, right, key):
        axis.set_axis_off()
    return finished(figure, path, overwrite)


def plot_regions(
    made: ModelInput,
    spec: PreprocessSpec,
    face: Frame | npt.ArrayLike | None = None,
    path: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Figure:
    """Draw where the regions of a network's input were cropped, and the input.

    Args:
        made: the input, such as ``prediction.input``.
        spec: how the input was made, such as `Predictor.spec`.
        face: the aligned face, (H, W, 3) uint8 RGB. Without it the regions are drawn on the flow image.
        path: also save the figure as this picture file (.png, .pdf, ...).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the network reads the whole face (layout "whole"), the face is not an RGB picture, or the file
            extension is not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("made", made, ModelInput, "the input as the preprocessor made it, such as prediction.input")
    refuse_type("spec", spec, PreprocessSpec, "how the input was made, such as Predictor.spec")
    boxes = region_boxes(made, spec)
    if not boxes:
        raise InputError(
            "The layout is 'whole': the network reads the whole face, so there are no regions to draw. Use plot_flow."
        )
    patches = require("matplotlib.patches", "plots", "Drawing")
    figure = new_figure(8, 4.2)
    left, right = figure.subplots(1, 2)
    # BGR = strain, v, u; shown as the published RGB = u, v, strain.
    shown = made.flow_image[..., ::-1] if face is None else _pixels(face)
    extent = (-0.5, spec.size - 0.5, spec.size - 0.5, -0.5)
    left.imshow(shown, extent=extent, interpolation="nearest")
    half = spec.size // 2
    for k, (x, y, side) in enumerate(boxes):
        left.add_patch(patches.Rectangle((x - 0.5, y - 0.5), side, side, fill=False, color=_BOX, linewidth=1.5))
        for axis, place in ((left, (x + 0.4, y + 0.4)), (right, (k % 2 * half + 0.4, k // 2 * half + 0.4))):
            axis.text(*place, str(k + 1), color="white", va="top", fontsize=9, bbox={"facecolor": _BOX, "pad": 1.5})
    if made.points is not None:
        left.scatter(*np.asarray(made.points).T, s=12, c="#ff2d55")
    left.set_title(f"regions, cropped at the {'face' if made.regions_at == 'landmarks' else 'template'}'s points")
    right.imshow(_picture(made.image), interpolation="nearest")
    right.set_title("what the network reads")
    for axis in (left, right):
        axis.set_axis_off()
    return finished(figure, path, overwrite)


def plot_flow_asymmetry(
    flow: Flow,
    face: Frame | npt.ArrayLike | None = None,
    path: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Figure:
    """Draw how the flow differs between the two sides of an aligned face.

    The flow is compared with its mirror image, in which u changes sign. The first map shows the length of the
    difference, which is the same on both sides. The second map shows which side moves more: length minus mirrored
    length.

    Args:
        flow: flow on the aligned face; the middle of the field must be the middle of the face.
        face: the aligned face, (H, W, 3) uint8 RGB. Without it the background is white.
        path: also save the figure as this picture file (.png, .pdf, ...).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: flow and face differ in size, or the file extension is not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("flow", flow, Flow, _FLOW)
    gray = _gray(face, flow.uv.shape[1:])
    differs, louder = flow_asymmetry(flow)
    figure = new_figure(9.6, 4.8)
    axes = figure.subplots(1, 2)
    reach = max(float(np.abs(louder).max()), 1e-6)
    shown = (
        (axes[0], differs, "magma", 0.0, max(float(differs.max()), 1e-6), "difference to the mirrored flow"),
        (axes[1], louder, "RdBu_r", -reach, reach, "moves more (red) or less (blue)\nthan the other side"),
    )
    for axis, values, colors, low, high, title in shown:
        axis.imshow(gray, cmap="gray", vmin=0, vmax=255)
        opaque = np.clip(np.abs(values) / high, 0, 1) * 0.85 if face is not None else np.ones(values.shape)
        picture = axis.imshow(values, cmap=colors, vmin=low, vmax=high, alpha=opaque)
        figure.colorbar(picture, ax=axis, label="px", shrink=0.8)
        axis.axvline((values.shape[1] - 1) / 2, color="gray", linewidth=0.7, linestyle="--")
        axis.set_title(f"{title}\n\u2190 subject's right  |  subject's left \u2192", fontsize=9)
        axis.set_axis_off()
    return finished(figure, path, overwrite)


def flow_asymmetry(flow: Flow) -> tuple[Float64Array, Float64Array]:
    """Compare a flow with its mirror image.

    Returns:
        (H, W) length of the difference, px; and (H, W) length minus the length at the mirrored position, px.
    """
    u, v = flow.uv.astype(np.float64)
    length = np.hypot(u, v)
    return np.hypot(u + u[:, ::-1], v - v[:, ::-1]), length - length[:, ::-1]


def _arrows(axis: Any, flow: Flow, count: int, color: str) -> None:
    u, v = flow.uv
    step = max(u.shape) / count
    rows, columns = (np.arange(step / 2, side, step).astype(int) for side in u.shape)
    parts = u[np.ix_(rows, columns)], v[np.ix_(rows, columns)]
    longest = max(float(np.hypot(*parts).max()), 1e-9)
    axis.quiver(
        columns, rows, *parts, angles="xy", scale_units="xy", scale=longest / (1.5 * step), color=color, width=0.005
    )


def _pixels(face: Frame | npt.ArrayLike) -> npt.NDArray[np.uint8]:
    pixels = plain_array(face.pixels if isinstance(face, Frame) else face, "face has")
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(f"face has shape {pixels.shape} and type {pixels.dtype}; give (H, W, 3) uint8, RGB.")
    return pixels


def _gray(face: Frame | npt.ArrayLike | None, size: Sequence[int]) -> Float64Array:
    """The background of a flow: the face in gray, or white."""
    if face is None:
        return np.full(tuple(size), 255.0)
    pixels = _pixels(face)
    if pixels.shape[:2] != tuple(size):
        raise InputError(
            f"face has {pixels.shape[0]}x{pixels.shape[1]} px, the flow {size[0]}x{size[1]}; give the aligned face "
            "that the flow was computed on (htnet.preprocess.align_pair)."
        )
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]))


def _picture(image: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """The network's input (C, S, S), 0..255, as a picture: RGB = u, v, strain."""
    channels = np.asarray(image, dtype=np.float64)
    return channels[::-1].transpose(1, 2, 0).round().clip(0, 255).astype(np.uint8)
