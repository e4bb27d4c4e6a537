"""What users name is looked at without errors of Python: names that are too long, or that no file can have."""

import ast
import importlib
import inspect
import re
from contextlib import suppress
from pathlib import Path

import pytest

import htnet
from htnet.core.errors import HtnetError, InputError
from htnet.core.files import check_folder, check_outputs, write_text
from htnet.core.hints import missing
from htnet.core.paths import as_path, real_path
from htnet.core.wings import installed_wings
from tests.support.pairs import tiny_model

ROOMS = ("data", "preprocess", "hub", "training", "evaluation", "pipeline", "recordings", "export", "prepare")
LONG = ["x" * 300 + ".csv", "d/" * 3000 + "a.csv"]
NONE = ["a\0b.csv", "", None, 3, b"a.csv"]
#: Objects that only keep what htnet itself gives them.
RECORDS = {"FinishedRun", "LazyLandmarker", "PushPlan", "Summary", "Checkpoint", "image_side"}


def doors():
    """Public functions whose one positional argument that must be given is a path."""
    seen = {}
    for module in ("htnet", *(f"htnet.{room}" for room in (*ROOMS, *installed_wings()))):
        for name in importlib.import_module(module).__all__:
            found = getattr(importlib.import_module(module), name)
            if not callable(found) or found in seen.values() or name in RECORDS:
                continue
            try:
                first, *others = inspect.signature(found).parameters.values()
            except (TypeError, ValueError):
                continue
            asked = [p for p in others if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
            if not asked and "Path" in str(first.annotation) and first.kind is first.POSITIONAL_OR_KEYWORD:
                seen[name] = found
    return seen


DOORS = doors()


def test_the_doors_are_found():
    assert {"read_manifest", "open_data", "read_run", "load_pretrained", "report", "load_detector"} <= set(DOORS)


@pytest.mark.parametrize("name", DOORS)
def test_impossible_paths_end_in_errors_of_htnet(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in LONG:  # what is written later need not be there
        with suppress(HtnetError):
            DOORS[name](path)
    for path in NONE:
        if path is None and next(iter(inspect.signature(DOORS[name]).parameters.values())).default is None:
            continue
        with pytest.raises(HtnetError):
            DOORS[name](path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [*LONG, *NONE], ids=["long name", "long path", "NUL", "empty", "None", "int", "bytes"])
def test_outputs_that_cannot_be_are_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        write_text(path, "text")
    with pytest.raises(InputError):
        htnet.save_pretrained(tiny_model(), path)
    if path is not None and path not in LONG:
        for check in (lambda: check_outputs(path), lambda: check_folder(path, ["a"]), lambda: check_outputs("b", path)):
            with pytest.raises(InputError, match=r"not a path|NUL|is empty"):
                check()


def test_the_argument_and_what_was_given_are_named():
    with pytest.raises(InputError, match=r"^out is None, not a path; give the name"):
        as_path(None, "out")
    with pytest.raises(InputError, match=r"^The path is of type int, not a path"):
        real_path(3)
    with pytest.raises(InputError, match=r"'a\\x00b'; file names cannot contain the NUL character"):
        as_path("a\0b")


def test_what_cannot_be_looked_at_is_not_said_to_be_missing():
    assert "cannot be opened (file name too long)" in missing("x" * 300)
    assert "does not exist" in missing("nowhere")


def test_nobody_asks_pathlib_whether_something_is_there():
    """``Path.is_file`` raises for a name that is too long; ``os.path.isfile`` says no."""
    asks = {"exists", "is_file", "is_dir", "is_symlink"}
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in sorted(Path(htnet.__file__).parent.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in asks
        if ast.unparse(node.func.value) != "entry"  # of os.scandir
        if not ast.unparse(node.func).startswith("os.path.")
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("https://example.org/onset.png", "is the address 'https://example.org/onset.png'; download it first"),
        ("s3://bucket/onset.png", "download it first"),
        ("file:///data/onset.png", "give the path without file://"),
        ("FILE:///data/onset.png", "give the path without file://"),
        ("data:image/png;base64,iVBORw0KGgo=", "give its bytes: base64"),
        ("iVBORw0KGgo" + "A" * 5000, "is a text of 5011 characters"),
    ],
)
def test_addresses_and_contents_are_no_paths(text, cure):
    with pytest.raises(InputError, match=re.escape(cure)):
        as_path(text, "onset")


def test_names_that_look_like_addresses_are_paths(tmp_path, monkeypatch):
    """A folder may be called ``http:``, and a file of Windows has a letter before the colon."""
    monkeypatch.chdir(tmp_path)
    Path("http:").mkdir()
    Path("http:", "a.png").touch()
    for name in ("http://a.png", "C:/faces/a.png", "data.png", "a:b.png"):
        assert as_path(name) == Path(name)
