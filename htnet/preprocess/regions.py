"""Regions: the mosaic of face parts that the network reads, cut from flow images in torch."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np
import numpy.typing as npt
import torch

from htnet.core.arrays import real_array
from htnet.core.errors import InputError, LandmarkError, refuse_unknown
from htnet.core.types import LAYOUTS, TEMPLATE_SIZE, PreprocessSpec
from htnet.preprocess.geometry import FRACTIONS_BELOW, scale_points

# Places in POINT_NAMES: eyes over mouth corners; the nose is left out.
_CORNERS = (0, 1, 3, 4)


def template_points(spec: PreprocessSpec) -> torch.Tensor:
    """The template in pixels of the flow image: (5, 2) float32, (x, y)."""
    return torch.from_numpy(scale_points(spec.template, spec.size / TEMPLATE_SIZE)).float()


def crop_regions(images: torch.Tensor, points: torch.Tensor | npt.ArrayLike, layout: str) -> torch.Tensor:
    """Cut four patches around eyes and mouth corners and lay them out as one image of the same side.

    With h = S // 4 each patch is S/2 px wide and starts h px before its point.

    - "anatomical": mosaic [[left eye, right eye], [left mouth, right mouth]]; points are rounded, then moved
      so that the patch lies inside the image.
    - "reference": the published HTNet crop. Points are clipped to h..S-h, then truncated; x counts rows and
      y columns (a transposition in the reference), so patch 1, cut around the right eye's point, shows the
      lower left of the face, and the mosaic [[patch0, patch1], [patch3, patch4]] shows the left eye and left
      lips over the right eye and right lips.
    - "whole": the image itself.

    Args:
        images: (B, C, S, S), any type, S even and 4 or more.
        points: (B, 5, 2), or (5, 2) for all images; (x, y) in px of the flow image, order `POINT_NAMES`. A tensor,
            an array or lists.
        layout: one of `LAYOUTS`.

    Returns:
        (B, C, S, S), same type and device; the input itself for "whole".

    Raises:
        InputError: an unknown layout, images that are not a tensor, or images or points of the wrong shape.
        LandmarkError: the points are not real numbers or are fractions of the sides, or a point is NaN or infinite.
    """
    refuse_unknown([layout], LAYOUTS, "layout")
    if not isinstance(images, torch.Tensor):
        raise InputError(f"Flow images are of type {type(images).__name__}; give a tensor: torch.as_tensor(images).")
    size = images.shape[-1]
    if images.ndim != 4 or images.shape[-2] != size or size < 4 or size % 2:
        raise InputError(f"Flow images have shape {tuple(images.shape)}; give (B, C, S, S), S even, 4 or more.")
    if layout == "whole":
        return images
    if not _is_plain(points) or (points.is_meta and not images.is_meta):
        points = torch.from_numpy(real_array(points, "Points", LandmarkError, "five (x, y)", np.float64).copy())
    if points.shape not in ((5, 2), (len(images), 5, 2)):
        raise InputError(
            f"Points have shape {tuple(points.shape)}; give (5, 2), or ({len(images)}, 5, 2) for these images."
        )
    index = _source_pixels(points.to(images.device), size, layout)
    flat = images.flatten(2)
    if points.ndim == 2:
        return flat.index_select(2, index[0]).view_as(images)
    return flat.gather(2, index[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def _is_plain(points: torch.Tensor | npt.ArrayLike) -> TypeGuard[torch.Tensor]:
    """Whether these are real numbers in a dense tensor."""
    return (
        isinstance(points, torch.Tensor)
        and points.layout == torch.strided
        and not (points.is_complex() or points.is_quantized or points.dtype == torch.bool)
    )


def _source_pixels(points: torch.Tensor, size: int, layout: str) -> torch.Tensor:
    """For each pixel of the mosaic, row by row, the flat index it is read from: (B or 1, S * S) int64."""
    half, side = size // 4, size // 2
    points = points.reshape(-1, 5, 2)[:, _CORNERS].double()
    # Exported and compiled code cannot branch on values.
    if not torch.compiler.is_compiling():
        largest = points.detach().abs().flatten(1).amax(1).tolist() if points.numel() else []
        if not all(map(math.isfinite, largest)):
            raise LandmarkError("Points for the regions contain NaN or infinity; give finite pixels.")
        fractions = [value for value in largest if 0 < value < FRACTIONS_BELOW]
        if fractions and size > 8:
            raise LandmarkError(
                f"Points for the regions are at most {fractions[0]:g}, as fractions of the sides are. Give px of "
                f"the flow image: times {size}."
            )
    if layout == "anatomical":
        points = points.round()
    start = points.clamp(half, size - side + half).long() - half  # clamp, then truncate: both are >= 0
    x, y = start.view(-1, 2, 1, 2, 1, 2).unbind(-1)  # (B, mosaic row, 1, mosaic column, 1)
    row, column = (x, y) if layout == "reference" else (y, x)
    offset = torch.arange(side, device=points.device)
    return ((row + offset.view(side, 1, 1)) * size + column + offset).reshape(-1, size * size)
