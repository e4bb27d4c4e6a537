"""Faces with known motion, made with SciPy so that they owe nothing to the code under test."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from skimage.data import astronaut

#: (top, left, side) of squares about the astronaut's face, from tight to loose.
SQUARES = ((71, 169, 104), (30, 140, 160), (0, 100, 224))
SIDE = 224


def grey_face(square: int) -> np.ndarray:
    """(224, 224) float64, 0..255."""
    top, left, side = SQUARES[square]
    grey = astronaut()[top : top + side, left : left + side] @ np.array([0.299, 0.587, 0.114])
    return zoom(grey, SIDE / side, order=3).clip(0, 255)


def smooth_field(rng, mean_length, shape=(SIDE, SIDE), sigma=25.0) -> np.ndarray:
    """(2, H, W) float32 of that mean length, px."""
    field = np.stack([gaussian_filter(rng.standard_normal(shape), sigma, mode="reflect") for _ in range(2)])
    return (field * mean_length / np.hypot(*field).mean()).astype(np.float32)


def moved(image, field) -> np.ndarray:
    """The frame in which pixel x of ``image`` lies at x + field(x); float, fifth-order splines."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    from_x, from_y = x, y
    for _ in range(25):
        u, v = (map_coordinates(f.astype(float), [from_y, from_x], order=1, mode="nearest") for f in field)
        from_x, from_y = x - u, y - v
    return map_coordinates(image, [from_y, from_x], order=5, mode="nearest")


def eight_bit(image) -> np.ndarray:
    return np.rint(image).clip(0, 255).astype(np.uint8)


def pair(square, field) -> tuple[np.ndarray, np.ndarray]:
    """8-bit onset and apex."""
    face = grey_face(square)
    return eight_bit(face), eight_bit(moved(face, field))


def end_point_error(flow, truth) -> float:
    return float(np.hypot(*(np.asarray(flow) - truth)).mean())
