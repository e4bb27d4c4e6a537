"""Attention maps and roll-out."""

import threading

import numpy as np
import pytest
import torch
from einops import rearrange

from htnet.core.errors import ModelError
from htnet.models import attention_maps, attention_rollout, create_model
from htnet.models.layers import BlockAttention


@pytest.fixture(scope="module")
def four_tokens():
    """An HTNet with four tokens in each block, in float64."""
    torch.manual_seed(0)
    return create_model("htnet_tiny", image_size=56, block_repeats=(2, 1, 1)).double().eval()


@pytest.fixture
def image(rng):
    return rng.uniform(0, 255, (3, 56, 56))


def given_to(model, kind, x, **inputs):
    """Input and output of every layer of a kind."""
    seen = []
    handles = [
        m.register_forward_hook(lambda m, given, out: seen.append((m, given, out)))
        for m in model.modules()
        if isinstance(m, kind)
    ]
    with torch.no_grad():
        model(x, **inputs)
    for handle in handles:
        handle.remove()
    return seen


def test_maps_of_htnet_times_its_values_are_what_its_layers_read(four_tokens, image):
    """The layers themselves attend by another backend, which computes no weights."""
    maps = attention_maps(four_tokens, image)
    assert [one.name for one in maps] == [
        "level 1, layer 1",
        "level 1, layer 2",
        "level 2, layer 1",
        "level 3, layer 1",
    ]
    assert [one.side for one in maps] == [8, 8, 4, 2]
    seen = given_to(four_tokens, BlockAttention, torch.from_numpy(image)[None])
    for one, (layer, (x,), _) in zip(maps, seen, strict=True):
        np.testing.assert_allclose(one.weights.sum(2), 1, atol=1e-12)
        assert one.received.sum() == pytest.approx(1)
        with torch.no_grad():
            values = rearrange(layer.v(x)[0], "h w (n d) -> n (h w) d", n=layer.heads).numpy()
            expected = rearrange(layer.attend(x)[0], "h w (n d) -> n (h w) d", n=layer.heads).numpy()
        np.testing.assert_allclose(one.weights @ values, expected, atol=1e-9)
        blocks = np.arange(one.side) // (one.side // layer.blocks)
        block = (blocks[:, None] * layer.blocks + blocks).ravel()
        assert not one.weights[:, block[:, None] != block].any(), "nothing is read from another block"
        assert one.weights.std() > 0
    np.testing.assert_allclose(maps[0].points[[0, 1, 8]], [[3, 3], [10, 3], [3, 10]])


def test_rollout_of_htnet_is_what_flows_back_from_the_classifier(four_tokens, image):
    """From the last positions to the first, a vector at a time; the code multiplies matrices the other way round."""
    maps = attention_maps(four_tokens, image)
    share = np.full(4, 1 / 4)
    for one in reversed(maps):
        if len(share) != one.side**2:
            half = one.side // 2
            share = np.kron(share.reshape(half, half), np.full((2, 2), 0.25)).ravel()
        share = 0.5 * share + 0.5 * one.weights.mean(0).T @ share
    found = attention_rollout(four_tokens, image)
    np.testing.assert_allclose(found.relevance, share, atol=1e-12)
    assert found.relevance.sum() == pytest.approx(1)
    assert found.side == 8


def test_maps_of_the_dual_stream_are_its_own(rng):
    torch.manual_seed(1)
    model = create_model("htnet_dual_stream").eval()
    x = rng.uniform(0, 255, (3, 28, 28)).astype(np.float32)
    motion = rng.normal(size=(16, 64)).astype(np.float32)
    (one,) = attention_maps(model, x, motion=motion)
    own = model(torch.from_numpy(x)[None], torch.from_numpy(motion)[None], return_maps=True).patch_attention[0]
    np.testing.assert_allclose(one.weights, own.detach().numpy(), atol=1e-7)
    expected = (0.5 * one.weights.mean(0) + 0.5 * np.eye(16)).mean(0)
    np.testing.assert_allclose(attention_rollout(model, x).relevance, expected, atol=1e-6)


def test_maps_of_mhssa_stay_in_the_regions(rng):
    torch.manual_seed(2)
    model = create_model("mhssa_gcn_small", intra_depth=2).double().eval()
    x, points = rng.uniform(0, 255, (3, 28, 28)), rng.uniform(4, 24, (68, 2))
    maps = attention_maps(model, x, points68=points)
    regions = model.regions.numpy()
    layers = given_to(
        model, type(model.layers[0].attn), torch.from_numpy(x)[None], points68=torch.from_numpy(points)[None]
    )
    for one, (layer, (given, _), out) in zip(maps, layers, strict=True):
        np.testing.assert_allclose(one.weights.sum(2), 1, atol=1e-12)
        assert not one.weights[:, regions[:, None] != regions].any()
        np.testing.assert_allclose(one.points, points[model.indices.numpy()])
        with torch.no_grad():
            _, _, v = rearrange(layer.qkv(given), "b t (c n d) -> c b n t d", c=3, n=layer.heads)
            read = rearrange(torch.from_numpy(one.weights) @ v[0], "n t d -> t (n d)")
            np.testing.assert_allclose(layer.proj(read).numpy(), out[0].numpy(), atol=1e-9)
    found = attention_rollout(model, x, points68=points)
    assert found.relevance.sum() == pytest.approx(1)
    # Every region has the same say, since no attention leaves it.
    np.testing.assert_allclose(np.bincount(regions, found.relevance), 1 / 6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "htnet_small",
            {},
            r"one token in each block \(28 px in patches of 7 px.*not depend on the image.*image_size=56 gives four",
        ),
        ("htnet_base", {"dim": 16, "block_repeats": (1, 1, 1)}, "is meaningless"),
        ("mhssa_gcn_small", {"spatial": "reference"}, "attends only to itself"),
        ("ststnet", {}, "ststnet has no attention between positions. htnet.models.occlusion"),
        ("flow_mlp", {}, "has no attention"),
    ],
)
def test_attention_that_says_nothing_is_refused(name, settings, message):
    model = create_model(name, **settings)
    for function in (attention_maps, attention_rollout):
        with pytest.raises(ModelError, match=message):
            function(model, np.zeros((3, 28, 28), np.float32))


def test_bad_inputs_are_named(four_tokens, image):
    with pytest.raises(ModelError, match=r"image has shape \(2, 3, 56, 56\)"):
        attention_maps(four_tokens, np.stack([image, image]))
    with pytest.raises(ModelError, match="Unknown input of htnet_tiny: 'points68'"):
        attention_maps(four_tokens, image, points68=np.zeros((68, 2)))
    with pytest.raises(ModelError, match=r"shape \(1, 3, 28, 28\)"):
        attention_maps(four_tokens, image[:, :28, :28])


def test_the_model_stays_as_it_was_and_other_threads_do_not_mix_in(four_tokens, image, rng):
    expected = attention_maps(four_tokens, image)
    four_tokens.train()
    others = torch.from_numpy(rng.uniform(0, 255, (4, 3, 56, 56)))
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            with torch.no_grad():
                four_tokens(others)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = [attention_maps(four_tokens, image) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert four_tokens.training
    four_tokens.eval()
    for maps in found:
        for one, other in zip(maps, expected, strict=True):
            np.testing.assert_array_equal(one.weights, other.weights)
    assert not any(m._forward_pre_hooks for m in four_tokens.modules())
