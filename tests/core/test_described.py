"""Keys of stored work contain what a user's own code computes, in every form in which code can change."""

import functools
import importlib
import json
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from htnet.core.described import describe, own_code
from htnet.models import HTNet
from htnet.preprocess import TemplateLandmarks

BASE = """
import functools
import json
from dataclasses import dataclass

import numpy as np
import torch

import helper_of_test

SIZE = 3
POINTS = np.arange(4)
TABLE = {"a": 1}

def helper(x):
    return x + SIZE

def decorate(factor):
    def outer(find):
        @functools.wraps(find)
        def inner(frame, sample=""):
            return factor * find(frame)
        return inner
    return outer

def plain(frame, sample=""):
    return helper(frame) * 2

@torch.no_grad()
def without_grad(frame, sample=""):
    return frame - 1

@decorate(2)
def decorated(frame, sample=""):
    return frame

def late(frame, sample=""):
    from helper_of_test import shift
    return shift(frame)

def by_module(frame, sample=""):
    return helper_of_test.shift(frame)

def looks_up(frame, sample=""):
    return POINTS[0] + TABLE["a"]

bound = functools.partial(plain, sample="x")

class Parent:
    factor = 2

    def scaled(self, x):
        return self.factor * x

class Finder(Parent):
    def __init__(self, score=0.5):
        self._score = score

    @property
    def least(self):
        return 1

    @staticmethod
    def rounded(x):
        return round(x)

    def __call__(self, frame, sample=""):
        return self.scaled(self.rounded(frame))

@dataclass(frozen=True, slots=True)
class Slotted:
    score: float = 0.5

    def __call__(self, frame, sample=""):
        return frame

class Model(torch.nn.Module):
    def forward(self, x):
        return x * 2
"""
HELPER = "def shift(x):\n    return x + 1\n"
NAMES = ["plain", "without_grad", "decorated", "late", "by_module", "looks_up", "bound"]
NAMES += ["Finder", "finder", "method", "slotted"]


def described(folder, monkeypatch, base=BASE, helper=HELPER):
    """Descriptions of everything in a user's module, imported anew."""
    folder.mkdir()
    (folder / "own_of_test.py").write_text(base)
    (folder / "helper_of_test.py").write_text(helper)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in ("own_of_test", "helper_of_test"):
            patch.delitem(sys.modules, name, raising=False)
        own = importlib.import_module("own_of_test")
        own.finder, own.slotted = own.Finder(), own.Slotted()
        own.method = own.finder.__call__
        found = {name: json.dumps(describe(getattr(own, name))) for name in NAMES} | {"Model": own_code(own.Model)}
        for name in ("own_of_test", "helper_of_test"):
            patch.delitem(sys.modules, name, raising=False)
    return found


OF_FINDER = {"Finder", "finder", "method"}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("SIZE = 3", "SIZE = 4", {"plain", "bound"}),
        ("x + SIZE", "x - SIZE", {"plain", "bound"}),
        ("* 2\n\n@torch", "* 3\n\n@torch", {"plain", "bound"}),
        ('sample="x"', 'sample="y"', {"bound"}),
        ("frame - 1", "frame - 2", {"without_grad"}),
        ("@decorate(2)", "@decorate(3)", {"decorated"}),
        ("factor * find", "factor + find", {"decorated"}),
        ("np.arange(4)", "np.arange(4) + 1", {"looks_up"}),
        ('{"a": 1}', '{"a": 2}', {"looks_up"}),
        ("    factor = 2", "    factor = 3", OF_FINDER),
        ("self.factor * x", "self.factor + x", OF_FINDER),
        ("        return 1\n", "        return 2\n", OF_FINDER),
        ("round(x)", "int(x)", OF_FINDER),
        ("def __init__(self, score=0.5)", "def __init__(self, score=0.6)", OF_FINDER),
        ("    score: float = 0.5", "    score: float = 0.6", {"slotted"}),
        ("        return frame\n\nclass Model", "        return frame + 1\n\nclass Model", {"slotted"}),
        ("x * 2", "x * 3", {"Model"}),
        ("shift(x):\n    return x + 1", "shift(x):\n    return x + 2", {"late", "by_module"}),
        ("SIZE = 3\n", "SIZE = 3\n# a comment\n\n\nOTHER = 5\n", set()),
    ],
)
def test_a_change_of_code_changes_what_depends_on_it_and_nothing_else(old, new, changed, tmp_path, monkeypatch):
    before = described(tmp_path / "a", monkeypatch)
    assert old in BASE + HELPER
    after = described(tmp_path / "b", monkeypatch, BASE.replace(old, new), HELPER.replace(old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_the_same_code_in_another_folder_has_the_same_description(tmp_path, monkeypatch):
    assert described(tmp_path / "a", monkeypatch) == described(tmp_path / "b", monkeypatch)


def test_code_of_htnet_and_libraries_is_known_by_its_version():
    assert own_code(HTNet) == own_code(torch.nn.Linear) == ""
    assert f"torch {torch.__version__}" in json.dumps(describe(torch.nn.functional.relu))
    assert "numpy 2" in json.dumps(describe(np.median)) or "numpy 1" in json.dumps(describe(np.median))
    kind, settings = describe(TemplateLandmarks())
    assert kind.endswith("TemplateLandmarks")
    assert list(settings) == ["template"]


def test_weights_arrays_and_objects_of_libraries_count():
    torch.manual_seed(0)
    pandas = pytest.importorskip("pandas")

    class Finder:
        def __init__(self, **values):
            vars(self).update(values)

        def __call__(self, frame, sample=""):
            return frame

    pairs = [
        ({"net": torch.nn.Linear(2, 2)}, {"net": torch.nn.Linear(2, 2)}),
        ({"net": torch.nn.ReLU()}, {"net": torch.nn.GELU()}),
        ({"net": torch.nn.Softmax(0)}, {"net": torch.nn.Softmax(1)}),
        ({"values": torch.zeros(2)}, {"values": torch.ones(2)}),
        ({"values": torch.zeros(2, dtype=torch.bfloat16)}, {"values": torch.zeros(2, dtype=torch.float16)}),
        ({"_values": np.zeros(2)}, {"_values": np.ones(2)}),
        ({"table": pandas.DataFrame({"x": [1]})}, {"table": pandas.DataFrame({"x": [2]})}),
        ({"names": {"a", "b"}}, {"names": {"a", "c"}}),
        ({"find": functools.partial(max, 1)}, {"find": functools.partial(max, 2)}),
        ({"find": lambda x: x}, {"find": lambda x: -x}),
    ]
    for one, other in pairs:
        assert json.dumps(describe(Finder(**one))) != json.dumps(describe(Finder(**other))), (one, other)
        assert json.dumps(describe(Finder(**one))) == json.dumps(describe(Finder(**one)))


def test_objects_that_refer_to_themselves_are_described_once():
    @dataclass
    class Node:
        other: object = None

        def __call__(self, frame, sample=""):
            return frame

    one = Node()
    one.other = Node(one)
    assert json.dumps(describe(one))


def test_an_object_that_says_what_it_depends_on_is_believed():
    class Finder:
        def __init__(self, version):
            self.version, self.calls = version, 0

        def identity(self):
            return {"version": self.version}

    assert describe(Finder(1)) == [["version", 1]]
