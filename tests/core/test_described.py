"""Keys of stored work contain what a user's own code computes, in every form in which code can change."""

import functools
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
import torch

from htnet.core.described import describe, own_code
from htnet.core.errors import InputError
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


def forget():
    """Remove the modules of these tests, so that they are imported anew."""
    for name in list(sys.modules):
        if name.split(".")[0].endswith("_of_test"):
            del sys.modules[name]
    importlib.invalidate_caches()


def described(folder, monkeypatch, base=BASE, helper=HELPER):
    """Descriptions of everything in a user's module, imported anew."""
    folder.mkdir()
    (folder / "own_of_test.py").write_text(base)
    (folder / "helper_of_test.py").write_text(helper)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget()
        own = importlib.import_module("own_of_test")
        own.finder, own.slotted = own.Finder(), own.Slotted()
        own.method = own.finder.__call__
        found = {name: json.dumps(describe(getattr(own, name))) for name in NAMES} | {"Model": own_code(own.Model)}
        forget()
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
    assert f"torch {version('torch')}" in json.dumps(describe(torch.nn.functional.relu))
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


HEAD = "import collections, enum, functools, operator, typing\nimport numpy as np\nimport torch\n"
FINDER = "class F:\n    def __call__(self, frame, sample=''): return frame\nfind = F()\n"
MODULE = "class N(torch.nn.Module):\n    def forward(self, x): return x\nfind = N()\n"
SEEDED = "torch.manual_seed(0)\n"


def found_in(folder, monkeypatch, code, files):
    """Description of ``find`` in a user's module, imported anew."""
    folder.mkdir()
    (folder / "own_of_test.py").write_text(HEAD + code)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget()
        found = json.dumps(describe(importlib.import_module("own_of_test").find))
        forget()
    return found


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        (FINDER + "find._x = [1]", "[1]", "[2]"),
        (FINDER + "find._x = {'a': 1}", "1}", "2}"),
        (FINDER + "find._x = lambda x: x + 1", "x + 1", "x + 2"),
        (FINDER + SEEDED + "find._x = torch.nn.Linear(2, 2)", "seed(0)", "seed(1)"),
        (FINDER + "find.x = np.ma.array([1, 2], mask=[0, 1])", "[0, 1]", "[1, 0]"),
        (FINDER + "find.x = np.array([lambda x: x + 1], object)", "x + 1", "x + 2"),
        (FINDER + "find.x = collections.defaultdict(lambda: 1)", ": 1)", ": 2)"),
        (FINDER + "def g(x): return 1\nfind.x = operator.methodcaller('m', g)", "return 1", "return 2"),
        (FINDER + "class S(float):\n    def m(self): return 1\nfind.x = S(1)", "return 1", "return 2"),
        (FINDER + "find.x = torch.eye(2).to_sparse() * 1", "* 1", "* 2"),
        (FINDER + "find.x = torch.eye(2).to_sparse_csr() * 1", "* 1", "* 2"),
        (FINDER + "find.x = torch.tensor([1 + 2j]).conj()", "2j", "3j"),
        (FINDER + "find.x = torch.zeros(2, device='meta')", "zeros(2", "zeros(3"),
        (FINDER + "find.x = torch.nn.LazyLinear(2)", "(2)", "(3)"),
        (FINDER + SEEDED + "find.x = torch.nn.MultiheadAttention(8, 2)", "8, 2", "8, 4"),
        (FINDER + "find.x = torch.nn.ReLU()\nfind.x.register_forward_hook(lambda *a: 1)", "a: 1", "a: 2"),
        (MODULE + "find.scale = 2.0", "2.0", "3.0"),
        (MODULE + "find._scale = 2.0", "2.0", "3.0"),
        (MODULE + "find.register_buffer('b', torch.zeros(1) + 2, persistent=False)", "+ 2", "+ 3"),
        (
            "class F(typing.NamedTuple):\n    s: int = 1\n    def __call__(self, f): return 1\nfind = F()",
            "rn 1",
            "rn 2",
        ),
        ("class F(dict):\n    def __call__(self, f): return 1\nfind = F()", "return 1", "return 2"),
        ("class M(type):\n    def m(c): return 1\nclass F(metaclass=M): pass\nfind = F()", "return 1", "return 2"),
        ("class K(str, enum.Enum):\n    A = 'a'\nfind = functools.partial(max, K.A)", "'a'", "'b'"),
        ("K = enum.Enum('K', [f'a{i}' for i in range(300)])\ndef find(f): return K.a1, 1", "K.a1, 1", "K.a1, 2"),
        (
            "@functools.singledispatch\ndef g(x): return 0\n@g.register\ndef _(x: int): return 1\n"
            "def find(f): return g(f)",
            "return 1",
            "return 2",
        ),
        ("find = {'a': 1}.get", "1}", "2}"),
        ("def go(): return 1\ndef find(f): return globals()['go']()", "return 1", "return 2"),
        (
            "def find(x):\n    try:\n        x = abs(x)\n        x = abs(x)\n    except ValueError:\n"
            "        x = 0\n    return x",
            "        x = abs(x)\n    except ValueError:\n        x = 0\n",
            "    except ValueError:\n        x = 0\n    else:\n        x = abs(x)\n",
        ),
    ],
)
def test_changes_that_a_description_of_plain_attributes_misses(code, old, new, tmp_path, monkeypatch):
    assert old in code
    found = [
        found_in(tmp_path / name, monkeypatch, text, {})
        for name, text in [("a", code), ("b", code), ("c", code.replace(old, new))]
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("code", "files"),
    [
        (
            "import one_of_test, two_of_test\ndef find(f): return one_of_test.foo() + two_of_test.bar()",
            {
                "one_of_test.py": "import two_of_test\ndef foo(): return 5",
                "two_of_test.py": "import one_of_test\ndef bar(): ...",
            },
        ),
        (
            "import pack_of_test.sub\ndef find(f): return pack_of_test.sub.go()",
            {"pack_of_test/sub.py": "def go(): return 5"},
        ),
        (
            "def find(f):\n    from one_of_test import foo\n    return foo()",
            {"one_of_test.py": "from two_of_test import foo", "two_of_test.py": "def foo(): return 5"},
        ),
        (
            "def find(f):\n    from pack_of_test import sub\n    return sub.foo()",
            {"pack_of_test/__init__.py": "", "pack_of_test/sub.py": "def foo(): return 5"},
        ),
        (
            "import one_of_test\nall_of = [one_of_test]\ndef find(f): return all_of[0].foo()",
            {"one_of_test.py": "from two_of_test import foo", "two_of_test.py": "def foo(): return 5"},
        ),
        (
            "import one_of_test\ndef find(f): return getattr(one_of_test, 'foo')()",
            {"one_of_test.py": "def foo(): return 5"},
        ),
    ],
)
def test_changes_in_modules_reached_in_any_way(code, files, tmp_path, monkeypatch):
    changed = {name: text.replace("return 5", "return 6") for name, text in files.items()}
    found = [
        found_in(tmp_path / name, monkeypatch, code, each)
        for name, each in [("a", files), ("b", files), ("c", changed)]
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


class _Raises:
    def __getattr__(self, name):
        raise RuntimeError(name)


class _Everything:
    def __getattr__(self, name):
        return lambda *args: _Everything()


class _Residual(torch.nn.Module):
    def identity(self, x):
        return x


@pytest.mark.parametrize("make", [Mock, MagicMock, lambda: Mock(spec=dict), _Raises, _Everything, _Residual])
def test_mocks_proxies_and_objects_with_other_methods_named_identity(make):
    assert json.dumps(describe([make()])) == json.dumps(describe([make()]))


def test_values_that_cannot_be_described_are_refused_with_the_cure():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InputError, match=r"method identity\(self\)"):
        describe(deep)


def test_a_description_is_equal_to_itself_after_storing_and_short():
    stored = json.loads(json.dumps(describe([float("nan"), float("inf")])))
    assert stored == describe([float("nan"), float("inf")])
    assert len(json.dumps(describe(torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(100)))))) < 200


@pytest.mark.slow  # new processes: the order of sets is chosen when Python starts
def test_a_description_is_the_same_in_every_process(tmp_path):
    code = (
        "import json, logging\nfrom htnet.core.described import describe\n"
        "class P:\n    def __init__(self, n): self.n = n\n"
        "shared = ('x', 'y')\n"
        "holder = {(name, shared) for name in 'abcdefgh'}\n"
        "log = logging.Formatter('%(message)s')\nlog.names = set('abcdefgh')\n"
        "print(json.dumps(describe([{P, int, print}, holder, shared, log])))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1
