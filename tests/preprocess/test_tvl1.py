import math
import os
from importlib.util import find_spec
from shutil import which

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, median_filter
from skimage.registration import optical_flow_tvl1

from htnet.core.errors import FlowError, FrameError, InputError, MissingExtraError
from htnet.preprocess.flow.tvl1 import TVL1Parameters, tvl1_flow
from htnet.preprocess.flow.tvl1_routing import explain_tvl1
from htnet.preprocess.flow.tvl1_solver import _iterate, _Scratch, blur, linearize, match_light, median3, relax
from tests.preprocess.faces import SIDE, eight_bit, end_point_error, moved, pair, smooth_field


def texture(seed, shape=(64, 72)):
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 2.0, mode="wrap")
    return (noise - noise.min()) / np.ptp(noise)


@pytest.mark.slow
@pytest.mark.parametrize(("square", "length", "most"), [(0, 0.1, 0.035), (1, 0.3, 0.05), (2, 1.0, 0.15), (1, 3.0, 0.5)])
def test_no_worse_than_scikit_image_on_8_bit_faces(square, length, most):
    field = smooth_field(np.random.default_rng(int(100 * length) + square), length)
    onset, apex = pair(square, field)
    error = end_point_error(tvl1_flow(onset, apex), field)
    for settings in ({}, {"attachment": 5}):
        v, u = optical_flow_tvl1(onset / 255, apex / 255, **settings)
        assert error <= 1.1 * end_point_error(np.stack([u, v]), field)
    assert error < most


def test_faint_local_motion_is_found():
    """Motion in one place, as in a micro-expression: most of its length comes back, and little elsewhere."""
    y, x = np.mgrid[:SIDE, :SIDE]
    bump = 0.8 * np.exp(-((x - 74) ** 2 + (y - 160) ** 2) / (2 * 20**2))
    field = np.stack([-0.6 * bump, -0.8 * bump]).astype(np.float32)
    onset, apex = pair(0, field)
    flow = tvl1_flow(onset, apex).numpy()
    near, far = bump > 0.4, bump < 0.01
    assert end_point_error(flow[:, near], field[:, near]) < 0.1
    assert np.hypot(*flow[:, far]).mean() < 0.02


@pytest.mark.parametrize(("u", "v"), [(0.4, 0.0), (0.0, -0.7), (2.3, -1.6)])
def test_translation_gives_constant_flow_of_the_right_sign(u, v):
    frame = 255 * texture(3, (96, 112))
    field = np.empty((2, 96, 112), np.float32)
    field[0], field[1] = u, v
    flow = tvl1_flow(eight_bit(frame), eight_bit(moved(frame, field))).numpy()[:, 12:-12, 12:-12]
    assert np.abs(flow[0] - u).max() < 0.25
    assert np.abs(flow.mean((1, 2)) - [u, v]).max() < 0.03


@pytest.mark.slow
def test_swapping_negates():
    field = smooth_field(np.random.default_rng(8), 0.4)
    onset, apex = pair(1, field)
    there, back = tvl1_flow(onset, apex).numpy(), tvl1_flow(apex, onset).numpy()
    assert np.hypot(*(there + back)).mean() < 0.1 * np.hypot(*there).mean()


@pytest.mark.slow
def test_mirroring_negates_u_and_transposing_swaps():
    field = smooth_field(np.random.default_rng(9), 0.4)
    onset, apex = pair(0, field)
    flow = tvl1_flow(onset, apex).numpy()
    mirrored = tvl1_flow(onset[:, ::-1], apex[:, ::-1]).numpy()[:, :, ::-1]
    # Not exact: forward differences look one way.
    assert np.hypot(mirrored[0] + flow[0], mirrored[1] - flow[1]).mean() < 0.05 * np.hypot(*flow).mean()
    turned = tvl1_flow(onset.T, apex.T).numpy().transpose(0, 2, 1)[::-1]
    assert np.abs(turned - flow).max() < 1e-2


@pytest.mark.slow
def test_each_pair_is_independent_of_its_batch():
    """The pairs stop at different iterations, so this fails where one waits for, or hurries, another."""
    frames = [255 * texture(seed) for seed in range(4)]
    fields = [smooth_field(np.random.default_rng(k), length, (64, 72), 9) for k, length in enumerate((0, 0.1, 1, 3))]
    onset = np.stack([eight_bit(f) for f in frames])
    apex = np.stack([eight_bit(moved(f, w)) for f, w in zip(frames, fields, strict=True)])
    together = tvl1_flow(onset, apex)
    assert together.shape == (4, 2, 64, 72)
    for k in range(4):
        assert torch.allclose(together[k], tvl1_flow(onset[k], apex[k]), atol=1e-4)
    order = [2, 0, 3, 1]
    assert torch.allclose(tvl1_flow(onset[order], apex[order]), together[order], atol=1e-4)


@pytest.mark.slow
def test_same_answer_twice_and_inputs_untouched():
    onset, apex = (torch.from_numpy(texture(s)) for s in (1, 2))
    before = onset.clone(), apex.clone()
    assert torch.equal(tvl1_flow(onset, apex), tvl1_flow(onset, apex))
    assert torch.equal(onset, before[0])
    assert torch.equal(apex, before[1])


@pytest.mark.slow
def test_input_kinds_agree():
    onset, apex = eight_bit(255 * texture(4)), eight_bit(255 * texture(5))
    flow = tvl1_flow(onset, apex)
    assert flow.dtype == torch.float32
    assert flow.shape == (2, 64, 72)
    for kind in (np.float32, np.float64):
        assert torch.allclose(tvl1_flow((onset / 255).astype(kind), (apex / 255).astype(kind)), flow, atol=2e-2)
    assert torch.equal(tvl1_flow(torch.from_numpy(onset), torch.from_numpy(apex)), flow)
    assert torch.equal(tvl1_flow(onset[None], apex[None])[0], flow)
    learned = torch.from_numpy(onset / 255).requires_grad_()
    assert not tvl1_flow(learned, torch.from_numpy(apex / 255)).requires_grad


@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (17, 200), (0.3, 0.7)])
def test_constant_frames_give_zero(levels):
    kind = np.float64 if isinstance(levels[0], float) else np.uint8
    onset, apex = (np.full((70, 61), level, kind) for level in levels)
    assert not tvl1_flow(onset, apex).any()


def test_equal_frames_give_zero():
    frame = eight_bit(255 * texture(6))
    assert tvl1_flow(frame, frame).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(16, 16), (17, 33), (224, 16), (45, 101)])
def test_any_size_from_16(shape):
    frame = texture(7, shape)
    flow = tvl1_flow(frame, np.roll(frame, 1, axis=1))
    assert flow.shape == (2, *shape)
    assert torch.isfinite(flow).all()
    assert flow[0].mean() > 0.3


def test_more_scales_reach_further():
    frame = 255 * texture(8, (128, 128))
    shifted = np.roll(frame, 8, axis=1)
    inside = np.s_[0, 16:-16, 16:-16]
    pyramid = tvl1_flow(eight_bit(frame), eight_bit(shifted))[inside]
    alone = tvl1_flow(eight_bit(frame), eight_bit(shifted), nscales=1)[inside]
    assert abs(float(pyramid.mean()) - 8) < 0.5 < abs(float(alone.mean()) - 8)


def test_blur_agrees_with_scipy():
    image = texture(9)
    ours = blur(torch.from_numpy(image)[None, None], 0.8)[0, 0].numpy()
    assert np.abs(ours - gaussian_filter(image, 0.8, mode="nearest", radius=3)).max() < 1e-12


def test_median_agrees_with_scipy():
    field = np.random.default_rng(10).standard_normal((2, 2, 13, 9))
    ours = median3(torch.from_numpy(field)).numpy()
    assert np.array_equal(ours, median_filter(field, (1, 1, 3, 3), mode="nearest"))


def test_one_iteration_agrees_with_the_formulas_in_float64():
    """Equations of Zach et al.: threshold, primal step, dual step, pixel by pixel."""
    rng = np.random.default_rng(11)
    H, W = 7, 6
    onset, apex = (torch.from_numpy(rng.uniform(0, 9, (1, 1, H, W))) for _ in range(2))
    start = torch.from_numpy(rng.uniform(-0.2, 0.2, (1, 2, H, W)))
    flow = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 2, H, W)))
    dual = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, 2, 2, H, W)))  # theta p
    dual[:, 0, :, :, -1] = 0
    dual[:, 1, :, -1] = 0
    p = TVL1Parameters(lambda_=0.4, theta=0.2, tau=0.2)
    data = linearize(onset, apex, start)
    g, inverse_at = data[0, :2].numpy(), data[0, 2:4].numpy()
    norm = (g**2).sum(0)
    assert np.allclose(inverse_at, g / norm)
    constant = data[0, 4].numpy() * norm
    w, q = flow[0].numpy().copy(), dual[0].numpy().copy()
    v, limit = np.empty_like(w), p.lambda_ * p.theta
    for y in range(H):
        for x in range(W):
            here = g[:, y, x]
            rho = constant[y, x] + here @ w[:, y, x]
            if rho < -limit * norm[y, x]:
                step = limit * here
            elif rho > limit * norm[y, x]:
                step = -limit * here
            else:
                step = -rho * here / norm[y, x]
            v[:, y, x] = w[:, y, x] + step
    new, expected_dual = np.empty_like(w), q.copy()
    for k in range(2):
        for y in range(H):
            for x in range(W):
                divergence = q[0, k, y, x] - (q[0, k, y, x - 1] if x else 0)
                divergence += q[1, k, y, x] - (q[1, k, y - 1, x] if y else 0)
                new[k, y, x] = v[k, y, x] + divergence
        for y in range(H):
            for x in range(W):
                ux = new[k, y, x + 1] - new[k, y, x] if x < W - 1 else 0.0
                uy = new[k, y + 1, x] - new[k, y, x] if y < H - 1 else 0.0
                shrink = 1 + p.tau / p.theta * math.hypot(ux, uy)
                for d, slope in enumerate((ux, uy)):
                    old = q[d, k, y, x] / p.theta
                    expected_dual[d, k, y, x] = p.theta * (old + p.tau / p.theta * slope) / shrink
    ours = _iterate(flow, dual, data, _Scratch(flow), p)
    assert np.allclose(ours[0].numpy(), new, atol=1e-12)
    assert np.allclose(dual[0].numpy(), expected_dual, atol=1e-12)


@pytest.mark.parametrize("shape", [(40, 37), (90, 101)])
def test_light_is_taken_over_and_motion_is_not(shape, rng):
    onset = torch.from_numpy(rng.uniform(0, 255, (2, 1, *shape)))
    gains, offsets = (torch.from_numpy(rng.uniform(low, high, (2, 1, 1, 1))) for low, high in ((0.8, 1.2), (-20, 20)))
    assert (match_light(gains * onset + offsets, onset) - onset).abs().max() < 1e-6
    slope = torch.linspace(-8, 8, shape[1], dtype=torch.float64).expand(shape)
    left = match_light(onset + slope, onset) - onset
    # What stays is chiefly beyond the centers of the outer cells.
    assert left.abs().mean() < 0.5 * slope.abs().mean()
    changed = onset.clone()
    changed[..., 4:10, 5:11] = 0
    assert (match_light(changed, onset) - changed).abs().max() < 2


@pytest.mark.slow
@pytest.mark.parametrize("square", [0, 1, 2])
def test_a_change_of_light_is_not_motion(square):
    field = smooth_field(np.random.default_rng(20 + square), 0.6)
    onset, apex = pair(square, field)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    lit = eight_bit((1.05 * apex + 5) * (1 + 0.04 * (x - 0.5)) + 4 * (y - 0.5))
    steady = end_point_error(tvl1_flow(onset, apex), field)
    corrected = end_point_error(tvl1_flow(onset, lit), field)
    assert corrected < steady + 0.25
    assert corrected < 0.3 * end_point_error(tvl1_flow(onset, lit, illumination=0), field)


def state(rng, pairs=3, shape=(23, 31)):
    """Random flow, dual and data as at the start of a warp; the pairs stop at different iterations."""
    flow = torch.from_numpy(rng.normal(0, 0.5, (pairs, 2, *shape)).astype(np.float32))
    dual = torch.from_numpy(rng.normal(0, 0.1, (pairs, 2, 2, *shape)).astype(np.float32))
    dual[:, 0, :, :, -1] = 0
    dual[:, 1, :, -1] = 0
    frames = [torch.from_numpy(rng.uniform(0, 255, (pairs, 1, *shape)).astype(np.float32)) for _ in range(2)]
    for frame in frames:
        frame[0] /= 50
    return flow, dual, linearize(*frames, flow)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("settings", [{"epsilon": 0.0, "iterations": 12}, {"epsilon": 0.05, "iterations": 60}])
def test_fused_iterations_agree_with_plain_ones(settings, rng):
    from htnet.preprocess.flow import tvl1_triton

    if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("needs CUDA, or TRITON_INTERPRET=1 before Triton is imported")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    flow, dual, data = (tensor.to(device) for tensor in state(rng))
    p = TVL1Parameters(**settings)
    expected_flow, expected_dual = relax(flow.clone(), dual.clone(), data, p)
    before = flow.clone()
    fused_flow, fused_dual = tvl1_triton.relax(flow, dual.clone(), data, p)
    assert torch.equal(flow, before)
    assert torch.allclose(fused_flow, expected_flow, atol=2e-4)
    assert torch.allclose(fused_dual, expected_dual, atol=2e-4)
    assert not torch.allclose(fused_flow, before, atol=1e-2)


@pytest.mark.slow
def test_functional_step_agrees_with_the_one_in_place(rng):
    """The step that "compile" compiles."""
    from htnet.preprocess.flow.tvl1_compiled import advance

    flow, dual, data = (tensor[:1].double() for tensor in state(rng))
    p = TVL1Parameters()
    new, new_dual, change = advance(flow, dual, data, p.lambda_ * p.theta, p.tau, p.tau / p.theta)
    before = flow.clone()
    expected = _iterate(flow, dual, data, _Scratch(flow), p)
    assert torch.allclose(new, expected, atol=1e-12)
    assert torch.allclose(new_dual, dual, atol=1e-12)
    assert float(change) == pytest.approx(float((expected - before).norm()), rel=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(which("g++") is None, reason="needs a C++ compiler")
def test_compiled_flow_agrees_with_the_plain_one():
    field = smooth_field(np.random.default_rng(21), 0.5)
    onset, apex = (np.stack([f[60:140, 60:150], f[80:160, 40:130]]) for f in pair(1, field))
    compiled, plain = (tvl1_flow(onset, apex, backend=backend, warps=2) for backend in ("compile", "eager"))
    assert end_point_error(compiled[0], plain[0].numpy()) < 2e-3
    assert end_point_error(compiled[1], plain[1].numpy()) < 2e-3


def test_compiling_is_refused_without_a_compiler(monkeypatch):
    frame = eight_bit(255 * texture(15))
    monkeypatch.setattr("htnet.preprocess.flow.tvl1_routing.which", lambda name: None)
    with pytest.raises(InputError, match="C\\+\\+ compiler"):
        tvl1_flow(frame, frame, backend="compile")


def test_backends():
    frame = eight_bit(255 * texture(15))
    chosen = explain_tvl1().backend
    assert torch.equal(tvl1_flow(frame, frame[:, ::-1], backend=chosen), tvl1_flow(frame, frame[:, ::-1]))
    with pytest.raises(InputError, match="'eagre'.*Did you mean 'eager'"):
        tvl1_flow(frame, frame, backend="eagre")


def test_fused_backend_is_refused_where_it_cannot_run(monkeypatch):
    frame = eight_bit(255 * texture(15))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match="runs on frames on a CUDA device, not cpu"):
        tvl1_flow(frame, frame, backend="triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr("htnet.preprocess.flow.tvl1_routing._TRITON", False)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[triton\]'"):
        tvl1_flow(frame, frame, backend="triton")


def test_linearized_residual_matches_the_warped_difference():
    image = 255 * texture(14)
    flow = torch.empty(1, 2, *image.shape, dtype=torch.float64)
    flow[:, 0], flow[:, 1] = 0.3, -0.6
    frame = torch.from_numpy(image)[None, None]
    data = linearize(frame, frame, flow)
    residual = (data[:, 4] + (data[:, 2:4] * flow).sum(1)) * data[:, :2].square().sum(1)
    expected = moved(image, -flow[0].numpy()) - image  # apex(x + w) - onset(x)
    # Cubic against quintic interpolation; one wrong sign would differ by twice the motion.
    assert np.abs(residual[0].numpy() - expected)[3:-3, 3:-3].max() < 0.05 * np.abs(expected).max()


def test_parameters_have_published_defaults_and_matter():
    p = TVL1Parameters()
    assert (p.tau, p.lambda_, p.theta, p.nscales, p.zfactor, p.warps, p.epsilon) == (0.25, 0.15, 0.3, 5, 0.5, 5, 0.01)
    assert p.iterations == 300
    onset, apex = pair(1, smooth_field(np.random.default_rng(12), 0.5))
    onset, apex = onset[60:140, 60:140], apex[60:140, 60:140]
    plain = tvl1_flow(onset, apex)
    assert torch.equal(plain, tvl1_flow(onset, apex, warps=5.0, median=1.0))
    changed = {
        "tau": 0.1, "lambda_": 0.05, "theta": 0.1, "nscales": 1, "zfactor": 0.8, "warps": 1, "epsilon": 0.1,
        "iterations": 2, "median": 0, "presmoothing": 0, "illumination": 0,
    }  # fmt: skip
    for name, value in changed.items():
        assert not torch.equal(plain, tvl1_flow(onset, apex, **{name: value})), name


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lambda": 0.1}, "Did you mean 'lambda_'"),
        ({"wraps": 3}, "Did you mean 'warps'"),
        ({"tau": 0.5}, "tau is 0.5"),
        ({"warps": 2.5}, "warps is 2.5; give a whole number"),
        ({"theta": float("nan")}, "theta is nan"),
        ({"zfactor": 1}, "zfactor is 1"),
        ({"nscales": "5"}, "nscales is '5'"),
        ({"median": 3}, "median is 3"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    frame = np.zeros((20, 20), np.uint8)
    with pytest.raises(InputError, match=message):
        tvl1_flow(frame, frame, **parameters)


GOOD = np.zeros((20, 20), np.uint8)


@pytest.mark.parametrize(
    ("onset", "error", "message"),
    [
        (np.zeros((20, 21), np.uint8), FlowError, r"\(20, 21\).*do not match"),
        (GOOD[None], FlowError, "do not match"),
        (np.zeros((1, 1, 20, 20), np.uint8), FrameError, r"\(1, 1, 20, 20\)"),
        (np.zeros(20, np.uint8), FrameError, r"\(20,\)"),
        (np.zeros((8, 20), np.uint8), FrameError, "16x16 px or more"),
        (np.zeros((0, 20, 20), np.uint8), FrameError, r"\(0, 20, 20\)"),
        (np.zeros((20, 20, 3), np.uint8), FrameError, "convert it to gray"),
        (np.full((20, 20), np.nan), FrameError, "NaN"),
        (np.full((20, 20), 200.0), FrameError, "Divide by 255"),
        (np.full((20, 20), -0.1), FrameError, "0..1"),
        (GOOD.astype(np.int32), FrameError, "int32"),
        (GOOD.astype(bool), FrameError, "bool"),
        (GOOD.tolist(), FrameError, "list"),
        (GOOD.astype(str), FrameError, "NumPy array or a tensor"),
    ],
)
def test_bad_frames_are_refused(onset, error, message):
    with pytest.raises(error, match=message):
        tvl1_flow(onset, GOOD)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_agrees_with_cpu():
    onset, apex = pair(1, smooth_field(np.random.default_rng(13), 0.5))
    frames = [torch.from_numpy(f) for f in (onset, apex)]
    on_gpu = tvl1_flow(*(f.cuda() for f in frames))
    assert on_gpu.is_cuda
    assert end_point_error(on_gpu.cpu(), tvl1_flow(*frames).numpy()) < 2e-3
