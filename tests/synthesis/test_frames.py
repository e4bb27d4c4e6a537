import dataclasses

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from htnet.core.errors import FrameError, InputError, LandmarkError
from htnet.core.types import EMOTIONS, TEMPLATE_28, Frame, Landmarks
from htnet.preprocess import compute_flow, scale_points, spot, to_gray
from htnet.synthesis import ACTION_UNITS, SynthesisConfig, synthesize_clip, synthesize_pairs
from tests.support.pairs import face
from tests.support.seeds import next_rng
from tests.synthesis.support import plain

SIDE = 128
POINTS = scale_points(TEMPLATE_28, SIDE / 28)
QUIET = {"sensor_noise": 0.0, "light": 0.0, "shading": 0.0}


def a_seed():
    return int(next_rng().integers(2**31))


def gray(rgb):
    return to_gray(Frame(rgb))


def test_the_apex_is_the_onset_moved_by_the_true_flow():
    (pair,) = synthesize_pairs(face(SIDE), POINTS, 1, a_seed(), SynthesisConfig(strength=2.0, **QUIET))
    np.testing.assert_array_equal(pair.onset, face(SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    there = map_coordinates(gray(pair.apex).astype(float), [y + pair.flow[1], x + pair.flow[0]], order=3)
    miss = np.abs(there - gray(pair.onset))[10:-10, 10:-10].mean()
    still = np.abs(gray(pair.apex).astype(float) - gray(pair.onset))[10:-10, 10:-10].mean()
    assert miss < 0.5 * still
    assert pair.emotion in EMOTIONS


@pytest.mark.parametrize("units", [(12,), (1, 2), (4,)])
def test_tvl1_finds_the_true_flow(units):
    config = plain(*units, strength=3.0, sensor_noise=0.3, light=0.0, shading=0.0)
    (pair,) = synthesize_pairs(face(224), scale_points(TEMPLATE_28, 8), 1, a_seed(), config)
    found = compute_flow(gray(pair.onset), gray(pair.apex)).uv
    moving = np.hypot(*pair.flow) > 0.5
    assert moving.mean() > 0.01
    error = np.hypot(*(found - pair.flow))
    assert error[moving].mean() < 0.3 * np.hypot(*pair.flow)[moving].mean()
    assert error[16:-16, 16:-16].mean() < 0.1


def test_a_turned_face_moves_along_its_own_axes():
    """Turned by a quarter less than upright, in a picture of another size: the same motion, turned and scaled."""
    config = plain(12, strength=3.0, **QUIET)
    angle, scale = np.deg2rad(20), 1.5
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = scale_points(TEMPLATE_28, 4)
    turned = (upright - upright[2]) @ turn.T * scale + 100
    blank = np.full((200, 200, 3), 128, np.uint8)
    (a,) = synthesize_pairs(blank, upright, 1, 4, config)
    (b,) = synthesize_pairs(blank, turned, 1, 4, config)
    for one, other in zip(upright, turned, strict=True):
        expected = turn @ np.array([map_coordinates(c, one[::-1, None], order=1)[0] for c in a.flow]) * scale
        found = [map_coordinates(c, other[::-1, None], order=1)[0] for c in b.flow]
        np.testing.assert_allclose(found, expected, atol=0.05)
    assert np.hypot(*b.flow).max() == pytest.approx(scale * np.hypot(*a.flow).max(), rel=0.05)


@pytest.mark.slow
def test_clips_keep_the_times_of_micro_expressions():
    fps = 100.0
    for seed in range(3):
        clip = synthesize_clip(face(64), scale_points(TEMPLATE_28, 64 / 28), a_seed() + seed, fps=fps)
        assert 0 < clip.onset < clip.apex < clip.offset < len(clip)
        assert (clip.apex - clip.onset) / fps <= 0.26
        assert (clip.offset - clip.onset) / fps <= 0.5
        assert clip.frames.shape == (len(clip), 64, 64, 3)
        assert clip.frames.dtype == np.uint8
        skin = clip.courses[:, 0]
        assert (skin[: clip.onset + 1] == 0).all()
        assert skin.argmax() == clip.apex
        assert skin[clip.apex] == pytest.approx(1)
        assert (skin[clip.offset :] == 0).all()
        assert (np.diff(skin[clip.onset : clip.apex + 1]) > 0).all()


def test_the_flow_of_a_clip_is_that_of_its_frames():
    clip = synthesize_clip(face(SIDE), POINTS, a_seed(), SynthesisConfig(strength=2.0, **QUIET), fps=50)
    np.testing.assert_array_equal(clip.frames[clip.onset], clip.frames[0])
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in (clip.apex, len(clip) - 1):
        flow = clip.flow(number)
        there = map_coordinates(gray(clip.frames[number]).astype(float), [y + flow[1], x + flow[0]], order=3)
        miss = np.abs(there - gray(clip.frames[0]))[10:-10, 10:-10].mean()
        still = np.abs(gray(clip.frames[number]).astype(float) - gray(clip.frames[0]))[10:-10, 10:-10].mean()
        assert miss < 0.5 * still
    np.testing.assert_array_equal(clip.flow(), clip.flow(clip.apex))
    np.testing.assert_allclose(clip.flow(), clip.parts.sum(0), atol=1e-5)


@pytest.mark.slow
def test_the_spotter_finds_the_apex():
    config = plain(12, strength=4.0, sensor_noise=0.5)
    clip = synthesize_clip(face(224), scale_points(TEMPLATE_28, 8), a_seed(), config, fps=60)
    frames = [Frame(rgb, "clip", n) for n, rgb in enumerate(clip.frames)]
    found = spot(frames, clip.landmarks, fps=60)
    assert abs(found.apex - clip.apex) <= 3


def test_pairs_depend_on_their_number_and_seed_only():
    seed = a_seed() // 2
    config = SynthesisConfig()
    two, three = (synthesize_pairs(face(64), POINTS / 2, count, seed, config) for count in (2, 3))
    for a, b in zip(two, three, strict=False):
        np.testing.assert_array_equal(a.apex, b.apex)
        np.testing.assert_array_equal(a.units, b.units)
    assert not np.array_equal(three[0].flow, three[1].flow)
    (other,) = synthesize_pairs(face(64), POINTS / 2, 1, seed + 1, config)
    assert not np.array_equal(other.flow, two[0].flow)


def test_light_and_noise_change_frames_but_not_the_flow():
    quiet, loud = (
        synthesize_pairs(face(64), POINTS / 2, 1, 9, SynthesisConfig(light=light, shading=0.0, sensor_noise=noise))[0]
        for light, noise in ((0.0, 0.0), (0.2, 3.0))
    )
    np.testing.assert_array_equal(quiet.flow, loud.flow)
    assert (loud.onset.astype(float) - quiet.onset).std() == pytest.approx(3, rel=0.2)
    assert abs((loud.apex / np.maximum(quiet.apex, 20.0)).mean() - 1) > 0.005


def test_motion_that_would_fold_the_skin_is_weakened_with_its_units():
    strong = plain(12, strength=500.0, **QUIET)
    (pair,) = synthesize_pairs(face(64), POINTS / 2, 1, 3, strong)
    assert max(np.abs(np.diff(pair.flow, axis=k)).max() for k in (1, 2)) <= 0.61
    weak = synthesize_pairs(face(64), POINTS / 2, 1, 3, dataclasses.replace(strong, strength=1.0))[0]
    shown = pair.units[ACTION_UNITS.index(12)]
    np.testing.assert_allclose(pair.flow, weak.flow * shown.mean(), rtol=1e-3, atol=1e-4)
    (far,) = synthesize_pairs(face(64), POINTS / 2, 1, 3, plain(12, head_affine=1000.0, **QUIET))
    assert max(np.abs(np.diff(far.flow, axis=k)).max() for k in (1, 2)) <= 0.61
    assert 0 < far.units.max() < 0.1 * weak.units.max()


def test_landmarks_may_be_given_in_both_ways():
    points = np.asarray(POINTS / 2, dtype=np.float32)
    (a,), (b,) = (synthesize_pairs(face(64), p, 1, 1) for p in (points.tolist(), Landmarks(points, "mine")))
    np.testing.assert_array_equal(a.apex, b.apex)
    assert b.landmarks.source == "mine"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: synthesize_pairs("nobody.png", POINTS, 1), FrameError, "nobody.png"),
        (lambda: synthesize_pairs(face(64), POINTS[:4], 1), LandmarkError, r"shape \(4, 2\)"),
        (lambda: synthesize_pairs(face(64), POINTS * np.nan, 1), LandmarkError, "NaN"),
        (lambda: synthesize_pairs(face(64), POINTS[[1, 0, 2, 3, 4]], 1), LandmarkError, "image-left one first"),
        (lambda: synthesize_pairs(face(64), POINTS / 50, 1), LandmarkError, "8 px or more apart"),
        (lambda: synthesize_pairs(face(64), POINTS, 0), InputError, "count is 0"),
        (lambda: synthesize_pairs(face(64), POINTS, 1, -4), InputError, "seed is -4"),
        (lambda: synthesize_clip(face(64), POINTS, 0, fps=5), InputError, "fps is 5"),
        (lambda: synthesize_clip(face(64), POINTS, 0, fps=float("nan")), InputError, "fps is nan"),
    ],
)
def test_what_cannot_be_used_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
