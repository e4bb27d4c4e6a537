"""Figures of what a model attends to: attention, roll-out, occlusion and gradients (extra ``plots``)."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from htnet.core.errors import InputError, refuse_type
from htnet.core.fields import one_of
from htnet.core.files import check_outputs
from htnet.core.optional import require
from htnet.core.types import Float64Array, ModelInput, PreprocessSpec
from htnet.models.attention import AttentionMap, AttentionRollout
from htnet.models.base import INPUT_KINDS
from htnet.models.saliency import Saliency
from htnet.pipeline.overlays import onto_face
from htnet.pipeline.plots import as_numbers, finished, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Largest number of maps in one row of a figure.
_PER_ROW = 4


def plot_attention(
    maps: Sequence[AttentionMap],
    image: npt.ArrayLike,
    path: str | PathLike[str] | None = None,
    *,
    kind: str = "flow",
    overwrite: bool = False,
) -> Figure:
    """Draw the attention that each position receives, layer by layer, over the network's input.

    A share of 1 is what a position would receive if all received the same. All layers use the same scale.

    Args:
        maps: result of `htnet.models.attention_maps`, which raises an error for models whose attention is trivial.
        image: (3, S, S), the input of the network, 0..255.
        path: also save the figure as this picture file (.png, .pdf, ...).
        kind: what the network reads, `EmotionModel.input_kind`: "flow" (strain, v, u) or "face" (red, green, blue).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: there are no maps, the image has another shape, or the file extension is not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("maps", maps, Sequence, "what htnet.models.attention_maps returned")
    for k, one in enumerate(maps):
        refuse_type(f"maps[{k}]", one, AttentionMap, "what htnet.models.attention_maps returned")
    if not maps:
        raise InputError("There are no attention maps to draw; give those of htnet.models.attention_maps.")
    shares = [one.received * len(one.points) for one in maps]
    titles = [f"{one.name}, {len(one.weights)} heads" for one in maps]
    return finished(
        _positions(image, kind, list(zip(shares, maps, titles, strict=True)), "attention, 1 for equal shares"),
        path,
        overwrite,
    )


def plot_rollout(
    rollout: AttentionRollout,
    image: npt.ArrayLike,
    path: str | PathLike[str] | None = None,
    *,
    kind: str = "flow",
    overwrite: bool = False,
) -> Figure:
    """Draw attention roll-out over the network's input.

    A share of 1 is what a position would have if all had the same.

    Args:
        rollout: result of `htnet.models.attention_rollout`, which raises an error for models whose attention is
            trivial.
        image: (3, S, S), the input of the network, 0..255.
        path: also save the figure as this picture file (.png, .pdf, ...).
        kind: what the network reads, `EmotionModel.input_kind`: "flow" (strain, v, u) or "face" (red, green, blue).
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the image has another shape, or the file extension is not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("rollout", rollout, AttentionRollout, "what htnet.models.attention_rollout returned")
    share = rollout.relevance * len(rollout.points)
    figure = _positions(image, kind, [(share, rollout, "attention roll-out")], "relevance, 1 for equal shares")
    return finished(figure, path, overwrite)


def plot_saliency(
    found: Saliency,
    image: npt.ArrayLike,
    path: str | PathLike[str] | None = None,
    *,
    kind: str = "flow",
    made: ModelInput | None = None,
    spec: PreprocessSpec | None = None,
    overwrite: bool = False,
) -> Figure:
    """Draw the evidence for a class (red) and against it (blue), beside the network's input.

    Args:
        found: result of `htnet.models.occlusion` or `htnet.models.integrated_gradients`.
        image: (3, S, S), the input of the network, 0..255.
        path: also save the figure as this picture file (.png, .pdf, ...).
        kind: what the network reads, `EmotionModel.input_kind`: "flow" (strain, v, u) or "face" (red, green, blue).
        made: the input as the preprocessor made it, such as ``prediction.input``. If it is given with ``spec`` and the
            network reads regions, a third picture shows the map on the flow image of the whole face.
        spec: how the input was made, such as `Predictor.spec`.
        overwrite: replace a picture that exists.

    Returns:
        The figure. It has no window and is not registered with ``pyplot``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OverwriteError: the picture exists and ``overwrite`` is not given.
        InputError: the image has another shape, only one of ``made`` and ``spec`` is given, or the file extension is
            not a picture format.
    """
    check_outputs(pictures=[path], overwrite=overwrite)
    refuse_type("found", found, Saliency, "what htnet.models.occlusion or htnet.models.integrated_gradients returned")
    values, shown = found.map, _ground(image, kind)
    if values.shape != shown.shape[:2]:
        raise InputError(
            f"The map has shape {values.shape}, but the image has {shown.shape[:2]}; give the image that the map is of."
        )
    if (made is None) != (spec is None):
        raise InputError("made and spec go together: give both, or neither.")
    placed = None
    if made is not None:
        refuse_type("made", made, ModelInput, "the input as the preprocessor made it, such as prediction.input")
        refuse_type("spec", spec, PreprocessSpec, "how the input was made, such as Predictor.spec")
    if made is not None and spec is not None and spec.layout != "whole":
        placed = onto_face(values, made, spec)
    figure = new_figure(8.2 if placed is None else 12, 4.2)
    axes = figure.subplots(1, 2 if placed is None else 3)
    axes[0].imshow(shown, interpolation="nearest")
    axes[0].set_title("what the network reads")
    reach = max(float(np.abs(values).max()), 1e-12)
    _signed(axes[1], shown, values, reach)
    axes[1].set_title(f"{found.method}, {found.label} ({found.score:.2f})")
    if placed is not None and made is not None:
        _signed(axes[2], made.flow_image[..., ::-1], placed, reach)
        axes[2].set_title("on the whole face")
    # Drawn without the map's opacity, so that the color bar shows the colors at full opacity.
    norm = require("matplotlib.colors", "plots", "Drawing").Normalize(-reach, reach)
    key = require("matplotlib.cm", "plots", "Drawing").ScalarMappable(norm, "RdBu_r")
    figure.colorbar(key, ax=list(axes), label="change of the score", shrink=0.8)
    for axis in axes:
        axis.set_axis_off()
    return finished(figure, path, overwrite)


def _signed(axis: Any, ground: npt.NDArray[np.uint8], values: Float64Array, reach: float) -> None:
    axis.imshow(ground @ np.array([0.299, 0.587, 0.114]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    known = np.nan_to_num(values)
    opaque = np.clip(np.abs(known) / reach, 0, 1) ** 0.5 * 0.9
    axis.imshow(known, cmap="RdBu_r", vmin=-reach, vmax=reach, alpha=opaque, interpolation="nearest")


def _positions(
    image: npt.ArrayLike,
    kind: str,
    shown: Sequence[tuple[Float64Array, AttentionMap | AttentionRollout, str]],
    label: str,
) -> Figure:
    """Draw one value per position over the image: as cells of a map, or as dots at points."""
    ground = _ground(image, kind)
    size = ground.shape[0]
    columns = min(len(shown) + 1, _PER_ROW)
    rows = -(-(len(shown) + 1) // columns)
    figure = new_figure(2.9 * columns + 0.8, 3.1 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    axes[0].imshow(ground, interpolation="nearest")
    axes[0].set_title("what the network reads", fontsize=9)
    most = max(2.0, *(float(values.max()) for values, _, _ in shown))
    extent = (-0.5, size - 0.5, size - 0.5, -0.5)
    picture: Any = None
    for axis, (values, at, title) in zip(axes[1:], shown, strict=False):
        axis.imshow(ground @ np.array([0.299, 0.587, 0.114]), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if at.side is None:
            picture = axis.scatter(*at.points.T, c=values, s=70, cmap="magma", vmin=0, vmax=most, edgecolor="white")
        else:
            cells = values.reshape(at.side, at.side)
            picture = axis.imshow(
                cells, cmap="magma", vmin=0, vmax=most, alpha=0.65, extent=extent, interpolation="nearest"
            )
        axis.set_title(title, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
    figure.colorbar(picture, ax=list(axes), label=label, shrink=0.8)
    return figure


def _ground(image: npt.ArrayLike, kind: str) -> npt.NDArray[np.uint8]:
    """The network's input as RGB. A flow image has the channels strain, v, u, and is shown as u, v, strain."""
    one_of(tuple(INPUT_KINDS)).check("kind", kind)
    channels = as_numbers("image", image, "the input of the network, (3, S, S)")
    if channels.ndim != 3 or channels.shape[0] != 3 or channels.shape[1] != channels.shape[2]:
        raise InputError(f"image has shape {channels.shape}; give the input of the network, (3, S, S).")
    if not np.isfinite(channels).all():
        raise InputError("image has NaN or infinite values; give the input of the network, 0..255.")
    if kind == "flow":
        channels = channels[::-1]
    return channels.transpose(1, 2, 0).round().clip(0, 255).astype(np.uint8)
