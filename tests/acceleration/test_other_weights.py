"""Weights that are not those of an optimized model, and weights that are computed from others."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import htnet
from htnet.acceleration import graph as graph_under_test
from htnet.core.errors import ModelError
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import create_model
from htnet.types import PreprocessSpec
from tests.acceleration.support import lively, relative
from tests.support.contract import example

#: Ways of PyTorch to compute a weight from others, as modules (`torch.nn.utils.parametrize`).
PARAMETRIZED = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}
#: The older ways, as hooks.
HOOKS = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
}


class Twice(nn.Module):
    """A parametrization without a way back."""

    def forward(self, value):
        return 2 * value


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
def test_weights_of_the_original_are_refused_by_an_optimized_model(dtype):
    model = lively("flow_mlp")
    fast = htnet.optimize(model, dtype)
    before = {name: value.clone() for name, value in fast.state_dict().items()}
    for strict in (True, False):
        with pytest.raises(ModelError, match=r"^The state_dict lacks network\..* optimize that one again"):
            fast.load_state_dict(model.state_dict(), strict)
    assert all(torch.equal(value, before[name]) for name, value in fast.state_dict().items())


def test_other_weights_are_refused_by_an_optimized_model():
    fast = htnet.optimize(lively("flow_mlp"))
    state = fast.state_dict()
    with pytest.raises(ModelError, match="has more, which flow_mlp has not"):
        fast.load_state_dict({**state, "more": torch.zeros(1)})
    name = next(iter(state))
    with pytest.raises(ModelError, match=r"has shape \(7,\), but flow_mlp has \(.*Give weights of a model"):
        fast.load_state_dict({**state, name: torch.zeros(7)}, strict=False)
    with pytest.raises(ModelError, match="state_dict is of type list, not Mapping"):
        fast.load_state_dict([])
    missing, unexpected = fast.load_state_dict({name: state[name]}, strict=False)
    assert (len(missing), unexpected) == (len(state) - 1, [])


@pytest.mark.parametrize("way", PARAMETRIZED)
def test_parametrized_weights_are_put_together(way):
    model = lively("flow_mlp").eval()
    PARAMETRIZED[way](model.hidden)
    images, _ = example(model, 3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert relative(htnet.optimize(model)(images), model(images)) < 1e-4
    assert parametrize.is_parametrized(model.hidden), "the model itself was changed"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_parametrized_weights_of_any_place_are_put_together():
    """Of a model itself, whose class changes with it, and of a positional embedding, which fusion takes out."""
    for name, place, weight in (("mhssa_gcn_small", "", "alpha"), ("htnet_tiny", "levels.2", "pos_emb")):
        model = lively(name)
        parametrize.register_parametrization(model.get_submodule(place), weight, Twice())
        images, extras = example(model, 2)
        assert relative(htnet.optimize(model)(images, **extras), model(images, **extras)) < 1e-4


def test_a_parametrization_that_cannot_be_put_together_is_named():
    class Fails(nn.Module):
        def forward(self, value):
            if value.requires_grad and not torch.is_grad_enabled():
                raise RuntimeError("text of the user")
            return value

    model = lively("flow_mlp").requires_grad_(True)
    parametrize.register_parametrization(model.hidden, "weight", Fails())
    with pytest.raises(ModelError, match=r"^optimize could not put together hidden\.weight, .*remove_parametrizations"):
        htnet.optimize(model)


@pytest.mark.parametrize("way", HOOKS)
def test_weights_that_hooks_compute_are_refused(way, tmp_path):
    """A model before its first call had other weights than at its calls, and optimize took those, in silence."""
    model = lively("flow_mlp")
    model.preprocess_spec = PreprocessSpec()
    HOOKS[way](model.hidden)
    for call in (
        lambda: htnet.optimize(model),
        lambda: save_pretrained(model, tmp_path / "weights"),
        lambda: htnet.export.export_model(model, tmp_path / "file", "torch"),
    ):
        with pytest.raises(ModelError, match=r"needs plain weights, but a hook computes hidden\.weight "):
            call()
    assert not list(tmp_path.iterdir())


def test_parametrized_weights_are_not_saved(tmp_path):
    """The folder could not be loaded."""
    model = create_model("flow_mlp")
    model.preprocess_spec = PreprocessSpec()
    plain = copy.deepcopy(model)
    parametrizations.weight_norm(model.hidden)
    with pytest.raises(ModelError, match=r"^save_pretrained writes plain weights, but .* computes hidden\.weight"):
        save_pretrained(model, tmp_path / "weights")
    parametrize.remove_parametrizations(model.hidden, "weight")
    save_pretrained(model, tmp_path / "weights")
    torch.testing.assert_close(load_pretrained(tmp_path / "weights").hidden.weight, plain.hidden.weight)


@pytest.mark.parametrize("part", ["export_program", "export_onnx"])
def test_what_cannot_be_written_for_its_computed_weights_is_told_so(part, monkeypatch):
    """The message told of branches on values and of batch sizes, or it was the exporter's own."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")

    def fail(*given, **named):
        raise RuntimeError("text of the exporter")

    plain = graph_under_test.Graph(create_model("flow_mlp"))
    model = create_model("flow_mlp")
    parametrizations.weight_norm(model.hidden)
    computed = graph_under_test.Graph(model)
    monkeypatch.setattr(torch.export if part == "export_program" else torch.onnx, "export", fail)
    call = getattr(graph_under_test, part)
    given = () if part == "export_program" else (None,)
    with pytest.raises(ModelError, match=r"^flow_mlp cannot be (exported|written)") as caught:
        call(plain, *given)
    assert "text of" not in str(caught.value)
    with pytest.raises(ModelError, match=r"parametrize computes at every call \(hidden\.weight\)"):
        call(computed, *given)


def test_hooks_of_ones_own_are_kept():
    """A hook that only watches is no weight."""
    model, seen = lively("flow_mlp"), []
    model.hidden.register_forward_pre_hook(lambda layer, given: seen.append(given))
    images, _ = example(model, 2)
    assert relative(htnet.optimize(model)(images), model(images)) < 1e-4
    assert np.shape(seen)[0] == 1
