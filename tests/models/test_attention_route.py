"""All attention of the zoo goes through `htnet.kernels.block_attention`."""

import pytest
import torch
from torch import nn

from htnet.kernels import block_attention
from htnet.models import MHSSAGCN, create_model, dual_stream, get_entry, layers, list_models, mhssa_gcn, mier_cvt
from htnet.models.dual_stream import DualStreamHTNet, PatchAttention
from htnet.models.layers import BlockAttention
from htnet.models.mhssa_gcn import RegionAttention
from htnet.models.mier_cvt import ConvAttention
from tests.support.contract import NAMES, build, example
from tests.support.wings import with_wings

KINDS = (BlockAttention, RegionAttention, PatchAttention, ConvAttention)
#: Those that read neighbors only.
NEAR = with_wings("models", "NEAR", ())
#: Those without attention between tokens.
WITHOUT = (
    "ststnet", "flow_mlp", "off_apexnet", "dual_inception", "rcn_a", "rcn_f", "rcn_s", "rcn_w", "capsulenet_tiny",
    "featref",
)  # fmt: skip
#: Presets with one token per block attend to nothing; these are the same architectures with four.
SEVERAL = {"htnet_tiny": {"image_size": 56}, "htnet_small": {"image_size": 56}}


@pytest.fixture
def calls(monkeypatch):
    """Arguments of every call; PyTorch's own attention is out of bounds for the models themselves."""
    seen = []

    def recorded(q, k, v, **extras):
        seen.append((tuple(q.shape), extras))
        return block_attention(q, k, v, **extras)

    for module in (layers, mhssa_gcn, dual_stream, mier_cvt):
        monkeypatch.setattr(module, "block_attention", recorded)
    refuse = lambda *a, **k: pytest.fail("attention past htnet.kernels")  # noqa: E731
    monkeypatch.setattr(nn.MultiheadAttention, "forward", refuse)
    monkeypatch.setattr("htnet.kernels.sdpa.F.scaled_dot_product_attention", own_attention(seen))
    return seen


def own_attention(seen):
    original, used = torch.nn.functional.scaled_dot_product_attention, []

    def attention(*arguments, **extras):
        used.append(1)
        assert len(used) <= len(seen), "attention past htnet.kernels"
        return original(*arguments, **extras)

    return attention


@pytest.mark.parametrize("name", NAMES)
def test_every_attention_layer_asks_the_kernels(name, calls):
    model = create_model(name, **SEVERAL[name]) if name in SEVERAL else build(name)
    images, extras = example(model, 2)
    model(images, **extras)
    attention = [module for module in model.modules() if isinstance(module, KINDS)]
    assert len(calls) == len(attention)
    assert attention or name in WITHOUT
    assert all(arguments.get("backend", "auto") == "auto" for _, arguments in calls)
    near = [arguments.get("mask") for _, arguments in calls].count("neighbors")
    assert near == sum(isinstance(module, NEAR) for module in attention)
    if isinstance(model, MHSSAGCN):
        assert all(bool((arguments["bias"] == -torch.inf).any()) for _, arguments in calls)


@pytest.mark.parametrize("name", sorted(SEVERAL))
def test_one_token_a_block_asks_for_nothing(name, calls):
    model = create_model(name)
    assert model.attention_is_trivial
    model(example(model, 2)[0])
    assert calls == []


def test_all_architectures_are_looked_at():
    classes = {get_entry(name).model_class for name in list_models()}
    assert {get_entry(name).model_class for name in NAMES} == classes


def test_dual_stream_reads_the_same_with_and_without_weights():
    model = create_model("htnet_dual_stream").double().eval()
    assert isinstance(model, DualStreamHTNet)
    x = torch.randn(3, 16, model.config.dim, dtype=torch.float64)
    attention = model.appearance.attn
    read, weights = attention.read_with_weights(x)
    torch.testing.assert_close(attention.read(x), read)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
