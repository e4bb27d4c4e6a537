import pytest
import torch
import torch.nn.functional as F

from htnet.core.errors import ModelError
from htnet.core.types import PreprocessSpec
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import create_model
from htnet.palsy.enhanced import DiagonalAttention, HTNetEnhanced, RoiAttention, diagonal_pairs, through_threshold


def image_for(model, batch=2):
    side = model.config.image_size
    return torch.randn(batch, 3, side, side, dtype=next(model.parameters()).dtype)


@pytest.mark.slow
def test_documented_setting():
    with torch.device("meta"):
        model = create_model("htnet_enhanced")
    config = model.config
    assert (config.image_size, config.patch_size, config.dim, config.heads) == (224, 7, 256, 4)
    assert config.block_repeats == (2, 2, 10)
    assert config.use_diagonal_attn
    assert config.use_roi
    found = model(torch.zeros(1, 3, 224, 224, device="meta"), return_maps=True)
    assert found.logits.shape == (1, 6)
    assert found.roi_maps.shape == (1, 5, 8, 8)
    assert [m.shape[1] for m in found.asymmetry] == [32, 16, 8, 8, 8, 8, 8]
    assert model.labels == ("I", "II", "III", "IV", "V", "VI")
    assert model.input_kind == "face"


@pytest.mark.parametrize("size", [28, 56, 84, 112])
@pytest.mark.parametrize("batch", [1, 3])
def test_small_inputs_run_and_train(size, batch):
    model = create_model("htnet_enhanced_tiny", image_size=size)
    found = model(image_for(model, batch), return_maps=True)
    found.logits.sum().backward()
    assert torch.isfinite(found.logits).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert found.roi_maps.shape == (batch, 5, size // 28, size // 28)
    assert found.roi_maps.min() > 0


@pytest.mark.parametrize("roi", [True, False])
@pytest.mark.parametrize("diagonal", [True, False])
def test_a_gradient_reaches_every_parameter(roi, diagonal):
    model = create_model("htnet_enhanced_tiny", use_roi=roi, use_diagonal_attn=diagonal).double()
    F.cross_entropy(model(image_for(model, 3)), torch.tensor([0, 3, 5])).backward()
    largest = max(p.grad.abs().max() for p in model.parameters())
    dead = [name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-12 * largest]
    assert not dead


def test_maps_on_request():
    model = create_model("htnet_enhanced_tiny").eval()
    image = image_for(model)
    found = model(image, return_maps=True)
    torch.testing.assert_close(found.logits, model(image))
    assert found.roi_maps.shape == (2, 5, 4, 4)
    assert found.roi_maps.std() > 0
    assert set(found.roi_mask.round(decimals=5).unique().tolist()) <= {0.0, 1.0}
    for values in found.asymmetry:
        # Both sides of a pair get the same number.
        torch.testing.assert_close(values, values.flip(2))
        assert values.std() > 0
    plain = create_model("htnet_enhanced_tiny", use_roi=False, use_diagonal_attn=False)
    found = plain(image, return_maps=True)
    assert found.roi_maps is None
    assert found.asymmetry == ()


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_diagonal_pairs(side):
    pairs = diagonal_pairs(side)
    main = [(i, i) for i in range(side)]
    anti = [(i, side - 1 - i) for i in range(side)]
    for i in range(side**2):
        for j in range(side**2):
            a, b = divmod(i, side), divmod(j, side)
            assert pairs[i, j] == float((a in main and b in main) or (a in anti and b in anti))


@pytest.mark.parametrize("side", [2, 3])
def test_diagonal_attention_by_hand(side):
    blocks, heads, head_dim = 2, 2, 3
    module = DiagonalAttention(8, heads, head_dim, blocks, 0.0, side).double()
    x = torch.randn(2, blocks * side, blocks * side, 8, dtype=torch.float64)
    mirrored = torch.stack([x[:, :, -1 - c] for c in range(x.shape[2])], dim=2)
    gate = module.gate((x - mirrored).abs()).sigmoid()
    read = torch.zeros(2, blocks * side, blocks * side, heads * head_dim, dtype=torch.float64)
    for row in range(0, blocks * side, side):
        for column in range(0, blocks * side, side):
            tokens = x[:, row : row + side, column : column + side].flatten(1, 2)
            q, k = module.qk(tokens).chunk(2, dim=-1)
            v = module.v(tokens)
            for head in range(heads):
                part = slice(head * head_dim, (head + 1) * head_dim)
                scores = q[..., part] @ k[..., part].mT / head_dim**0.5
                alike = F.cosine_similarity(q[:, :, None, part], k[:, None, :, part], dim=-1)
                weights = (scores + 0.3 * alike * diagonal_pairs(side)).softmax(dim=-1)
                out = (weights @ v[..., part]).unflatten(1, (side, side))
                read[:, row : row + side, column : column + side, part] = out
    torch.testing.assert_close(module(x), module.proj(read * (1 + gate)))


def test_the_gate_sees_the_asymmetry():
    module = DiagonalAttention(8, 2, 4, 1, 0.0, 4)
    x = torch.randn(1, 4, 4, 8)
    maps = []
    module(x + x.flip(2), maps)  # a symmetric face: one number everywhere
    assert maps[0].std() < 1e-6
    moved = x + x.flip(2)
    moved[0, 1, 0] += 3
    module(moved, maps)
    changed = (maps[1] - maps[0]).abs()[0] > 1e-6
    assert changed.nonzero().tolist() == [[1, 0], [1, 3]]


def test_the_threshold_is_hard_forward_and_soft_backward():
    total = torch.tensor([-1.0, 0.0, 0.299, 0.301, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    mask = through_threshold(total)
    torch.testing.assert_close(mask, torch.tensor([0.0, 0, 0, 1, 1, 1], dtype=torch.float64))
    mask.sum().backward()
    soft = torch.sigmoid(total.detach() - 0.3)
    torch.testing.assert_close(total.grad, soft * (1 - soft))


def test_nothing_is_added_where_no_region_is_found():
    module = RoiAttention(16, 5)
    x = torch.randn(2, 5, 5, 16)
    with torch.no_grad():
        module.regions.bias.fill_(-50)
        module.refine.bias.zero_()
    out, _, mask = module(x)
    assert not mask.round(decimals=5).any()
    torch.testing.assert_close(out, x)
    (out * torch.randn_like(out)).sum().backward()
    with torch.no_grad():
        module.regions.bias.fill_(-3.2)  # five maps of 0.04: below the threshold, but within reach
    module.zero_grad()
    out, _, mask = module(x)
    (out * torch.randn_like(out)).sum().backward()
    assert module.regions.bias.grad.abs().max() > 0


def test_round_trip(tmp_path):
    model = create_model("htnet_enhanced_tiny", use_diagonal_attn=False, num_classes=3).eval()
    model.preprocess_spec = PreprocessSpec(layout="whole", size=112)
    save_pretrained(model, tmp_path)
    again = load_pretrained(tmp_path)
    assert isinstance(again, HTNetEnhanced)
    assert again.config == model.config
    image = image_for(model)
    assert torch.equal(again(image), model(image))


def test_bad_settings_are_named():
    with pytest.raises(ModelError, match="num_roi_regions is 0"):
        create_model("htnet_enhanced_tiny", num_roi_regions=0)
    with pytest.raises(ModelError, match="use_roi_module"):
        create_model("htnet_enhanced_tiny", use_roi_module=True)
    with pytest.raises(ModelError, match="red, green, blue"):
        create_model("htnet_enhanced_tiny")(torch.zeros(2, 3, 28, 28))
