"""What must hold for any flow of two frames, on a face (skimage's astronaut) moved by known displacements."""

import numpy as np
import pytest

from htnet.core.errors import FlowError, FrameError, LandmarkError
from htnet.core.types import Flow, PreprocessSpec
from htnet.preprocess import (
    Preprocessor,
    color_wheel,
    compute_flow,
    displace,
    flow_image,
    hoof,
    is_motionless,
    optical_strain,
    published_input,
    remove_head_motion,
    template_points,
)
from tests.preprocess.faces import SIDE, eight_bit, gray_face, pair, smooth_field

INSIDE = (..., slice(24, -24), slice(24, -24))  # a moved frame has no pixels to bring in at its border
METHODS = ("tvl1", "farneback", "dis")
FAST = PreprocessSpec(flow="dis", face_size=112)


def field(u, v):
    """The same displacement everywhere, or one given row by row."""
    return np.stack([np.broadcast_to(part, (SIDE, SIDE)) for part in (u, v)]).astype(np.float32)


def length(uv):
    return np.hypot(uv[0], uv[1])


@pytest.mark.parametrize("square", [0, 1, 2])
@pytest.mark.parametrize(("method", "mean"), [("tvl1", 0.08), ("farneback", 0.6), ("dis", 0.15)])
def test_a_shift_gives_constant_flow(method, mean, square, rng):
    """Seen over 15 random shifts: TV-L1 0.05 px at most, DIS 0.08, Farneback 0.37."""
    face = eight_bit(gray_face(square))
    truth = field(*rng.uniform(-2, 2, 2))
    error = length(compute_flow(face, displace(face, truth), method).uv - truth)[INSIDE]
    assert error.mean() < mean
    if method == "tvl1":
        assert error.max() < 0.6


@pytest.mark.parametrize(("du", "dv"), [(1, 0), (0, 1), (-2, 3)])
def test_a_shift_by_whole_px_needs_no_resampling(du, dv):
    """Two windows on one picture: the signs of u and v owe nothing to a warp."""
    big = eight_bit(gray_face(1))
    onset = np.ascontiguousarray(big[20:-20, 20:-20])
    apex = np.ascontiguousarray(big[20 - dv : SIDE - 20 - dv, 20 - du : SIDE - 20 - du])
    uv = compute_flow(onset, apex).uv[INSIDE]
    assert np.abs(uv[0] - du).mean() < 0.05
    assert np.abs(uv[1] - dv).mean() < 0.05


@pytest.mark.parametrize(("method", "mean"), [("tvl1", 0.04), ("farneback", 0.12), ("dis", 0.14)])
def test_swapping_the_frames_negates_the_flow(method, mean, rng):
    onset, apex = pair(1, smooth_field(rng, 0.5))
    there, back = (compute_flow(*frames, method).uv for frames in ((onset, apex), (apex, onset)))
    assert length(there + back).mean() < mean
    assert length(there - back).mean() > 0.5


@pytest.mark.parametrize(("method", "mean"), [("tvl1", 0.02), ("farneback", 0.01), ("dis", 0.06)])
def test_mirroring_both_frames_negates_u_and_mirrors_the_field(method, mean, rng):
    onset, apex = pair(1, smooth_field(rng, 0.5))
    plain = compute_flow(onset, apex, method).uv
    mirrored = compute_flow(*(np.ascontiguousarray(f[:, ::-1]) for f in (onset, apex)), method).uv[..., ::-1]
    assert np.abs(mirrored[0] + plain[0]).mean() < mean
    assert np.abs(mirrored[1] - plain[1]).mean() < mean
    assert np.abs(mirrored[0] - plain[0]).mean() > 0.2


def test_strain_of_a_shift_is_nothing(rng):
    u, v = rng.uniform(-3, 3, 2)
    assert not optical_strain(field(u, v)).any()


def test_strain_of_a_shear_is_analytic(rng):
    """u = k y: only uy is not 0, so the strain is |k| / sqrt(2), in the field and in the measured flow."""
    k = rng.uniform(0.012, 0.02) * rng.choice([-1, 1])
    truth = np.stack([np.repeat(k * (np.arange(SIDE)[:, None] - SIDE / 2), SIDE, axis=1), np.zeros((SIDE, SIDE))])
    expected = abs(k) / np.sqrt(2)
    np.testing.assert_allclose(optical_strain(truth), expected, rtol=1e-9)
    face = eight_bit(gray_face(1))
    measured = optical_strain(compute_flow(face, displace(face, truth.astype(np.float32))).uv)[INSIDE]
    assert np.median(measured) == pytest.approx(expected, rel=0.2)  # 1.05 to 1.10 times, seen over 24 shears


# Frames without motion


def still_frames():
    face = eight_bit(gray_face(0))
    gray, other = np.full_like(face, 90), np.full_like(face, 130)
    return {
        "equal": (face, face.copy()),
        "one gray": (gray, gray),
        "two grays": (gray, other),
        "gray onset": (gray, face),
        "gray apex": (face, gray),
    }


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", list(still_frames()))
def test_frames_without_measurable_motion_are_zero_and_flagged(kind, method):
    onset, apex = still_frames()[kind]
    assert not compute_flow(onset, apex, method).uv.any()
    spec = PreprocessSpec(flow=method)
    with np.errstate(all="raise"):
        made = Preprocessor(spec).pair(onset, apex, template_points(spec).numpy() * 8)
        whole = published_input(onset, apex, None, flow=method)
    for found in (made, whole):
        assert found.motionless
        assert not found.flow_image.any()
        assert not found.flow.uv.any()
        assert Preprocessor(spec).flow_picture(found.flow_image).motionless


@pytest.mark.parametrize("method", METHODS)
def test_frames_with_motion_are_not_flagged(method, rng):
    onset, apex = pair(0, smooth_field(rng, 0.3))
    spec = PreprocessSpec(flow=method, face_size=112)
    made = Preprocessor(spec).pair(onset, apex, template_points(spec).numpy() * 8)
    assert not made.motionless
    assert not published_input(onset, apex, None, flow=method).motionless
    assert not Preprocessor(spec).flow_picture(made.flow_image).motionless
    # One gray value less somewhere is still motion.
    apex = onset.copy()
    apex[112, 112] ^= 128
    assert not published_input(onset, apex, None).motionless


def test_one_constant_channel_is_enough(rng):
    rows = np.arange(SIDE, dtype=np.float32)[:, None]
    image = flow_image(Flow(field(np.sin(rows / 20), 0), "test"))
    assert [int(np.ptp(image[..., k])) for k in range(3)] == [255, 0, 255]
    assert is_motionless(image)
    noise = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    assert not is_motionless(noise)
    noise[..., 1] = 7
    assert is_motionless(noise)


# The head's motion, through the specification


@pytest.mark.parametrize("region", ["nose", "eyes"])
def test_the_spec_removes_the_heads_motion(region):
    """The flow loses its shift; the published image, scaled within itself, is the same up to rounding."""
    mouth = np.exp(-((np.mgrid[:SIDE, :SIDE] - np.array([160, 112])[:, None, None]) ** 2).sum(0) / 800)
    onset = eight_bit(gray_face(0))
    apex = displace(onset, field(0.9 + mouth, -0.6))
    points = template_points(FAST).numpy() * 8
    kept, gone = (
        Preprocessor(PreprocessSpec(flow="dis", face_size=112, head_motion=value)).pair(onset, apex, points)
        for value in ("none", region)
    )
    on_face = points / 2
    np.testing.assert_allclose(gone.flow.uv, remove_head_motion(kept.flow.uv, on_face, region), atol=1e-3)
    taken = kept.flow.uv - gone.flow.uv
    assert np.ptp(taken, axis=(1, 2)).max() < 1e-5
    # The frames are drawn at half their size.
    assert taken[:, 0, 0] == pytest.approx([0.45, -0.3], abs=0.1)
    assert gone.flow.method == "dis"
    assert np.abs(gone.flow_image.astype(int) - kept.flow_image).max() <= 1


# Bad input


def test_frames_of_two_sizes():
    face = eight_bit(gray_face(0))
    with pytest.raises(FlowError, match=r"\(224, 224\).*\(224, 220\) differ in size"):
        compute_flow(face, face[:, :220])
    for landmarks in (None, template_points(FAST).numpy() * 8):
        with pytest.raises(FrameError, match=r"224x224 px, but apex array is 220x224 px"):
            published_input(face, face[:, :220], landmarks)


def test_nan_is_refused_everywhere(rng):
    onset, apex = (f / np.float32(255) for f in pair(0, smooth_field(rng, 0.3)))
    apex[100, 50] = np.nan
    with pytest.raises(FrameError, match="NaN"):
        published_input(onset, apex, None)
    with pytest.raises(LandmarkError, match="NaN"):
        published_input(onset, onset, np.full((5, 2), np.nan))
    uv = field(0.5, 0.5)
    uv[1, 9, 9] = np.nan
    for use in (hoof, color_wheel, lambda f: Flow(f, "mine"), lambda f: remove_head_motion(f, template_points(FAST))):
        with pytest.raises(FlowError, match="NaN"):
            use(uv)
