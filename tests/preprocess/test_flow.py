import cv2
import numpy as np
import pytest
import torch

from htnet.core.errors import FlowError, FrameError, InputError
from htnet.core.types import Flow
from htnet.preprocess.flow.compute import check_flow, compute_flow, flow_image, optical_strain, read_flow_image
from htnet.preprocess.flow.tvl1 import tvl1_flow
from tests.preprocess.faces import end_point_error, pair, smooth_field


@pytest.mark.parametrize("method", ["tvl1", "farneback", "dis"])
def test_every_method_finds_the_motion_with_the_right_signs(method):
    field = smooth_field(np.random.default_rng(1), 0.5)
    onset, apex = pair(1, field)
    flow = compute_flow(onset, apex, method)
    assert flow.method == method
    assert flow.uv.shape == (2, 224, 224)
    assert flow.uv.dtype == np.float32
    assert end_point_error(flow.uv, field) < 0.25


def test_tvl1_is_tvl1_and_takes_parameters_either_way():
    onset, apex = (f[:64, :64] for f in pair(1, smooth_field(np.random.default_rng(2), 0.5)))
    expected = tvl1_flow(onset, apex, warps=2, lambda_=0.1).numpy()
    assert np.array_equal(compute_flow(onset, apex, "tvl1", (("warps", 2.0), ("lambda_", 0.1))).uv, expected)
    assert np.array_equal(compute_flow(onset, apex, "tvl1", {"warps": 2, "lambda_": 0.1}).uv, expected)


def test_opencv_methods_are_opencv_and_their_parameters_matter():
    onset, apex = pair(0, smooth_field(np.random.default_rng(3), 0.5))
    theirs = cv2.calcOpticalFlowFarneback(onset, apex, None, 0.5, 3, 21, 3, 5, 1.2, 0)
    ours = compute_flow(onset, apex, "farneback", {"winsize": 21}).uv
    assert np.array_equal(ours, theirs.transpose(2, 0, 1))
    assert not np.array_equal(ours, compute_flow(onset, apex, "farneback").uv)
    medium, fine = (compute_flow(onset, apex, "dis", {"finest_scale": k}).uv for k in (1, 0))
    assert not np.array_equal(medium, fine)


@pytest.mark.parametrize(
    ("method", "parameters", "message"),
    [
        ("tvl2", {}, "Did you mean 'tvl1'"),
        ("tvl1", {"winsize": 3}, "Unknown TV-L1 parameter: 'winsize'"),
        ("farneback", {"win_size": 3}, "Did you mean 'winsize'"),
        ("farneback", {"iterations": 0}, "iterations is 0; give a whole number"),
        ("farneback", {"levels": 2.5}, "levels is 2.5"),
        ("dis", {"warps": 3}, "Unknown DIS parameter"),
        ("dis", {"preset": 7}, "preset is 7"),
    ],
)
def test_unknown_methods_and_parameters_are_refused(method, parameters, message):
    frame = np.zeros((32, 32), np.uint8)
    with pytest.raises(InputError, match=message):
        compute_flow(frame, frame, method, parameters)


@pytest.mark.parametrize("method", ["tvl1", "farneback", "dis"])
def test_bad_frames_are_refused(method):
    frame = np.zeros((32, 32), np.uint8)
    with pytest.raises(FrameError, match=r"onset.*float64"):
        compute_flow(frame / 255, frame, method)
    with pytest.raises(FrameError, match=r"apex.*\(32, 32, 3\)"):
        compute_flow(frame, np.zeros((32, 32, 3), np.uint8), method)
    with pytest.raises(FrameError, match="16x16"):
        compute_flow(frame[:9], frame[:9], method)
    with pytest.raises(FlowError, match=r"\(32, 30\)"):
        compute_flow(frame, frame[:, :30], method)


def linear_field(a, b, c, d, shape=(12, 15)):
    """u = a x + b y, v = c x + d y."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return np.stack([a * x + b * y, c * x + d * y])


def test_strain_of_linear_fields_by_hand():
    a, b, c, d = np.random.default_rng(4).uniform(-1, 1, 4)
    expected = np.sqrt(a**2 + d**2 + (b + c) ** 2 / 2)
    assert np.allclose(optical_strain(linear_field(a, b, c, d)), expected)
    assert np.allclose(optical_strain(linear_field(0, 0.3, -0.3, 0)), 0)  # rotation
    assert np.allclose(optical_strain(linear_field(0.3, 0, 0, 0)), 0.3)  # ux, not uy or vx
    assert np.allclose(optical_strain(linear_field(0, 0.3, 0, 0)), 0.3 / np.sqrt(2))


def test_strain_by_central_differences_pixel_by_pixel():
    uv = np.random.default_rng(5).standard_normal((2, 6, 7))
    strain = optical_strain(uv)
    for y in range(6):
        for x in range(7):
            left, right, up, down = max(x - 1, 0), min(x + 1, 6), max(y - 1, 0), min(y + 1, 5)
            ux, vx = (uv[:, y, right] - uv[:, y, left]) / (right - left)
            uy, vy = (uv[:, down, x] - uv[:, up, x]) / (down - up)
            e = np.array([[ux, (uy + vx) / 2], [(uy + vx) / 2, vy]])
            assert strain[y, x] == pytest.approx(np.linalg.norm(e))


def test_strain_of_batches_and_tensors_agree():
    uv = np.random.default_rng(6).standard_normal((3, 2, 9, 8)).astype(np.float32)
    batch = optical_strain(uv)
    assert batch.shape == (3, 9, 8)
    assert batch.dtype == np.float32
    assert np.array_equal(batch[1], optical_strain(uv[1]))
    tensor = optical_strain(torch.from_numpy(uv))
    assert isinstance(tensor, torch.Tensor)
    assert np.allclose(tensor.numpy(), batch, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8), (2, 1, 8)])
def test_strain_refuses_other_shapes(shape):
    with pytest.raises(FlowError, match=rf"\({shape[0]}, "):
        optical_strain(np.zeros(shape))


def random_flow(seed, side=112):
    return Flow(smooth_field(np.random.default_rng(seed), 0.5, (side, side), 8), "test")


def test_flow_image_is_strain_v_u_each_from_0_to_255():
    flow = random_flow(7)
    image = flow_image(flow)
    assert image.shape == (28, 28, 3)
    assert image.dtype == np.uint8
    for k, plane in enumerate((optical_strain(flow.uv), flow.uv[1], flow.uv[0])):
        small = cv2.resize(plane, (28, 28), interpolation=cv2.INTER_LINEAR).astype(float)
        expected = (small - small.min()) / np.ptp(small) * 255
        assert np.abs(image[..., k] - expected).max() <= 0.5 + 1e-9
        assert (image[..., k].min(), image[..., k].max()) == (0, 255)


def test_flow_image_channels_size_and_resize():
    flow = random_flow(8)
    image = flow_image(flow)
    assert np.array_equal(flow_image(flow, channels=("u", "v", "strain")), image[..., ::-1])
    mean = flow.uv[0].reshape(28, 4, 28, 4).mean((1, 3))
    area = flow_image(flow, resize="area", channels=("u", "v", "strain"))[..., 0]
    assert np.abs(area - (mean - mean.min()) / np.ptp(mean) * 255).max() < 0.51
    assert not np.array_equal(area, image[..., 2])
    assert flow_image(flow, size=56).shape == (56, 56, 3)


def test_constant_channels_become_zero():
    uv = np.empty((2, 50, 50), np.float32)
    uv[0], uv[1] = 0.1, -1 / 3
    assert not flow_image(Flow(uv, "test")).any()
    assert not flow_image(Flow(uv, "test"), resize="area").any()
    uv[0] = np.linspace(0, 1, 50)
    image = flow_image(Flow(uv, "test"))
    assert image[..., 2].max() == 255
    assert not image[..., 1].any()


@pytest.mark.parametrize("wrong", [{"resize": "cubic"}, {"channels": ("u", "v")}, {"size": 0}, {"size": 28.0}])
def test_flow_image_refuses_wrong_settings(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        flow_image(random_flow(9), **wrong)


def test_flow_image_survives_the_file(tmp_path):
    from skimage.io import imread

    flow = random_flow(10)
    image = flow_image(flow)
    path = tmp_path / "006_1_2 .png"
    assert cv2.imwrite(str(path), image)
    assert np.array_equal(read_flow_image(path), image)
    assert np.array_equal(read_flow_image(str(path), 28), image)
    rgb = imread(path)  # the published reading: red is u, blue is strain
    assert np.array_equal(rgb[..., 0], flow_image(flow, channels=("u", "v", "strain"))[..., 0])
    assert np.array_equal(rgb[..., 2], image[..., 0])


def test_bad_flow_images_are_refused_by_name(tmp_path):
    def check(name, message, size=28):
        with pytest.raises(FlowError, match=message) as caught:
            read_flow_image(tmp_path / name, size)
        assert name in str(caught.value)

    check("missing.png", "does not exist")
    (tmp_path / "empty.png").touch()
    check("empty.png", "empty")
    (tmp_path / "text.png").write_text("hello")
    check("text.png", "not an image")
    rng = np.random.default_rng(11)
    for name, shape, kind in (
        ("gray.png", (28, 28), np.uint8),
        ("alpha.png", (28, 28, 4), np.uint8),
        ("deep.png", (28, 28, 3), np.uint16),
        ("wide.png", (28, 30, 3), np.uint8),
    ):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 255, shape).astype(kind))
    check("gray.png", "1 channels")
    check("alpha.png", "4 channels")
    check("deep.png", "uint16")
    check("wide.png", "28x30 px, expected 28x28")
    check("wide.png", "expected 56x56", 56)
    cut = tmp_path / "cut.png"
    cut.write_bytes((tmp_path / "wide.png").read_bytes()[:40])
    check("cut.png", "cut off")


def test_check_flow_refuses_nan_and_shape():
    flow = random_flow(12, 20)
    assert check_flow(flow) is flow
    assert check_flow(flow.uv, "mine").method == "mine"
    with pytest.raises(FlowError, match=r"\(20, 20\)"):
        check_flow(flow.uv[0])
    bad = flow.uv.copy()
    bad[0, 1, 2] = np.inf
    with pytest.raises(FlowError, match="1 NaN or infinite"):
        check_flow(bad)
