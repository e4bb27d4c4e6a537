"""Positions of the regions of a network's input in the flow image, and so on the face."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.errors import InputError
from htnet.core.types import Float64Array, ModelInput, PreprocessSpec
from htnet.preprocess import crop_regions, template_points


def region_boxes(made: ModelInput, spec: PreprocessSpec | None) -> list[tuple[int, int, int]]:
    """Left, top and side of each region, px of the flow image, in the order of the mosaic; empty for a whole face."""
    if spec is None or spec.layout == "whole":
        return []
    size, half = spec.size, spec.size // 2
    sources = _sources(made, spec)
    quarters = (sources[y : y + half, x : x + half] for y in (0, half) for x in (0, half))
    return [(int(part.min()) % size, int(part.min()) // size, half) for part in quarters]


def onto_face(values: npt.ArrayLike, made: ModelInput, spec: PreprocessSpec) -> Float64Array:
    """Map values of a network's input back to the positions at which its regions were cropped.

    Args:
        values: (S, S), one value per px of the network's input, such as `Saliency.map`.
        made: the input.
        spec: how the input was made.

    Returns:
        (S, S), one value per px of the flow image, which shows the whole aligned face: the mean where regions overlap,
        NaN outside all regions.

    Raises:
        InputError: the map has another shape.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.shape != (spec.size, spec.size):
        raise InputError(f"The map has shape {given.shape}; give one value for each of {spec.size}x{spec.size} px.")
    if spec.layout == "whole":
        return given
    at = _sources(made, spec).ravel()
    total = np.bincount(at, given.ravel(), spec.size**2)
    times = np.bincount(at, minlength=spec.size**2)
    return np.where(times > 0, total / np.maximum(times, 1), np.nan).reshape(spec.size, spec.size)


def _sources(made: ModelInput, spec: PreprocessSpec) -> npt.NDArray[np.int64]:
    """For each px of the mosaic, the flat index of the px of the flow image that it was cropped from."""
    own = made.points if made.regions_at == "landmarks" else None
    at = template_points(spec) if own is None else torch.from_numpy(np.asarray(own, np.float32))
    size = spec.size
    found: npt.NDArray[np.int64] = crop_regions(torch.arange(size * size).reshape(1, 1, size, size), at, spec.layout)[
        0, 0
    ].numpy()
    return found
