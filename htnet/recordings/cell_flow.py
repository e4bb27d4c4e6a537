"""Small motions of an aligned face against several earlier ones, cell by cell and region by region.

Lucas and Kanade (IJCAI 1981), with the gradient of the mean of both pictures, which leaves no error of second order.
What is kept of a pair of faces are the sums of each cell, so one cell, a region or the affine motion of the whole
head is a small linear system.
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

# Side of the local mean by which light is normalized, and the gray levels below which dark skin is not brightened.
_LIGHT, _DARK = 21, 16.0
# Gaussian before derivatives are taken, px.
_SMOOTH = 0.8
# Mean squared gradient, of pixels of even light in percent, at which a cell counts half: less is noise.
_FLOOR = 1.0
# Rounds of reweighting; the residual, in medians, at which a cell's weight has fallen to a quarter; and the least
# residual that counts, px.
_ROUNDS, _TURNING_POINT, _LEAST = 4, 1.5, 0.02
# Share of the trace that is added to the diagonal; and the weight of the cells whose residuals tell the scale.
_RIDGE, _COUNTED = 0.02, 0.4
# Stretch and shear, which a turn of the head brings, are held back by this share of the system's trace, so cheeks
# which rise in a smile are not taken for one; as directions in the six numbers of the affine motion.
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
# Pixels of a cell that are independent of each other after smoothing.
_INDEPENDENT = CELL * CELL / 8.0


@dataclass(frozen=True, eq=False)
class Texture:
    """A face made comparable: light normalized, noise smoothed.

    Attributes:
        image: (S, S) float32.
        gradient: (2, S, S) float32, its derivatives to the right and downward.
    """

    image: FloatArray
    gradient: FloatArray


def even_light(face: ByteArray | FloatArray) -> FloatArray:
    """A gray face over its local mean, in percent and smoothed, so light and exposure have no part in it."""
    if native_loops() and face.shape == (FACE, FACE):
        return face_numba.even_light(face, _SMOOTH)
    cv2 = load_opencv()
    pixels = face.astype(np.float32)
    mean = cv2.blur(pixels, (_LIGHT, _LIGHT), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.GaussianBlur((pixels - mean) / (mean + _DARK) * 100, (0, 0), _SMOOTH), np.float32)


def make_texture(image: FloatArray) -> Texture:
    """The texture of a face whose light was normalized."""
    gradient = np.zeros((2, *image.shape), np.float32)
    np.subtract(image[:, 2:], image[:, :-2], out=gradient[0, :, 1:-1])
    np.subtract(image[2:], image[:-2], out=gradient[1, 1:-1])
    gradient *= 0.5
    return Texture(image, gradient)


def pair_sums(earlier: Sequence[Texture], now: Texture) -> FloatArray:
    """What is kept of pairs of faces.

    Args:
        earlier: D textures.
        now: the face after them.

    Returns:
        (D, 6, cells): means over each cell of xx, xy, yy, xt, yt and tt, the products of the derivatives in space and
        of the change.
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
        regions: (N, regions, 2) float32, of each region, the head's motion taken out.
        strain: (N, regions) float32, mean optical strain of each region's cells, px per px.
        head: (N, 6) float32, the head's affine motion: u = a + b x + c y, v = d + e x + f y, where x and y go from -1
            to 1 across the face.
        rest: (N,) float32, root mean square of what the rigid cells move beside the head's motion.
        noise: (N,) float32, standard deviation that the noise of these very pictures gives the motion of a cell.
        cells: (N, 3, cells) float32, motion to the right, motion downward and optical strain of each cell, the head's
            motion taken out.
    """

    regions: FloatArray
    strain: FloatArray
    head: FloatArray
    rest: FloatArray
    noise: FloatArray
    cells: FloatArray


def solve_motions(sums: FloatArray) -> Motions:
    """Motions from what `pair_sums` kept of N pairs, (N, 6, cells).

    The head's affine motion is fitted to all cells at once, by least squares whose weights fall with the residual
    (Geman and McClure 1987) and are small where the face moves on its own; it is taken out of every region.
    """
    told = np.float32(TOLD_FACE / FACE)
    # So that brows and mouth do not outweigh the skin.
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
    return Motions(
        np.ascontiguousarray(regions.transpose(0, 2, 1)) * told,
        (strain[:, None] @ (members / members.sum(axis=0)))[:, 0],  # one product wakes threads that wait for 0.1 s
        head * told,
        np.sqrt(_mean((own**2).sum(axis=1), weight * rigid)) * told,
        _mean(noise, rigid) / np.float32(np.sqrt(_INDEPENDENT)) * told,
        np.concatenate([own * told, strain[:, None]], axis=1),
    )


def _mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean over the cells; 0 if nothing has weight."""
    return np.asarray((values * weights).sum(axis=-1) / (weights.sum(axis=-1) + 1e-9), np.float32)


def _after(sums: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """The sums that are left once each cell has been moved by (u, v) px."""
    xx, xy, yy, xt, yt, tt = (sums[:, k] for k in range(6))
    left = sums.copy()
    left[:, 3] += xx * u + xy * v
    left[:, 4] += xy * u + yy * v
    left[:, 5] = np.maximum(tt + 2 * (xt * u + yt * v) + xx * u * u + 2 * xy * u * v + yy * v * v, 0)
    return left


def _solve(sums: FloatArray) -> FloatArray:
    """Least-squares motions of (N, 6, K) sums: (N, 2, K); near 0 if there is no texture."""
    xx, xy, yy, xt, yt = (sums[:, k] for k in range(5))
    # A share of the trace keeps motion along an edge, which cannot be seen, from being made up.
    least = _RIDGE * (xx + yy) + 1e-9
    xx, yy = xx + least, yy + least
    determinant = xx * yy - xy * xy
    return np.stack([(xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant], axis=1)


def _head_motion(sums: FloatArray, trust: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The affine motion that most rigid cells share, (N, 6), and the cells' last weights, (N, cells)."""
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
