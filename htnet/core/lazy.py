"""Names of a package that are loaded when first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any


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
            return getattr(importlib.import_module(where[name]), name)
        if before is not None:
            return before(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    own["__getattr__"] = find
    own["__dir__"] = lambda: sorted({*own, *where})
