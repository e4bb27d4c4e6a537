import numpy as np
import pytest
import torch

from htnet.models import manifold


def random_lengths(batch, count=6):
    """Cosine similarities of random vectors with a common part, as regions have them: float64."""
    vectors = torch.randn(batch, count, 12, dtype=torch.float64) + 2 * torch.rand(batch, 1, 1).double()
    return manifold.similarity_lengths(vectors)


def points_and_distances(batch=5, count=6):
    points = torch.randn(batch, count, 2, dtype=torch.float64)
    return points, torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


def test_lengths_by_hand():
    vectors = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [0.0, -2.0]]])
    expected = torch.tensor([[[0.0, 0.6, 0.1], [0.6, 0.0, 0.1], [0.1, 0.1, 0.0]]])  # -0.8 and 0 count as 0.1
    torch.testing.assert_close(manifold.similarity_lengths(vectors), expected)


def test_shortest_paths_equal_scipy():
    csgraph = pytest.importorskip("scipy.sparse.csgraph")
    lengths = torch.rand(20, 7, 7, dtype=torch.float64) ** 3 + 1e-3
    lengths = lengths + lengths.transpose(1, 2)
    lengths.diagonal(dim1=1, dim2=2).zero_()
    found = manifold.shortest_paths(lengths)
    for ours, edges in zip(found, lengths, strict=True):
        np.testing.assert_allclose(ours.numpy(), csgraph.floyd_warshall(edges.numpy()), rtol=1e-12)
    assert (found < lengths - 1e-9).any()  # some way round was shorter


def test_planar_points_keep_their_distances():
    _, distances = points_and_distances()
    torch.testing.assert_close(manifold.classical_scaling(distances), distances, rtol=1e-8, atol=1e-8)


def test_classical_scaling_equals_eigenvectors():
    """Coordinates from NumPy's eigenvectors, one sample after the other."""
    lengths = random_lengths(20)
    found = manifold.classical_scaling(lengths).numpy()
    centering = np.eye(6) - 1 / 6
    compared = 0
    for ours, sample in zip(found, lengths.numpy(), strict=True):
        values, vectors = np.linalg.eigh(-0.5 * centering @ sample**2 @ centering)
        if values[-2] - values[-3] < 1e-6 * values[-1]:
            continue  # equal eigenvalues (many similarities at the floor): any plane among theirs is right
        compared += 1
        points = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
        expected = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.testing.assert_allclose(ours, expected, atol=1e-6)  # roots of rounding
    assert compared >= 15


def test_gradient_of_classical_scaling():
    """Finite differences, where the third eigenvalue is far from the second."""
    hexagon = torch.tensor([[4.0, 0], [2, 2], [-2, 2], [-4, 0], [-2, -2], [2, -2]], dtype=torch.float64)
    distances = manifold.pairwise(hexagon + 0.3 * torch.randn(3, 6, 2, dtype=torch.float64))
    noise = torch.rand(3, 6, 6, dtype=torch.float64) * 0.05
    noise = (noise + noise.transpose(1, 2)) * (1 - torch.eye(6))
    weights = torch.randn(3, 6, 6, dtype=torch.float64)

    def loss(upper):
        rows, columns = torch.triu_indices(6, 6, 1)
        full = torch.zeros(3, 6, 6, dtype=torch.float64).index_put((torch.arange(3)[:, None], rows, columns), upper)
        return (manifold.classical_scaling(full + full.transpose(1, 2)) * weights).sum()

    rows, columns = torch.triu_indices(6, 6, 1)
    start = (distances + noise)[:, rows, columns].requires_grad_()
    (found,) = torch.autograd.grad(loss(start), start)
    for b, e in ((0, 0), (1, 7), (2, 14)):
        step = torch.zeros_like(start)
        step[b, e] = 1e-6
        difference = (loss(start + step) - loss(start - step)) / 2e-6
        assert found[b, e].item() == pytest.approx(difference.item(), rel=0.05, abs=1e-3)


def simplex(count):
    """All distances 1: all eigenvalues but one are the same."""
    return (1 - torch.eye(count))[None]


def square_distances():
    """A square: the two largest eigenvalues are the same, the others are 0."""
    points = torch.tensor([[[0.0, 0], [1, 0], [1, 1], [0, 1]]])
    return torch.cdist(points, points)


@pytest.mark.parametrize(
    "distances",
    [simplex(6), square_distances(), torch.zeros(1, 6, 6), torch.cat([simplex(5), 2 * simplex(5)])],
    ids=["simplex", "square", "one place", "batch"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeated_eigenvalues_have_finite_gradients(distances, dtype):
    leaf = distances.to(dtype).clone().requires_grad_()
    found = manifold.row_normalized(manifold.classical_scaling(leaf))
    (found * torch.randn_like(found)).sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad.abs().max() < 1e3


def test_gradient_of_the_square_is_the_known_one():
    """Two equal kept eigenvalues: a longer square has longer distances, all by the same factor."""
    leaf = square_distances().double().requires_grad_()
    manifold.classical_scaling(leaf).sum().backward()
    # The sum of distances is linear under scaling of all of them: sum of gradient times distance is the sum.
    assert (leaf.grad * leaf).sum().item() == pytest.approx(leaf.sum().item(), rel=1e-3)


def test_eigenvectors_alone_would_blow_up():
    """What the custom gradient avoids, so the tests above can fail."""
    leaf = simplex(6).double().requires_grad_()
    values, vectors = torch.linalg.eigh(leaf.square())
    (vectors[..., -2:] * values[..., None, -2:].abs().sqrt() * torch.rand(1, 6, 2)).sum().backward()
    assert not torch.isfinite(leaf.grad).all() or leaf.grad.abs().max() > 1e6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_smacof_agrees_with_scikit_learn():
    sklearn_manifold = pytest.importorskip("sklearn.manifold")
    lengths = manifold.shortest_paths(random_lengths(40))
    start = manifold.published_start(6)
    ours = manifold.stress(manifold.smacof(lengths, start), lengths).numpy()
    for own, sample in zip(ours, lengths.numpy(), strict=True):
        _, theirs = sklearn_manifold.smacof(
            sample, init=start.numpy(), n_init=1, max_iter=300, eps=1e-6, normalized_stress=False
        )
        assert own == pytest.approx(theirs, rel=0.01)


def test_smacof_samples_do_not_disturb_each_other():
    lengths = manifold.shortest_paths(random_lengths(6))
    start = manifold.published_start(6)
    together = manifold.smacof(lengths, start)
    alone = torch.cat([manifold.smacof(sample[None], start) for sample in lengths])
    torch.testing.assert_close(together, alone)


def test_smacof_passes_gradients():
    lengths = random_lengths(3).requires_grad_()
    manifold.pairwise(manifold.smacof(lengths, manifold.published_start(6))).square().sum().backward()
    assert torch.isfinite(lengths.grad).all()
    assert lengths.grad.abs().max() > 0


def test_points_in_one_place_are_no_obstacle():
    found = manifold.smacof(torch.zeros(2, 6, 6), manifold.published_start(6))
    assert torch.isfinite(found).all()
    assert manifold.stress(found, torch.zeros(2, 6, 6)).max() < 1e-6
    assert torch.equal(manifold.row_normalized(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


def test_rows_are_divided_by_their_largest():
    found = manifold.row_normalized(torch.tensor([[[0.0, 2.0, 4.0], [2.0, 0.0, 1.0], [4.0, 1.0, 0.0]]]))
    torch.testing.assert_close(found, torch.tensor([[[0, 0.5, 1], [1, 0, 0.5], [1, 0.25, 0]]]))
