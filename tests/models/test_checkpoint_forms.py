"""Forms in which PyTorch's tools keep weights: in two parts, far inside, in old pickles, as averages."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from htnet.core.errors import CheckpointError
from htnet.models import HTNet, HTNetConfig, convert_checkpoint, convert_state, reference_state


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(5)
    return reference_state(HTNet(HTNetConfig(dim=8, heads=2, block_repeats=(1, 1, 1))))


@pytest.fixture(scope="module")
def right(state):
    return convert_state(state, heads=2).state_dict()


def check(content, right, key=None):
    found = convert_state(content, heads=2, key=key).state_dict()
    for name, value in right.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def in_two(state, split):
    """Every weight of two or more dimensions in two parts."""
    found = {}
    for name, value in state.items():
        if name.endswith("weight") and value.ndim > 1:
            found |= split(name, value)
        else:
            found[name] = value
    return found


def old_norm(name, value):
    length = torch.linalg.vector_norm(value, dim=list(range(1, value.ndim)), keepdim=True)
    return {f"{name}_g": length, f"{name}_v": 3 * value}


def new_norm(name, value):
    parts = old_norm(name, value)
    layer = name.removesuffix("weight")
    return {f"{layer}parametrizations.weight.original{i}": part for i, part in enumerate(parts.values())}


def one_length(name, value):
    return {f"{name}_g": value.norm(), f"{name}_v": value / 7}


def pruned(name, value):
    return {f"{name}_orig": value, f"{name}_mask": torch.ones_like(value)}


@pytest.mark.parametrize("prefix", ["", "module.", "model._orig_mod.", "_fsdp_wrapped_module."])
@pytest.mark.parametrize("split", [old_norm, new_norm, one_length, pruned])
def test_weights_in_two_parts_are_put_together(state, right, split, prefix):
    check({"state_dict": {prefix + name: value for name, value in in_two(state, split).items()}}, right)


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_parts_are_those_of_pytorch(wrap):
    from htnet.models.converters.states import _put_together

    torch.manual_seed(0)
    for layer in (nn.Linear(4, 3), nn.Conv2d(2, 3, 3)):
        wrapped = wrap(layer)
        found = _put_together({f"a.{name}": value for name, value in wrapped.state_dict().items()})
        assert set(found) == {"a.weight", "a.bias"}
        torch.testing.assert_close(found["a.weight"], wrapped.weight.detach())


def test_parts_that_only_the_program_can_join_are_told(state):
    names = [name for name, value in state.items() if name.endswith("weight") and value.ndim > 1]
    for ending in ("_orig", None):
        found = dict(state)
        value = found.pop(names[-1])
        new = f"{names[-1]}_orig" if ending else f"{names[-1].removesuffix('weight')}parametrizations.weight.original"
        found[new] = value
        with pytest.raises(CheckpointError, match="remove_spectral_norm"):
            convert_state(found, heads=2)


def test_weights_far_inside_are_found(state, right):
    content = state
    for number in range(8):
        content = {f"level{number}": content}
    check(content, right)
    for _ in range(12):
        content = [content]
    with pytest.raises(CheckpointError, match="deeper than 16"):
        convert_state(content, heads=2)


@pytest.mark.parametrize("protocol", [0, 1, 3, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_other_pickle_protocols_are_told(state, tmp_path, protocol, zipped):
    path = tmp_path / "w.pth"
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"protocol|plain pickle") as caught:
        convert_checkpoint(path)
    assert "torch.save(" in str(caught.value)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("protocol", [0, 1])
def test_plain_pickles_of_old_protocols_are_told(tmp_path, protocol):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"a": [1, 2]}, protocol))
    with pytest.raises(CheckpointError, match="plain pickle"):
        convert_checkpoint(path)


def averaged(state):
    return {"n_averaged": torch.tensor(3), **{f"module.{name}": value for name, value in state.items()}}


def test_averages_are_taken_or_told(state, right, tmp_path):
    check(averaged(state), right)
    other = {name: value + 1 if value.is_floating_point() else value for name, value in state.items()}
    both = {"state_dict": other, "state_dict_ema": state}
    with pytest.raises(CheckpointError, match="--key state_dict_ema"):
        convert_state(both, heads=2)
    check(both, right, key="state_dict_ema")
    shadow = {"decay": 0.99, "num_updates": 7, "shadow_params": list(state.values()), "collected_params": None}
    with pytest.raises(CheckpointError, match="unnamed list"):
        convert_state({"model": other, "ema": shadow}, heads=2)
    with pytest.raises(CheckpointError, match="list without names"):
        convert_state(shadow, heads=2)
    save_file({f"module.{name}": value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    found = convert_checkpoint(tmp_path / "w.safetensors", heads=2).state_dict()
    assert all(torch.equal(found[name], value) for name, value in right.items())
