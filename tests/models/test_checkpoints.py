"""Checkpoints as people save them: every prefix, wrapper and neighbor, for every architecture that is converted."""

import argparse
import datetime
import pickle
import re
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import htnet
from benchmarks.mhssa_reference import ReferenceMHSSAGCN
from htnet.cli import main
from htnet.core.errors import CheckpointError, HtnetError, RunError
from htnet.core.types import PreprocessSpec
from htnet.hub import read_config, save_pretrained
from htnet.models import (
    DualStreamConfig,
    DualStreamHTNet,
    HTNet,
    HTNetConfig,
    MHSSAGCNConfig,
    convert_checkpoint,
    convert_state,
    create_model,
    reference_state,
)
from htnet.models.converters.convert import marks
from htnet.models.converters.files import read_checkpoint
from htnet.models.converters.states import find_state
from htnet.training.state import Checkpoint, TrainingState
from tests.support.wings import with_wings

PREFIXES = (
    *("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.", "backbone."),
    *("model.module.", "model._orig_mod.", "_fsdp_wrapped_module.", "ema_model.module.", "student.encoder."),
)
WRAPPERS = (
    *((), ("state_dict",), ("model",), ("model_state",), ("model_state_dict",), ("weights",), ("net",), ("ema",)),
    *(("ema_state_dict",), ("params",), ("model", "state_dict"), ("folds", 0), ("best", "checkpoint", "model")),
)


def _states():
    torch.manual_seed(11)
    dual = DualStreamConfig(dim=16, heads=4, motion_dim=8, hidden=8)
    mhssa = MHSSAGCNConfig(dim=16, region_dim=4, intra_depth=1, gcn_layers=1, spatial="reference", scaling="smacof")
    return {
        "HTNet": (reference_state(HTNet(HTNetConfig(dim=8, heads=2, block_repeats=(1, 1, 1)))), 2),
        "STSTNet": (create_model("ststnet").state_dict(), None),
        "DualStreamHTNet": (DualStreamHTNet(dual).state_dict(), None),
        "MHSSAGCN": (ReferenceMHSSAGCN(mhssa).state_dict(), None),
    }


STATES = with_wings("models", "STATES", _states())


def wrapped(state, wrapper=(), prefix="", **beside):
    content = OrderedDict((prefix + key, value) for key, value in state.items())
    for key in reversed(wrapper):
        content = [content] if isinstance(key, int) else {key: content}
    return {**content, **beside} if beside else content


def same(model, state, heads):
    """Whether a model contains a state, which is compared under our names."""
    key = next((kind for kind, (known, _) in STATES.items() if known is state), None)
    if key not in PLAIN:
        PLAIN[key] = convert_state(state, heads=heads).state_dict()
    plain = PLAIN[key] if key is not None else PLAIN.pop(key)
    found = model.state_dict()
    return found.keys() == plain.keys() and all(torch.equal(found[k], plain[k]) for k in plain)


PLAIN = {}


def full_for_one(cases, few):
    """Each case with the smallest model, and a few of them with the others."""
    return [(kind, case) for kind in STATES for case in (cases if kind == "STSTNet" else few)]


@pytest.mark.parametrize(("kind", "prefix"), full_for_one(PREFIXES, ("", "module.", "student.encoder.")))
def test_every_prefix_and_wrapper_gives_the_same_model(kind, prefix):
    state, heads = STATES[kind]
    for wrapper in WRAPPERS:
        found = find_state(wrapped(state, wrapper, prefix), marks())
        assert found.keys() == state.keys(), wrapper
        assert all(torch.equal(found[k], state[k]) for k in state), wrapper
    model = convert_state(wrapped(state, WRAPPERS[-1], prefix), heads=heads)
    assert type(model).__name__ == kind
    assert same(model, state, heads)


class Settings:
    """A class of somebody's own training code."""

    def __init__(self):
        self.lr = 1


class Options(dict):
    """Settings that are a dictionary, as EasyDict and yacs make them."""


def beside():
    return {
        "epoch": 7,
        "best": np.float64(0.71),
        "counts": np.arange(4),
        "args": argparse.Namespace(lr=1e-3, data=Path("data")),
        "path": Path("runs/a"),
        "date": datetime.datetime(2024, 5, 17, 12, 30),
        "hyper_parameters": {"settings": Settings()},
        "options": Options(lr=1),
        "note": None,
        "optimizer": torch.optim.Adam([nn.Parameter(torch.zeros(3))]).state_dict(),
        "scores": [0.5, torch.tensor(0.6)],
        "names": {"a", "b"},
    }


@pytest.mark.parametrize(("kind", "name"), full_for_one([*beside(), "all"], ("options", "all")))
def test_whatever_lies_beside_the_weights_is_passed_over(tmp_path, kind, name):
    state, heads = STATES[kind]
    neighbors = beside() if name == "all" else {name: beside()[name]}
    path = tmp_path / "a.pth"
    if name == "all":  # one of them is a dictionary of a class of its own, one is rebuilt by its state: not both
        del neighbors["options"]
    torch.save(wrapped(state, ("model",), "module.", **neighbors), path)
    assert same(convert_checkpoint(path, heads=heads), state, heads)


def test_flat_checkpoints_with_settings_among_the_weights(tmp_path):
    state, _ = STATES["STSTNet"]
    torch.save({**state, "epoch": 3, "args": argparse.Namespace(lr=1), "total_ops": torch.zeros(1)}, tmp_path / "a.pth")
    assert same(convert_checkpoint(tmp_path / "a.pth"), state, None)


@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("form", ["half", "bfloat16", "double", "old", "safetensors", "numpy", "lightning", "averaged"])
def test_every_form_of_file(tmp_path, kind, form):
    state, heads = STATES[kind]
    path = tmp_path / "a.ckpt"
    expected = state
    if form in ("half", "bfloat16", "double"):
        expected = {k: v.to(getattr(torch, form)) if v.is_floating_point() else v for k, v in state.items()}
        torch.save(expected, path)
    elif form == "old":
        torch.save({"state_dict": state, "args": argparse.Namespace()}, path, _use_new_zipfile_serialization=False)
    elif form == "safetensors":
        save_file({f"module.{k}": v.contiguous() for k, v in state.items()}, path)
    elif form == "numpy":
        torch.save({k: v.numpy() for k, v in state.items()}, path)
    elif form == "lightning":
        weights = {f"model.{k}": v for k, v in state.items()} | {"criterion.weight": torch.ones(3)}
        torch.save({"state_dict": weights, "epoch": 1, "pytorch-lightning_version": "2.5.5", "loops": {}}, path)
    else:
        torch.save({f"module.{k}": v for k, v in state.items()} | {"n_averaged": torch.tensor(3)}, path)
    assert same(convert_checkpoint(path, heads=heads), expected, heads)


@pytest.mark.parametrize("kind", STATES)
def test_an_average_without_names_is_not_passed_over(tmp_path, kind):
    state, heads = STATES[kind]
    path = tmp_path / "a.pth"
    for change, refused in ((0, False), (1, True)):
        average = [v + change if v.is_floating_point() else v for v in state.values()]
        torch.save({"model": state, "ema": {"decay": 0.999, "shadow_params": average, "collected": None}}, path)
        if refused:
            with pytest.raises(CheckpointError, match=r"ema\.shadow_params.*--key model"):
                convert_checkpoint(path, heads=heads)
        assert same(convert_checkpoint(path, heads=heads, key="model" if refused else None), state, heads)
    torch.save({"shadow_params": average}, path)
    with pytest.raises(CheckpointError, match=r"list without names \(shadow_params\)"):
        convert_checkpoint(path, heads=heads)


def test_containers_of_the_standard_library_lie_beside_other_settings(tmp_path):
    state, _ = STATES["STSTNet"]
    history = defaultdict(list, {"loss": [0.5, 0.4]})
    neighbors = {"history": history, "count": Counter("aab"), "last": deque([1, 2]), "args": argparse.Namespace(lr=1)}
    path = tmp_path / "a.pth"
    torch.save({"model": state, **neighbors, "when": np.datetime64("2024-05-17")}, path)
    assert same(convert_checkpoint(path), state, None)
    found = read_checkpoint(path)
    assert (found["history"], found["count"], found["last"]) == (dict(history), {"a": 2, "b": 1}, [1, 2])
    torch.save({"model": state, "log": np.array([1, None], dtype=object)}, path)
    with pytest.raises(CheckpointError, match=r"arrays of Python objects.*list\(content\) shows"):
        convert_checkpoint(path)


def test_the_cure_for_an_archive_of_arrays_works(tmp_path, monkeypatch):
    state, _ = STATES["STSTNet"]
    monkeypatch.chdir(tmp_path)
    for prefix in ("", "state/"):
        np.savez("a.npz", config="{}", **{prefix + k: v.numpy() for k, v in state.items()})
        with pytest.raises(CheckpointError) as error:
            convert_checkpoint("a.npz")
        for line in str(error.value).splitlines()[1:]:
            exec(line.strip(), globals())
        assert same(convert_checkpoint("weights.pth"), state, None)


#: Files of two models, and what the two are called in it.
SEVERAL = {
    "model and ema": (lambda a, b: {"model": a, "ema": b}, ("model", "ema")),
    "prefixes": (
        lambda a, b: {"state_dict": wrapped(a, prefix="model.") | wrapped(b, prefix="ema_model.module.")},
        ("state_dict.model", "state_dict.ema_model"),
    ),
    "folds": (
        lambda a, b: {"folds": [{"state_dict": a}, {"state_dict": b}]},
        ("folds.0.state_dict", "folds.1.state_dict"),
    ),
    "top and ema": (lambda a, b: wrapped(a) | {"ema": b}, (".", "ema")),
}


@pytest.mark.parametrize(("kind", "several"), full_for_one(SEVERAL, ("prefixes",)))
def test_several_models_in_one_file_are_not_guessed(tmp_path, kind, several):
    (content, names), (state, heads) = SEVERAL[several], STATES[kind]
    other = {k: v + 1 if k.endswith(".weight") else v for k, v in state.items()}
    torch.save(content(state, other), tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as error:
        convert_checkpoint(tmp_path / "a.pth", heads=heads)
    assert all(name in str(error.value) for name in names)
    assert "--key" in str(error.value)
    for name, expected in zip(names, (state, other), strict=True):
        assert same(convert_checkpoint(tmp_path / "a.pth", heads=heads, key=name), expected, heads)
    with pytest.raises(CheckpointError, match="'teacher' matches no state dict of this checkpoint. It contains: "):
        convert_checkpoint(tmp_path / "a.pth", heads=heads, key="teacher")
    torch.save(content(state, state), tmp_path / "same.pth")  # nothing to choose
    assert same(convert_checkpoint(tmp_path / "same.pth", heads=heads), state, heads)


def test_other_tensors_beside_the_model_must_be_said_to_be_no_part_of_it():
    state, heads = STATES["HTNet"]
    content = wrapped(state, prefix="backbone.") | {"classifier.weight": torch.zeros(3, 3)}
    with pytest.raises(CheckpointError, match=r"1 other tensors \(classifier.weight\).*--key backbone"):
        convert_state(content, heads=heads)
    assert same(convert_state(content, heads=heads, key="backbone"), state, heads)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.fill_(torch.nan), "values that are NaN or infinite: the training diverged"),
        (lambda t: t.to_sparse(), "is sparse"),
        (lambda t: t.to("meta"), "no numbers"),
        (lambda t: (t * 10).to(torch.int8), "is quantized"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "is quantized"),
    ],
    ids=["nan", "sparse", "meta", "int8", "quantized"],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", STATES)
def test_weights_that_are_no_plain_numbers_are_refused(kind, change, message):
    state, heads = STATES[kind]
    name = next(k for k, v in state.items() if k.endswith(".weight") and v.ndim >= 2)
    with pytest.raises(CheckpointError, match=re.escape(name)) as error:
        convert_state({**state, name: change(state[name].clone())}, heads=heads)
    assert message in str(error.value)


def _write(path, content):
    path.write_bytes(content)
    return path


def _zip(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


def _damaged(path):
    """A checkpoint one byte of whose weights was changed; PyTorch itself does not notice."""
    state, _ = STATES["STSTNet"]
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    at = content.find(state["fc.weight"].numpy().tobytes())
    content[at + 5] ^= 0x40
    path.write_bytes(content)
    torch.load(path, weights_only=True)
    return path


def _cut(path, **how):
    torch.save(STATES["STSTNet"][0], path, **how)
    content = path.read_bytes()
    return _write(path, content[: len(content) * 2 // 3])


def _saved(path, content, **how):
    torch.save(content, path, **how)
    return path


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


class Ring(list):
    """A list of its own class, which cannot be filled without its code."""


_OLD = {"_use_new_zipfile_serialization": False}
#: What is no state dict, and what the message must name.
WRONG = {
    "empty": (lambda p: _write(p, b""), "is empty (0 bytes)"),
    "text": (lambda p: _write(p, b"hello, these are no weights"), "torch.save did not write it"),
    "web page": (lambda p: _write(p, b"<!DOCTYPE html><html>"), "web page"),
    "lfs": (lambda p: _write(p, b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "keras": (lambda p: _write(p, b"\x89HDF\r\n\x1a\n" + bytes(90)), "HDF5"),
    "cut": (_cut, "truncated or damaged"),
    "old and cut": (lambda p: _cut(p, **_OLD), "truncated"),
    "damaged": (_damaged, "checksum"),
    "safetensors cut": (lambda p: _write(p, (90).to_bytes(8, "little") + b'{"a": '), "but is truncated"),
    "npz": (lambda p: _zip(p, a_dot_npy=b"x"), "NumPy arrays (.npz)"),
    "zip": (lambda p: _zip(p, a_dot_txt=b"x"), "archive of other files"),
    "torchscript": (
        lambda p: _zip(p, m__code__a_dot_py=b"", m__constants_dot_pkl=b"", m__data_dot_pkl=b""),
        "torch.jit",
    ),
    "pickle": (lambda p: _write(p, pickle.dumps({"a": 1})), "plain pickle"),
    "protocol 4": (lambda p: _saved(p, {"a": torch.ones(2)}, pickle_protocol=4), "pickle protocol 4"),
    "module": (lambda p: _saved(p, nn.Linear(2, 2)), "torch.nn.modules.linear.Linear"),
    "module inside": (lambda p: _saved(p, {"net": nn.Linear(2, 2)}), "content['net'].state_dict()"),
    "own module": (lambda p: _saved(p, create_model("ststnet")), "htnet.models.ststnet.STSTNet"),
    "optimizer": (
        lambda p: _saved(p, torch.optim.Adam([nn.Parameter(torch.ones(2))]).state_dict()),
        "state of an optimizer and no weights",
    ),
    "optimizer inside": (
        lambda p: _saved(p, {"optimizer": torch.optim.SGD([nn.Parameter(torch.ones(2))], 0.1).state_dict()}),
        "state of an optimizer and no weights",
    ),
    "settings": (lambda p: _saved(p, argparse.Namespace(a=1)), "argparse.Namespace"),
    "list class": (lambda p: _saved(p, {"a": Ring([1, 2]), "b": torch.ones(1)}), "Ring"),
    "other model": (lambda p: _saved(p, {"state_dict": {"module.fc1.weight": torch.ones(2)}}), "fc1.weight"),
    "own weights": (lambda p: _saved(p, create_model("htnet_tiny").state_dict()), "need no conversion"),
    "harmful": (lambda p: _saved(p, {"a": Harmful(), **STATES["STSTNet"][0]}), "names builtins.exec"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_checkpoint_is_named_with_a_cure(tmp_path, capsys, name):
    make, message = WRONG[name]
    path = make(tmp_path / "given.pth")
    with pytest.raises(CheckpointError) as error:
        convert_checkpoint(path)
    assert message in str(error.value)
    assert main(["convert", str(path), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "given.pth" in said
    assert message in said
    for text in (said, str(error.value)):
        assert "\x1b" not in text
        assert "weights_only load failed" not in text.lower()
        assert text.rstrip()[-1] in ".)'" or "git lfs pull" in text or ", ..." in text
    assert not (tmp_path / "out").exists()


def test_classes_that_a_checkpoint_names_are_not_imported(tmp_path, monkeypatch):
    module = types.ModuleType("somebody_s_training")
    module.Settings = type("Settings", (), {"__module__": module.__name__})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    torch.save({"state_dict": STATES["STSTNet"][0], "settings": module.Settings()}, tmp_path / "a.pth")
    monkeypatch.delitem(sys.modules, module.__name__)
    before = set(torch.serialization.get_safe_globals())
    content = read_checkpoint(tmp_path / "a.pth")
    assert content["settings"].kind == "somebody_s_training.Settings"
    assert module.__name__ not in sys.modules
    assert set(torch.serialization.get_safe_globals()) == before
    assert same(convert_checkpoint(tmp_path / "a.pth"), STATES["STSTNet"][0], None)


def test_the_command_takes_the_key(tmp_path, capsys):
    state, _ = STATES["STSTNet"]
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, tmp_path / "a.pth")
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "out")]) == 2
    assert "--key ema" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "out"), "--key", "ema"]) == 0
    found = htnet.load_pretrained(tmp_path / "out")
    assert torch.equal(found.fc.bias, state["fc.bias"] + 1)
    assert read_config(tmp_path / "out" / "config.json")["architecture"] == "STSTNet"


#: Everything that takes weights; a checkpoint file is none of them.
LOADERS = {
    "load_pretrained": lambda p: htnet.load_pretrained(p),
    "Predictor": lambda p: htnet.Predictor(p),
    "push": lambda p: htnet.hub.push_to_hub(p, "a/b"),
    "start": lambda p: htnet.training.StartFrom(p),
}
LOADERS = with_wings("models", "LOADERS", LOADERS)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_checkpoint_given_as_weights_names_convert(tmp_path, loader):
    path = tmp_path / "HTNet.pth"
    torch.save(STATES["HTNet"][0], path)
    with pytest.raises(HtnetError, match="htnet convert .*HTNet.pth"):
        LOADERS[loader](path)
    with pytest.raises(HtnetError, match=r"The file .* does not exist"):
        LOADERS[loader](tmp_path / "gone.pth")
    if loader != "push":
        with pytest.raises(HtnetError, match="htnet convert .*HTNet.pth"):
            LOADERS[loader](tmp_path)  # the folder that it lies in
    folder = save_pretrained(_usable(), tmp_path / "w")
    with pytest.raises(HtnetError, match=re.escape(f"Give the folder: {folder}")):
        LOADERS[loader](folder / "model.safetensors")


def _usable():
    model = create_model("htnet_tiny")
    model.preprocess_spec = PreprocessSpec()
    return model


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", None], ids=["empty", "cut", "other"])
def test_an_unfinished_training_that_is_damaged_is_named(tmp_path, content):
    path = tmp_path / ".training.pt"
    if content is None:
        torch.save({"a": 1}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(RunError, match=r"training.pt is .*Delete it to start"):
        TrainingState(Checkpoint(path), "this", {}, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", STATES)
def test_a_tensor_of_any_other_shape_ends_in_an_error_of_ours(name):
    state, heads = STATES[name]
    for key, value in state.items():
        if not value.is_floating_point():
            continue
        for other in (
            value.flatten()[0],
            value.flatten(),
            value[None],
            value[:0] if value.ndim else value[None][:0],
            value.T,
        ):
            with suppress(CheckpointError):
                convert_state({**state, key: other}, heads)


def test_whole_numbers_in_place_of_any_weights_are_refused():
    """Not only of those named weight and bias: the published HTNet has gains and positions."""
    state = reference_state(create_model("htnet_tiny", mean=(0.0,) * 3, std=(1.0,) * 3))
    for key in ("layers.0.0.pos_emb", "mlp_head.0.g"):
        with pytest.raises(CheckpointError, match=f"{key} in this checkpoint is quantized"):
            convert_state({**state, key: (state[key] * 10).to(torch.int8)}, heads=2)
