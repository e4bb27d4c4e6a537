"""Weights that are NaN or infinite give no answer, and are neither kept, loaded, exported nor optimized."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

import htnet
from htnet.core.errors import CorruptWeightsError, ModelError
from htnet.data import Sample
from htnet.hub import export_model
from htnet.hub.folder import CONFIG_FILE, WEIGHTS_FILE
from htnet.pipeline import Predictor
from tests.support.workspace import SAMPLE


@pytest.fixture(params=[torch.nan, torch.inf])
def spoiled(request):
    model = htnet.load_pretrained("synthetic")
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = request.param
    return model


@pytest.mark.parametrize(
    ("what", "use"),
    [
        ("optimize", lambda model, folder: htnet.optimize(model)),
        ("save_pretrained", lambda model, folder: model.save_pretrained(folder)),
        ("export_model", lambda model, folder: export_model(model, folder)),
    ],
)
def test_they_are_refused(spoiled, what, use, tmp_path):
    name = next(name for name, _ in spoiled.named_parameters())
    with pytest.raises(ModelError, match=f"{what} needs finite weights, .* in {name}: its training diverged"):
        use(spoiled, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_answer_is_made_of_them(spoiled):
    pair = SAMPLE / "onset.png", SAMPLE / "apex.png"
    with pytest.raises(
        ModelError, match="computed (action units|probabilities) that are NaN or infinite: so are its weights"
    ):
        Predictor(spoiled).pair(*pair)
    with pytest.raises(ModelError, match="computed features that are NaN or infinite"):
        list(Predictor(spoiled).embed([Sample("one", onset=pair[0], apex=pair[1])]))


def test_no_action_units_are_made_of_them():
    model = htnet.load_pretrained("synthetic")
    with torch.no_grad():
        model.unit_head.bias[0] = torch.nan
    with pytest.raises(ModelError, match="computed action units that are NaN or infinite"):
        Predictor(model).pair(SAMPLE / "onset.png", SAMPLE / "apex.png")


def test_a_file_with_them_is_refused(tmp_path):
    htnet.load_pretrained("synthetic").save_pretrained(tmp_path)
    state = load_file(tmp_path / WEIGHTS_FILE)
    name = next(iter(state))
    state[name].view(-1)[0] = torch.nan
    save_file(state, tmp_path / WEIGHTS_FILE, metadata={"format": "pt"})
    config = json.loads((tmp_path / CONFIG_FILE).read_text("utf-8"))
    config["weights"]["sha256"] = hashlib.sha256((tmp_path / WEIGHTS_FILE).read_bytes()).hexdigest()
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config), "utf-8")
    with pytest.raises(CorruptWeightsError, match=f"1 tensors are NaN or infinite \\({name}\\)"):
        htnet.load_pretrained(tmp_path)


def test_scores_that_overflow_in_float16_are_refused_with_the_cure():
    model = htnet.load_pretrained("synthetic")
    with pytest.raises(ModelError, match="too large for float16.* Use float32 or bfloat16"):
        model.probabilities(torch.tensor([[0.0, torch.inf, 0.0]], dtype=torch.float16))


def test_a_class_that_is_masked_has_the_probability_0():
    model = htnet.load_pretrained("synthetic")
    assert model.probabilities(torch.tensor([[0.0, -torch.inf, 0.0]])).tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to(torch.int8), "1 tensors are integers for fractions"),
        (lambda t: t > 0, "1 tensors are integers for fractions"),
        (lambda t: t.to(torch.complex64), "1 tensors are integers for fractions"),
        (lambda t: torch.full_like(t, 1e300, dtype=torch.float64), "1 tensors are NaN or infinite"),
    ],
    ids=["int8", "bool", "complex", "too large"],
)
def test_a_file_whose_numbers_were_converted_is_refused(tmp_path, change, message):
    folder = tmp_path / "weights"
    htnet.load_pretrained("synthetic").save_pretrained(folder)
    state = load_file(folder / WEIGHTS_FILE)

    def write(change):
        save_file({**state, "head.weight": change(state["head.weight"])}, folder / WEIGHTS_FILE)
        config = json.loads((folder / CONFIG_FILE).read_text())
        config["weights"]["sha256"] = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        (folder / CONFIG_FILE).write_text(json.dumps(config))

    write(change)
    with pytest.raises(CorruptWeightsError, match=message):
        htnet.load_pretrained(folder)
    write(torch.Tensor.half)
    assert htnet.load_pretrained(folder).head.weight.dtype == torch.float32
