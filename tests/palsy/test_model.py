import pytest
import torch
import torch.nn.functional as F

from benchmarks.palsy_reference import ReferencePalsy
from htnet.core.errors import CheckpointError, ModelError
from htnet.core.types import PreprocessSpec
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import (
    HOUSE_BRACKMANN,
    HTNetPalsy,
    HTNetPalsyConfig,
    convert_checkpoint,
    convert_state,
    create_model,
    reference_state,
)
from htnet.palsy.micro_attention import Asymmetry
from htnet.palsy.roi import RoiModule
from tests.support.golden import load_golden
from tests.support.paths import GOLDEN

needs_golden = pytest.mark.skipif(
    not (GOLDEN / "htnet_palsy.npz").is_file(), reason=f"needs {GOLDEN / 'htnet_palsy.npz'} (set HTNET_SHARED)"
)
SMALL = {"dim": 12, "heads": 2, "block_repeats": (2, 3, 2), "num_classes": 4}
SETTINGS = {
    "four tokens": {"image_size": 56},
    "odd width": {"image_size": 84},
    "sixteen tokens, heads that do not divide": {"image_size": 112, "heads": 5},
    "no micro-attention": {"image_size": 56, "use_micro_attention": False},
    "no ROI module": {"image_size": 56, "use_roi_module": False},
    "odd dim, three regions, two levels": {
        "image_size": 42,
        "dim": 11,
        "num_roi_regions": 3,
        "num_hierarchies": 2,
        "block_repeats": (2, 2),
    },
}


def pair(setting):
    """Our model and the reference's form with the same random weights and statistics, float64."""
    model = HTNetPalsy(HTNetPalsyConfig(**{**SMALL, **SETTINGS[setting]})).double()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    reference = ReferencePalsy(model.config).double()
    reference.load_state_dict(reference_state(model))
    return model, reference


def image_for(model, batch=3):
    side = model.config.image_size
    return torch.randn(batch, 3, side, side, dtype=next(model.parameters()).dtype)


@needs_golden
def test_matches_the_published_implementation():
    state, inputs, outputs, config = load_golden("htnet_palsy")
    model = convert_state(state, heads=config["heads"])
    assert isinstance(model, HTNetPalsy)
    for key, value in config.items():
        assert getattr(model.config, key) == (tuple(value) if isinstance(value, list) else value)
    with torch.no_grad():
        found = model(inputs["image"], return_maps=True)
        assert torch.equal(model(inputs["image"]), found.logits)
    for key, value in outputs.items():
        assert (getattr(found, key) - value).abs().max() < 1e-4, key


@needs_golden
def test_a_checkpoint_file_becomes_a_weights_folder(tmp_path):
    state, inputs, outputs, config = load_golden("htnet_palsy")
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "palsy.pth")
    model = convert_checkpoint(tmp_path / "palsy.pth", heads=config["heads"])
    model.preprocess_spec = PreprocessSpec(layout="whole", size=56)
    save_pretrained(model, tmp_path / "weights")
    again = load_pretrained(tmp_path / "weights")
    assert again.config == model.config
    assert again.labels == HOUSE_BRACKMANN
    with torch.no_grad():
        assert (again(inputs["image"]) - outputs["logits"]).abs().max() < 1e-4


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_reference_form(setting, training):
    model, reference = pair(setting)
    model.train(training)
    reference.train(training)
    image = image_for(model)
    with torch.no_grad():
        # The prior of the ROI module is float32, interpolated before or after it is widened.
        torch.testing.assert_close(model(image), reference(image), rtol=1e-6, atol=1e-6)
        # Running statistics have moved alike, so the answers after training agree too.
        torch.testing.assert_close(model.eval()(image), reference.eval()(image), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("setting", ["odd width", "sixteen tokens, heads that do not divide", "no ROI module"])
def test_gradients_equal_the_reference_form(setting):
    model, reference = pair(setting)
    weights = torch.randn(3, model.config.num_classes, dtype=torch.float64)
    image = image_for(model)
    for net in (model, reference):
        (net(image) * weights).sum().backward()
    theirs = {key: p.grad for key, p in reference.named_parameters()}
    # The map of names serves for gradients too: they are put in the place of the parameters.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.grad)
    for key, value in reference_state(model).items():
        if key in theirs:
            torch.testing.assert_close(value, theirs[key], rtol=1e-5, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")


def test_far_tokens_of_a_block_are_not_read():
    model = create_model("htnet_palsy_tiny")
    attention = model.levels[0].layers[1].attn
    x = torch.randn(1, 16, 16, 32)
    moved = x.clone()
    moved[0, 0, 3] += 1  # the upper right corner of the first 4 x 4 block
    changed = (attention.attend(moved) - attention.attend(x)).abs().amax(dim=-1)[0] > 1e-6
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[:2, 2:4] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("side", [2, 3, 4, 7])
def test_asymmetry_compares_mirrored_columns(side):
    module = Asymmetry(5, side).double()
    x = torch.randn(2, side, 2 * side, 5, dtype=torch.float64)
    found = module(x)
    assert found.shape == (2, side, 2 * side)
    for block in range(2):
        own = x[:, :, block * side : (block + 1) * side]
        half = []
        for column in range(side // 2):
            both = torch.cat([own[:, :, column], own[:, :, side - 1 - column]], dim=-1)
            half.append(module.fc2(F.gelu(module.fc1(both)))[..., 0].sigmoid())
        stretched = F.interpolate(torch.stack(half, -1)[:, None], size=(side, side), mode="bilinear")[:, 0]
        torch.testing.assert_close(found[:, :, block * side : (block + 1) * side], stretched)


def test_maps_on_request():
    model = create_model("htnet_palsy_tiny").eval()
    image = 255 * torch.rand(2, 3, 112, 112)
    found = model(image, return_maps=True)
    torch.testing.assert_close(found.logits, model(image))
    assert found.roi_maps.shape == (2, 5, 16, 16)
    assert found.roi_mask.shape == (2, 1, 16, 16)
    assert [tuple(m.shape) for m in found.asymmetry] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    for values in (found.roi_maps, found.roi_mask, *found.asymmetry):
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.std() > 0
    plain = create_model("htnet_palsy_tiny", use_roi_module=False, use_micro_attention=False)
    found = plain(image, return_maps=True)
    assert found.roi_maps is None
    assert found.roi_mask is None
    assert found.asymmetry == ()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("roi", [True, False])
def test_a_gradient_reaches_every_parameter(training, roi):
    model = create_model("htnet_palsy_tiny", use_roi_module=roi).double().train(training)
    F.cross_entropy(model(image_for(model)), torch.tensor([0, 3, 5])).backward()
    largest = max(p.grad.abs().max() for p in model.parameters())
    dead = [name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-12 * largest]
    assert not dead


@pytest.mark.parametrize("size", [28, 56, 84])
def test_small_inputs_run(size):
    """At 28 px every block is one token: no halves, so no asymmetry, and queries and keys are not read."""
    model = create_model("htnet_palsy_tiny", image_size=size)
    found = model(image_for(model, 2), return_maps=True)
    found.logits.sum().backward()
    assert torch.isfinite(found.logits).all()
    unread = {name for name, p in model.named_parameters() if p.grad is None}
    assert unread == ({n for n, _ in model.named_parameters() if ".qk." in n} if size == 28 else set())
    if size == 28:
        assert model.attention_is_trivial
        assert all(not m.any() for m in found.asymmetry)


@pytest.mark.slow
def test_published_size():
    with torch.device("meta"):
        model = create_model("htnet_palsy")
    # The published one has 151,934,931: 512 biases before batch norms and 64 positions more, all without effect.
    assert sum(p.numel() for p in model.parameters()) == 151_934_931 - 512 - 64
    with torch.device("meta"):
        published = ReferencePalsy(model.config)
    assert sum(p.numel() for p in published.parameters()) == 151_934_931
    assert model(torch.zeros(2, 3, 224, 224, device="meta")).shape == (2, 6)
    assert model.labels == HOUSE_BRACKMANN == ("I", "II", "III", "IV", "V", "VI")
    assert model.input_kind == "face"
    assert not model.attention_is_trivial


def test_labels_follow_the_number_of_classes():
    model = create_model("htnet_palsy_tiny", num_classes=3)
    assert model.labels == ("class_0", "class_1", "class_2")
    model.reset_classifier(6)
    assert model.labels == HOUSE_BRACKMANN
    assert create_model("htnet_tiny").labels == ("negative", "positive", "surprise")


def test_a_batch_of_one_in_training_is_refused():
    model = create_model("htnet_palsy_tiny")
    with pytest.raises(ModelError, match=r"batch of one.*two or more samples.*model.eval\(\)"):
        model(torch.zeros(1, 3, 112, 112))
    assert model.eval()(torch.zeros(1, 3, 112, 112)).shape == (1, 6)
    # No batch norm, no trouble.
    plain = create_model("htnet_palsy_tiny", use_roi_module=False)
    assert plain(torch.zeros(1, 3, 112, 112)).shape == (1, 6)


def test_bad_input_and_settings_are_named():
    with pytest.raises(ModelError, match=r"\(1, 3, 224, 224\).*red, green, blue"):
        create_model("htnet_palsy_tiny")(torch.zeros(1, 3, 224, 224))
    with pytest.raises(ModelError, match="num_roi_regions is 0"):
        create_model("htnet_palsy_tiny", num_roi_regions=0)
    with pytest.raises(ModelError, match="halves it"):
        create_model("htnet_palsy_tiny", dim=1, heads=1)
    with pytest.raises(ModelError, match="multiple of 28"):
        create_model("htnet_palsy_tiny", image_size=100)


def test_refinement_stops_where_the_mask_does():
    module = RoiModule(8, 6, 5).eval()
    with torch.no_grad():
        module.face.weight.zero_()
        module.face.bias.fill_(-200)
    x = torch.randn(2, 6, 6, 8)
    out, maps, mask = module(x)
    assert torch.equal(out, x)
    assert not maps.any()
    assert not mask.any()


@pytest.mark.parametrize("setting", SETTINGS)
def test_round_trip(setting):
    model, _ = pair(setting)
    model = model.float().eval()
    state = reference_state(model)
    again = convert_state(state, heads=model.config.heads)
    # Without its modules the palsy HTNet is an HTNet with another head; the shapes cannot tell them apart otherwise.
    assert type(again) is HTNetPalsy
    assert again.config == model.config
    image = image_for(model)
    torch.testing.assert_close(again(image), model(image))
    back = reference_state(again)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_broken_checkpoints_are_refused():
    model, _ = pair("four tokens")
    state = reference_state(model.float())
    for key, message in (
        ("layers.1.0.layers.1.0.fn.to_k.weight", "Missing keys .*to_k"),
        ("layers.0.0.layers.1.0.fn.asymmetry_score.2.bias", "Missing keys .*asymmetry_score.2.bias"),
        ("roi_module.roi_refine.1.running_var", "Missing keys .*roi_refine.1.running_var"),
        ("mlp_head.0.g", "Missing keys .*mlp_head.0.g"),
    ):
        with pytest.raises(CheckpointError, match=message):
            convert_state({k: v for k, v in state.items() if k != key}, heads=2)
    with pytest.raises(CheckpointError, match="roi_module.extra"):
        convert_state({**state, "roi_module.extra": torch.zeros(1)}, heads=2)
    with pytest.raises(CheckpointError, match="facial_prior is not the published one"):
        convert_state({**state, "roi_module.facial_prior": torch.ones(1, 1, 32, 32)}, heads=2)
    with pytest.raises(CheckpointError, match="unexpected shape"):
        convert_state({**state, "roi_module.roi_refine.0.bias": torch.zeros(5)}, heads=2)
    with pytest.raises(CheckpointError, match="--heads"):
        convert_state(state)
    with pytest.raises(CheckpointError, match="blocks of one token"):
        reference_state(create_model("htnet_palsy_tiny", image_size=28))
    with pytest.raises(CheckpointError, match="standardizes"):
        reference_state(create_model("htnet_palsy_tiny", std=(2, 2, 2)))
