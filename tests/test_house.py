"""Rules of the house that code can check."""

import ast
import importlib
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import htnet
from htnet.core import errors
from htnet.core.errors import HtnetError
from tests.support.paths import ROOT

if sys.version_info >= (3, 11):
    from re import _constants as sre
    from re import _parser as sre_parser
else:
    import sre_constants as sre
    import sre_parse as sre_parser

#: What repeats in a regular expression and can be tried in several ways.
REPEATS = (sre.MAX_REPEAT, sre.MIN_REPEAT)

PACKAGE = Path(htnet.__file__).parent

#: The rooms, from the ground up. A room imports from lower floors, and from itself.
FLOORS = (
    ("core",),
    ("kernels", "preprocess"),
    ("models", "data", "synthesis", "recordings"),
    ("acceleration",),
    ("hub",),
    ("training",),
    ("evaluation",),
    ("pipeline",),
    ("palsy", "web"),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: Public paths that hand on names of a room: for users, so no room imports them.
FACES = ("calibration", "errors", "export", "metrics", "plots", "prepare", "sklearn", "types")
#: Lines that a file may have.
LONGEST = 600

SOURCES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


@cache
def tree_of(path):
    return ast.parse(path.read_text("utf-8"))


def imports_of(path):
    """Modules of htnet that a file imports, inside functions and for type checking too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "htnet")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            if node.module.split(".")[0] == "htnet":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (name if name in MODULES else node.module for name in names)


def room_of(module):
    return module.split(".")[1] if "." in module else ""


IMPORTS = {module: set(imports_of(path)) - {module} for module, path in MODULES.items()}


def test_rooms_stand_on_lower_floors_without_circles():
    arrows, wrong = set(), []
    for module, imported in IMPORTS.items():
        room = room_of(module)
        if module == "htnet" or room in ("__main__", "_version"):
            continue
        if room not in FLOOR and room not in FACES:
            wrong.append(f"{module} belongs to no room: put it into one, or add the room to FLOORS")
            continue
        for other in sorted(imported):
            to = room_of(other)
            if to in (room, "_version"):
                continue
            if to not in FLOOR or (room in FLOOR and FLOOR[to] >= FLOOR[room]):
                wrong.append(f"{module} imports {other}, which is not on a lower floor")
            arrows.add((room, to))
    between = {arrow for arrow in arrows if arrow[0] in FLOOR}
    print(f"{len(FLOOR)} rooms, {len(between)} arrows between them, {len(FLOORS)} floors")
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_by_way_of_others():
    # The face of a package is not above its files: it is left out where a file of the package imports a sibling.
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_files_stay_small():
    lines = {module: len(path.read_text("utf-8").splitlines()) for module, path in MODULES.items()}
    assert not {module: count for module, count in lines.items() if count > LONGEST}


def test_no_room_bears_the_name_of_a_public_function():
    assert not {room for room in FLOOR if room in htnet.__all__}


def test_opencv_is_loaded_by_its_own_function():
    """Only `load_opencv` says what to do where two builds of OpenCV collide."""
    bare = [
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Import) and any(alias.name == "cv2" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "cv2")
    ]
    assert not bare


def late_imports(tree):
    """Lines of imports on first use: in functions, and by name."""
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr) == "loading()":
            inside.update(id(below) for below in ast.walk(node))
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for node in ast.walk(function):
                by_name = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")
                if (by_name or isinstance(node, (ast.Import, ast.ImportFrom))) and id(node) not in inside:
                    yield node.lineno


def test_imports_on_first_use_tell_what_helps_without_free_files():
    """`htnet.core.lazy.loading` is around each; commands have `show_error` around all."""
    wrong = {
        f"{module}:{line}"
        for module, path in MODULES.items()
        if "cli" not in module.split(".") and module != "htnet.core.lazy"
        for line in late_imports(tree_of(path))
    }
    assert not wrong
    bare = "def f():\n    import x\n    return importlib.import_module('y')"
    assert list(late_imports(ast.parse(bare))) == [2, 3]


#: What decodes pictures and videos, and the one module that may call each. Writing (`av.open(..., "w")`) is free.
DECODERS = {
    "imread": None,
    "imreadmulti": None,
    "imreadanimation": None,
    "imdecode": "htnet.preprocess.picture_reader",
    "imdecodemulti": None,
    "imdecodeanimation": None,
    "VideoCapture": "htnet.preprocess.video.readers",
    "av.open": "htnet.preprocess.video.readers",
}


def decoders_in(tree):
    """Names of decoders that a file uses, called or handed on."""
    writers = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(isinstance(a, ast.Constant) and a.value == "w" for a in node.args)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node not in writers:
            yield from {node.attr, ast.unparse(node)} & set(DECODERS)
        elif isinstance(node, ast.Constant) and node.value in DECODERS:
            yield node.value
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from {alias.name for alias in node.names} & set(DECODERS)


def test_pictures_and_videos_have_one_reader_each():
    """A limit that is checked beside one decoder and forgotten beside another is no limit."""
    wrong = [
        f"{module}: {name}"
        for module, path in MODULES.items()
        for name in decoders_in(tree_of(path))
        if DECODERS[name] != module
    ]
    assert not wrong
    used = {name for path in SOURCES for name in decoders_in(tree_of(path))}
    assert used == {name for name, module in DECODERS.items() if module is not None}


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("cv2.imread(x)", True),
        ("load_opencv().VideoCapture(x)", True),
        ("f = cv2.imdecode", True),
        ("getattr(cv2, 'imread')", True),
        ("from cv2 import imread", True),
        ("av.open(x)", True),
        ("av.open(x, 'w')", False),
        ("path.open(x)", False),
    ],
)
def test_decoders_are_seen(code, seen):
    assert bool(list(decoders_in(ast.parse(code)))) == seen


def slow_parts(pattern):
    """Repeats without end of something that can itself match any length: their time doubles with each character."""

    def has_fixed(items):
        for kind, value in items:
            if kind in (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY):
                return True
            if kind is sre.SUBPATTERN and has_fixed(value[3]):
                return True
            if kind is sre.BRANCH and all(map(has_fixed, value[1])):
                return True
            if kind in REPEATS and value[0] == value[1] and value[0] > 0 and has_fixed(value[2]):
                return True
        return False

    def visit(items):
        for kind, value in items:
            inner = {sre.SUBPATTERN: lambda v: [v[3]], sre.BRANCH: lambda v: v[1]}.get(kind, lambda v: [])(value)
            if kind in REPEATS:
                inner = [value[2]]
                if value[1] is sre.MAXREPEAT:
                    ways = value[2]
                    while len(ways) == 1 and ways[0][0] is sre.SUBPATTERN:
                        ways = ways[0][1][3]
                    branches = ways[0][1][1] if len(ways) == 1 and ways[0][0] is sre.BRANCH else [ways]
                    yield from (str(way) for way in branches if not has_fixed(way))
            elif kind in (sre.ASSERT, sre.ASSERT_NOT):
                inner = [value[1]]
            for part in inner:
                yield from visit(part)

    return list(visit(sre_parser.parse(pattern)))


def test_no_expression_takes_time_without_end():
    found = 0
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args:
                pattern = node.args[0]
                patterns = [pattern.value] if isinstance(pattern, ast.Constant) else []
                if ast.unparse(node.func) == "re.compile" and not patterns:  # one that is put together
                    things = vars(importlib.import_module(module)).values()
                    patterns = [thing.pattern for thing in things if isinstance(thing, re.Pattern)]
                found += len(patterns)
                assert not [text for text in patterns if slow_parts(text)], f"{module}:{node.lineno}"
    assert found > 80


@pytest.mark.parametrize(
    ("pattern", "slow"),
    [
        (r"(?:\s+|#\n)+\d", True),
        (r"(a*)*", True),
        (r"((?:a+))+b", True),
        (r"(?:\s|#[^\n]*\n)+\d+", False),
        (r"(-[0-9]+)+", False),
        (r'"[^"\\]*(?:\\.[^"\\]*)*"', False),
        (r"(a{3})+", False),
    ],
)
def test_slow_expressions_are_seen(pattern, slow):
    assert bool(slow_parts(pattern)) == slow


def test_csv_files_are_written_by_their_own_writer():
    """Only `CsvWriter` keeps names from being run as formulas by spreadsheet programs."""
    bare = [
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("csv.writer", "csv.DictWriter")
        and module != "htnet.core.csv_files"
    ]
    assert not bare


#: Attributes of errors that hold text; that of the system (`OSError.strerror`) may be told.
TEXTS = {"args", "msg", "message", "reason", "strerror", "doc", "object"}


def foreign_texts(tree, own):
    """Places where the text of an error that is not htnet's own is used, by line."""

    def told(node, name):
        if isinstance(node, ast.FormattedValue):
            return ast.unparse(node.value) == name
        if isinstance(node, ast.Call):
            return ast.unparse(node.func) in ("str", "repr", "format") and [ast.unparse(a) for a in node.args] == [name]
        return isinstance(node, ast.Attribute) and ast.unparse(node.value) == name and node.attr in TEXTS

    def visit(node, name, types):
        if isinstance(node, ast.IfExp) and f"isinstance({name}, " in ast.unparse(node.test):
            checked = ast.unparse(node.test).partition(", ")[2].rstrip(")")
            yield from visit(node.body, name, {checked})
            yield from visit(node.orelse, name, types - {checked})
            return
        if told(node, name) and not types <= own:
            system = isinstance(node, ast.Attribute) and node.attr == "strerror" and types <= {"OSError"}
            if not system:
                yield f"{node.lineno}: {ast.unparse(node)} of {', '.join(sorted(types - own))}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, name, types)

    for handler in ast.walk(tree):
        if isinstance(handler, ast.ExceptHandler) and handler.name:
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            for statement in handler.body:
                yield from visit(statement, handler.name, {ast.unparse(kind) for kind in kinds})


def test_no_text_of_other_libraries_in_messages():
    """What went wrong elsewhere is told through `htnet.core.errors.cause`, in words of our own."""
    htnet_errors = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, HtnetError)
    }
    wrong = []
    for module, path in MODULES.items():
        tree = tree_of(path)
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        own = htnet_errors | {c.name for c in classes if htnet_errors & {ast.unparse(base) for base in c.bases}}
        wrong += [f"{module}:{text}" for text in foreign_texts(tree, own)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("raise InputError(f'{error}')", True),
        ("raise InputError(f'a: {error!r}')", True),
        ("raise InputError(str(error))", True),
        ("raise InputError(error.args[0])", True),
        ("say = error.strerror", True),
        ("raise InputError(cause(error)) from error", False),
        ("say = str(error) if isinstance(error, WeightsError) else cause(error)", False),
    ],
)
def test_texts_of_other_libraries_are_seen(body, wrong):
    tree = ast.parse(f"try:\n    f()\nexcept (ValueError, WeightsError) as error:\n    {body}")
    assert bool(list(foreign_texts(tree, {"WeightsError"}))) == wrong


HEAVY = (
    "cv2",
    "fastapi",
    "matplotlib",
    "triton",
    "ray",
    "face_alignment",
    "huggingface_hub",
    "safetensors",
    "numba",
    "llvmlite",
    "uvicorn",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
)


LIGHT = (
    "htnet",
    "htnet.models",
    "htnet.preprocess",
    "htnet.kernels",
    "htnet.data",
    "htnet.synthesis",
    "htnet.recordings",
    "htnet.pipeline",
    "htnet.preprocess.flow.compute",
    "htnet.preprocess.flow.warp",
)


#: Imports each module in a process of its own, all forked from one that has imported PyTorch.
IMPORT_EACH = """
import importlib, os, sys
import torch
before = set(sys.modules)
for module in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(module)
        print(module, *(set(sys.modules) - before), flush=True)
        os._exit(0)
    os.wait()
"""


def test_import_stays_light():
    done = subprocess.run([sys.executable, "-c", IMPORT_EACH, *LIGHT], capture_output=True, text=True, check=True)
    loaded = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert [module for module in LIGHT if module not in loaded.get(module, [])] == [], done.stderr
    heavy = {module: [n for n in names if n.split(".")[0] in HEAVY] for module, names in loaded.items()}
    assert heavy == {module: [] for module in LIGHT}
    rooms = {name.split(".")[1] for name in loaded["htnet.pipeline"] if name.count(".") == 2}
    assert rooms.isdisjoint({"recordings", "training", "synthesis", "palsy"}), "the first answer waits for these"


def test_public_names_exist():
    for name in htnet.__all__:
        assert getattr(htnet, name) is not None
    assert set(htnet.__all__) <= set(dir(htnet))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = htnet.no_such_name


def test_a_missing_extra_prints_the_pip_command(monkeypatch):
    from htnet.core.errors import MissingExtraError
    from htnet.core.optional import require

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[plots\]'"):
        require("matplotlib", "plots", "Drawing")


def test_findings_can_be_run():
    scripts = sorted((ROOT / "findings").glob("*.sh"))
    assert scripts
    assert [script.name for script in scripts if not os.access(script, os.X_OK)] == []
