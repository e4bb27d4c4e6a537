"""The head's motion between two frames: found, taken out once, and left alone unless it is asked for."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import affine_transform
from skimage.data import astronaut

from benchmarks.action_units import displacement
from htnet.core.assets import ASSETS
from htnet.core.errors import FlowError, FrameError, InputError, SpecError
from htnet.core.types import TEMPLATE_28, Frame, Landmarks, PreprocessSpec
from htnet.data.reader import SampleReader
from htnet.preprocess import (
    Preprocessor,
    align_pair,
    compute_flow,
    displace,
    fit_alignment,
    flow_image,
    motion_features,
    published_input,
    to_gray,
)
from htnet.preprocess.flow.registration import (
    CellMotion,
    bounded,
    cell_centers,
    cell_motion,
    face_cells,
    follow,
    register,
    robust_fit,
)
from htnet.preprocess.frames import read_frame
from htnet.preprocess.video.clip import ClipMotion
from tests.preprocess.faces import gray_face

SIDE, MIDDLE = 288, 143.5
POINTS = np.array(TEMPLATE_28) * 8 + 32


def moved_head(shift=(0.0, 0.0), degrees=0.0, growth=0.0):
    """(3, 3), px of the frame: where the head's points go."""
    turn, size = np.deg2rad(degrees), 1 + growth
    matrix = np.eye(3)
    matrix[:2, :2] = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix[:2, 2] = np.full(2, MIDDLE) - matrix[:2, :2] @ np.full(2, MIDDLE) + shift
    return matrix


def seen(face, matrix, rng=None, noise=1.0):
    """(288, 288, 3): a face after a motion of the head; SciPy's splines, so it owes nothing to htnet."""
    back = np.linalg.inv(matrix)
    swapped = back[:2, :2][::-1, ::-1]  # SciPy counts rows first
    gray = affine_transform(face.astype(float), swapped, back[:2, 2][::-1], order=3, mode="nearest")
    gray = gray if rng is None else gray + rng.normal(0, noise, gray.shape)
    return Frame(np.repeat(np.rint(gray).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2), "a frame")


@pytest.fixture(scope="module")
def portrait():
    """(288, 288) float64: the tight crop of the portrait with a border of 32 px."""
    return np.pad(gray_face(0), 32, mode="reflect")


def error(found, alignment, matrix):
    """Largest difference between the motion that was found and the true one on the face, px of the aligned face."""
    whole = np.vstack([alignment.matrix, [0, 0, 1]])
    truth = whole @ matrix @ np.linalg.inv(whole)
    at = np.concatenate([cell_centers(224)[face_cells()], np.ones((face_cells().sum(), 1))], axis=1)
    return np.hypot(*((at @ found.T - at @ truth.T)[:, :2].T)).max()


@pytest.mark.parametrize(
    "head",
    [
        {"shift": (5.0, 0.0)},
        {"shift": (-2.3, 4.1), "degrees": 2.0},
        {"shift": (1.5, -9.0), "degrees": -4.0, "growth": 0.03},
    ],
)
@pytest.mark.parametrize("unit", [None, "AU12", "AU1+2+25"])
def test_a_known_motion_of_the_head_is_found_beside_an_expression(portrait, head, unit, rng):
    face = portrait
    if unit is not None:
        field = displacement(unit, POINTS, (SIDE, SIDE), 1.5)
        face = displace(np.rint(portrait).clip(0, 255).astype(np.uint8), field).astype(float)
    onset, apex = seen(portrait, np.eye(3), rng), seen(face, moved_head(**head), rng)
    alignment = fit_alignment(Landmarks(POINTS, "truth"))
    found = register(alignment.warp(onset), apex, alignment)
    assert error(found, alignment, moved_head(**head)) < 0.25


def test_equal_frames_and_frames_without_texture_are_not_moved(portrait):
    alignment = fit_alignment(Landmarks(POINTS, "truth"))
    onset, flat = seen(portrait, np.eye(3)), Frame(np.full((SIDE, SIDE, 3), 90, np.uint8))
    np.testing.assert_array_equal(register(alignment.warp(onset), onset, alignment), np.eye(3))
    np.testing.assert_array_equal(register(alignment.warp(flat), flat, alignment), np.eye(3))
    np.testing.assert_array_equal(cell_motion(*2 * (to_gray(alignment.warp(flat)),)).uv, np.zeros((28, 28, 2)))


def test_bounded_information_is_that_of_the_matrices(rng):
    root = rng.normal(size=(28, 28, 2, 2)) * 10 ** rng.uniform(-2, 2, (28, 28, 1, 1))
    information, variance = root @ np.swapaxes(root, 2, 3), rng.uniform(0, 2, (28, 28))
    want = information @ np.linalg.inv(np.eye(2) + variance[..., None, None] * information)
    xx, xy, yy = bounded(information, variance)
    np.testing.assert_allclose(np.stack([xx, xy, xy, yy], -1).reshape(want.shape), want, rtol=1e-6, atol=1e-9)


def test_cells_without_a_share_do_not_change_the_fit(rng):
    design, told = rng.normal(size=(28, 28, 2, 4)), np.tile(50.0 * np.eye(2), (28, 28, 1, 1))
    truth, prior = rng.normal(size=4), (rng.random((28, 28)) < 0.5).astype(float)
    uv = design @ truth
    elsewhere = np.where(prior[..., None] > 0, uv, 100.0)
    fits = [robust_fit(CellMotion(motion, told, 1.0), design, prior) for motion in (uv, elsewhere)]
    np.testing.assert_allclose(fits[0], truth, rtol=1e-4)
    np.testing.assert_array_equal(fits[0], fits[1])


def test_cells_measure_a_shift_of_a_part_of_a_pixel(portrait):
    first, second = (to_gray(seen(portrait, moved_head(shift))) for shift in ((0, 0), (0.31, -0.22)))
    found = cell_motion(first[32:-32, 32:-32], second[32:-32, 32:-32])
    weight = np.trace(found.information, axis1=2, axis2=3) * face_cells()
    clear = weight > np.median(weight[face_cells()])
    np.testing.assert_allclose(np.median(found.uv[clear], axis=0), [0.31, -0.22], atol=0.02)


def test_a_face_that_is_far_larger_is_refused(portrait):
    alignment = fit_alignment(Landmarks(POINTS, "truth"))
    onset, apex = seen(portrait, np.eye(3)), seen(portrait, np.eye(3))
    with pytest.raises(FlowError, match=r"cannot be registered to that of a frame: they differ by more than a motion"):
        register(alignment.warp(onset), apex, alignment, start=np.diag([1.8, 1.8, 1.0]))


@pytest.mark.parametrize("flow", ["dis", "farneback"])
def test_register_takes_the_head_out_of_the_flow(portrait, flow, rng):
    field = displacement("AU12", POINTS, (SIDE, SIDE), 1.0)
    face = displace(np.rint(portrait).clip(0, 255).astype(np.uint8), field).astype(float)
    onset, apex = seen(portrait, np.eye(3), rng), seen(face, moved_head((4.0, -2.0), 1.5), rng)
    spec = PreprocessSpec(flow=flow)
    moving = Preprocessor(spec).pair(onset, apex, POINTS)
    still = Preprocessor(dataclasses.replace(spec, head_motion="register")).pair(onset, apex, POINTS)
    truth = np.asarray(field[:, 32:-32, 32:-32])
    miss = [np.hypot(*(made.flow.uv - truth))[20:-20, 20:-20].mean() for made in (moving, still)]
    assert miss[0] > 3
    assert miss[1] < 0.25


def test_the_apex_is_sampled_once(portrait, rng):
    onset, apex = seen(portrait, np.eye(3), rng), seen(portrait, moved_head((3.3, 1.2), 1.0), rng)
    made = Preprocessor(PreprocessSpec(flow="dis", head_motion="register")).pair(onset, apex, POINTS)
    alignment = fit_alignment(Landmarks(POINTS, "truth"))
    face = alignment.warp(onset)
    again = follow(alignment, register(face, apex, alignment)).warp(apex)
    flow = compute_flow(to_gray(face), to_gray(again), "dis")
    np.testing.assert_array_equal(made.flow.uv, flow.uv)
    np.testing.assert_array_equal(made.flow_image, flow_image(flow))


@pytest.mark.parametrize("head_motion", ["none", "nose", "eyes"])
def test_without_it_nothing_is_registered(portrait, head_motion, rng, monkeypatch):
    def refuse(*_):
        raise AssertionError("a head was registered")

    monkeypatch.setattr("htnet.preprocess.preprocessor.register", refuse)
    monkeypatch.setattr("htnet.preprocess.flow.registration.register", refuse)
    onset, apex = seen(portrait, np.eye(3), rng), seen(portrait, moved_head((3.3, 1.2), 1.0), rng)
    spec = PreprocessSpec(flow="dis", head_motion=head_motion, clip_frames=3)
    made = Preprocessor(spec).pair(onset, apex, POINTS)
    one, other, _ = align_pair(onset, apex, Landmarks(POINTS, "truth"), spec)
    expected = flow_image(compute_flow(to_gray(one), to_gray(other), "dis"))
    # Subtracting a float rounds, and the image is rounded to whole numbers after.
    assert np.abs(made.flow_image.astype(int) - expected).max() <= (head_motion != "none")
    assert motion_features([onset, apex], POINTS, spec).shape == (3, 64)


@pytest.mark.parametrize("flow", ["dis", "farneback", "tvl1"])
def test_the_bundled_pair_is_aligned_and_measured_as_before(flow):
    """By its steps and not by a stored hash: OpenCV's rounding differs from processor to processor."""
    onset, apex, points = (str(ASSETS / "sample" / name) for name in ("onset.png", "apex.png", "landmarks.json"))
    spec = PreprocessSpec(flow=flow)
    made = Preprocessor(spec).pair(onset, apex, points)
    five = np.array(json.loads(Path(points).read_text("utf-8")), dtype=np.float32)
    one, other, _ = align_pair(read_frame(onset), read_frame(apex), Landmarks(five, "truth"), spec)
    expected = flow_image(compute_flow(to_gray(one), to_gray(other), flow))
    np.testing.assert_array_equal(made.flow_image, expected)


def test_a_clip_is_registered_frame_by_frame(portrait, rng):
    frames = [seen(portrait, moved_head((1.5 * k, -0.8 * k), 0.5 * k), rng) for k in range(5)]
    alignment = fit_alignment(Landmarks(POINTS, "truth"))
    spec = PreprocessSpec(flow="dis", head_motion="register", clip_frames=3)
    clip = ClipMotion(frames[0], Landmarks(POINTS, "truth"), spec)
    for frame in frames[1:]:
        clip.add(frame)
    faces = [face.astype(float)[20:-20, 20:-20] for face in clip.faces]
    assert len(faces) == 5
    assert max(np.abs(face - faces[0]).mean() for face in faces) < 3
    assert np.abs(to_gray(alignment.warp(frames[4])).astype(float)[20:-20, 20:-20] - faces[0]).mean() > 8
    small = Frame(frames[0].pixels[:-10])
    with pytest.raises(FrameError, match="Frame 1"):
        ClipMotion(frames[0], Landmarks(POINTS, "truth"), spec).add(small)
    np.testing.assert_array_equal(motion_features(frames, POINTS, spec), clip.features())
    assert clip.features().shape == (3, 64)


def test_a_flow_image_is_refused_unless_its_apex_was_registered(tmp_path, portrait):
    spec = PreprocessSpec(head_motion="register")
    image = np.random.default_rng(3).integers(0, 255, (28, 28, 3), dtype=np.uint8)
    (tmp_path / "flow").mkdir()
    path = tmp_path / "flow" / "a.png"
    cv2.imwrite(str(path), image)
    for given in (image, path):
        with pytest.raises(SpecError, match=r"head_motion is 'register', and the apex cannot be registered"):
            SampleReader(spec).flow_picture(given, "a")
    from htnet.evaluation.store import to_json

    (tmp_path / "preprocess.json").write_text(to_json(spec.to_dict()))
    assert SampleReader(spec).flow_picture(path, "a").image.shape == (3, 28, 28)
    with pytest.raises(InputError, match=r"head_motion is 'register', but there are no landmarks"):
        published_input(astronaut(), astronaut(), None, head_motion="register")
