"""What README and docs show must work: commands parse, code compiles, names exist."""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import htnet
from htnet.cli import build_parser
from htnet.preprocess.__main__ import build_parser as preprocess_parser
from tests.support.commands import COMMANDS
from tests.support.flows import write_flow_set
from tests.support.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def blocks(language):
    """(page and number, content) of the code blocks in one language."""
    found = []
    for page in PAGES:
        contents = re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        found += [(f"{page.relative_to(ROOT)}-{i}", content) for i, content in enumerate(contents, 1)]
    return found


def command_lines():
    """The words of every line in a bash block."""
    found = []
    for name, content in blocks("bash"):
        for line in content.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                found.append(pytest.param(words, id=f"{name}: {line}"))
    return found


PYTHON = [pytest.param(content, id=name) for name, content in blocks("python")]
#: Code that reads files of the reader's, trained weights or a detector's model.
NEEDS_FILES = re.compile(r"\.(png|csv|pth|mp4|onnx)\"|load_pretrained|read_run\(|\w-(flow|motion)\b|composite|yunet")


@pytest.mark.parametrize("words", command_lines())
def test_shown_commands_exist(words):
    program, *rest = words
    if program == "htnet":
        args = build_parser().parse_args(rest)
        assert args.command in COMMANDS
    elif program == "python" and rest[0] == "-m":
        assert importlib.util.find_spec(rest[1]) is not None
        if rest[1] == "htnet.preprocess":
            preprocess_parser().parse_args(rest[2:])
    elif program == "python":
        assert (ROOT / rest[0]).is_file()
    elif program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    else:
        assert program in ("pip", "export")


def test_every_command_is_documented():
    shown = {words[1] for (words,) in (param.values for param in command_lines()) if words[0] == "htnet"}
    assert shown == set(COMMANDS)


@pytest.mark.parametrize("content", PYTHON)
def test_shown_python_compiles_and_its_names_exist(content):
    tree = ast.parse(content)
    compile(tree, "docs", "exec")
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(compile(ast.Module([node], []), "docs", "exec"), {})
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "htnet":
            assert getattr(htnet, node.attr) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_no_package_host(page):
    text = page.read_text("utf-8").lower()
    assert not [host for host in ("pypi", "huggingface.co", "hf.co", "anaconda.org", "cdn.") if host in text]


@pytest.mark.parametrize("content", [p for p in PYTHON if not NEEDS_FILES.search(p.values[0])])
def test_python_that_needs_no_files_runs(content, tmp_path, monkeypatch):
    from htnet.core.registry import MODELS

    monkeypatch.setattr(MODELS, "_entries", dict(MODELS))
    monkeypatch.chdir(tmp_path)
    exec(compile(content, "docs", "exec"), {"__name__": "docs"})


def test_five_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    code = dict(blocks("python"))["README.md-1"]
    assert len([line for line in code.splitlines() if line]) == 5
    for name in ("onset.png", "apex.png"):
        shutil.copy(SAMPLE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HTNET_YUNET_MODEL", raising=False)
    found = {}
    exec(compile(code, "README.md", "exec"), found)
    assert found["answer"].label in ("negative", "positive", "surprise")
    assert capsys.readouterr().out.startswith(found["answer"].label)
    assert found["trained"].preprocess_spec is not None
    assert found["fresh"].config.num_classes == 5


def test_the_script_for_a_model_of_ones_own_runs_in_several_processes(tmp_path):
    [model] = [content for _, content in blocks("python") if "class Plain" in content and '"plain"' in content]
    [script] = [content for _, content in blocks("text") if "import plain_model" in content]
    (tmp_path / "plain_model.py").write_text(model)
    (tmp_path / "my_htnet.py").write_text(script)
    write_flow_set(tmp_path / "samples-flow", subjects=2)
    words = ["loso", "--data", "samples-flow", "--model", "plain", "--epochs", "1", "--workers", "2", "--out", "run"]
    done = subprocess.run([sys.executable, "my_htnet.py", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| last |" in done.stdout
