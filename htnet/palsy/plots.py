"""Pictures of graded faces (needs the extra ``plots``)."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import refuse_type
from htnet.core.files import check_outputs
from htnet.core.optional import require
from htnet.core.types import ByteArray
from htnet.palsy.asymmetry import REGIONS, FaceAsymmetry, region_boxes
from htnet.palsy.predictor import FaceMaps, GradePrediction
from htnet.pipeline.plots import draw_probabilities, draw_warnings, finished, new_figure
from htnet.pipeline.plots import plot_confusion as plot_confusion  # by this name before
from htnet.preprocess import FrameSource, read_frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLUE, _RED = "#0a84ff", "#ff2d55"
#: Maps in one row of a picture.
_PER_ROW = 5


def plot_grade(
    prediction: GradePrediction, image: FrameSource, path: str | PathLike[str] | None = None, *, overwrite: bool = False
) -> Figure:
    """Draw a picture: the image with its points, the face the model saw, and the probabilities.

    Args:
        prediction: the prediction.
        image: its image.
        path: also save it as this picture file (.png, .pdf, ...).
        overwrite: replace an existing picture.

    Returns:
        The figure, which is not registered with ``pyplot`` and has no window.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("prediction", prediction, GradePrediction, "what GradePredictor.image returned")
    figure = new_figure(10, 3.6)
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    axes[0].imshow(read_frame(image).pixels)
    if prediction.landmarks.source != "template":
        axes[0].scatter(*prediction.landmarks.points.T, s=14, c=_RED)
    axes[0].set_title(Path(prediction.source).name)
    axes[1].imshow(prediction.face.pixels)
    axes[1].set_title("aligned face")
    draw_probabilities(axes[2], prediction.probabilities, prediction.label)
    axes[2].set_xlabel("probability")
    draw_warnings(figure, prediction.warnings, f"{prediction.grade}, {prediction.probabilities[prediction.label]:.2f}")
    for axis in axes[:2]:
        axis.set_axis_off()
    return finished(figure, path, overwrite)


def plot_maps(maps: FaceMaps, path: str | PathLike[str] | None = None, *, overwrite: bool = False) -> Figure:
    """Draw the maps of a model: the face, its region maps and mask, and the asymmetry of each layer.

    All maps are drawn over the face in one color scale, 0 to 1. The regions are learned, so they only have numbers.

    Args:
        maps: result of `GradePredictor.maps`.
        path: also save it as this picture file (.png, .pdf, ...).
        overwrite: replace an existing picture.

    Returns:
        The figure, which is not registered with ``pyplot`` and has no window.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("maps", maps, FaceMaps, "what GradePredictor.maps returned")
    shown: list[tuple[str, npt.NDArray[np.float32]]] = []
    if maps.roi_maps is not None:
        shown += [(f"region {i + 1}", plane) for i, plane in enumerate(maps.roi_maps)]
    if maps.roi_mask is not None:
        shown.append(("mask", maps.roi_mask))
    shown += [(f"asymmetry {i + 1}", plane) for i, plane in enumerate(maps.asymmetry)]
    face = maps.prediction.face.pixels
    rows = math.ceil((len(shown) + 1) / _PER_ROW)
    figure = new_figure(2.5 * _PER_ROW + 1, 2.8 * rows)
    axes = figure.subplots(rows, _PER_ROW, squeeze=False).ravel()
    axes[0].imshow(face)
    axes[0].set_title(maps.prediction.label)
    picture = None
    for axis, (title, plane) in zip(axes[1:], shown, strict=False):
        axis.imshow(_gray(face), cmap="gray", vmin=0, vmax=255)
        extent = (-0.5, face.shape[1] - 0.5, face.shape[0] - 0.5, -0.5)
        picture = axis.imshow(plane, cmap="magma", vmin=0, vmax=1, alpha=0.6, extent=extent, interpolation="nearest")
        axis.set_title(f"{title}, {plane.min():.2f} to {plane.max():.2f}", fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    if picture is not None:
        figure.colorbar(picture, ax=list(axes), shrink=0.8)
    return finished(figure, path, overwrite)


def plot_asymmetry(
    report: FaceAsymmetry, path: str | PathLike[str] | None = None, *, overwrite: bool = False
) -> Figure:
    """Draw an asymmetry report: the face with the mouth's line, the mirrored face, and the numbers.

    Labels state the patient's own sides.

    Args:
        report: result of `htnet.palsy.face_asymmetry`.
        path: also save it as this picture file (.png, .pdf, ...).
        overwrite: replace an existing picture.

    Returns:
        The figure, which is not registered with ``pyplot`` and has no window.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("report", report, FaceAsymmetry, "what htnet.palsy.face_asymmetry returned")
    patches = require("matplotlib.patches", "plots", "Drawing")
    figure = new_figure(11.5, 4.2)
    axes = figure.subplots(1, 3, width_ratios=[1, 1, 1.2])
    side = report.face.pixels.shape[1]
    axes[0].imshow(report.face.pixels)
    for left, top, right, bottom in region_boxes(side).values():
        axes[0].add_patch(patches.Rectangle((left, top), right - left, bottom - top, fill=False, color=_BLUE))
    for line in report.mouth_line:
        axes[0].plot(*line.T, color=_RED, linewidth=1.5)
    for axis in axes[:2]:
        axis.axvline((side - 1) / 2, color="white", linewidth=0.7, linestyle="--")
        axis.set_axis_off()
    axes[1].imshow(report.face.pixels[:, ::-1])
    for axis, whose, title in ((axes[0], "right", "face"), (axes[1], "left", "mirrored")):
        other = "left" if whose == "right" else "right"
        axis.set_title(f"{title}\n\u2190 patient's {whose}  |  patient's {other} \u2192", fontsize=9)
    place = np.arange(len(REGIONS))
    found = [report.regions[name] for name in REGIONS]
    colors = [_RED if region.verdict == "above" else _BLUE for region in found]
    # As in the picture: the patient's left on the right.
    axes[2].barh(place, [region.read or 0 for region in found], 0.5, color=colors)
    for at, region in zip(place, found, strict=True):
        if region.read is None:
            axes[2].text(0, at, " not measured", va="center", fontsize=8)
        elif region.normal is not None:
            axes[2].plot([-region.normal, region.normal], [at + 0.36] * 2, color="gray", linewidth=3)
    reach = max([5.0, *(1.2 * abs(region.read or 0) for region in found)])
    axes[2].set_xlim(-reach, reach)
    axes[2].axvline(0, color="black", linewidth=0.7)
    axes[2].set_yticks(place, REGIONS)
    axes[2].invert_yaxis()
    axes[2].set_xlabel("% of the distance between the eyes; gray: normal range")
    axes[2].set_title("\u2190 patient's right lower  |  patient's left lower \u2192", fontsize=9)
    draw_warnings(figure, report.warnings)
    return finished(figure, path, overwrite)


def _gray(face: ByteArray) -> npt.NDArray[Any]:
    return np.asarray(face @ np.array([0.299, 0.587, 0.114]))
