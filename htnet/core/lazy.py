"""Modules and names that are loaded on first use."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from htnet.core.errors import NO_FILES, TOO_MANY_FILES, RunError


def _no_file_left(error: OSError | ImportError) -> bool:
    # The loader of extension modules gives no error number, only the system's text.
    return getattr(error, "errno", None) in NO_FILES or any(os.strerror(n) in str(error) for n in NO_FILES)


@contextmanager
def loading() -> Iterator[None]:
    """Context manager around every import on first use, when too many files may be open already.

    Errors of missing or damaged modules pass through.

    Raises:
        RunError: a module cannot be loaded, because this process or the system has too many files open.
    """
    try:
        yield
    except (OSError, ImportError) as error:
        if not _no_file_left(error):
            raise
        what = getattr(error, "filename", None) or getattr(error, "path", None) or "A module"
        raise RunError(f"{what} cannot be loaded (too many open files). {TOO_MANY_FILES}") from error


def serve_lazy_names(package: str, names: Mapping[str, str]) -> None:
    """Let a package provide names of its modules and import these modules only on first use.

    The package calls this with its own name. A ``__getattr__`` that it already has, for example for old names, still
    works.

    Args:
        package: ``__name__`` of the package.
        names: the public names of each module of the package, separated by spaces, by module.
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
