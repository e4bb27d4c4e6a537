"""What belongs to whom: to htnet, to Python, to an installed library with its version, or to the user."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from htnet.core.limits import sha256_of

_PACKAGE = Path(__file__).parents[1]
#: Folders of installed libraries, by their names in any environment.
_INSTALLED = {"site-packages", "dist-packages"}


def digest(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_attribute(thing: Any, name: str) -> Any:
    """An attribute; None if it is missing or cannot be read."""
    try:
        return getattr(thing, name, None)
    except Exception:  # an attribute may be a property that raises any error
        return None


def _top(thing: Any) -> str:
    return str(read_attribute(thing, "__module__") or "").split(".")[0]


def _top_name(module: Any) -> str:
    return str(read_attribute(module, "__name__") or "").split(".")[0]


def is_ours(kind: type) -> bool:
    """Whether a class or function is part of htnet."""
    return _top(kind) == "htnet"


def is_own(thing: Any) -> bool:
    """Whether a class or function is neither part of htnet, of Python, nor of an installed library."""
    if isinstance(thing, FunctionType):
        return is_own_file(thing.__code__.co_filename)
    if _top(thing) in sys.stdlib_module_names:
        return False
    module = sys.modules.get(getattr(thing, "__module__", ""))
    if module is None or thing.__module__ == "__main__":
        return True
    return is_own_module(module)


def is_own_module(module: Any) -> bool:
    """As `is_own`; a package without ``__init__.py`` has folders in place of a file."""
    file = getattr(module, "__file__", None)
    if file is None and _top_name(module) not in sys.stdlib_module_names:
        folders = list(getattr(module, "__path__", ()))
        return not folders or any(is_own_file(folder) for folder in folders)
    return is_own_file(file)


@cache
def is_own_file(file: str | None) -> bool:
    """As `is_own`, for a file; False for None, code without a file."""
    if file is None:
        return False
    if file.startswith("<"):  # typed in, or made by exec
        return not file.startswith("<frozen")
    path = Path(file)
    if _INSTALLED & set(path.parts) or path.suffix in (".so", ".pyd") or path.is_relative_to(_PACKAGE):
        return False
    return not any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def top_of_file(file: str) -> str:
    """Name of the library that a file belongs to; "" if it is part of Python."""
    parts = Path(file).parts
    at = [number for number, part in enumerate(parts) if part in _INSTALLED]
    if at and at[-1] + 1 < len(parts):
        return Path(parts[at[-1] + 1]).stem
    return "htnet" if Path(file).is_relative_to(_PACKAGE) else ""


def version_of(thing: Any) -> str:
    """Version of the library that a module, class or function belongs to; content of a compiled file of one's own."""
    name = str((thing.__name__ if isinstance(thing, ModuleType) else read_attribute(thing, "__module__")) or "")
    top = name.split(".")[0]
    found = library(top)
    file = getattr(sys.modules.get(name), "__file__", None)
    if not found and file is not None and top not in {*sys.stdlib_module_names, "htnet"} and os.path.isfile(file):
        return sha256_of(file)
    return found


@cache
def library(top: str) -> str:
    """Version of a library, with a hash of its Python files: some are reinstalled with changes under one version."""
    if not top or top in sys.stdlib_module_names or top == "htnet":
        return ""
    named = _named(top)
    found = {_stated(named)} if named is not None else _installed().get(top, set())
    return ", ".join(sorted(found)) or str(read_attribute(sys.modules.get(top), "__version__") or "")


def _named(top: str) -> Distribution | None:
    """The distribution that has the same name as its package, as most have; reading the files of all takes long."""
    try:
        one = distribution(top)
    except (PackageNotFoundError, ValueError):
        return None
    return one if f"\n{top}/" in "\n" + (one.read_text("RECORD") or "") else None


def _stated(one: Distribution) -> str:
    """Name and version, and a hash of the Python files."""
    files = sorted(line for line in (one.read_text("RECORD") or "").splitlines() if ".py,sha256" in line)
    return " ".join((str(one.name), str(one.version), *([digest("\n".join(files))[:16]] if files else [])))


@cache
def _installed() -> dict[str, set[str]]:
    """Name, version and hash of the installed distributions, by the names of their modules."""
    found: dict[str, set[str]] = {}
    for one in distributions():
        lines, version = (one.read_text("RECORD") or "").splitlines(), _stated(one)
        for top in {line.split(",")[0].split("/")[0].removesuffix(".py") for line in lines}:
            found.setdefault(top, set()).add(version)
    return found
