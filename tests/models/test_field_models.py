"""The networks of the field beside their descriptions, written with arrays alone, and their published sizes."""

import json
import math

import numpy as np
import pytest
import torch

from htnet.core.errors import ModelError
from htnet.models import create_model
from htnet.training import get_recipe
from tests.support.paths import ROOT

#: Parameters: ours, published (None if no number was at hand), and half a unit of its last digit.
SIZES = {
    "off_apexnet": (2_664_475, 2.66e6, 0.005e6),
    "dual_inception": (6_449_867, 6.45e6, 0.005e6),
    "capsulenet": (9_123_904, None, 0),
    "featref": (9_601_742, None, 0),
    "mier_cvt": (7_487_491, 7.5e6, 0.05e6),
    **{f"rcn_{kind}": (22_019, None, 0) for kind in "aswf"},
}


@pytest.mark.parametrize("name", SIZES)
def test_number_of_parameters_beside_the_published_one(name):
    ours, published, rounding = SIZES[name]
    assert sum(p.numel() for p in create_model(name).parameters()) == ours
    if published is not None:
        assert abs(ours - published) <= rounding


def weights(model):
    return {key: value.detach().numpy() for key, value in model.state_dict().items()}


def conv(x, w, name, padding=0, stride=1):
    """(B, C, H, W) by one product of windows and weights."""
    kernel, bias = w[f"{name}.weight"], w.get(f"{name}.bias", 0.0)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    out = np.einsum("bchwij,ocij->bohw", windows, kernel)
    return out + np.reshape(bias, (-1, 1, 1)) if np.ndim(bias) else out


def relu(x):
    return np.maximum(x, 0)


def pool(x, size=2, stride=2, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride].max((4, 5))


def linear(x, w, name):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def by_hand_off_apexnet(w, image):
    parts = []
    for stream, channel in enumerate((2, 1)):
        x = image[:, channel : channel + 1]
        for layer in ("conv1", "conv2"):
            x = pool(relu(conv(x, w, f"flow.streams.{stream}.{layer}", 2)))
        parts.append(x.reshape(len(x), -1))
    x = np.concatenate(parts, 1)
    return linear(relu(linear(relu(linear(x, w, "fc1")), w, "fc2")), w, "head")


def inception(x, w, name):
    branches = [
        conv(x, w, f"{name}.point"),
        conv(relu(conv(x, w, f"{name}.reduce3")), w, f"{name}.conv3", 1),
        conv(relu(conv(x, w, f"{name}.reduce5")), w, f"{name}.conv5", 2),
        conv(pool(x, 3, 1, 1), w, f"{name}.pool"),
    ]
    return relu(np.concatenate(branches, 1))


def inception_streams(w, image):
    parts = []
    for stream, channel in enumerate((2, 1)):
        x = image[:, channel : channel + 1]
        for block in ("block1", "block2"):
            x = pool(inception(x, w, f"flow.streams.{stream}.{block}"))
        parts.append(x.reshape(len(x), -1))
    return np.concatenate(parts, 1)


def by_hand_dual_inception(w, image):
    return linear(relu(linear(inception_streams(w, image), w, "fc")), w, "head")


def norm(x, w, name):
    line = (w[f"{name}.{key}"].reshape(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias"))
    mean, var, scale, shift = line
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def by_hand_rcn(attention=False, shortcut=False, wide=False):
    def network(w, image):
        x = relu(norm(conv(image, w, "conv", 1), w, "norm"))
        read = norm(conv(x, w, "layer.conv", 1), w, "layer.norm")
        state = relu(read)
        for step in range(3):
            own = conv(state, w, "layer.recurrent", 1)
            if wide:  # every second value of the windows of 5 x 5
                spread = np.zeros((*w["layer.recurrent.weight"].shape[:2], 5, 5))
                spread[:, :, ::2, ::2] = w["layer.recurrent.weight"]
                own = (own + conv(state, {"spread.weight": spread}, "spread", 2)) / 2
            state = relu(read + norm(own, w, f"layer.norms.{step}") + (x if shortcut else 0))
        if attention:
            mean = state.mean(1, keepdims=True)
            standard = (mean - mean.mean((2, 3), keepdims=True)) / (mean.std((2, 3), keepdims=True) + 1e-3)
            state = state / (1 + np.exp(-standard))
        cells = state[:, :, :25, :25].reshape(len(state), -1, 5, 5, 5, 5).mean((3, 5))
        return linear(cells.reshape(len(cells), -1), w, "head")

    return network


def resized(x, side):
    """Bilinear interpolation to a larger side: centers of pixels lie at halves, and the border is repeated."""
    old = x.shape[-1]
    at = np.clip((np.arange(side) + 0.5) * old / side - 0.5, 0, None)
    low = np.floor(at).astype(int)
    high, part = np.minimum(low + 1, old - 1), at - low
    rows = x[:, :, low] * (1 - part)[:, None] + x[:, :, high] * part[:, None]
    return rows[..., low] * (1 - part) + rows[..., high] * part


def squash(x):
    squared = (x**2).sum(-1, keepdims=True)
    return squared / (1 + squared) * x / np.sqrt(squared)


def by_hand_capsulenet_tiny(w, image):
    x = pool(relu(norm(conv(resized(image, 56), w, "stem.0", 3, 2), w, "stem.1")), 3, 2, 1)
    for stage, first in (("layer1", 1), ("layer2", 2), ("layer3", 2)):
        for name, stride in ((f"{stage}.0", first), (f"{stage}.1", 1)):
            kept = x
            x = relu(norm(conv(x, w, f"{name}.conv1", 1, stride), w, f"{name}.bn1"))
            x = norm(conv(x, w, f"{name}.conv2", 1), w, f"{name}.bn2")
            if stride > 1:
                kept = norm(conv(kept, w, f"{name}.down.0", 0, stride), w, f"{name}.down.1")
            x = relu(x + kept)
    x = conv(relu(conv(x, w, "conv", 1)), w, "primary")
    capsules = squash(x.reshape(len(x), 8, 8, -1).transpose(0, 1, 3, 2).reshape(len(x), -1, 8))
    scores = []
    for own in capsules:
        votes = np.array([[matrix @ u for matrix, u in zip(one, own, strict=True)] for one in w["classes.weight"]])
        b = np.zeros(votes.shape[:2])
        for _ in range(3):
            c = np.exp(b) / np.exp(b).sum(0)
            v = squash((c[..., None] * votes).sum(1))
            b = b + (votes * v[:, None]).sum(-1)
        scores.append(np.sqrt((v**2).sum(-1)))
    return np.array(scores)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def proposals_by_hand(w, image):
    """Features of each expression (B, 3, 1024), and proposals (B, 3) as scores."""
    shared = relu(linear(inception_streams(w, image), w, "fc"))
    own = sigmoid(linear(shared, w, "attention")).reshape(len(shared), 3, -1) * shared[:, None]
    return own, np.einsum("bpd,pd->bp", own, w["proposal.weight"]) + w["proposal.bias"]


def by_hand_featref(w, image):
    own, proposals = proposals_by_hand(w, image)
    return linear(np.einsum("bpd,bp->bd", own, sigmoid(proposals)), w, "head")


def layer_norm(x, w, name):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x, axis):
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def by_hand_mier_cvt(w, image):
    x, erf = resized(image, 224), np.vectorize(math.erf)
    for stage, (stride, padding, heads, depth) in enumerate(
        zip((16, 3, 1), (8, 0, 0), (1, 3, 6), (1, 2, 3), strict=True)
    ):
        x = conv(x, w, f"levels.{stage}.embed", padding, stride)
        b, c, side, _ = x.shape
        x = layer_norm(x.reshape(b, c, -1).transpose(0, 2, 1), w, f"levels.{stage}.norm")
        for layer in range(depth):
            name = f"levels.{stage}.layers.{layer}"
            maps = layer_norm(x, w, f"{name}.norm1").transpose(0, 2, 1).reshape(b, c, side, side)
            read = []
            for part in "qkv":
                key = f"{name}.attn.{part}"
                each = {f"{i}.weight": w[f"{key}.conv.weight"][i : i + 1] for i in range(c)}
                own = np.concatenate([conv(maps[:, i : i + 1], each, str(i), 1) for i in range(c)], 1)
                tokens = norm(own, w, f"{key}.norm").reshape(b, c, -1).transpose(0, 2, 1)
                read.append(linear(tokens, w, f"{key}.proj").reshape(b, -1, heads, c // heads))
            q, k, v = read
            weights_ = softmax(np.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(c // heads), -1)
            mixed = np.einsum("bhij,bjhd->bihd", weights_, v).reshape(b, -1, c)
            x = x + linear(mixed, w, f"{name}.attn.proj")
            hidden = linear(layer_norm(x, w, f"{name}.norm2"), w, f"{name}.fc1")
            x = x + linear(hidden * (1 + erf(hidden / math.sqrt(2))) / 2, w, f"{name}.fc2")
        x = x.transpose(0, 2, 1).reshape(b, c, side, side)
    tokens = layer_norm(x.reshape(b, c, -1).transpose(0, 2, 1), w, "norm")
    shares = softmax(tokens @ w["weigh.weight"].T, 1)
    return linear((shares * tokens).sum(1), w, "head")


BY_HAND = {
    "off_apexnet": by_hand_off_apexnet,
    "dual_inception": by_hand_dual_inception,
    "capsulenet_tiny": by_hand_capsulenet_tiny,
    "featref": by_hand_featref,
    "mier_cvt": by_hand_mier_cvt,
    "rcn_a": by_hand_rcn(attention=True),
    "rcn_s": by_hand_rcn(shortcut=True),
    "rcn_w": by_hand_rcn(wide=True),
    "rcn_f": by_hand_rcn(attention=True, shortcut=True, wide=True),
}


@pytest.mark.parametrize("name", BY_HAND)
@torch.no_grad()
def test_equals_the_description(name):
    model = create_model(name, mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0)).double().eval()
    image = torch.rand(2, 3, 28, 28, dtype=torch.float64) * 255
    standard = (image.numpy() - np.array([100.0, 110, 120]).reshape(-1, 1, 1)) / np.array([50.0, 60, 70]).reshape(
        -1, 1, 1
    )
    expected = BY_HAND[name](weights(model), standard)
    np.testing.assert_allclose(model(image).numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["off_apexnet", "dual_inception", "featref"])
@torch.no_grad()
def test_streams_read_u_and_v_alone(name):
    model, image = create_model(name).eval(), torch.rand(1, 3, 28, 28) * 255
    expected = model(image)
    for channel, reads in enumerate((False, True, True)):
        other = image.clone()
        other[:, channel] = 90
        assert torch.equal(model(other), expected) is not reads
    swapped = create_model(name, flow_channels=(0, 1)).eval()
    swapped.load_state_dict(model.state_dict())
    assert torch.equal(swapped(image[:, [2, 1, 0]]), expected)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"flow_channels": (0, 3)}, "the image has 3"),
        ({"flow_channels": (0,)}, "a tuple of 2"),
        ({"channels": 1, "mean": (0.0,), "std": (1.0,)}, "the image has 1"),
        ({"image_size": 3}, "image_size is 3"),
        ({"hidden": 0}, "hidden is 0"),
    ],
)
def test_bad_settings(settings, says):
    for name in ("off_apexnet", "dual_inception", "featref"):
        with pytest.raises(ModelError, match=says):
            create_model(name, **settings)


@torch.no_grad()
def test_proposals_of_featref():
    model, image = create_model("featref").double().eval(), torch.rand(2, 3, 28, 28, dtype=torch.float64) * 255
    scores, proposals = model(image, return_proposals=True)
    assert torch.equal(scores, model(image))
    np.testing.assert_allclose(proposals.numpy(), proposals_by_hand(weights(model), image.numpy())[1], rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"dims": (64, 192)}, "same number of values"),
        ({"heads": (1, 3, 7)}, "not multiples of heads"),
        ({"read_size": 28}, r"sides of \(1, -1, -3\) px"),
    ],
)
def test_bad_settings_of_mier_cvt(settings, says):
    with pytest.raises(ModelError, match=says):
        create_model("mier_cvt", **settings)


def test_a_kernel_larger_than_the_map_is_refused():
    with pytest.raises(ModelError, match="primary_kernel 5 is larger than the map of 4"):
        create_model("capsulenet_tiny", primary_kernel=5)


@torch.no_grad()
def test_lengths_are_scores_from_0_to_1():
    scores = create_model("capsulenet_tiny").eval()(torch.rand(4, 3, 28, 28) * 255)
    assert ((scores > 0) & (scores < 1)).all()


@pytest.mark.parametrize(("settings", "says"), [({"pool": 29}, "pool is 29"), ({"wide": 1}, "wide is 1")])
def test_bad_settings_of_rcn(settings, says):
    with pytest.raises(ModelError, match=says):
        create_model("rcn_a", **settings)


def test_hours_in_the_docs_are_those_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "field_seconds.json").read_text("utf-8"))["models"]
    text = (ROOT / "docs" / "models.md").read_text("utf-8")
    assert set(measured) == set(SIZES)
    for model, recipes in measured.items():
        own, default = recipes.items()
        numbers = (f"{x['seconds_per_subject']} | {x['hours']}" for x in (own[1], default[1]))
        assert f"| `{model}` | `{own[0]}`, {own[1]['epochs']} | {' | '.join(numbers)} |" in text
        assert get_recipe(own[0]).epochs == own[1]["epochs"]
