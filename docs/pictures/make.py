"""The pictures of the page "Making the input": ``python docs/pictures/make.py``.

The face is scikit-image's picture of the astronaut Eileen Collins (NASA, public domain), moved by a known field.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from skimage.data import astronaut

from htnet.core.types import ByteArray, FloatArray, Frame, ModelInput, PreprocessSpec
from htnet.preprocess import (
    FACE_REGIONS,
    Preprocessor,
    align_pair,
    color_wheel,
    color_wheel_legend,
    displace,
    face_regions,
    head_boxes,
    hoof,
    optical_strain,
    read_frame,
    remove_head_motion,
    scale_points,
    to_gray,
)

TOP, LEFT, SIDE = 20, 115, 216
#: Eyes, nose and mouth corners, px of the cropped portrait; read off the enlarged picture.
POINTS = np.array([[203, 101], [246, 103], [223, 126], [203, 140], [244, 141]]) - [LEFT, TOP]
#: (x, y, u, v, reach): a smile, raised brows. px of the portrait.
BUMPS = ((203, 140, -1.6, -1.2, 9), (244, 141, 1.6, -1.2, 9), (203, 88, 0, -1.3, 9), (246, 90, 0, -1.3, 9))
#: How far the whole head moves, px of the portrait.
HEAD = (0.5, 0.3)
NAMES = ("frames", "flow", "image", "hoof", "head")
#: Pictures without color, to keep the files small.
GRAY = ("frames",)
COLORS = ("#0a84ff", "#ff9f0a", "#30d158", "#ff2d55")


def portrait_pair() -> tuple[Frame, Frame]:
    """Onset and apex: a smile with raised brows while the head moves a little."""
    onset = np.ascontiguousarray(astronaut()[TOP : TOP + SIDE, LEFT : LEFT + SIDE])
    y, x = np.mgrid[:SIDE, :SIDE]
    field = np.stack([np.full((SIDE, SIDE), part) for part in HEAD])
    for at_x, at_y, u, v, reach in BUMPS:
        weight = np.exp(-((x - at_x + LEFT) ** 2 + (y - at_y + TOP) ** 2) / (2 * reach**2))
        field += np.stack([u * weight, v * weight])
    return read_frame(onset), read_frame(displace(onset, field))


def row(count: int, height: float, ratios: list[float] | None = None) -> tuple[Figure, Any]:
    """A figure with one row of panels without axes."""
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.subplots(1, count, width_ratios=ratios)
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def boxes_on(axis: Any, boxes: tuple[tuple[int, int, int, int], ...], colors: tuple[str, ...]) -> None:
    """Draw boxes of pixels."""
    for (left, top, right, bottom), color in zip(boxes, colors, strict=True):
        corner = (left - 0.5, top - 0.5)
        axis.add_patch(Rectangle(corner, right - left, bottom - top, fill=False, ec=color, lw=1.6, clip_on=False))


def frames(onset: Frame, apex: Frame, face: Frame, points: FloatArray) -> Figure:
    """Onset with its points, apex, aligned face with points."""
    figure, axes = row(3, 3.0)
    titles = ("onset, five points", "apex", "aligned onset, 224 px")
    for axis, frame, title in zip(axes, (onset, apex, face), titles, strict=True):
        axis.imshow(to_gray(frame), cmap="gray", vmin=0, vmax=255)
        axis.set_title(title)
    for axis, marks in ((axes[0], POINTS), (axes[2], points)):
        axis.scatter(*marks.T, s=26, c="white", edgecolors="black")
    return figure


def flow(uv: FloatArray) -> Figure:
    """u, v, strain, color wheel and its key."""
    figure, axes = row(5, 2.1, [1, 1, 1, 0.8, 0.4])
    reach = float(np.abs(uv).max())
    for axis, plane, title in ((axes[0], uv[0], "u, px"), (axes[1], uv[1], "v, px")):
        shown = axis.imshow(plane, cmap="RdBu_r", vmin=-reach, vmax=reach)
        axis.set_title(title)
        figure.colorbar(shown, ax=axis, shrink=0.7)
    shown = axes[2].imshow(optical_strain(uv), cmap="magma")
    axes[2].set_title("strain")
    figure.colorbar(shown, ax=axes[2], shrink=0.7)
    axes[3].imshow(color_wheel(uv))
    axes[3].set_title("color wheel")
    axes[4].imshow(color_wheel_legend(101))
    axes[4].set_title(f"{np.hypot(*uv).max():.1f} px", fontsize=10)
    return figure


def image(made: ModelInput, regions: ByteArray) -> Figure:
    """The 28x28 image, its channels, and what HTNet sees of it."""
    figure, axes = row(5, 2.0)
    strain, v, u = np.moveaxis(made.flow_image, 2, 0)
    panels = ((u, "u"), (v, "v"), (strain, "strain"), (made.flow_image[..., ::-1], "RGB"), (regions, "HTNet's regions"))
    for axis, (picture, title) in zip(axes, panels, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_title(title)
    for box, color in zip(face_regions(28), COLORS, strict=True):
        boxes_on(axes[3], (box,), (color,))
    boxes_on(axes[4], ((0, 0, 14, 14), (14, 0, 28, 14), (0, 14, 14, 28), (14, 14, 28, 28)), COLORS)
    return figure


def bars(face: Frame, uv: FloatArray) -> Figure:
    """The regions on the face, and their histograms of 16 directions."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    picture, plots = figure.subfigures(1, 2, width_ratios=[1, 1.9])
    axis = picture.subplots()
    axis.set_axis_off()
    axis.imshow(to_gray(face), cmap="gray", vmin=0, vmax=255)
    boxes_on(axis, face_regions(face.size[0]), COLORS)
    histograms = hoof(uv).reshape(4, 16)
    axes = plots.subplots(2, 2, sharex=True, sharey=True)
    for axis, heights, name, color in zip(axes.flat, histograms, FACE_REGIONS, COLORS, strict=True):
        axis.bar(range(16), heights, color=color, width=0.8)
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.set_xticks([0, 4, 8, 12], ["right", "down", "left", "up"], fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
    return figure


def head(uv: FloatArray, points: FloatArray) -> Figure:
    """The flow before and after the nose's flow is subtracted."""
    figure, axes = row(3, 2.3, [1, 1, 0.5])
    still = remove_head_motion(uv, points, "nose")
    longest = float(np.hypot(*uv).max())
    for axis, field, title in ((axes[0], uv, 'head_motion="none"'), (axes[1], still, 'head_motion="nose"')):
        axis.imshow(color_wheel(field, max_px=longest))
        boxes_on(axis, head_boxes(points, "nose", *uv.shape[1:]), ("black",))
        axis.set_title(title)
    axes[2].imshow(color_wheel_legend(101))
    axes[2].set_title(f"{longest:.1f} px", fontsize=10)
    return figure


def main(out: Path) -> None:
    """Write every picture into ``out``."""
    matplotlib.rcParams["font.size"] = 10
    onset, apex = portrait_pair()
    spec = PreprocessSpec()
    made = Preprocessor(spec).pair(onset, apex, POINTS)
    if made.flow is None or made.landmarks is None or made.points is None:
        raise SystemExit("The preprocessor gave no flow.")
    uv, points = made.flow.uv, scale_points(made.points, spec.face_size / spec.size).astype(np.float32)
    face = align_pair(onset, apex, made.landmarks, spec)[0]
    strain_v_u = made.image.transpose(1, 2, 0).astype(np.uint8)
    figures = (
        frames(onset, apex, face, points),
        flow(uv),
        image(made, strain_v_u[..., ::-1]),
        bars(face, remove_head_motion(uv, points, "nose")),
        head(uv, points),
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in zip(NAMES, figures, strict=True):
        path = out / f"{name}.png"
        figure.savefig(path, dpi=80, bbox_inches="tight", pad_inches=0.05)
        with Image.open(path) as picture:
            opaque = picture.convert("RGB")
        (opaque.convert("L") if name in GRAY else opaque).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
