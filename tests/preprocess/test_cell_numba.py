"""The motion of cells as machine code: that of the plain form, in every thread, and only in its own memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from htnet.core import native
from htnet.core.native import native_function, numba_obstacle
from htnet.core.types import Frame, Landmarks
from htnet.preprocess import displace, fit_alignment
from htnet.preprocess.evidence import _turn_modes, expression_probability
from htnet.preprocess.flow import cell_numba, registration
from tests.preprocess.faces import eight_bit, gray_face, moved, smooth_field
from tests.preprocess.test_registration import POINTS, moved_head, seen

pytestmark = pytest.mark.skipif(bool(numba_obstacle()), reason=f"needs htnet[fast]: {numba_obstacle()}")
#: Largest difference from the plain form: px of the picture, and shares of the largest value. Both sum float32.
PX, SHARE = 2e-4, 2e-5


def faces(side, rng, length=0.6):
    """Two pictures of a face, moved and with another light."""
    face = gray_face(1)
    second = moved(face, smooth_field(rng, length)) * 1.1 - 4 + rng.normal(0, 1, face.shape)
    return tuple(registration._prepared(eight_bit(one.clip(0, 255)), side) for one in (face, second))


def motion(side, rng):
    window = max(registration._WINDOW, 0.6 * side / 28)
    return (*faces(side, rng), window, registration._native_windows(side, window))


@pytest.mark.parametrize("side", [16, 17, 28, 31, 56, 111, 224])
def test_the_motion_is_that_of_the_plain_form(side, rng):
    first, second, window, windows = motion(side, rng)
    uv, *rest = registration._textures(first, second, window)
    found, *others = cell_numba.cell_motion(first, second, windows)
    assert np.abs(found).max() > 0.01
    np.testing.assert_allclose(found, uv, rtol=0, atol=PX)
    for one, other in zip(others, rest, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=SHARE * np.abs(other).max())


def test_nothing_moves_without_texture():
    flat = np.full((28, 28), 90, np.float32)
    uv, texture, rest = cell_numba.cell_motion(flat, flat, registration._native_windows(28, 4.0))
    assert not uv.any()
    assert not rest.any()
    assert np.abs(texture).max() < 1e-6


@pytest.mark.parametrize("unit", [1.0, 8.0])
@pytest.mark.parametrize("turn", [False, True])
def test_the_fit_is_that_of_the_plain_form(turn, unit, rng):
    design = _turn_modes() if turn else registration._similarities(224)
    first, second, *_ = motion(56, rng)
    found = registration._cell_motion(first, second, 224)
    settings = ((registration._FLOOR * unit) ** 2, registration._LEAST * unit, registration._TURNING_POINT)
    prior = registration.rigid_cells()
    plain = registration._fitted(found, design, prior, settings)
    assert np.abs(plain).max() > 0.01
    np.testing.assert_allclose(registration.robust_fit(found, design, prior, unit), plain, rtol=1e-9, atol=1e-11)
    # A fit to nothing, and one whose residuals are all alike.
    for uv, information in ((0 * found.uv, found.information), (0 * found.uv + 1, 0 * found.information)):
        still = registration.CellMotion(uv, information, 1.0)
        np.testing.assert_allclose(
            registration.robust_fit(still, design, prior),
            registration._fitted(still, design, prior, settings),
            atol=1e-9,
        )


@pytest.mark.parametrize("number", [1, 2, 3, 7, 8, 200, 784])
def test_the_weighted_median_of_some_cells(number, rng):
    design, prior = rng.normal(size=(28, 28, 2, 2)), np.zeros((28, 28))
    prior.ravel()[rng.choice(784, number, replace=False)] = rng.uniform(0.1, 1, number)
    root = rng.normal(size=(28, 28, 2, 2))
    found = registration.CellMotion(rng.normal(size=(28, 28, 2)), 20 * root @ np.swapaxes(root, 2, 3), 1.0)
    settings = (registration._FLOOR**2, registration._LEAST, registration._TURNING_POINT)
    plain = registration._fitted(found, design, prior, settings)
    np.testing.assert_allclose(registration.robust_fit(found, design, prior), plain, rtol=1e-6)


def test_registration_and_evidence_are_those_of_the_plain_form(rng, monkeypatch):
    face = np.pad(gray_face(0), 32, mode="reflect")
    smile = displace(eight_bit(face), smooth_field(rng, 1.0, face.shape)).astype(float)
    onset, apex = seen(face, np.eye(3), rng), seen(smile, moved_head((3.2, -1.7), 1.5, 0.01), rng)
    points = Landmarks(POINTS, "truth")
    alignment = fit_alignment(points)
    answers = []
    for native_here in (True, False):
        monkeypatch.setattr(registration, "native_loops", lambda here=native_here: here)
        matrix = registration.register(alignment.warp(onset), apex, alignment)
        answers.append((matrix, expression_probability(onset, apex, points)))
    (one, here), (other, there) = answers
    corners = np.array([[0, 0, 1], [224, 0, 1], [0, 224, 1], [224, 224, 1]])
    np.testing.assert_allclose(corners @ one.T, corners @ other.T, atol=1e-3)
    assert 0.01 < there < 1
    assert abs(here - there) < 1e-3


@pytest.mark.parametrize("side", [16, 17, 30])
def test_nothing_is_written_beside_the_memory_nor_read_before_it_was_written(side, rng):
    first, second, _, windows = motion(side, rng)
    solve, count = native_function(*cell_numba._LOOPS), 3
    design, prior = rng.normal(size=(28, 28, 2, count)), (rng.random((28, 28)) < 0.5).astype(float)
    results = []
    for before in (np.nan, 1e30):
        uv, texture, rest = (np.full((784, n), before) for n in (2, 4, 1))
        numbers, memory = np.full(count, before), np.full((4 * count + 11) * 784 + count * (count + 1), before)
        pictures = np.full(windows.length, before, np.float32)
        settings = np.array([0.01, 0.03, 2.0])
        arrays = [first, second, windows.tables, windows.places, uv, texture, rest, design, prior,
                  np.array([side, 0, 5]), settings, pictures, memory]  # fmt: skip
        kept = guarded(arrays)
        solve(*(place.ctypes.data + 512 for place in kept))
        assert untouched(kept, arrays, (0, 1, 2, 3, 7, 8, 9, 10))
        arrays[4], arrays[5] = (kept[k][512:-512].copy() for k in (4, 5))
        results.append(b"".join(kept[k][512:-512].tobytes() for k in (4, 5, 6)))
        arrays[6], arrays[9] = numbers, np.array([0, count, 5])
        kept = guarded(arrays)
        solve(*(place.ctypes.data + 512 for place in kept))
        assert untouched(kept, arrays, (*range(6), 7, 8, 9, 10, 11))
        results[-1] += kept[6][512:-512].tobytes()
    assert results[0] == results[1]


def guarded(arrays):
    """Copies between guards."""
    out = [np.full(array.nbytes + 1024, 0xA5, np.uint8) for array in arrays]
    for memory, array in zip(out, arrays, strict=True):
        memory[512:-512] = np.frombuffer(array.tobytes(), np.uint8)
    return out


def untouched(kept, arrays, read):
    """Whether all guards are whole, and what is only read is as it was."""
    whole = all((memory[:512] == 0xA5).all() and (memory[-512:] == 0xA5).all() for memory in kept)
    return whole and all(kept[k][512:-512].tobytes() == arrays[k].tobytes() for k in read)


def test_every_thread_finds_the_same(rng):
    pairs = [faces(56, rng, length) for length in np.linspace(0.1, 1, 8)]

    def ask(pair):
        found = registration._cell_motion(*pair, 224)
        return found.uv.tobytes() + registration.robust_fit(found, _turn_modes(), registration.rigid_cells()).tobytes()

    alone = [ask(pair) for pair in pairs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, pairs * 4)) == alone * 4


def test_the_plain_form_serves_where_numba_is_absent_or_untried(monkeypatch):
    monkeypatch.setattr(cell_numba, "native_function", lambda *given: pytest.fail("the compiled form was used"))
    frame = Frame(np.repeat(eight_bit(gray_face(0))[..., None], 3, axis=2), "a frame")
    alignment = fit_alignment(Landmarks(POINTS - 32, "truth"))
    monkeypatch.setattr(native, "TRIED", ())
    np.testing.assert_array_equal(registration.register(alignment.warp(frame), frame, alignment), np.eye(3))
    monkeypatch.undo()
    monkeypatch.setattr(cell_numba, "native_function", lambda *given: pytest.fail("the compiled form was used"))
    monkeypatch.setattr(native, "_installed", lambda: "")
    np.testing.assert_array_equal(registration.register(alignment.warp(frame), frame, alignment), np.eye(3))
