"""Occlusion and integrated gradients, against plain calculations in float64."""

import numpy as np
import pytest
import torch

from htnet.core.errors import InputError, ModelError
from htnet.models import create_model, integrated_gradients, occlusion


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("htnet_tiny").double().eval()


@pytest.fixture
def image(rng):
    return rng.uniform(0, 255, (3, 28, 28))


def smooth():
    """A network without kinks, in float64."""
    torch.manual_seed(0)
    return create_model("flow_mlp").double().eval()


def scores(model, images):
    with torch.no_grad():
        return model(torch.from_numpy(np.asarray(images))).numpy()


def test_integrated_gradients_are_the_integral_of_difference_quotients(image, rng):
    """Gradients by central differences of scores, integrated by Simpson's rule: no autograd and no Gauss nodes."""
    model = smooth()
    found = integrated_gradients(model, image, "positive", steps=96)
    base = np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
    at = np.linspace(0, 1, 1001)
    simpson = np.array([1, *([4, 2] * 499), 4, 1]) / (3 * 1000)
    step = 1e-3
    for place in zip(*(rng.integers(n, size=3) for n in image.shape), strict=True):
        line = base + at[:, None, None, None] * (image - base)
        above, below = line.copy(), line.copy()
        above[(slice(None), *place)] += step
        below[(slice(None), *place)] -= step
        slope = (scores(model, above)[:, 1] - scores(model, below)[:, 1]) / (2 * step)
        expected = (simpson * slope).sum() * (image - base)[place]
        assert found.values[place] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert np.abs(found.values).max() > 1e-4


def test_they_sum_to_the_difference_of_the_scores(image):
    model = smooth()
    found = integrated_gradients(model, image, steps=64)
    flat = np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
    ends = scores(model, np.stack([image, flat]))
    k = int(ends[0].argmax())
    assert found.label == model.labels[k]
    assert (found.score, found.base) == pytest.approx((ends[0, k], ends[1, k]))
    assert found.error < 1e-8
    assert found.map.sum() == pytest.approx(found.score - found.base, abs=1e-8)
    assert integrated_gradients(model, image, steps=1).error > found.error
    kinked = create_model("htnet_tiny").double().eval()  # it has max pooling
    coarse, fine = (integrated_gradients(kinked, image, steps=steps).error for steps in (4, 400))
    assert fine < coarse
    own = integrated_gradients(model, image, baseline=np.zeros_like(image), steps=64)
    assert own.map.sum() == pytest.approx(ends[0, k] - scores(model, np.zeros_like(image)[None])[0, k], abs=1e-6)


def test_occlusion_is_that_of_plain_loops(model, image):
    found = occlusion(model, image, 2, window=8, stride=5)
    total, count = np.zeros((28, 28)), np.zeros((28, 28))
    whole = scores(model, image[None])[0, 2]
    for top in (0, 5, 10, 15, 20):
        for left in (0, 5, 10, 15, 20):
            hidden = image.copy()
            for channel in range(3):
                hidden[channel, top : top + 8, left : left + 8] = image[channel].mean()
            total[top : top + 8, left : left + 8] += whole - scores(model, hidden[None])[0, 2]
            count[top : top + 8, left : left + 8] += 1
    assert count.min() == 1
    np.testing.assert_allclose(found.map, total / count, atol=1e-10)
    assert found.label == "surprise"
    assert occlusion(model, image).values.shape == (1, 28, 28)
    everything = occlusion(model, image, 2, window=28, stride=28)
    np.testing.assert_allclose(everything.map, found.score - found.base, atol=1e-10)


@pytest.mark.parametrize("name", ["flow_mlp", "ststnet", "htnet_dual_stream", "mhssa_gcn_small"])
def test_every_kind_of_model_is_explained(name, rng):
    torch.manual_seed(1)
    model = create_model(name).eval()
    x = rng.uniform(0, 255, (3, 28, 28)).astype(np.float32)
    more = {"points68": rng.uniform(4, 24, (68, 2))} if name.startswith("mhssa") else {}
    more |= {"motion": rng.normal(size=(16, 64))} if "dual" in name else {}
    gradients = integrated_gradients(model, x, 0, **more)
    hidden = occlusion(model, x, 0, window=14, stride=14, **more)
    assert gradients.score == pytest.approx(hidden.score)
    assert np.isfinite(gradients.values).all()
    assert np.abs(gradients.values).max() > 0
    assert gradients.error < 0.05 * max(1, abs(gradients.score))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_model_stays_in_its_mode(model, image):
    model.train()
    try:
        integrated_gradients(model, image, steps=2)
        occlusion(model, image, window=28, stride=28)
        assert model.training
    finally:
        model.eval()


def test_bad_requests_are_named(model, image):
    with pytest.raises(ModelError, match="target is 'joy'; htnet_tiny answers negative, positive, surprise"):
        integrated_gradients(model, image, "joy")
    with pytest.raises(ModelError, match="target is 3"):
        occlusion(model, image, 3)
    with pytest.raises(InputError, match="steps is 0"):
        integrated_gradients(model, image, steps=0)
    with pytest.raises(InputError, match="window is 29 and stride 14"):
        occlusion(model, image, window=29)
    with pytest.raises(InputError, match="window is 4 and stride 5"):
        occlusion(model, image, window=4, stride=5)
    headless = create_model("htnet_tiny", num_classes=0)
    with pytest.raises(ModelError, match="no classifier"):
        occlusion(headless, image)


@pytest.mark.parametrize("switch", [torch.no_grad, torch.inference_mode])
def test_gradients_are_taken_whatever_is_switched_off(model, image, switch):
    expected = integrated_gradients(model, image, steps=2)
    with switch():
        found = integrated_gradients(model, image, steps=2)
    assert np.array_equal(found.values, expected.values)
