"""Names of a package that are loaded when first used."""

import errno
import importlib
import os
import sys
import textwrap

import pytest

from htnet.core.command_line import show_error
from htnet.core.errors import RunError
from htnet.core.lazy import loading
from htnet.core.wings import installed_wings


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose names are served, one of them beside names that it answered before."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "late.py").write_text("value = 3\n", "utf-8")
    (folder / "__init__.py").write_text(
        textwrap.dedent(
            """
            from htnet.core.lazy import serve_lazy_names

            def __getattr__(name):
                if name == "old":
                    return "known before"
                raise AttributeError(f"no {name}")

            serve_lazy_names(__name__, {"late": "value"})
            """
        ),
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "served"
    for name in ("served", "served.late"):
        sys.modules.pop(name, None)


def test_names_come_when_they_are_used(package):
    served = __import__(package)
    assert "value" in dir(served)
    assert "served.late" not in sys.modules
    assert served.value == 3
    assert served.old == "known before"
    with pytest.raises(AttributeError, match="no nope"):
        _ = served.nope


@pytest.mark.parametrize("name", ["htnet.pipeline", *(f"htnet.{wing}" for wing in installed_wings())])
def test_every_public_name_is_served(name):
    module = importlib.import_module(name)
    assert set(module.__all__) <= set(dir(module))
    for public in module.__all__:
        getattr(module, public)
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nope'"):
        _ = module.nope


#: Imports in a process that may open no further file, and then in one that may.
SHORT_OF_FILES = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
from htnet.core.errors import RunError
from htnet.core.lazy import loading
from htnet.core.optional import require
from htnet.core.registry import Registry
from htnet.core.wings import wing_modules

def by_hand():
    with loading():
        import made_up
    return made_up

asked = {
    "import": by_hand,
    "require": lambda: require("made_up", "plots", "Drawing"),
    "registry": lambda: [*Registry("made_up")],
    "lazy name": lambda: __import__("served").value,
}
import served
highest = max(int(name) for name in os.listdir("/proc/self/fd"))
while (taken := os.open(os.devnull, os.O_RDONLY)) < highest:
    pass
os.close(taken)
before = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, before[1]))
said = {}
for name, ask in asked.items():
    try:
        ask()
    except BaseException as error:
        said[name] = f"{type(error).__name__}: {error}"
resource.setrlimit(resource.RLIMIT_NOFILE, before)
for name, ask in asked.items():
    print(said.get(name, "none"))
    ask()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_imports_without_free_files_tell_the_cure(package, tmp_path, warm_python):
    (tmp_path / "made_up.py").write_text("")
    done = warm_python.run(SHORT_OF_FILES, str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line.startswith("RunError: ")
        assert "cannot be loaded (too many open files)" in line
        assert "ulimit -n" in line


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_compiled_modules_that_cannot_be_opened_are_not_missing(number):
    """The system's loader names no number."""
    text = f"libx.so: cannot open shared object file: {os.strerror(number)}"
    with pytest.raises(RunError, match=r"^/x/libx.so cannot be loaded .*ulimit -n"), loading():
        raise ImportError(text, name="x", path="/x/libx.so")


def test_other_errors_of_imports_stay_as_they_are():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), loading():
        importlib.import_module("no_such_module")
    with pytest.raises(PermissionError), loading():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x.py")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_commands_tell_the_cure_too(number, capsys):
    show_error("htnet demo", OSError(number, os.strerror(number), "x"))
    assert "ulimit -n" in capsys.readouterr().err
