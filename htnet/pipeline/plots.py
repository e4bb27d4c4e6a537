"""Plots of a prediction, of a spotted expression and of calibration (requires the extra ``plots``)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from htnet.core.arrays import plain_array
from htnet.core.errors import InputError, refuse_type
from htnet.core.facs import SHOWN_UNITS, UnitPrediction
from htnet.core.files import check_outputs, whole_file
from htnet.core.lazy import loading
from htnet.core.optional import require
from htnet.core.paths import as_path
from htnet.core.schema import Warned
from htnet.core.types import MOTION_REGIONS, Float64Array, Prediction, Spotting
from htnet.evaluation.calibration import Reliability
from htnet.pipeline.fonts import give_fonts
from htnet.preprocess import FrameSource, read_pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WARNED = "#d70015"
_SURE, _UNSURE = "#0a84ff", "#c7c7cc"
_REGION_COLORS = ("#0a84ff", "#34c759", "#ff9500")


def plot_prediction(
    prediction: Prediction,
    onset: FrameSource,
    apex: FrameSource,
    path: str | PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Figure:
    """Plot a prediction: frames, landmarks, flow, the network's input, probabilities, action units.

    Args:
        prediction: the prediction for this pair.
        onset: its onset frame.
        apex: its apex frame.
        path: also save the figure as this picture file (.png, .pdf, ...).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    read = [frame for frame in (onset, apex) if isinstance(frame, (str, PathLike))]
    check_outputs(pictures=[path], overwrite=overwrite, inputs=read)
    refuse_type("prediction", prediction, Prediction, "what Predictor.pair or htnet.predict returned")
    widths = [1, 1, 1, 1, 0.9, 1.2] if prediction.action_units else [1, 1, 1, 1, 1.3]
    figure = new_figure(2.83 * sum(widths), 3.4)
    axes = figure.subplots(1, len(widths), width_ratios=widths)
    for axis, frame, title in zip(axes, read_pair(onset, apex), ("onset", "apex"), strict=False):
        axis.imshow(frame.pixels)
        axis.set_title(title)
    if prediction.landmarks is not None:
        axes[0].scatter(*prediction.landmarks.points.T, s=14, c="#ff2d55")
    _draw_flow(axes[2], prediction)
    # BGR = strain, v, u; shown as the published RGB = u, v, strain.
    axes[3].imshow(prediction.input.flow_image[..., ::-1], interpolation="nearest")
    axes[3].set_title("flow image (u, v, strain)")
    draw_probabilities(axes[4], prediction.probabilities, prediction.label)
    # "no expression" is not a class of the model; the number beside it is the probability of an expression.
    sure = prediction.probabilities.get(prediction.label, prediction.expression)
    axes[4].set_title(f"{prediction.label} ({sure:.2f})")
    for axis in axes[:4]:
        axis.set_axis_off()
    if prediction.action_units:
        _draw_units(axes[5], prediction.action_units)
    draw_warnings(figure, prediction.warnings)
    return finished(figure, path, overwrite)


def plot_spotting(spotting: Spotting, path: str | PathLike[str] | None = None, *, overwrite: bool = False) -> Figure:
    """Plot the curve in which onset, apex and offset were detected, and the motion of the regions.

    Args:
        spotting: result of `htnet.preprocess.spot`.
        path: also save the figure as this picture file (.png, .pdf, ...).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type(
        "spotting", spotting, Spotting, "what htnet.preprocess.spot returned, or prediction.spotting of a video"
    )
    figure = new_figure(9, 4)
    axis = figure.subplots()
    at = spotting.first + np.arange(len(spotting.curve)) if spotting.times is None else spotting.times
    for name, magnitudes, color in zip(MOTION_REGIONS, spotting.regions.T, _REGION_COLORS, strict=True):
        axis.plot(at, magnitudes, color=color, linewidth=0.8, label=name)
    axis.plot(at, spotting.curve, color="black", linewidth=2, label="mean, smoothed")
    for name, height in (("onset", 0.97), ("apex", 0.91), ("offset", 0.85)):  # labels of adjacent frames do not overlap
        number = getattr(spotting, name)
        place = at[number - spotting.first]
        axis.axvline(place, color="#ff2d55", linewidth=1, linestyle="-" if name == "apex" else "--")
        side = "right" if number - spotting.first > 0.85 * len(at) else "left"  # keeps the label inside the picture
        axis.annotate(f" {name} {number} ", (place, height), xycoords=("data", "axes fraction"), va="top", ha=side)
    axis.set_xlim(at[0], at[-1])
    axis.set_ylim(bottom=0)
    axis.set_xlabel("frame" if spotting.times is None else "seconds")
    axis.set_ylabel("motion, px of a 224 px face")
    sure = "unknown" if spotting.confidence is None else f"{spotting.confidence:.2f}"
    axis.set_title(f"{spotting.method}, confidence {sure}")
    figure.legend(loc="outside lower center", ncols=4)
    draw_warnings(figure, (*spotting.landmarks.warnings, *spotting.warnings))
    return finished(figure, path, overwrite)


def plot_reliability(
    found: Mapping[str, Reliability], path: str | PathLike[str] | None = None, *, overwrite: bool = False
) -> Figure:
    """Draw reliability diagrams side by side: accuracy against confidence per bin, and below it the samples per bin.

    A calibrated model lies on the diagonal; below the diagonal it is overconfident.

    Args:
        found: bins of `htnet.evaluation.calibration.reliability` by title.
        path: also save the figure as this picture file (.png, .pdf, ...).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: there is nothing to draw, or the file extension is not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("found", found, Mapping, "{title: bins}, bins of htnet.evaluation.calibration.reliability")
    for title, bins in found.items():
        refuse_type(f"found[{title!r}]", bins, Reliability, "bins of htnet.evaluation.calibration.reliability")
    if not found:
        raise InputError("There are no bins to draw; give those of htnet.evaluation.calibration.reliability by title.")
    figure = new_figure(4.2 * len(found), 5)
    axes = figure.subplots(2, len(found), height_ratios=[3, 1], sharex=True, sharey="row", squeeze=False)
    for (title, bins), axis, below in zip(found.items(), *axes, strict=True):
        left, widths = bins.edges[:-1], np.diff(bins.edges)
        axis.bar(left, np.nan_to_num(bins.accuracy), widths, align="edge", color=_UNSURE, edgecolor="white")
        axis.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
        axis.plot(bins.confidence, bins.accuracy, "o", color=_SURE, markersize=4)
        axis.set_title(f"{title}, calibration error {bins.error:.3f}", fontsize=10)
        below.bar(left, bins.count, widths, align="edge", color=_SURE, edgecolor="white")
        below.set_xlabel("confidence")
    axes[0, 0].set_xlim(0, 1)
    axes[0, 0].set_ylim(0, 1)
    axes[0, 0].set_ylabel("fraction of correct answers")
    axes[1, 0].set_ylabel("samples")
    return finished(figure, path, overwrite)


def as_numbers(name: str, values: npt.ArrayLike, cure: str) -> Float64Array:
    """Convert the argument ``name`` to an array of numbers.

    Raises:
        InputError: it is not an array of real numbers, or a value is masked.
    """
    found = plain_array(values, f"{name} has")
    if found.dtype.kind not in "iuf":
        kind = type(values).__name__ + (f" with {found.dtype} values" if found.dtype.kind != "O" else "")
        raise InputError(f"{name} is not an array of numbers, but of type {kind}; give {cure}.")
    return found.astype(np.float64)


def new_figure(width: float, height: float) -> Figure:
    """An empty matplotlib figure; sizes in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure: Figure = require("matplotlib.figure", "plots", "Drawing").Figure(
        figsize=(width, height), layout="constrained"
    )
    return figure


def draw_probabilities(axis: Any, probabilities: Mapping[str, float], label: str) -> None:
    """Draw a bar for each class, the first at the top; the bar of ``label`` has another color."""
    names = list(probabilities)[::-1]
    colors = [_SURE if name == label else _UNSURE for name in names]
    axis.barh(names, [probabilities[name] for name in names], color=colors)
    axis.set_xlim(0, 1)


def plot_confusion(
    confusion: Sequence[Sequence[int]],
    classes: Sequence[str],
    path: str | PathLike[str] | None = None,
    title: str = "",
    *,
    what: str = "class",
    overwrite: bool = False,
) -> Figure:
    """Draw a confusion matrix: counts, colored by their share of the true class.

    Args:
        confusion: (C, C) counts, rows are true classes.
        classes: names in order.
        path: also save the figure as this picture file (.png, .pdf, ...).
        title: title of the figure.
        what: noun for a class in the labels of axes and color bar.
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the file extension is not a picture format, or ``confusion`` does not hold (C, C) counts for C
            classes.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("classes", classes, Sequence, "a name for each class")
    counts = as_numbers("confusion", confusion, "(C, C) counts, rows the true classes")
    if counts.shape != (len(classes), len(classes)) or not np.all((counts >= 0) & (counts < np.inf)):
        raise InputError(
            f"confusion has shape {counts.shape} for {len(classes)} classes, or counts below 0, infinite or NaN; give "
            "(C, C) counts of 0 or more, rows the true classes, and C names."
        )
    if np.any(counts != counts.round()):
        raise InputError(
            "confusion contains fractions; give counts, which are whole numbers. The colors show the share of each "
            "count in its row."
        )
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 2.2 + 0.6 * len(classes)
    figure = new_figure(side + 0.8, side)
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, f"{count:.0f}", ha="center", va="center", color=color)
    axis.set_xticks(range(len(classes)), classes)
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xlabel(f"predicted {what}")
    axis.set_ylabel(f"true {what}")
    axis.set_title(title)
    figure.colorbar(picture, ax=axis, label=f"fraction of the true {what}", shrink=0.8)
    return finished(figure, path, overwrite)


def finished(figure: Figure, path: str | PathLike[str] | None, overwrite: bool) -> Figure:
    """Finish a figure, and save it if a path is given. Returns the figure."""
    readable = _plain_texts(figure)
    if path is not None:
        with nullcontext() if readable else warnings.catch_warnings():
            if not readable:  # give_fonts has warned already, with the cure
                warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
            save_figure(figure, path, overwrite=overwrite)
    return figure


def _plain_texts(figure: Figure) -> bool:
    """Show all texts literally: "$" in the name of a class or file starts no formula, and names may be in any script.

    Returns:
        Whether there is a font for every character.
    """
    with loading():
        from matplotlib.text import Text

    for axes in figure.axes:
        axes.get_xticklabels(), axes.get_yticklabels()  # creates tick labels, which otherwise exist only after drawing
    texts = figure.findobj(Text)
    for text in texts:
        text.set_parse_math(False)
    return give_fonts(texts)


def save_figure(figure: Figure, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a matplotlib figure in the format of the file's extension; missing folders are created.

    Raises:
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the ending of the file is not that of a picture format.
    """
    path = as_path(path, "path")
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type(
        "figure",
        figure,
        require("matplotlib.figure", "plots", "Drawing").Figure,
        "what a function of htnet.plots returned",
    )
    with whole_file(path) as place:
        figure.savefig(place, dpi=110, format=path.suffix.lower().removeprefix("."))
    return path


def draw_warnings(figure: Figure, warnings: Iterable[Warned], title: str = "") -> None:
    """Write the codes of warnings, if there are any, and a title above a figure."""
    codes = dict.fromkeys(warning.code for warning in warnings)
    lines = [*([f"warning: {', '.join(codes)}"] if codes else []), *([title] if title else [])]
    if lines:
        figure.suptitle("\n".join(lines), color=_WARNED if codes else None)


def _draw_units(axis: Any, units: Sequence[UnitPrediction]) -> None:
    """Draw bars to both sides, as in the image: the subject's right side is on the left."""
    rows = range(len(units), 0, -1)
    for sign, side in ((-1, "subject_right"), (1, "subject_left")):
        values = [getattr(unit, side) for unit in units]
        colors = [_SURE if value >= SHOWN_UNITS else _UNSURE for value in values]
        axis.barh(rows, [sign * value for value in values], color=colors)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlim(-1, 1)
    axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["1", "0.5", "0", "0.5", "1"])
    axis.set_yticks(rows, [f"AU{unit.number} {unit.name}" for unit in units], fontsize=7)
    axis.set_xlabel("the subject's right | left side", fontsize=8)
    axis.set_title("action units")


def _draw_flow(axis: Any, prediction: Prediction) -> None:
    if prediction.flow is None:
        axis.set_title("no flow field")
        return
    u, v = prediction.flow.uv
    step = max(1, u.shape[0] // 20)
    grid = np.arange(step // 2, u.shape[0], step)
    length = np.hypot(u, v)
    axis.imshow(length, cmap="magma")
    arrows = u[grid][:, grid], v[grid][:, grid]
    if any(np.any(part) for part in arrows):  # without motion, Matplotlib divides by the mean length
        axis.quiver(grid, grid, *arrows, angles="xy", color="white")
    axis.set_title(f"flow, up to {length.max():.2f} px")
