"""Saving to a weights folder and loading from it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch

import htnet
from htnet.core.errors import (
    CorruptWeightsError,
    InputError,
    LimitError,
    ModelError,
    SpecError,
    UnknownModelError,
    WeightsError,
)
from htnet.core.types import PreprocessSpec
from htnet.hub import read_config, save_pretrained
from htnet.models import create_model, list_models
from htnet.models.base import ModelConfig
from tests.support import contract
from tests.support.pairs import tiny_model

SPEC = PreprocessSpec(
    layout="reference", region_points="landmarks", face_size=112, flow="farneback", flow_parameters=(("levels", 2.0),),
    resize="area", head_motion="nose", clahe=True, clip_frames=9, channels=("u", "v", "strain"),
    template=((7.0, 8.0), (20, 8), (14, 15), (9, 20), (19, 20)),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return save_pretrained(tiny_model(), tmp_path / "weights")


def edit(folder, **changes):
    """Change fields of the config; None takes a field out."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}), "utf-8")


#: Their small presets are the same classes.
LARGE = (*contract.LARGE, "mhssa_gcn")


def test_a_compiled_model_is_saved_as_the_model(tmp_path):
    model = tiny_model()
    save_pretrained(torch.compile(model, backend="eager"), tmp_path / "w")
    loaded = htnet.load_pretrained(tmp_path / "w")
    assert type(loaded) is type(model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())
    with pytest.raises(ModelError, match="model is of type Predictor, not EmotionModel; give its attribute model"):
        save_pretrained(htnet.Predictor(model), tmp_path / "p")


@pytest.mark.parametrize("name", [n for n in list_models() if n not in LARGE])
def test_round_trip(tmp_path, name):
    model = create_model(name, num_classes=4, dropout=0.1, mean=(90.0, 100.0, 110.0), std=(40.0, 50.0, 60.0))
    model.labels, model.preprocess_spec = ("calm", "glad", "überrascht", "sad"), SPEC
    side = model.config.image_size
    image = torch.rand(3, 3, side, side) * 255
    extras = {"points68": torch.rand(3, 68, 2) * 27} if "points68" in model.extra_inputs else {}
    with torch.no_grad():
        model.train()(image, **extras)  # running statistics move
        expected = model.eval()(image, **extras)
        model.train()  # as it comes out of a training loop
        found = htnet.load_pretrained(save_pretrained(model, tmp_path / "a" / "b"))
        assert torch.equal(found(image, **extras), expected)
    assert not found.training
    assert (type(found), found.name, found.config) == (type(model), name, model.config)
    assert found.labels == model.labels
    assert found.preprocess_spec == SPEC


def test_configs_from_before_a_field_was_added(folder):
    preprocess = json.loads((folder / "config.json").read_text("utf-8"))["preprocess"]
    assert preprocess.pop("head_motion") == "none"
    edit(folder, preprocess=preprocess)
    assert htnet.load_pretrained(folder).preprocess_spec.head_motion == "none"
    edit(folder, preprocess={**preprocess, "head_motion": "chin"})
    with pytest.raises(SpecError, match=r"head_motion is 'chin'\. Known: eyes, none, nose"):
        htnet.load_pretrained(folder)


def test_folder_says_what_it_is(tmp_path):
    training = {"dataset": "mine", "samples": 7, "subjects": 3, "license": "mine alone", "metrics": {"UF1": 0.51239}}
    folder = save_pretrained(tiny_model(), tmp_path, recipe={"name": "default", "lr": 0.1}, training=training)
    assert sorted(f.name for f in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = read_config(folder / "config.json")
    assert config["recipe"] == {"name": "default", "lr": 0.1}
    assert config["training"] == {"samples": 7, "subjects": 3, "metrics": {"UF1": 0.51239}}
    assert config["provenance"]["datasets"] == ["mine"]
    assert config["provenance"]["license_text"] == "mine alone"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert config["weights"] == {"file": "model.safetensors", "sha256": digest}
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\n")
    for text in ("htnet_tiny", "negative, positive, surprise", "mine alone", "| UF1 | 0.5124 |", "default"):
        assert text in card


def test_model_without_spec_is_not_saved(tmp_path):
    with pytest.raises(WeightsError, match="Set model.preprocess_spec"):
        save_pretrained(create_model("htnet_tiny"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_dtype_and_device(folder):
    model = htnet.load_pretrained(folder, dtype=torch.float64, device=torch.device("cpu"))
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert {p.dtype for p in htnet.load_pretrained(folder).parameters()} == {torch.float32}
    with pytest.raises(InputError, match="'cuda:77' cannot be used"):
        htnet.load_pretrained(folder, device="cuda:77")
    with pytest.raises(InputError, match="'gpu' cannot be used"):
        htnet.load_pretrained(folder, device="gpu")
    with pytest.raises(InputError, match=r"torch.int8.*float16"):
        htnet.load_pretrained(folder, dtype=torch.int8)


def test_damaged_weights(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptWeightsError, match=r"model.safetensors is damaged.*SHA-256.*Delete .* and load again"):
        htnet.load_pretrained(folder)


def test_weights_of_another_model(tmp_path, folder):
    other = save_pretrained(tiny_model(dim=16), tmp_path / "other")
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    edit(folder, weights=read_config(other / "config.json")["weights"])
    with pytest.raises(CorruptWeightsError, match=r"model.safetensors does not fit .*config.json"):
        htnet.load_pretrained(folder)


def test_weights_that_are_no_safetensors(folder):
    content = b"PK\x03\x04 a pickle"
    (folder / "model.safetensors").write_bytes(content)
    edit(folder, weights={"file": "model.safetensors", "sha256": hashlib.sha256(content).hexdigest()})
    with pytest.raises(CorruptWeightsError, match=r"model.safetensors is truncated, damaged"):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize("text", ["", "{", '{"format": 1', "\x00"])
def test_config_that_is_no_json(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CorruptWeightsError, match=r"config.json cannot be read.*Delete"):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize("value", [3, "1", None, True])
def test_other_format(folder, value):
    edit(folder, format=value)
    with pytest.raises(WeightsError, match=rf"config.json has format {value!r}.*reads formats 1 and 2. Update htnet"):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize("value", [None, 3])
@pytest.mark.parametrize("field", ["architecture", "config", "labels", "preprocess", "weights"])
def test_config_without_a_field(folder, field, value):
    edit(folder, **{field: value})
    with pytest.raises(WeightsError, match=rf"config.json lacks {field}"):
        htnet.load_pretrained(folder)


def test_config_with_unknown_fields(folder):
    config = read_config(folder / "config.json")
    for change, error, message in (
        ({"preprocess": {**config["preprocess"], "layuot": 1}}, SpecError, "config.json.*'layuot'.*mean 'layout'"),
        ({"config": {**config["config"], "dmi": 1}}, ModelError, "config.json.*'dmi'.*mean 'dim'"),
        ({"architecture": "HTNett"}, UnknownModelError, "config.json.*'HTNett'.*Did you mean 'HTNet'"),
        ({"preprocess": {**config["preprocess"], "flow": "raft"}}, SpecError, "config.json.*'raft'"),
        ({"labels": ["a", "b"]}, WeightsError, "config.json names 2 labels for 3 classes"),
    ):  # fmt: skip
        edit(folder, **{**config, **change})
        with pytest.raises(error, match=message):
            htnet.load_pretrained(folder)
    edit(folder, **config)
    htnet.load_pretrained(folder)


@pytest.mark.parametrize("labels", [["a", "a", "b"], ["a", "A ", "b"], ["a", None, "b"], ["a", "", "b"], [0, 1, 2]])
def test_config_with_labels_that_would_lose_a_class(folder, labels):
    edit(folder, labels=labels)
    with pytest.raises(WeightsError, match=r"config.json: The labels are \["):
        htnet.load_pretrained(folder)


@pytest.mark.parametrize(("part", "error"), [("preprocess", SpecError), ("config", ModelError)])
def test_config_that_lost_a_setting(folder, part, error):
    kept = read_config(folder / "config.json")[part]
    needed = {"preprocess": kept.keys() - {"head_motion", "clahe", "clip_frames"}, "config": ModelConfig.field_names()}
    for lost in needed[part]:
        edit(folder, **{part: {name: value for name, value in kept.items() if name != lost}})
        with pytest.raises(error, match=f"config.json: Missing .*: {lost}. htnet always writes it"):
            htnet.load_pretrained(folder)


def test_config_that_lost_what_the_answer_depends_on(folder):
    kept = read_config(folder / "config.json")
    edit(folder, temperature=None)
    with pytest.raises(WeightsError, match=r"config.json: Missing field: temperature. htnet always writes it"):
        htnet.load_pretrained(folder)
    for lost in ("sha256", "file"):
        edit(folder, **{**kept, "weights": {key: value for key, value in kept["weights"].items() if key != lost}})
        with pytest.raises(WeightsError, match=rf"config.json: Missing field of weights: {lost}"):
            htnet.load_pretrained(folder)
    for value in (None, "", 3):
        edit(folder, **{**kept, "weights": {**kept["weights"], "sha256": value}})
        with pytest.raises(CorruptWeightsError, match=rf"SHA-256 is [0-9a-f]+, expected {value}"):
            htnet.load_pretrained(folder)
    edit(folder, **kept)
    htnet.load_pretrained(folder)


def test_config_that_lost_a_setting_of_its_model(tmp_path):
    model = create_model("flow_mlp", u_channel=0)
    model.preprocess_spec = SPEC
    folder = save_pretrained(model, tmp_path / "w")
    kept = read_config(folder / "config.json")["config"]
    for lost in ("u_channel", "grid", "hidden"):
        edit(folder, config={name: value for name, value in kept.items() if name != lost})
        with pytest.raises(ModelError, match=f"config.json: Missing setting of FlowMLP: {lost}"):
            htnet.load_pretrained(folder)
    edit(folder, config={name: value for name, value in kept.items() if name != "action_units"})  # older than it
    assert htnet.load_pretrained(folder).config == model.config


def test_a_name_that_is_no_text(folder):
    edit(folder, model=3)
    with pytest.raises(WeightsError, match="has the name 3 for the model, which is no text"):
        htnet.load_pretrained(folder)


def test_too_little_memory_is_no_damage(folder, monkeypatch):
    config = read_config(folder / "config.json")["config"]
    edit(folder, config={**config, "dim": 10**9})  # PyTorch's own error: no machine has room for this layer
    with pytest.raises(LimitError, match=r"not enough memory to read .*config.json. The file may be whole"):
        htnet.load_pretrained(folder)
    edit(folder, config=config)

    def load_file(path):
        raise MemoryError

    monkeypatch.setattr("safetensors.torch.load_file", load_file)
    with pytest.raises(LimitError, match=r"not enough memory to read .*model.safetensors"):
        htnet.load_pretrained(folder)


def test_half_precision_keeps_the_answer(folder):
    image = torch.rand(4, 3, 28, 28) * 255
    full, half = htnet.load_pretrained(folder), htnet.load_pretrained(folder, dtype=torch.bfloat16)
    with torch.no_grad():
        error = (half(image.bfloat16()).float().softmax(1) - full(image).softmax(1)).abs().max()
    assert 0 < error < 0.1


def test_spec_goes_through_json_unchanged():
    again = PreprocessSpec.from_dict(json.loads(json.dumps(SPEC.to_dict())))
    assert again == SPEC
    assert again != dataclasses.replace(SPEC, size=30)


def test_a_circle_of_links_is_told(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to(folder / "config.json")
    with pytest.raises(CorruptWeightsError, match="config.json cannot be read"):
        htnet.load_pretrained(folder)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_weights_that_cannot_be_read_are_told(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/proc/self/mem")
    with pytest.raises(CorruptWeightsError, match="model.safetensors cannot be read .input/output error"):
        htnet.load_pretrained(folder)


def test_a_number_of_classes_without_limits_is_not_built(folder):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["config"]["num_classes"] = 10**30
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(WeightsError, match="labels for 10{30} classes"):
        htnet.load_pretrained(folder)


def test_a_card_says_which_module_a_model_of_ones_own_needs(tmp_path, monkeypatch):
    own = type("OwnNet", (type(tiny_model()),), {"__module__": "my_lab.nets"})
    monkeypatch.setattr("htnet.hub.folder.defining_module", lambda name: "my_lab.nets" if name == "OwnNet" else "")
    model = tiny_model()
    card = (save_pretrained(model, tmp_path / "ours") / "README.md").read_text("utf-8")
    assert "is not part of htnet" not in card
    model.__class__ = own
    folder = save_pretrained(model, tmp_path / "own")
    card = (folder / "README.md").read_text("utf-8")
    assert "its class `OwnNet` was defined in the module `my_lab.nets`" in card
    assert card.index("import my_lab.nets  # registers the model") < card.index("htnet.load_pretrained")
    assert read_config(folder / "config.json")["defined_in"] == "my_lab.nets"
