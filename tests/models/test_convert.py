import pickle

import pytest
import torch
from torch import nn

from htnet.core.errors import CheckpointError
from htnet.models import HTNet, HTNetConfig, convert_checkpoint, convert_state, create_model, reference_state
from tests.support.golden import load_golden
from tests.support.paths import needs_shared


@pytest.fixture
def state():
    return reference_state(HTNet(HTNetConfig(dim=18, block_repeats=(1, 1, 1))))


@needs_shared
@pytest.mark.parametrize("name", ["htnet_seq1", "htnet_seq4"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_reference_file_gives_the_same_logits(tmp_path, name, wrapper):
    golden, inputs, outputs, config = load_golden(name)
    if wrapper == "state_dict":
        golden = {f"module.{key}": value for key, value in golden.items()}  # as DataParallel saves it
    torch.save({wrapper: golden, "epoch": 3} if wrapper else golden, tmp_path / "reference.pth")
    model = convert_checkpoint(tmp_path / "reference.pth", heads=config["heads"])
    assert not model.training
    with torch.no_grad():
        assert (model(inputs["image"]) - outputs["logits"]).abs().max() < 1e-4


def test_round_trip_keeps_every_number(state):
    back = reference_state(convert_state(state, heads=3))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_configuration_is_read_off_the_shapes():
    config = HTNetConfig(
        image_size=84, patch_size=7, dim=20, heads=3, num_hierarchies=2, block_repeats=(3, 1), mlp_mult=2, num_classes=6
    )
    assert convert_state(reference_state(HTNet(config)), heads=3).config == config


def test_heads_must_be_given(state):
    with pytest.raises(CheckpointError, match="1, 2, 3, 6, 9, 18 all give.*--heads"):
        convert_state(state)
    with pytest.raises(CheckpointError, match="heads=4 does not fit"):
        convert_state(state, heads=4)


@pytest.mark.parametrize("given", [{"key": 3}, {"key": ["ema"]}, {"heads": "3"}, {"heads": True}, {"heads": 3.0}])
def test_options_of_another_type_are_refused(state, given):
    (name,) = given
    with pytest.raises(CheckpointError, match=f"{name} is .*; give a .*, or None"):
        convert_state(state, **{"heads": 3, **given})


def test_ststnet_converts():
    model = create_model("ststnet").eval()
    model.bn1.running_mean.uniform_()
    image = torch.rand(4, 3, 28, 28) * 255
    again = convert_state(model.state_dict())
    assert torch.equal(again(image), model(image))
    with pytest.raises(CheckpointError, match="no attention"):
        convert_state(model.state_dict(), heads=3)


def test_missing_and_unexpected_keys_are_listed(state):
    del state["mlp_head.0.g"]
    state["extra.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"(?s)Missing keys \(1: mlp_head.0.g\).*extra.weight"):
        convert_state(state, heads=3)
    with pytest.raises(CheckpointError, match=r"Unexpected keys \(1: fc.bias\)"):
        convert_state({"fc.bias": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="not a published HTNet"):
        convert_state({"to_patch_embedding.1.weight": torch.zeros(18, 147, 1, 1)}, heads=3)


def test_wrong_shape_is_named(state):
    state["layers.1.0.layers.0.1.fn.net.0.weight"] = torch.zeros(72, 30, 1, 1)
    with pytest.raises(CheckpointError, match=r"\(72, 30"):
        convert_state(state, heads=3)


def test_wrong_files_are_refused(tmp_path, state):
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        convert_checkpoint(tmp_path / "none.pth")
    text = tmp_path / "text.pth"
    text.write_text("hello")
    with pytest.raises(CheckpointError, match="cannot be read"):
        convert_checkpoint(text)
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(CheckpointError, match=r"save model.state_dict\(\)"):
        convert_checkpoint(tmp_path / "module.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="contains list"):
        convert_checkpoint(tmp_path / "list.pth")
    torch.save(state, tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match="cut.pth"):
        convert_checkpoint(tmp_path / "cut.pth", heads=3)


def test_no_code_in_a_checkpoint_is_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    with (tmp_path / "bomb.pth").open("wb") as file:
        pickle.dump({"a": Bomb()}, file)
    with pytest.raises(CheckpointError):
        convert_checkpoint(tmp_path / "bomb.pth")
    assert not (tmp_path / "boom").exists()


def test_export_refuses_a_standardising_model():
    with pytest.raises(CheckpointError, match="standardizes"):
        reference_state(create_model("htnet_tiny", mean=(1, 1, 1)))
