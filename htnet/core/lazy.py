"""Modules and names that are loaded when first used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from htnet.core.errors import NO_FILES, TOO_MANY_FILES, RunError


def _no_file_left(error: OSError | ImportError) -> bool:
    # The loader of compiled modules gives no number, only the system's text.
    return getattr(error, "errno", None) in NO_FILES or any(os.strerror(n) in str(error) for n in NO_FILES)


@contextmanager
def loading() -> Iterator[None]:
    """Context of every import that is made on first use, when a process may be short of open files.

    A module that is not there, or is damaged, raises what it raises elsewhere.

    Raises:
        RunError: a module cannot be loaded, because this process or the system may open no further file.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        if not _no_file_left(error):
            raise
        what = getattr(error, "filename", None) or getattr(error, "path", None) or "A module"
        raise RunError(f"{what} cannot be loaded (too many open files). {TOO_MANY_FILES}") from error


def serve_lazy_names(package: str, names: Mapping[str, str]) -> None:
    """Let a package, which calls this with its own name, hand out names of its modules without importing them before.

    What the package answered by a ``__getattr__`` until then, such as old names, it still answers.

    Args:
        package: ``__name__`` of the package.
        names: the public names by the module of the package that contains them, with spaces between.
    """
    own = vars(sys.modules[package])
    where = {name: f"{package}.{module}" for module, listed in names.items() for name in listed.split()}
    before = own.get("__getattr__")

    def find(name: str) -> Any:
        if name in where:
            with loading():
                return getattr(importlib.import_module(where[name]), name)
        if before is not None:
            return before(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    own["__getattr__"] = find
    own["__dir__"] = lambda: sorted({*own, *where})
