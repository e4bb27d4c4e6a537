"""Weights in int8 by torchao: models compute with them, and what takes plain weights says so."""

import copy

import pytest
import torch

import htnet
from htnet.core.errors import ModelError
from htnet.hub.exporting import export_model
from tests.support.pairs import tiny_model

REASON = "torchao is no dependency: pip install torchao, in an environment of its own (torchao 0.18, torch 2.13)"
#: Of `mhssa_gcn` three layers are multiplied with each other first; they stay as they are.
KEPT = ("combine", "patch_embed", "region_embed")


def joined_layers(module, name):
    return isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] not in KEPT


@pytest.mark.parametrize("kind", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig"])
@pytest.mark.parametrize("name", ["htnet_small", "flow_mlp", "mhssa_gcn"])
def test_answers_are_those_of_float32(name, kind):
    quantization = pytest.importorskip("torchao.quantization", reason=REASON)
    model = htnet.create_model(name).eval()
    quantized = copy.deepcopy(model)
    quantization.quantize_(quantized, getattr(quantization, kind)(), filter_fn=joined_layers)
    changed = [value for value in quantized.parameters() if type(value.data) is not torch.Tensor]
    assert len(changed) >= 2
    image, points = 255 * torch.rand(5, 3, 28, 28), 28 * torch.rand(5, 68, 2)
    extra = {"points68": points} if "points68" in model.extra_inputs else {}
    with torch.no_grad():
        for count in (1, 2, 5):
            given = {key: value[:count] for key, value in extra.items()}
            apart = (quantized(image[:count], **given) - model(image[:count], **given)).abs().max()
            assert 0 < apart < 0.15 * model(image, **extra).std()


class OtherTensor(torch.Tensor):
    """Stands for the tensors of a library that quantizes."""


def test_what_takes_plain_weights_says_so(tmp_path):
    model = tiny_model()
    name, value = next(iter(model.named_parameters()))
    module, _, last = name.rpartition(".")
    setattr(model.get_submodule(module), last, torch.nn.Parameter(value.detach().as_subclass(OtherTensor)))
    for purpose, use in (
        ("save_pretrained", lambda: htnet.save_pretrained(model, tmp_path / "w")),
        ("optimize", lambda: htnet.optimize(model)),
        ("export_model", lambda: export_model(model, tmp_path / "e", "torch")),
    ):
        with pytest.raises(ModelError, match=f"{purpose} needs plain weights, .*OtherTensor.*before quantize_"):
            use()
    with pytest.raises(ModelError, match="Give the model that was compiled, and compile=True"):
        htnet.optimize(torch.compile(tiny_model(), backend="eager"))


@pytest.mark.filterwarnings("ignore")
def test_layers_quantized_by_torch_itself_are_refused(tmp_path):
    """Their weights are packed, and no parameters: asking for their type or device fails inside PyTorch."""
    quantized = torch.ao.quantization.quantize_dynamic(tiny_model(), {torch.nn.Linear})
    for purpose, use in (
        ("Inference", lambda: htnet.Predictor(quantized)),
        ("save_pretrained", lambda: htnet.save_pretrained(quantized, tmp_path / "w")),
        ("optimize", lambda: htnet.optimize(quantized)),
        ("export_model", lambda: export_model(quantized, tmp_path / "e", "torch")),
    ):
        with pytest.raises(
            ModelError, match=rf"^{purpose} needs weights that are tensors, .*torch\.ao.*dtype=torch.int8"
        ):
            use()
