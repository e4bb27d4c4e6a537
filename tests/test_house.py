"""Rules of the house that code can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import htnet
from htnet.core import errors
from htnet.core.errors import HtnetError

PACKAGE = Path(htnet.__file__).parent

#: What each part may import from. Lower parts know nothing of higher ones.
BASE = {
    "_version",
    "doors",
    "official",
    "errors",
    "facs",
    "identity",
    "overwrite",
    "schema",
    "types",
    "optional",
    "jobs",
    "network",
    "csv_files",
}
METRICS = {"metrics", "bootstrap", "calibration"}
LOW = {"kernels", "preprocess", "data", *METRICS}
ALLOWED = {
    **dict.fromkeys(BASE, BASE - {"optional"}),
    **{part: BASE | {part} for part in LOW - METRICS},
    **dict.fromkeys(METRICS, BASE | METRICS),
    "models": BASE | {"kernels", "models"},
    "inference": BASE | {"kernels", "models", "inference"},
    "hub": BASE | {"models", "inference", "hub"},
    "synthesis": BASE | {"preprocess", "synthesis"},
}
ALLOWED["samples"] = BASE | LOW | {"samples"}
_MIDDLE = {"training", "pipeline", "export", "plots", "prepare"}
for _part in _MIDDLE:
    ALLOWED[_part] = BASE | LOW | {"samples", "models", "hub", "synthesis", _part}
ALLOWED["evaluation"] = BASE | LOW | _MIDDLE | {"samples", "models", "hub", "synthesis", "evaluation"}
ALLOWED["palsy"] = ALLOWED["evaluation"] | {"palsy"}
ALLOWED["cli"] = ALLOWED["palsy"] | {"cli"}
ALLOWED["__main__"] = {"cli"}


def imports_of(path):
    """Parts of htnet that a file imports, inside functions too; type-checking imports count."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write absolute imports"
            names = [node.module]
            if node.module == "htnet":
                names = [f"htnet.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("htnet."):
                yield name.split(".")[1]


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward_only(path):
    part = part_of(path)
    assert part in ALLOWED, f"{path} belongs to no layer; add it to the table"
    # The version is read from the package itself by parts that write it into files.
    wrong = {name for name in imports_of(path) if name not in ALLOWED[part] and name != "__version__"}
    assert not wrong, f"{path} imports {wrong}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_stay_small(path):
    assert len(path.read_text("utf-8").splitlines()) <= 600, f"{path} asks to be split"


def test_opencv_is_loaded_by_its_own_function():
    """Only `load_opencv` says what to do where two builds of OpenCV collide."""
    bare = [
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name == "cv2" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "cv2")
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


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_text_of_other_libraries_in_messages(path):
    """What went wrong elsewhere is told through `htnet.core.errors.cause`, in words of our own."""
    own = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, HtnetError)}
    tree = ast.parse(path.read_text("utf-8"))
    own |= {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and own & {ast.unparse(base) for base in node.bases}
    }
    assert not list(foreign_texts(tree, own))


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


HEAVY = ("cv2", "matplotlib", "triton", "ray", "face_alignment", "huggingface_hub", "safetensors")


LIGHT = ("htnet", "htnet.models", "htnet.preprocess", "htnet.kernels", "htnet.data", "htnet.synthesis")


@pytest.mark.parametrize("module", LIGHT)
def test_import_stays_light(module):
    code = f"import torch, sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert not [name for name in loaded if name.split(".")[0] in HEAVY]


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
