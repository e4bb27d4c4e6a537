"""Small motions of an aligned face against several earlier ones, cell by cell and region by region.

The method is that of Lucas and Kanade (IJCAI 1981), with the gradient of the mean of both pictures, which has no error
of second order. Only sums over each cell are kept of a pair of faces. The motion of a cell, a region or the whole head
(affine) then follows from a small linear system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from htnet.core.native import native_loops
from htnet.core.types import ByteArray, FloatArray
from htnet.preprocess.flow.compute import optical_strain
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.video.face_motion import CELL, FACE, TOLD_FACE
from htnet.recordings import face_numba
from htnet.recordings.regions import GRID, cell_centers, region_weights, rigid_weights

# Side of the window whose mean normalizes the light, px; and gray levels added to the mean, so that dark skin is not
# amplified too much.
_LIGHT, _DARK = 21, 16.0
# Standard deviation of the Gaussian that is applied before derivatives are taken, px.
_SMOOTH = 0.8
# Mean squared gradient (of normalized pixels, in percent) at which a cell has half its full weight: less is noise.
_FLOOR = 1.0
# Rounds of reweighting; the residual at which a cell's weight has fallen to a quarter, in medians; and the smallest
# value of this residual, px.
_ROUNDS, _TURNING_POINT, _LEAST = 4, 1.5, 0.02
# Fraction of the trace that is added to the diagonal; and the smallest weight of the cells whose residuals set the
# scale.
_RIDGE, _COUNTED = 0.02, 0.4
# Stretch and shear, which a turn of the head causes, are damped by this fraction of the system's trace, so that cheeks
# that rise in a smile are not mistaken for a turn. The matrix gives these directions in the six affine parameters.
_STIFF = 0.01
_SHAPE = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, -1],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, -1, 0, 0, 0, 1],
    ]
)
# Number of pixels of a cell that are independent of each other after smoothing.
_INDEPENDENT = CELL * CELL / 8.0


@dataclass(frozen=True, eq=False)
class Texture:
    """A face with normalized light and smoothed noise.

    Attributes:
        image: (S, S) float32.
        gradient: (2, S, S) float32, derivatives to the right and downward.
    """

    image: FloatArray
    gradient: FloatArray


def even_light(face: ByteArray | FloatArray) -> FloatArray:
    """Deviation of a gray face from its local mean, in percent, smoothed. It does not depend on light and exposure."""
    if native_loops() and face.shape == (FACE, FACE):
        return face_numba.even_light(face, _SMOOTH)
    cv2 = load_opencv()
    pixels = face.astype(np.float32)
    mean = cv2.blur(pixels, (_LIGHT, _LIGHT), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.GaussianBlur((pixels - mean) / (mean + _DARK) * 100, (0, 0), _SMOOTH), np.float32)


def make_texture(image: FloatArray) -> Texture:
    """The texture of a face, from the result of `even_light`."""
    gradient = np.zeros((2, *image.shape), np.float32)
    np.subtract(image[:, 2:], image[:, :-2], out=gradient[0, :, 1:-1])
    np.subtract(image[2:], image[:-2], out=gradient[1, 1:-1])
    gradient *= 0.5
    return Texture(image, gradient)


def pair_sums(earlier: Sequence[Texture], now: Texture) -> FloatArray:
    """Products of derivatives of pairs of faces, averaged over cells.

    Args:
        earlier: D textures of earlier frames.
        now: texture of the current frame.

    Returns:
        (D, 6, cells): means over each cell of xx, xy, yy, xt, yt and tt, where x and y are the derivatives in space and
        t is the change from the earlier to the current frame.
    """
    if native_loops():
        pairs = [(before.image, before.gradient) for before in earlier]
        return face_numba.pair_sums(pairs, now.image, now.gradient)
    found = np.empty((len(earlier), 6, GRID, FACE), np.float32)
    products = np.empty((6, FACE, FACE), np.float32)
    for row, before in enumerate(earlier):
        gx, gy = (before.gradient + now.gradient) * 0.5
        change = now.image - before.image
        for k, (a, b) in enumerate(((gx, gx), (gx, gy), (gy, gy), (gx, change), (gy, change), (change, change))):
            np.multiply(a, b, out=products[k])
        products.reshape(6, GRID, CELL, FACE).sum(axis=2, out=found[row])
    return found.reshape(-1, 6, GRID, GRID, CELL).sum(axis=-1).reshape(-1, 6, GRID * GRID) / (CELL * CELL)


@dataclass(frozen=True, eq=False)
class Motions:
    """Motions of N pairs of faces, px of a 224 px face; right and down are positive.

    Attributes:
        regions: (N, regions, 2) float32, motion of each region without that of the head.
        strain: (N, regions) float32, mean optical strain of each region's cells, px per px.
        head: (N, 6) float32, the head's affine motion: u = a + b x + c y, v = d + e x + f y, where x and y go from -1
            to 1 across the face.
        rest: (N,) float32, root mean square of the motion of the rigid cells without that of the head.
        noise: (N,) float32, standard deviation of the motion of a cell that is due to the noise of these pictures.
        cells: (N, 3, cells) float32, motion to the right, motion downward and optical strain of each cell, without the
            motion of the head.
    """

    regions: FloatArray
    strain: FloatArray
    head: FloatArray
    rest: FloatArray
    noise: FloatArray
    cells: FloatArray


def solve_motions(sums: FloatArray) -> Motions:
    """Compute the motions of N pairs of faces from their `pair_sums`, (N, 6, cells).

    The head's affine motion is fitted to all cells at once, by robust least squares: weights fall with the residual
    (Geman and McClure 1987), and are small where parts of the face move on their own. It is subtracted from every
    region.
    """
    told = np.float32(TOLD_FACE / FACE)
    # Keeps brows and mouth, which have strong gradients, from outweighing the skin.
    trust = np.asarray(1 / (sums[:, 0] + sums[:, 2] + _FLOOR), np.float32)
    head, weight = _head_motion(sums, trust)
    u, v = _at_cells(head)
    rest = _after(sums, u, v)
    members = region_weights().T
    regions = _solve((rest * trust[:, None]) @ members)
    own = _solve(rest)
    noise = np.sqrt(_after(rest, own[:, 0], own[:, 1])[:, 5] / (0.5 * (sums[:, 0] + sums[:, 2]) + _FLOOR))
    strain = optical_strain(np.asarray(own.reshape(-1, 2, GRID, GRID) / CELL, np.float32)).reshape(-1, GRID * GRID)
    rigid = rigid_weights() * trust * (sums[:, 0] + sums[:, 2])
    # The strain is a batch of small products: one large product would wake other threads, which then wait for 0.1 s.
    return Motions(
        np.ascontiguousarray(regions.transpose(0, 2, 1)) * told,
        (strain[:, None] @ (members / members.sum(axis=0)))[:, 0],
        head * told,
        np.sqrt(_mean((own**2).sum(axis=1), weight * rigid)) * told,
        _mean(noise, rigid) / np.float32(np.sqrt(_INDEPENDENT)) * told,
        np.concatenate([own * told, strain[:, None]], axis=1),
    )


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean over the cells; 0 if all weights are 0."""
    return np.asarray((values * weights).sum(axis=-1) / (weights.sum(axis=-1) + 1e-9), np.float32)


def _after(sums: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """The sums after each cell has been moved by (u, v) px."""
    xx, xy, yy, xt, yt, tt = (sums[:, k] for k in range(6))
    left = sums.copy()
    left[:, 3] += xx * u + xy * v
    left[:, 4] += xy * u + yy * v
    left[:, 5] = np.maximum(tt + 2 * (xt * u + yt * v) + xx * u * u + 2 * xy * u * v + yy * v * v, 0)
    return left


def _solve(sums: FloatArray) -> FloatArray:
    """Least-squares motions of (N, 6, K) sums: (N, 2, K); near 0 if there is no texture."""
    xx, xy, yy, xt, yt = (sums[:, k] for k in range(5))
    # The ridge suppresses the motion along an edge, which the pictures do not determine (aperture problem).
    least = _RIDGE * (xx + yy) + 1e-9
    xx, yy = xx + least, yy + least
    determinant = xx * yy - xy * xy
    return np.stack([(xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant], axis=1)


def _head_motion(sums: FloatArray, trust: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The affine motion of most rigid cells, (N, 6), and the final weights of the cells, (N, cells)."""
    x, y = cell_centers()
    basis = np.stack([np.ones_like(x), x, y])
    squares = (basis[:, None] * basis[None]).reshape(9, -1).T
    flow = _solve(sums)
    weight = np.broadcast_to(rigid_weights(), trust.shape)
    found = np.zeros((len(sums), 6), np.float32)
    for _ in range(_ROUNDS):
        weighted = sums[:, :5] * (weight * trust)[:, None]
        matrix = (weighted[:, :3] @ squares).reshape(-1, 3, 3, 3)
        right = (weighted[:, 3:] @ basis.T).reshape(-1, 6)
        top = np.concatenate([matrix[:, 0], matrix[:, 1]], axis=2)
        low = np.concatenate([matrix[:, 1], matrix[:, 2]], axis=2)
        system = np.concatenate([top, low], axis=1).astype(np.float64) + 1e-6 * np.eye(6)
        system += _STIFF * np.trace(system, axis1=1, axis2=2)[:, None, None] * _SHAPE
        found = -np.linalg.solve(system, right.astype(np.float64)[..., None])[..., 0].astype(np.float32)
        u, v = _at_cells(found)
        length = np.hypot(flow[:, 0] - u, flow[:, 1] - v)
        scale = np.maximum(_TURNING_POINT * np.median(length[:, rigid_weights() >= _COUNTED], axis=1), _LEAST)
        weight = rigid_weights() / (1 + (length / scale[:, None]) ** 2) ** 2
    return found, weight


def _at_cells(head: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The affine motion at each cell's center: u and v, (N, cells)."""
    x, y = cell_centers()
    u = head[:, :1] + head[:, 1:2] * x + head[:, 2:3] * y
    return u, head[:, 3:4] + head[:, 4:5] * x + head[:, 5:] * y
