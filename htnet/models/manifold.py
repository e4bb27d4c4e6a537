"""Multidimensional scaling of small distance matrices, batched and differentiable.

The published MHSSA + GCN does this sample by sample with scikit-learn: shortest paths between the regions, points
in the plane whose distances approximate them, and those distances divided by the largest of each row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Dimensions that the scaling reduces to.
PLANE = 2
#: Squarings in `planar_gram_by_squaring`, enough to separate eigenvalues that differ by a millionth.
SQUARINGS = 20
#: Width, as a fraction of the largest eigenvalue, to which gradients widen narrower gaps between kept and dropped
#: eigenvalues.
GAP = 1e-2
#: As in scikit-learn's SMACOF: maximum number of steps, and minimum gain in stress per step, as a fraction of the
#: squared distances.
SMACOF_STEPS, SMACOF_GAIN = 300, 1e-6
#: Replaces a distance of 0 in a SMACOF step, as in scikit-learn.
_COINCIDENT = 1e-5


def similarity_lengths(vectors: Tensor, floor: float = 0.1) -> Tensor:
    """Cosine similarities as lengths of the edges between regions, as published.

    Similarity used as a length places similar regions far apart. The published adjacency uses the distances
    as weights, so similar regions are strongly linked.

    Args:
        vectors: (B, N, C), one vector per region.
        floor: smaller similarities are raised to this.

    Returns:
        (B, N, N), symmetric, ``floor`` to 1, with 0 on the diagonal.
    """
    unit = F.normalize(vectors, dim=-1)
    similarity = (unit @ unit.transpose(-1, -2)).clamp_min(floor)
    return similarity * (1 - torch.eye(vectors.shape[-2], dtype=vectors.dtype, device=vectors.device))


def shortest_paths(lengths: Tensor) -> Tensor:
    """Lengths of the shortest paths (Floyd and Warshall).

    Args:
        lengths: (B, N, N) of edges, 0 or more, 0 on the diagonal.

    Returns:
        (B, N, N).
    """
    for k in range(lengths.shape[-1]):
        lengths = torch.minimum(lengths, lengths[:, :, k, None] + lengths[:, None, k, :])
    return lengths


def pairwise(points: Tensor) -> Tensor:
    """Distances (B, N, N) between points (B, N, D); the gradient of a distance of 0 is 0."""
    return _root((points[:, :, None] - points[:, None]).square().sum(-1))


def _root(squares: Tensor) -> Tensor:
    positive = squares > 0
    return torch.where(positive, squares, 1.0).sqrt() * positive


class _PlanarGram(torch.autograd.Function):
    """The nearest Gram matrix of points in the plane: the two largest eigenvalues if positive, all others set to 0.

    The result is a function f of the eigenvalues, so its derivative is (f_i - f_j) / (l_i - l_j) in the basis of the
    eigenvectors (Daleckii and Krein). That is exactly 1 between kept eigenvalues and 0 between dropped ones, however
    close they are, while the derivatives of the eigenvectors themselves, 1 / (l_i - l_j), are not finite. The quotient
    can become large only between a kept and a dropped eigenvalue: there the gap is widened to `GAP`. If the two are
    equal, the plane is not determined and there is no derivative; 0 is used.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        kept = torch.zeros_like(values)
        kept[..., -PLANE:] = values[..., -PLANE:].clamp_min(0)
        ctx.save_for_backward(values, vectors, kept)
        return (vectors * kept[..., None, :]) @ vectors.transpose(-1, -2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        values, vectors, kept = ctx.saved_tensors
        active = kept > 0
        gap = values[..., :, None] - values[..., None, :]
        least = GAP * values.abs().amax(-1)[..., None, None] + torch.finfo(values.dtype).tiny ** 0.5
        quotient = (kept[..., :, None] - kept[..., None, :]) * gap / (gap.square() + least.square())
        both = active[..., :, None] & active[..., None, :]
        quotient = torch.where(both, 1.0, quotient)
        inner = vectors.transpose(-1, -2) @ ((grads[0] + grads[0].transpose(-1, -2)) / 2) @ vectors
        return vectors @ (quotient * inner) @ vectors.transpose(-1, -2)


def planar_gram_by_squaring(matrix: Tensor) -> Tensor:
    """The nearest Gram matrix of points in the plane, by a fixed number of matrix products.

    Exporters support products, but no eigenvectors. Squaring a matrix repeatedly leaves the eigenvector of its largest
    eigenvalue. That part is subtracted, and the next eigenvector is found in the same way. (Jacobi rotations were
    tried: they are no closer to float64 and take six times as many operations.) For 6 x 6 matrices in float32 the
    result is as close to float64 as with LAPACK's eigenvectors.

    Args:
        matrix: (B, N, N), symmetric.

    Returns:
        (B, N, N): the two largest eigenvalues kept if positive, all others set to 0.
    """
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    # No eigenvalue is below -bound. Adding bound to all of them keeps their order and leaves none negative.
    bound = matrix.abs().sum(-1).amax(-1)[..., None, None].clamp_min(torch.finfo(matrix.dtype).tiny)
    left, gram = matrix + bound * unit, torch.zeros_like(matrix)
    for _ in range(PLANE):
        power = left
        for _ in range(SQUARINGS // 2):
            power = power / (power * unit).sum((-1, -2), keepdim=True)
            power = power @ power
            power = power @ power
        largest = power.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None]
        vector = power.gather(-1, largest.expand(*matrix.shape[:-1], 1))
        vector = vector / vector.square().sum(-2, keepdim=True).sqrt()
        value, projector = vector.mT @ matrix @ vector, vector @ vector.mT
        gram = gram + value.clamp_min(0) * projector
        left = left - (value + bound) * projector
    return gram


def classical_scaling(distances: Tensor, *, by_squaring: bool = False) -> Tensor:
    """Distances after classical multidimensional scaling to the plane (Torgerson 1952).

    The points are given by the two largest eigenvalues of the doubly centered squared distances. The distances between
    them are returned, because the points are defined only up to rotation and mirroring.

    Args:
        distances: (B, N, N), symmetric, 0 on the diagonal.
        by_squaring: use `planar_gram_by_squaring` instead of eigenvectors, for exporters.

    Returns:
        (B, N, N). Gradients are finite for repeated eigenvalues too.
    """
    squares = distances.square()
    rows, columns = squares.mean(-1, keepdim=True), squares.mean(-2, keepdim=True)
    centered = (rows + columns - squares - squares.mean((-1, -2), keepdim=True)) / 2
    gram = planar_gram_by_squaring(centered) if by_squaring else _PlanarGram.apply(centered)
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    planar = diagonal[..., :, None] + diagonal[..., None, :] - 2 * gram
    # Rounding leaves nonzero values on the diagonal and between points that coincide.
    least = torch.finfo(planar.dtype).eps * planar.detach().amax((-1, -2), keepdim=True) * planar.shape[-1]
    return _root(torch.where(planar > least, planar, 0.0))


def smacof(distances: Tensor, start: Tensor, steps: int = SMACOF_STEPS, gain: float = SMACOF_GAIN) -> Tensor:
    """Points with minimum stress by majorization (SMACOF, de Leeuw 1977), as in scikit-learn.

    Each sample stops separately, when a step gains less than ``gain`` of its squared distances. Gradients pass through
    all steps.

    Args:
        distances: (B, N, N), symmetric, 0 on the diagonal.
        start: (N, D) or (B, N, D), initial points.
        steps: maximum number of steps.
        gain: minimum gain of a step.

    Returns:
        (B, N, D).
    """
    count = distances.shape[-1]
    points = start.to(distances).expand(len(distances), count, start.shape[-1])
    now, old = pairwise(points), None
    running = torch.ones(len(distances), dtype=torch.bool, device=distances.device)
    for _ in range(steps):
        ratio = distances / torch.where(now == 0, _COINCIDENT, now)
        moved = (ratio.sum(-1, keepdim=True) * points - ratio @ points) / count
        points = torch.where(running[:, None, None], moved, points)
        now = pairwise(points)
        stress = (now - distances).square().sum((-1, -2)).detach()
        if old is not None:
            running = running & (old - stress >= gain * now.detach().square().sum((-1, -2)))
            if not bool(running.any()):
                break
        old = stress
    return points


def stress(points: Tensor, distances: Tensor) -> Tensor:
    """Half the sum of all squared differences between the points' distances and the given ones, (B,)."""
    return (pairwise(points) - distances).square().sum((-1, -2)) / 2


def published_start(count: int) -> Tensor:
    """Initial points of scikit-learn for ``random_state=42``, which the published code sets: (count, 2) float64."""
    return torch.from_numpy(np.random.RandomState(42).uniform(size=(count, PLANE)))


def row_normalized(distances: Tensor) -> Tensor:
    """Each row divided by its largest value; rows of 0 stay 0."""
    largest = distances.amax(-1, keepdim=True)
    return distances / torch.where(largest > 0, largest, 1.0)
