import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from htnet.core.errors import FlowError, FrameError
from htnet.preprocess.flow.compute import compute_flow
from htnet.preprocess.flow.warp import displace, sample_cubic
from tests.preprocess.faces import gray_face, smooth_field


def test_sampling_is_exact_on_parabolas():
    rng = np.random.default_rng(1)
    a, b, c, d = rng.uniform(-1, 1, 4)
    y, x = np.mgrid[:24, :24].astype(float)
    image = torch.from_numpy(a * x**2 + b * y**2 + c * x * y + d)[None, None]
    at_x, at_y = torch.from_numpy(rng.uniform(2, 20, (2, 1, 7, 9)))
    expected = a * at_x**2 + b * at_y**2 + c * at_x * at_y + d
    assert torch.allclose(sample_cubic(image, at_x, at_y)[0], expected, atol=1e-9)


def test_sampling_outside_takes_the_border():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    x, y = torch.tensor([[[-9.0, 50.0]]]), torch.tensor([[[-1.0, 7.0]]])
    assert sample_cubic(image, x, y).flatten().tolist() == [0.0, 11.0]


def test_sampling_keeps_images_and_channels_apart():
    rng = np.random.default_rng(2)
    images = torch.from_numpy(rng.standard_normal((3, 2, 9, 8)))
    x, y = torch.from_numpy(rng.uniform(0, 7, (2, 3, 5, 5)))
    together = sample_cubic(images, x, y)
    for i in range(3):
        for c in range(2):
            alone = sample_cubic(images[i : i + 1, c : c + 1], x[i : i + 1], y[i : i + 1])
            assert torch.equal(together[i, c], alone[0, 0])


def test_zero_displacement_is_identity():
    frame = np.random.default_rng(3).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    assert np.array_equal(displace(frame, np.zeros((2, 30, 41), np.float32)), frame)


def test_whole_translation_moves_pixels_right_and_down():
    frame = np.random.default_rng(4).integers(0, 256, (30, 40)).astype(np.uint8)
    field = np.empty((2, 30, 40), np.float32)
    field[0], field[1] = 3, 2
    assert np.array_equal(displace(frame, field)[2:, 3:], frame[:-2, :-3])


@pytest.mark.parametrize("length", [0.3, 3.0])
def test_inversion_lands_where_the_field_says(length):
    """A ramp shows where each apex pixel came from: the onset x with x + displacement(x) = y."""
    H, W, slope = 60, 52, 5
    field = smooth_field(np.random.default_rng(5), length, (H, W), sigma=12)
    ramp = np.tile(np.arange(W, dtype=np.uint8) * np.uint8(slope), (H, 1))
    column = displace(ramp, field) / slope
    y, x = np.mgrid[:H, :W].astype(float)
    from_x, from_y = x.copy(), y.copy()
    for _ in range(60):
        moved = [map_coordinates(f.astype(float), [from_y, from_x], order=3, mode="nearest") for f in field]
        from_x, from_y = x - moved[0], y - moved[1]
    inside = np.s_[8:-8, 8:-8]
    # 0.1 is the rounding to 8 bit.
    assert np.abs(column - from_x)[inside].max() < 0.11


def test_flow_recovers_the_displacement():
    face = gray_face(0)
    field = smooth_field(np.random.default_rng(6), 0.8, face.shape)
    apex = displace(np.rint(face).astype(np.uint8), field)
    flow = compute_flow(np.rint(face).astype(np.uint8), apex).uv
    assert np.hypot(*(flow - field)).mean() < 0.1


def test_channels_move_together():
    face = np.rint(gray_face(1)).astype(np.uint8)
    field = smooth_field(np.random.default_rng(7), 1.0, face.shape)
    color = displace(np.stack([face, 255 - face, face], axis=-1), field)
    assert np.array_equal(color[..., 0], displace(face, field))
    assert np.array_equal(color[..., 2], color[..., 0])
    assert not np.array_equal(color[..., 1], color[..., 0])


def test_bad_frames_and_fields_are_refused():
    frame, field = np.zeros((20, 30), np.uint8), np.zeros((2, 20, 30), np.float32)
    with pytest.raises(FrameError, match="float64"):
        displace(frame.astype(float), field)
    with pytest.raises(FrameError, match=r"\(20, 30, 4\)"):
        displace(np.zeros((20, 30, 4), np.uint8), field)
    with pytest.raises(FlowError, match=r"\(2, 30, 20\)"):
        displace(frame, field.transpose(0, 2, 1))
    with pytest.raises(FlowError, match="int64"):
        displace(frame, field.astype(np.int64))
    bad = field.copy()
    bad[1, 3, 4] = np.nan
    with pytest.raises(FlowError, match="1 NaN"):
        displace(frame, bad)


def test_folding_fields_are_refused():
    field = np.zeros((2, 20, 30), np.float32)
    field[0] = 4 * np.where(np.arange(30) % 2, 1, -1)
    with pytest.raises(FlowError, match="folds"):
        displace(np.zeros((20, 30), np.uint8), field)
