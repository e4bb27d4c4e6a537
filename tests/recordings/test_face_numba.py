"""A followed face by machine code: as by the plain form, in every thread, and only in its own memory."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from htnet.core import native
from htnet.core.native import native_function, numba_obstacle
from htnet.core.types import Frame
from htnet.recordings import cell_flow, face_numba, faces, follow, measure
from tests.preprocess.test_cell_numba import guarded, untouched
from tests.recordings.scenes import portrait

pytestmark = pytest.mark.skipif(bool(numba_obstacle()), reason=f"needs htnet[fast]: {numba_obstacle()}")
PLAIN = (cell_flow, faces, follow, measure)


@pytest.fixture
def plain(monkeypatch):
    """Runs something in its plain form."""

    def run(work, *given):
        with monkeypatch.context() as patch:
            for module in PLAIN:
                patch.setattr(module, "native_loops", lambda: False)
            return work(*given)

    return run


def picture(scale=1.0):
    """The portrait, larger or smaller, as a frame, and the alignment of its face."""
    pixels, points = portrait()
    size = round(pixels.shape[0] * scale)
    shown = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return Frame(shown.clip(0, 255).astype(np.uint8), "portrait"), follow.align(points * scale)


def face(rng, shift=(0.0, 0.0)):
    """A face of even light, its head shifted, with noise."""
    frame, matrix = picture()
    gray = follow.gray_face(frame, matrix + np.array([[0, 0, shift[0]], [0, 0, shift[1]]]))
    return cell_flow.even_light(gray + rng.normal(0, 0.5, gray.shape).astype(np.float32))


# 0.3: a face smaller than the aligned one; 5: one that is brought to twice the size first.
@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 1.6, 5.0])
def test_the_gray_face(scale, plain):
    frame, matrix = picture(scale)
    turned = follow.compose(np.array([[0.98, -0.17, 8.0], [0.17, 0.98, -9.0]]), matrix)
    for place in (matrix, turned, matrix + np.array([[0, 0, 70.0], [0, 0, -60.0]])):  # the last beyond the edge
        found, other = follow.gray_face(frame, place), plain(follow.gray_face, frame, place)
        assert other.std() > 10
        # OpenCV 4 takes places to 1/32 px; of the largest face a pixel in some hundreds is rounded to the next level.
        np.testing.assert_allclose(found, other, atol=0.05 if cv2.__version__ < "5" else 0.3 if scale == 5 else 0.005)


def test_the_gray_face_of_a_mirrored_view(plain):
    frame, matrix = picture()
    flipped = Frame(frame.pixels[:, ::-1, ::-1], "mirrored")
    np.testing.assert_allclose(follow.gray_face(flipped, matrix), plain(follow.gray_face, flipped, matrix), atol=0.05)


def test_even_light(rng, plain):
    gray = follow.gray_face(*picture())
    for one in (gray, gray * 0 + 90, rng.uniform(0, 255, gray.shape).astype(np.float32), gray.astype(np.uint8)):
        np.testing.assert_allclose(cell_flow.even_light(one), plain(cell_flow.even_light, one), atol=1e-4)


def test_correlation(rng, plain):
    one, other = face(rng), face(rng, (0.7, 0.4))
    assert 0.5 < follow.correlation(one, other) < 1
    np.testing.assert_allclose(follow.correlation(one, other), plain(follow.correlation, one, other), atol=1e-5)
    assert follow.correlation(one, 0 * one + 3) == 0


@pytest.mark.parametrize("settings", [follow.COARSE, follow.FINE])
def test_the_step_of_the_head(settings, rng, plain):
    one, other = face(rng), face(rng, (0.9, -0.6))
    found = follow.head_step(one, other, settings)
    assert follow.size_of(found) > 0.5
    np.testing.assert_allclose(found, plain(follow.head_step, one, other, settings), atol=2e-4)
    np.testing.assert_allclose(follow.head_step(0 * one, 0 * one, settings), np.eye(2, 3), atol=1e-9)


def test_sums_of_pairs(rng, plain):
    textures = [cell_flow.make_texture(face(rng, (shift, 0))) for shift in (0.0, 0.3, 0.8)]
    found = cell_flow.pair_sums(textures[:2], textures[2])
    other = plain(cell_flow.pair_sums, textures[:2], textures[2])
    assert found.shape == other.shape == (2, 6, 196)
    np.testing.assert_allclose(found, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("shift", [0.0, 0.5, 60.0])
def test_measures_of_the_picture(shift, plain):
    gray = follow.gray_face(*picture())
    across = cell_flow.make_texture(cell_flow.even_light(gray)).gradient[0]
    given = (gray, across, follow.PLACES[:2] - shift, follow.PLACES[3:].mean(axis=0) + shift)
    found, other = measure.picture_measures(*given), plain(measure.picture_measures, *given)
    assert other.min() > 0.5
    np.testing.assert_allclose(found, other, rtol=1e-5)


@pytest.mark.parametrize("size", [(135, 240), (61, 97), (200, 301), (1, 1), (207, 303)])
@pytest.mark.parametrize("gray", [False, True])
def test_smaller_pictures_are_those_of_opencv(size, gray, rng):
    pixels = cv2.GaussianBlur(rng.integers(0, 256, (207, 303, 3), np.uint8), (0, 0), 0.7)
    given = pixels[..., 1] if gray else pixels
    wanted = cv2.resize(given, size[::-1], interpolation=cv2.INTER_AREA).astype(int)
    away = np.abs(face_numba.shrink(given, size) - wanted)
    assert away.max() <= 1
    assert (away > 0).mean() < 0.01


def test_every_thread_finds_the_same(rng):
    frame, matrix = picture()
    shifts = [np.array([[0, 0, k * 0.3], [0, 0, -k * 0.2]]) for k in range(8)]
    first = face(rng)

    def ask(shift):
        gray = follow.gray_face(frame, matrix + shift)
        image = cell_flow.even_light(gray)
        sums = cell_flow.pair_sums([cell_flow.make_texture(first)], cell_flow.make_texture(image))
        return gray.tobytes() + image.tobytes() + sums.tobytes() + follow.head_step(first, image, follow.FINE).tobytes()

    alone = [ask(shift) for shift in shifts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, shifts * 4)) == alone * 4


def test_nothing_is_written_beside_the_memory_nor_read_before_it_was_written(rng, monkeypatch):
    asked = []
    monkeypatch.setattr(face_numba, "_call", lambda *arrays: asked.append(arrays))
    one, texture = rng.uniform(0, 99, (112, 112)).astype(np.float32), rng.normal(size=(2, 112, 112)).astype(np.float32)
    small = rng.integers(0, 256, (37, 53, 3), np.uint8)
    face_numba.gray_face(small, np.array([[0.4, 0.1, 2], [-0.1, 0.4, 3]]), 1.3)
    face_numba.even_light(one, 0.8)
    face_numba.alike(one, one[::-1])
    face_numba.head_step(one, one[::-1], 56, 2, np.ones(56 * 56, np.float32))
    face_numba.picture_measures(one, one, follow.PLACES[2:], (8, 7, 12, 9, 3))
    face_numba.shrink(small, (13, 20))
    face_numba.shrink(small[..., 0], (36, 52))
    face_numba.pair_sums([], one, texture)
    assert len(asked) == 8
    work = native_function(*face_numba._LOOPS)
    # Of each step the arguments that are only read; of the head's step the matrix has its memory behind it.
    only_read = ((0, 1, 4, 5), (0, 2, 4), (0, 2, 3), (0, 2, 3, 4), (0, 2, 3, 5), (0, 1), (0, 1), (0,))
    for given, read in zip(asked, only_read, strict=True):
        results = []
        arrays = [np.empty(0) if array is None else np.ascontiguousarray(array) for array in given]
        for before in (np.nan, 1e30):
            for place, array in enumerate(arrays):
                if place not in read:
                    array.fill(before if array.dtype != np.uint8 else 7)
            kept = guarded(arrays)
            work(*(memory.ctypes.data + 512 for memory in kept))
            assert untouched(kept, arrays, read)
            # What is filled; the rest is memory.
            results.append(b"".join(kept[place][512:-512].tobytes() for place in (6, 7)))
        assert results[0] == results[1]


def test_the_plain_form_serves_where_numba_is_absent_or_untried(monkeypatch, rng):
    monkeypatch.setattr(face_numba, "native_function", lambda *given: pytest.fail("the compiled form was used"))
    for name, value in (("TRIED", ()), ("_installed", lambda: "")):
        with monkeypatch.context() as patch:
            patch.setattr(native, name, value)
            one, other = face(rng), face(rng, (0.5, 0))
            assert follow.correlation(one, other) > 0.5
            assert follow.size_of(follow.head_step(one, other, follow.FINE)) > 0.2
            assert cell_flow.pair_sums([cell_flow.make_texture(one)], cell_flow.make_texture(other)).any()
            assert faces.averaged(picture()[0].pixels, (100, 77)).shape == (100, 77, 3)
