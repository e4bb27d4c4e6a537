"""Pairs of 8-bit faces whose true flow is known, made with SciPy, independent of htnet's own code.

The face is NASA's portrait of Eileen Collins in scikit-image (public domain), in three crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from skimage.data import astronaut

Array = npt.NDArray[np.float64]

#: (top, left, side) of squares about the face, from tight to loose.
SQUARES = ((71, 169, 104), (30, 140, 160), (0, 100, 224))
#: Side that lengths are given at, px; they grow with the frame.
SIDE = 224
#: Center and half axes of the eyes and the mouth, as shares of the side.
PARTS = ((0.34, 0.37, 0.16, 0.07), (0.69, 0.36, 0.16, 0.07), (0.5, 0.8, 0.22, 0.1))


@dataclass(frozen=True, eq=False)
class Pair:
    """One case.

    Attributes:
        kind: what is hard about it.
        onset: (S, S) uint8.
        apex: (S, S) uint8.
        truth: (2, S, S) float32, the flow from onset to apex, px.
    """

    kind: str
    onset: npt.NDArray[np.uint8]
    apex: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.float32]


def gray_face(square: int, side: int = SIDE) -> Array:
    """(side, side) float64, 0..255."""
    top, left, length = SQUARES[square]
    gray = astronaut()[top : top + length, left : left + length] @ np.array([0.299, 0.587, 0.114])
    return zoom(gray, side / length, order=3).clip(0, 255)


def smooth_field(rng, mean_length, shape=(SIDE, SIDE), sigma=25.0) -> npt.NDArray[np.float32]:
    """(2, H, W) float32 of that mean length, px."""
    field = np.stack([gaussian_filter(rng.standard_normal(shape), sigma, mode="reflect") for _ in range(2)])
    return (field * mean_length / np.hypot(*field).mean()).astype(np.float32)


def piecewise_field(rng, length, side=SIDE) -> npt.NDArray[np.float32]:
    """Eyes and mouth each move one way, the rest stays; the edge is as steep as a frame without folds allows."""
    y, x = np.mgrid[:side, :side] / side
    field = np.zeros((2, side, side))
    for center_x, center_y, half_x, half_y in PARTS:
        inside = ((x - center_x) / half_x) ** 2 + ((y - center_y) / half_y) ** 2 < 1
        angle = rng.uniform(0, 2 * np.pi)
        field[0, inside], field[1, inside] = np.cos(angle), np.sin(angle)
    softened = np.stack([gaussian_filter(plane, 1.5 * side / SIDE) for plane in field])
    return (softened * length).astype(np.float32)


def moved(image, field) -> Array:
    """The frame in which pixel x of ``image`` lies at x + field(x); float, fifth-order splines."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    from_x, from_y = x, y
    for _ in range(60):
        u, v = (map_coordinates(f.astype(float), [from_y, from_x], order=1, mode="nearest") for f in field)
        previous, (from_x, from_y) = (from_x, from_y), (x - u, y - v)
        if max(np.abs(from_x - previous[0]).max(), np.abs(from_y - previous[1]).max()) < 1e-4:
            break
    return map_coordinates(image, [from_y, from_x], order=5, mode="nearest")


def eight_bit(image) -> npt.NDArray[np.uint8]:
    return np.rint(image).clip(0, 255).astype(np.uint8)


def pairs(side: int, seed: int) -> list[Pair]:
    """Every kind of case on every crop of the face."""
    rng, grow = np.random.default_rng(seed), side / SIDE
    y, x = np.mgrid[:side, :side] / side

    def smooth(length: float, sigma: float = 25) -> npt.NDArray[np.float32]:
        return smooth_field(rng, length * grow, (side, side), sigma * grow)

    def noise() -> Array:
        return rng.normal(0, 2, (side, side))

    out = []
    for square in range(len(SQUARES)):
        face = gray_face(square, side)

        def add(kind: str, field: npt.NDArray[np.float32], light=lambda image: image, grain=lambda: 0.0, face=face):
            apex = eight_bit(light(moved(face, field)) + grain())
            out.append(Pair(kind, eight_bit(face + grain()), apex, field))

        add("smooth", smooth(1.0))
        add("faint", smooth(0.2))
        add("piecewise", piecewise_field(rng, grow, side))
        add("large", smooth(6.0, 35))
        add("brightness", smooth(1.0), light=lambda image: 1.05 * image + 5)
        add("shading", smooth(1.0), light=lambda image: image * (1 + 0.06 * (x - 0.5)) + 8 * (y - 0.5))
        add("noise", smooth(1.0), grain=noise)
    return out
