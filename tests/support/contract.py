"""What every model must do. The tests of a new model are a few lines:

@cases(mine={}, gated={"name": "mine", "fusion": "gated"})
class TestMine(ModelContract):
    pass
"""

import copy
import pickle

import pytest
import torch

import htnet
from htnet.core.errors import ModelError
from htnet.core.types import PreprocessSpec
from htnet.models import create_model, list_models
from htnet.preprocess import MEAN_SHAPE_28
from tests.support.wings import with_wings

#: Presets of hundreds of MB: for gradients they are built narrower, with every layer and input size as it is; for all
#: else, a smaller preset of the same architecture stands for them.
LARGE = {
    "htnet_base": {"dim": 12, "heads": 3},
    "capsulenet": {"widths": (8, 16, 24), "primary_maps": 4},
}
LARGE = with_wings("models", "LARGE", LARGE)
NAMES = sorted(set(list_models()) - LARGE.keys())
#: With one token per block nothing is ever read from queries and keys: they have no gradient (docs/models.md).
NEVER_READ = ".attn.qk."


def without_effect(model):
    """Parameters whose gradient is nothing but rounding, and may be exactly 0.

    The last level's positions: one scalar for all channels of a token, which every norm that follows removes.
    """
    levels = getattr(model, "levels", ())
    return {f"levels.{len(levels) - 1}.pos_emb"}


def example(model, batch=4):
    """A batch of all that a model reads."""
    c = model.config
    side = torch.arange(c.image_size, dtype=torch.float32)
    waves = torch.stack([torch.sin(side * f + torch.rand(1) * 6) for f in torch.rand(batch * c.channels)])
    images = (waves.view(batch, c.channels, -1, 1) + torch.randn(batch, c.channels, c.image_size, c.image_size)) * 60
    scale = c.image_size / 28
    points68 = torch.tensor(MEAN_SHAPE_28.tolist()) * scale + torch.randn(batch, 68, 2)
    known = {"points": torch.rand(batch, 5, 2) * c.image_size, "points68": points68, "motion": torch.rand(batch, 6, 64)}
    return images + 120, {name: known[name] for name in model.extra_inputs}


def build(name, **settings):
    channels = settings.get("in_chans", 3)
    return create_model(name, mean=(120.0,) * channels, std=(80.0,) * channels, **settings)


def check_gradients(model):
    """Every parameter gets a finite gradient that is not 0, but for those which nothing reads."""
    images, extras = example(model)
    scores = model(images, **extras)
    torch.nn.functional.cross_entropy(scores, torch.arange(4) % scores.shape[1]).backward()
    trivial = getattr(model, "attention_is_trivial", False)
    without, still = [], []
    for key, parameter in model.named_parameters():
        if parameter.grad is None:
            without.append(key)
        else:
            assert torch.isfinite(parameter.grad).all(), key
            if parameter.grad.abs().max() == 0 and key not in without_effect(model):
                still.append(key)
    excluded = [key for key in without if trivial and NEVER_READ in key]
    assert without == excluded
    assert not still
    if trivial and any(NEVER_READ in key for key, _ in model.named_parameters()):
        assert excluded, "the known exception is none any more: say so in the documentation"


class _Scores(torch.nn.Module):
    """A model by places alone, as exporters call it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(*inputs)


def cases(**settings_of):
    """Lets a contract run on registered names built with settings; by their names, or by names of your own."""
    each = [(given.pop("name", name), given) for name, given in ((n, dict(s)) for n, s in settings_of.items())]
    return pytest.mark.parametrize("case", each, ids=list(settings_of))


class ModelContract:
    """Tests of every case of `cases`: a registered name, and the settings it is built with."""

    @pytest.fixture
    def model(self, case):
        name, settings = case
        return build(name, **settings).eval()

    @pytest.fixture
    def inputs(self, model):
        images, extras = example(model, 3)
        return (images, *(extras[name] for name in model.extra_inputs))

    @pytest.fixture
    def expected(self, model, inputs):
        with torch.no_grad():
            return model(*inputs)

    def test_every_parameter_receives_a_gradient(self, model):
        check_gradients(model.train())

    def test_gradients_in_evaluation_too(self, model):
        check_gradients(model)

    def test_scores(self, model, inputs, expected):
        assert expected.shape == (3, len(model.labels))
        assert expected.isfinite().all()
        named = dict(zip(model.extra_inputs, inputs[1:], strict=True))
        torch.testing.assert_close(model(inputs[0], **named), expected, rtol=1e-5, atol=1e-5)

    @torch.no_grad()
    def test_a_batch_of_one(self, model, inputs, expected):
        alone = torch.cat([model(*(value[i : i + 1] for value in inputs)) for i in range(3)])
        torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-4)

    @torch.no_grad()
    def test_save_and_load(self, model, inputs, expected, tmp_path):
        model.preprocess_spec = PreprocessSpec(size=model.config.image_size)
        assert model.save_pretrained(tmp_path / "weights") is None
        again = type(model).from_pretrained(tmp_path / "weights")
        assert torch.equal(again(*inputs), expected)
        assert (again.config, again.name, again.labels) == (model.config, model.name, model.labels)

    @torch.no_grad()
    def test_copies_and_pickles(self, model, inputs, expected):
        for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(again(*inputs), expected)
            assert again.state_dict().keys() == model.state_dict().keys()

    @torch.no_grad()
    def test_other_types(self, model, inputs, expected):
        for dtype in (torch.bfloat16, torch.float16):
            low = copy.deepcopy(model).to(dtype)(*inputs)
            assert low.dtype == dtype
            assert low.isfinite().all()
            # Some models scale a channel by itself, or stand on a threshold: rounding may show.
            assert (low.float() - expected).abs().max() < 0.25 * expected.abs().max() + 0.1
        assert copy.deepcopy(model).half()(*inputs).dtype == torch.float16

    @pytest.mark.slow
    @torch.no_grad()
    def test_export(self, model, inputs, expected):
        program = torch.export.export(_Scores(model), inputs)
        torch.testing.assert_close(program.module()(*inputs), expected, rtol=1e-4, atol=1e-4)

    @pytest.mark.slow
    @torch.no_grad()
    def test_compile(self, model, inputs, expected):
        """One graph, and all that torch.compile does before it makes machine code, which takes half a minute."""
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(*inputs), expected, rtol=1e-4, atol=1e-4)

    @torch.no_grad()
    def test_features_and_classifier(self, model, inputs, expected):
        features = model.forward_features(*inputs)
        assert torch.equal(model.forward_head(features), expected)
        pooled = model.forward_head(features, pre_logits=True)
        assert pooled.shape == (3, model.num_features)
        assert torch.equal(model.get_classifier()(pooled), expected)
        model.temperature = 2.0
        model.reset_classifier(7, labels=tuple("abcdefg"))
        assert model(*inputs).shape == (3, 7)
        assert (model.config.num_classes, model.labels, model.temperature) == (7, tuple("abcdefg"), 1.0)
        classifier = model.get_classifier()
        assert (len(classifier.weight), classifier.in_features) == (7, model.num_features)
        with pytest.raises(ModelError, match="2 labels for 3 classes"):
            model.reset_classifier(3, labels=("a", "b"))
        model.reset_classifier(0)
        assert torch.equal(model(*inputs), pooled)
        assert (model.labels, model.num_features) == ((), pooled.shape[1])
        with pytest.raises(ModelError, match="no classifier"):
            model.probabilities(pooled)
        model.reset_classifier(2)
        assert model(*inputs).shape == (3, 2)

    @torch.no_grad()
    def test_built_without_classifier(self, case, inputs, tmp_path):
        name, settings = case
        model = build(name, **settings, num_classes=0).eval()
        assert model(*inputs).shape == (3, model.num_features)
        model.preprocess_spec = PreprocessSpec(size=model.config.image_size)
        model.save_pretrained(tmp_path)
        again = htnet.load_pretrained(tmp_path)
        assert torch.equal(again(*inputs), model(*inputs))
        with pytest.raises(ModelError, match="no classifier"):
            htnet.optimize(model)

    @torch.no_grad()
    def test_intermediates(self, model, inputs):
        features, maps = model.forward_intermediates(*inputs)
        assert torch.equal(features, model.forward_features(*inputs))
        assert len(maps) == len(model.stages) > 0
        assert all(len(m) == 3 and m.ndim in (3, 4) and m.isfinite().all() for m in maps)
        assert all(m.shape[2] == m.shape[3] for m in maps if m.ndim == 4)
        [last] = model.forward_intermediates(*inputs, indices=1, intermediates_only=True)
        assert torch.equal(last, maps[-1])
        [first] = model.forward_intermediates(*inputs, indices=[0], intermediates_only=True)
        assert torch.equal(first, maps[0])
        only = {"stop_early": True, "intermediates_only": True}
        [flat] = model.forward_intermediates(*inputs, indices=[0], output_fmt="NLC", **only)
        assert torch.equal(flat, first.flatten(2).mT if first.ndim == 4 else first)
        assert flat.ndim == 3
        both = model.forward_intermediates(*inputs, **only)
        assert all(map(torch.equal, both, maps))
        for refused in ({"norm": True}, {"stop_early": True}, {"output_fmt": "NHWC", "intermediates_only": True}):
            with pytest.raises(ModelError, match=next(iter(refused))):
                model.forward_intermediates(*inputs, **refused)
        with pytest.raises(ModelError, match=f"{len(maps)} stages, got index {len(maps)}"):
            model.forward_intermediates(*inputs, indices=[len(maps)])
        assert not any(module._forward_hooks for module in model.modules())

    @torch.no_grad()
    def test_other_numbers_of_channels(self, case):
        name, settings = case
        model = build(name, **settings, in_chans=4).eval()
        images, extras = example(model, 2)
        assert model(images, **extras).isfinite().all()
        assert create_model(name, in_chans=4).config.mean == (0.0,) * 4
