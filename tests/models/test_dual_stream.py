import dataclasses
import math

import pytest
import torch

import htnet
from htnet.core.errors import CheckpointError, ModelError
from htnet.core.types import PreprocessSpec
from htnet.hub import save_pretrained
from htnet.models import DualStreamConfig, DualStreamHTNet, convert_checkpoint, convert_state, create_model
from tests.support.golden import load_golden
from tests.support.paths import needs_shared

SETTINGS = {
    "published": {},
    "gated": {"fusion": "gated"},
    "small": {"dim": 24, "heads": 3, "motion_features": 10, "motion_dim": 12, "hidden": 7, "num_classes": 5},
    "other image": {"image_size": 40, "patch_size": 8, "channels": 2, "mean": (3.0, 4.0), "std": (2.0, 5.0), "dim": 8},
}


def make(**settings):
    """A model in float64 with random weights everywhere, biases and gate included."""
    model = DualStreamHTNet(DualStreamConfig(**settings)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def inputs(config, batch=3, frames=6):
    image = torch.rand(batch, config.channels, config.image_size, config.image_size, dtype=torch.float64) * 8
    return image, torch.randn(batch, frames, config.motion_features, dtype=torch.float64)


def layer_norm(x, weight, bias):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight + bias


def by_hand(state, config, image, motion):
    """The description, patch by patch, head by head and frame by frame, from the tensors alone: scores and maps."""
    s = {key.removeprefix("appearance."): value for key, value in state.items()}
    p, side, dim = config.patch_size, config.image_size // config.patch_size, config.dim
    mean, std = (torch.tensor(v, dtype=image.dtype).view(-1, 1, 1) for v in (config.mean, config.std))
    scores, gates, attentions, weights, shares = [], [], [], [], []
    for b, picture in enumerate((image - mean) / std):
        cells = [
            [(picture[:, p * i : p * i + p, p * j : p * j + p] * s["proj.weight"]).sum((1, 2, 3)) + s["proj.bias"]
             for j in range(side)] for i in range(side)
        ]  # fmt: skip
        gate = torch.empty(side, side, dtype=image.dtype)
        for i in range(side):
            for j in range(side):
                total = s["spatial_attn.conv.bias"][0].clone()
                for k in range(side):
                    for n in range(side):
                        if abs(k - i) <= 3 and abs(n - j) <= 3:
                            total += cells[k][n] @ s["spatial_attn.conv.weight"][0, :, k - i + 3, n - j + 3]
                gate[i, j] = 1 / (1 + (-total).exp())
        tokens = torch.stack([cells[i][j] * gate[i, j] for i in range(side) for j in range(side)]) + s["pos_embed"][0]
        q, k, v = (tokens @ s["attn.in_proj_weight"].T + s["attn.in_proj_bias"]).split(dim, dim=1)
        width, maps, read = dim // config.heads, [], []
        for h in range(config.heads):
            at = slice(h * width, (h + 1) * width)
            e = (q[:, at] @ k[:, at].T / math.sqrt(width)).exp()
            maps.append(e / e.sum(1, keepdim=True))
            read.append(maps[-1] @ v[:, at])
        read = torch.cat(read, 1) @ s["attn.out_proj.weight"].T + s["attn.out_proj.bias"]
        tokens = layer_norm(tokens + read, s["norm1.weight"], s["norm1.bias"])
        inner = (tokens @ s["mlp.0.weight"].T + s["mlp.0.bias"]).clamp_min(0) @ s["mlp.2.weight"].T + s["mlp.2.bias"]
        tokens = layer_norm(tokens + inner, s["norm2.weight"], s["norm2.bias"])
        appearance = s["fc.weight"] @ tokens.mean(0) + s["fc.bias"]
        moved = torch.zeros(config.motion_dim, dtype=image.dtype)
        if motion is not None:
            hidden, cell, states = torch.zeros_like(moved), torch.zeros_like(moved), []
            for x in motion[b]:
                z = state["motion.lstm.weight_ih_l0"] @ x + state["motion.lstm.bias_ih_l0"]
                z = z + state["motion.lstm.weight_hh_l0"] @ hidden + state["motion.lstm.bias_hh_l0"]
                take, keep, new, show = z.chunk(4)
                cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
                hidden = show.sigmoid() * cell.tanh()
                states.append(hidden)
            e = torch.stack([state["motion.attn.fc.weight"][0] @ h for h in states]).exp()
            weights.append(e / e.sum())
            moved = sum(w * h for w, h in zip(weights[-1], states, strict=True))
            if config.fusion == "gated":
                e = (state["gate.weight"] @ torch.cat([appearance, moved]) + state["gate.bias"]).exp()
                shares.append(e / e.sum())
                appearance, moved = 2 * shares[-1][0] * appearance, 2 * shares[-1][1] * moved
        joined = torch.cat([appearance, moved])
        hidden = (state["fc.0.weight"] @ joined + state["fc.0.bias"]).clamp_min(0)
        scores.append(state["fc.2.weight"] @ hidden + state["fc.2.bias"])
        gates.append(gate)
        attentions.append(torch.stack(maps))
    return {
        "logits": torch.stack(scores),
        "spatial_gate": torch.stack(gates),
        "patch_attention": torch.stack(attentions),
        "temporal_attention": torch.stack(weights) if weights else None,
        "stream_weights": torch.stack(shares) if shares else None,
    }


@needs_shared
def test_matches_the_reference_implementation():
    state, given, expected, config = load_golden("dual_stream")
    model = convert_state(state)
    assert model.config.num_classes == config["num_classes"]
    assert (model.config.dim, model.config.heads, model.config.motion_dim, model.config.hidden) == (128, 4, 128, 64)
    with torch.no_grad():
        assert (model(given["appearance"], given["motion"]) - expected["logits"]).abs().max() < 1e-4
        assert (model(given["appearance"]) - expected["logits_no_motion"]).abs().max() < 1e-4
        assert (expected["logits"] - expected["logits_no_motion"]).abs().max() > 1e-3, "motion matters"


@pytest.mark.parametrize("with_motion", [True, False])
@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_description_in_float64(setting, with_motion):
    model = make(**SETTINGS[setting])
    image, motion = inputs(model.config)
    motion = motion if with_motion else None
    with torch.no_grad():
        expected = by_hand(model.state_dict(), model.config, image, motion)
        torch.testing.assert_close(model(image, motion), expected["logits"], rtol=1e-9, atol=1e-9)
        found = model(image, motion, return_maps=True)
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if expected[field.name] is None:
            assert value is None, field.name
        else:
            torch.testing.assert_close(value, expected[field.name], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_maps_are_shares(fusion):
    model = make(fusion=fusion).float()
    image, motion = (t.float() for t in inputs(model.config, batch=4, frames=16))
    maps = model(image, motion, return_maps=True)
    assert maps.spatial_gate.shape == (4, 4, 4)
    assert 0 <= maps.spatial_gate.min() < maps.spatial_gate.max() <= 1
    for shares, shape in (
        (maps.patch_attention, (4, 4, 16, 16)),
        (maps.temporal_attention, (4, 16)),
        (maps.regions.flatten(1), (4, 16)),
    ):
        assert shares.shape == shape
        assert shares.min() >= 0
        torch.testing.assert_close(shares.sum(-1), torch.ones(shape[:-1]))
    assert maps.regions.shape == (4, 4, 4)
    torch.testing.assert_close(maps.regions[2, 1, 3], maps.patch_attention[2, :, :, 7].mean())
    with pytest.raises(dataclasses.FrozenInstanceError):
        maps.logits = None


def test_maps_lie_as_the_image_does():
    """A gate that looks at its own patch alone changes where the image changed, and nowhere else."""
    model = make()
    with torch.no_grad():
        kernel = model.appearance.spatial_attn.conv.weight
        center = kernel[..., 3, 3].clone()
        kernel.zero_()
        kernel[..., 3, 3] = center
    image, _ = inputs(model.config, batch=1)
    moved = image.clone()
    moved[:, :, 7:14, 21:28] += torch.rand(3, 7, 7, dtype=torch.float64)
    before, after = (model(x, return_maps=True) for x in (image, moved))
    assert (after.spatial_gate != before.spatial_gate).nonzero().tolist() == [[0, 1, 3]]


def gradients(model, *given):
    model.zero_grad(set_to_none=True)
    model(*given).square().sum().backward()
    return {name: None if p.grad is None else float(p.grad.abs().max()) for name, p in model.named_parameters()}


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_gradient_reaches_every_parameter(fusion):
    model = create_model("htnet_dual_stream", fusion=fusion).double()
    given = inputs(model.config)
    found = gradients(model, *given)
    assert not [name for name, size in found.items() if not size]
    alone = gradients(model, given[0])
    idle = {name for name, size in alone.items() if not size}
    assert idle == {n for n in found if n.startswith(("motion.", "gate."))}, "what only motion uses, and nothing else"


def test_published_bias_of_the_temporal_scores_has_no_effect():
    model = make()
    image, motion = inputs(model.config)
    state = {key: value.float() for key, value in model.state_dict().items()}
    biased = convert_state({**state, "motion.attn.fc.bias": torch.tensor([5.0])}).double()
    assert torch.equal(biased(image, motion), convert_state(state).double()(image, motion))


def test_gated_starts_as_concat():
    plain = create_model("htnet_dual_stream").eval()
    gated = create_model("htnet_dual_stream", fusion="gated").eval()
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert (set(missing), unexpected) == ({"gate.weight", "gate.bias"}, [])
    image, motion = torch.rand(2, 3, 28, 28), torch.rand(2, 16, 64)
    assert torch.equal(gated(image, motion), plain(image, motion))
    with torch.no_grad():
        gated.gate.bias.copy_(torch.tensor([0.0, 40.0]))
    maps = gated(image, motion, return_maps=True)
    torch.testing.assert_close(maps.stream_weights, torch.tensor([[0.0, 1.0]] * 2))
    torch.testing.assert_close(maps.logits, gated(0 * image, motion), msg="the image has no say left")
    assert torch.equal(gated(image), plain(image)), "without motion there is nothing to weigh"


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_clips_and_pairs_share_a_batch(fusion):
    model = make(fusion=fusion)
    image, motion = inputs(model.config, batch=4)
    motion[1] = motion[3] = 0
    together = model(image, motion)
    torch.testing.assert_close(together[1::2], model(image[1::2]))
    torch.testing.assert_close(together[::2], model(image[::2], motion[::2]))


def test_length_of_the_clip_is_free():
    model = make()
    image, motion = inputs(model.config, frames=1)
    last = model(image, motion, return_maps=True)
    assert torch.equal(last.temporal_attention, torch.ones_like(last.temporal_attention))
    longer = torch.cat([motion, torch.randn_like(motion)], dim=1)
    assert not torch.allclose(model(image, longer), last.logits)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_weights_folder_keeps_both_ways(tmp_path, fusion):
    model = make(fusion=fusion).float()
    model.name, model.preprocess_spec = "htnet_dual_stream", PreprocessSpec(layout="whole", clahe=True)
    found = htnet.load_pretrained(save_pretrained(model, tmp_path))
    assert (found.config, found.name, found.preprocess_spec) == (model.config, model.name, model.preprocess_spec)
    image, motion = (t.float() for t in inputs(model.config))
    assert torch.equal(found(image, motion), model(image, motion))
    assert torch.equal(found(image), model(image))
    half = htnet.load_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half(image.bfloat16(), motion).dtype == torch.bfloat16, "motion may come as float32"


def test_checkpoints_convert(tmp_path):
    model = make(**SETTINGS["small"]).float()
    torch.save({"model_state_dict": model.state_dict()}, tmp_path / "dual.pth")
    found = convert_checkpoint(tmp_path / "dual.pth", heads=3)
    assert found.config == model.config
    assert not found.training
    image, motion = (t.float() for t in inputs(model.config))
    assert torch.equal(found(image, motion), model(image, motion))


def test_checkpoints_that_do_not_fit():
    state = make().state_dict()
    for changes, message in (
        ({"fc.0.bias": None}, r"not a published dual-stream HTNet. Missing keys \(1: fc.0.bias\)"),
        ({"fc.2.weight": None}, r"Missing keys \(1: fc.2.weight\)"),
        ({"gate.weight": torch.zeros(2, 256)}, r"Unexpected keys \(1: gate.weight\)"),
        ({"appearance.pos_embed": torch.zeros(1, 15, 128)}, r"\(1, 15, 128\), which is not a square"),
        ({"appearance.proj.weight": torch.zeros(128, 3, 7, 6)}, r"appearance.proj.weight is \(128, 3, 7, 6\)"),
        ({"appearance.mlp.0.weight": torch.zeros(64, 128)}, r"mlp.0.weight is \(64, 128\), expected \(128, 128\)"),
    ):
        broken = {k: v for k, v in {**state, **changes}.items() if v is not None}
        with pytest.raises(CheckpointError, match=message):
            convert_state(broken)
    with pytest.raises(CheckpointError, match="heads=5 does not fit.*width 128.*has 4"):
        convert_state(state, heads=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion": "gate"}, r"fusion is 'gate'. Did you mean 'gated'"),
        ({"dim": 130}, "dim 130 is not a multiple of heads 4"),
        ({"image_size": 30}, "image_size 30 is not a multiple of patch_size 7"),
        ({"motion_dim": 0}, "motion_dim is 0"),
        ({"hidden": 1.5}, "hidden is 1.5"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ModelError, match=message):
        create_model("htnet_dual_stream", **settings)


def test_bad_input():
    model = create_model("htnet_dual_stream")
    image = torch.zeros(2, 3, 28, 28)
    for shape in ((2, 16, 63), (3, 16, 64), (2, 64), (2, 0, 64)):
        with pytest.raises(ModelError, match=rf"motion of shape \({', '.join(map(str, shape))}\) for 2 images"):
            model(image, torch.zeros(shape))
    with pytest.raises(ModelError, match=r"input of shape \(2, 3, 30, 30\)"):
        model(torch.zeros(2, 3, 30, 30), torch.zeros(2, 16, 64))
