"""What `htnet.optimize` gives computes what the model computes."""

import copy
import inspect
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

import htnet
from benchmarks.bundle import KEPT, folder_of
from htnet.acceleration import DTYPES, OptimizedModel
from htnet.acceleration.layers import Int8Linear
from htnet.acceleration.packing import PackedLinear
from htnet.core.errors import ModelError
from htnet.core.types import PreprocessSpec
from htnet.data import read_composite
from htnet.models import HTNet, HTNetConfig, create_model
from htnet.pipeline.predictor import Predictor
from htnet.training import load_flow_set, predict_set
from tests.acceleration.support import lively, relative
from tests.support.contract import NAMES, example
from tests.support.paths import COMPOSITE, needs_shared
from tests.support.wings import with_wings

#: Every small preset, and settings of theirs that take another way: several tokens a block or one, padding of regions,
#: heads of odd width, no regions, motion, two levels.
CASES = [(name, {}) for name in NAMES] + [
    ("htnet_tiny", {"image_size": 56}),
    ("htnet_tiny", {"image_size": 84, "dim": 30, "heads": 3, "block_repeats": (1, 2, 1)}),
    (
        "htnet_tiny",
        {"num_hierarchies": 2, "block_repeats": (1, 1), "channels": 2, "mean": (9.0, 3.0), "std": (2.0, 5.0)},
    ),
    ("htnet_dual_stream", {"fusion": "gated"}),
    ("mhssa_gcn_small", {"spatial": "reference", "scaling": "smacof"}),
    ("ststnet", {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}),
    *with_wings("models", "FUSED", ()),
]
IDS = [f"{name} {settings or ''}" for name, settings in CASES]


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def built(request):
    name, settings = request.param
    return lively(name, **settings)


@pytest.fixture
def model(built):
    """To copy a model takes less time than to draw its weights."""
    return copy.deepcopy(built)


def scores(model, images, extras):
    with torch.no_grad():
        return model(images, **extras)


def test_folds_are_exact(model):
    """In float64 nothing but rounding is left of them."""
    exact = copy.deepcopy(model).double()
    images, extras = example(model, 3)
    truth = scores(exact, images.double(), extras)
    found = htnet.optimize(exact)(images.double(), **extras)
    assert found.dtype == torch.float64
    assert relative(found, truth) < 1e-11


def test_float32_is_within_the_promise(model):
    images, extras = example(model, 3)
    truth = scores(copy.deepcopy(model).double(), images.double(), extras)
    optimized = htnet.optimize(model)
    for count in (1, 3):
        assert relative(optimized(images[:count], **{k: v[:count] for k, v in extras.items()}), truth[:count]) < 1e-4
    assert not optimized(images, **extras).requires_grad


@pytest.mark.parametrize("spatial", ["bounded", "reference"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_regions_are_read_in_two_halves(spatial, dtype, monkeypatch):
    """On the CPU; compilers, and other devices, read all 43 points at once, masked."""
    model = lively("mhssa_gcn_small", spatial=spatial)
    optimized = htnet.optimize(model, dtype)
    # Left and right brow and eye have 22 points; padding stands after all regions, so there is no place to cut.
    halves = {layer.attn.halves for layer in optimized.network.layers}
    assert halves == {(0, 22, 43) if spatial == "bounded" else (0, 48)}
    images, extras = example(model, 3)
    in_halves = scores(optimized, images, extras)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert relative(scores(optimized.network, images, extras), in_halves) < (2e-6 if dtype == "float32" else 0.02)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
def test_fewer_bits_come_near(model, dtype):
    images, extras = example(model, 3)
    truth = scores(model, images, extras)
    found = htnet.optimize(model, dtype)(images, **extras)
    assert found.dtype == torch.float32
    assert relative(found, truth) < 0.1
    # What differs is rounding: were it computed in float32 all the same, there would be nothing.
    assert relative(found, truth) > 1e-5


@pytest.mark.slow
def test_the_model_stays_as_it_is(model):
    before = {key: (id(value), value.clone()) for key, value in model.state_dict(keep_vars=True).items()}
    parts = [type(part) for part in model.modules()]
    state = torch.get_rng_state()
    optimized = [htnet.optimize(model, dtype) for dtype in DTYPES]
    assert torch.equal(torch.get_rng_state(), state)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    for key, (place, value) in before.items():
        assert id(after[key]) == place
        assert torch.equal(after[key], value)
        assert after[key].dtype == value.dtype
    assert [type(part) for part in model.modules()] == parts
    assert all(p.requires_grad for p in model.parameters())
    # And the other way round: what the model learns later does not reach what was made of it.
    images, extras = example(model, 2)
    answers = [net(images, **extras) for net in optimized]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    for net, answer in zip(optimized, answers, strict=True):
        assert torch.equal(net(images, **extras), answer)


def size(model):
    return sum(value.nbytes for value in model.state_dict().values())


@pytest.mark.parametrize("name", ["htnet_small", "htnet_tiny"])
def test_one_token_a_block_leaves_one_matrix(name):
    model = lively(name)
    c = model.config
    optimized = htnet.optimize(model)
    keys = list(optimized.state_dict())
    assert not [key for key in keys if "qk" in key or "pos_emb" in key or ".v." in key]
    widths = [c.dim * 2**level for level, repeat in enumerate(c.block_repeats) for _ in range(repeat)]
    products = [part for part in optimized.modules() if isinstance(part, PackedLinear)]
    # A block: one matrix of attention, two of the MLP, with their biases. And a convolution between levels.
    blocks = sum((1 + 2 * c.mlp_mult) * w * w + (2 + c.mlp_mult) * w for w in widths)
    downs = sum(9 * 2 * w * w + 2 * w for w in (c.dim, 2 * c.dim))
    assert sum(value.numel() for part in products for value in part.state_dict().values()) == blocks + downs


def test_sizes(model):
    full, half, quarter = (size(htnet.optimize(model, dtype)) for dtype in (torch.float32, torch.bfloat16, torch.int8))
    assert quarter <= half < full
    if isinstance(model, HTNet) and model.attention_is_trivial:
        assert full < 0.9 * size(model)
        assert half < 0.55 * full
        assert quarter < 0.35 * full


def test_heads_are_filled_up_with_zeros():
    model = lively("htnet_tiny", image_size=56, dim=30, heads=3)  # heads of 10, filled up to 16
    block = htnet.optimize(model).network.levels[0].layers[0]
    state = block.state_dict()
    assert state["attn.v.weight"].shape == (48, 30)
    assert state["attn.qk.weight"].shape == (96, 30)
    assert state["proj.weight"].shape == (30, 48)
    heads = state["attn.v.weight"].unflatten(0, (3, 16))
    assert heads[:, 10:].count_nonzero() == 0
    assert heads[:, :10].count_nonzero() == heads[:, :10].numel()
    assert block.attn.scale == 10**-0.5


def test_int8_weights_are_int8():
    optimized = htnet.optimize(lively("htnet_tiny"), "int8")
    products = [part for part in optimized.modules() if isinstance(part, Int8Linear)]
    assert len(products) == 3 * 3 + 2
    assert all(part.weight.dtype == torch.int8 and part.scale.shape == part.weight.shape[:1] for part in products)
    assert optimized.network.head.weight.dtype == torch.float32


def test_it_says_what_the_model_says(model):
    model.preprocess_spec = PreprocessSpec(size=model.config.image_size)
    model.name, model.labels = "mine", tuple(f"label {i}" for i in range(model.config.num_classes))
    for dtype in (None, "bfloat16", "int8") if isinstance(model, HTNet) else (None,):
        optimized = htnet.optimize(model, dtype)
        for attribute in ("config", "name", "labels", "preprocess_spec", "input_kind", "extra_inputs"):
            assert getattr(optimized, attribute) == getattr(model, attribute)
        assert optimized.architecture == type(model).__name__
        assert optimized.precision == (dtype or "float32")
        assert not optimized.training
        assert not any(part.training for part in optimized.modules())
        assert not any(parameter.requires_grad for parameter in optimized.parameters())


def test_maps_are_the_model_s():
    for name in with_wings("models", "WITH_MAPS", ("htnet_dual_stream",)):
        model = lively(name)
        images, extras = example(model, 2)
        with torch.no_grad():
            truth = vars(model(images, **extras, return_maps=True))
        found = vars(htnet.optimize(model)(images, **extras, return_maps=True))
        for key, value in truth.items():
            pairs = zip(value, found[key], strict=True) if isinstance(value, tuple) else [(value, found[key])]
            for a, b in pairs:
                assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-3, atol=1e-4), key
    images, _ = example(lively("ststnet"), 1)
    with pytest.raises(ModelError, match="offers no maps"):
        htnet.optimize(lively("ststnet"))(images, return_maps=True)


def test_extra_inputs_by_place_too():
    model = lively("mhssa_gcn_small")
    images, extras = example(model, 2)
    optimized = htnet.optimize(model)
    assert torch.equal(optimized(images, extras["points68"]), optimized(images, **extras))
    with pytest.raises(ModelError, match="got no points68"):
        optimized(images)


def test_several_calls_at_once():
    """Weights are packed at the first call, by whichever thread comes first."""
    from concurrent.futures import ThreadPoolExecutor

    model = lively("htnet_small")
    optimized = htnet.optimize(model, torch.bfloat16)
    images, _ = example(model, 1)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: optimized(images), range(16)))
    assert all(torch.equal(answer, answers[0]) for answer in answers)


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
def test_predictor_takes_it(dtype, rng):
    model = htnet.load_pretrained("composite")
    flow = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
    truth = Predictor(model).flow_image(flow)
    found = Predictor(htnet.optimize(model, dtype)).flow_image(flow)
    assert found.model == truth.model == model.name
    for label, value in truth.probabilities.items():
        assert found.probabilities[label] == pytest.approx(value, abs=1e-4 if dtype is None else 0.1)


@cache
def composite(spec):
    return load_flow_set(read_composite(COMPOSITE), spec)


@pytest.mark.slow
@needs_shared
@pytest.mark.parametrize("spec", KEPT, ids=lambda spec: spec.name)
def test_predictions_on_the_composite_set_agree(spec):
    model = htnet.load_pretrained(folder_of(spec))
    data = composite(model.preprocess_spec)
    truth = predict_set(model, data).argmax(1)
    assert len(truth) == 442
    for dtype in (None, torch.bfloat16, torch.int8):
        found = predict_set(htnet.optimize(model, dtype), data).argmax(1)
        assert (truth == found).double().mean() >= (1.0 if dtype is None else 0.995), dtype


class Derived(HTNet):
    """Computes something else."""

    def forward_features(self, x):
        return 2 * super().forward_features(x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": torch.float16}, r"dtype is torch.float16.*float32"),
        ({"dtype": "bfloat"}, "Did you mean 'bfloat16'"),
        ({"dtype": 8}, "dtype is 8"),
        ({"dtype": torch.uint8}, "dtype is torch.uint8"),
        ({"compile": "fast"}, "compile is 'fast'"),
        ({"compile": "cudagraph"}, "Did you mean 'cudagraphs'"),
        ({"compile": 1}, "compile is 1; give True"),
        ({"compile": "cudagraphs"}, "needs a model on a CUDA device, but htnet_tiny is on cpu"),
    ],
)
def test_unknown_wishes_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        htnet.optimize(create_model("htnet_tiny"), **arguments)


def test_other_models_are_refused():
    with pytest.raises(
        ModelError, match=r"got str\. Load it first: htnet\.optimize\(htnet\.load_pretrained\('synthetic'\)"
    ):
        htnet.optimize("synthetic")
    with pytest.raises(ModelError, match="takes a model of htnet, got Linear"):
        htnet.optimize(nn.Linear(2, 2))
    with pytest.raises(ModelError, match="cannot fuse Derived: it can fuse .*DualStreamHTNet"):
        htnet.optimize(Derived(HTNetConfig(dim=32, heads=2, block_repeats=(1, 1, 1))))
    optimized = htnet.optimize(create_model("htnet_tiny"), "int8")
    with pytest.raises(ModelError, match="optimized already, as int8. Give dtype with the original model"):
        htnet.optimize(optimized, torch.bfloat16)


def test_an_optimized_model_is_copied_for_another_way_to_run():
    optimized = htnet.optimize(create_model("htnet_tiny"), "bfloat16")
    again = htnet.optimize(optimized)
    assert isinstance(again, OptimizedModel)
    assert again is not optimized
    images, _ = example(optimized, 2)
    assert torch.equal(again(images), optimized(images))


@pytest.mark.parametrize(
    "act",
    [
        lambda m: m.train(),
        lambda m: m.reset_classifier(5),
        lambda m: m.forward_features(torch.zeros(1, 3, 28, 28)),
        lambda m: m.forward_head(torch.zeros(1, 1, 1, 128)),
        lambda m: m.classifier,
    ],
)
def test_it_refuses_what_a_folded_model_cannot(act):
    optimized = htnet.optimize(create_model("htnet_tiny"))
    with pytest.raises(ModelError, match="htnet_tiny is optimized and cannot .* Change the model it came from"):
        act(optimized)
    assert optimized.eval() is optimized
    assert not optimized.training


@pytest.mark.parametrize("name", ["ststnet", "htnet_tiny"])
def test_what_only_describes_it_can_be_told(name):
    model = create_model(name)
    optimized = htnet.optimize(model)
    assert optimized.num_features == model.num_features
    assert optimized.config.num_classes == model.config.num_classes
    assert not hasattr(optimized, "classifier")
    assert getattr(optimized, "stages", None) is None
    found = dict(inspect.getmembers(optimized))
    assert found["num_features"] == model.num_features
    assert "classifier" not in found


@pytest.mark.parametrize("shape", [(3, 28, 28), (1, 3, 27, 28), (1, 2, 28, 28)])
def test_wrong_input_gives_the_model_s_own_error(shape):
    model = create_model("htnet_tiny")
    said = []
    for net in (model, htnet.optimize(model)):
        with pytest.raises(ModelError, match="give") as caught:
            net(torch.zeros(shape))
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_images_of_other_types():
    model = create_model("htnet_tiny")
    images, _ = example(model, 2)
    optimized = htnet.optimize(model)
    assert torch.equal(optimized(images.double()), optimized(images))
    whole = images.round()
    assert torch.equal(optimized(whole.to(torch.int16)), optimized(whole))
    with pytest.raises(ModelError, match=r"got an image of torch\.bool; give uint8"):
        optimized(torch.zeros(1, 3, 28, 28, dtype=torch.bool))


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
def test_its_types_are_fixed(dtype):
    optimized = htnet.optimize(lively("htnet_tiny"), dtype)
    images, _ = example(optimized, 2)
    before = optimized(images)
    for act in (lambda: optimized.half(), lambda: optimized.to(torch.float64), lambda: optimized.double()):
        with pytest.raises(ModelError, match="cannot be converted to torch.float"):
            act()
    assert torch.equal(optimized.to("cpu")(images), before)
