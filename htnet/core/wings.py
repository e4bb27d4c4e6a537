"""Wings: optional packages of htnet that the other packages do not depend on.

A wing is a folder beside the other packages. htnet works without it, so deleting its folder removes a wing. Its parts
are in files with fixed names, all of which are optional:

- ``register``: adds models, converters, recipes and so on to the registries of other packages; imported by
  `load_wings`.
- ``hints``: defines ``HINTS``, a `htnet.core.hints.WingHints`; imports only `htnet.core`.
- ``cli``: defines ``add_commands``, as the modules of `htnet.cli` do; must be quick to import.
- ``schema.json``: the JSON Schema of its documents, with their versions, for `htnet.core.schema`.
"""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from types import ModuleType

from htnet.core.lazy import loading

#: Names of the wings that may be installed.
WINGS = ("palsy", "web")

_PACKAGE, _ROOT = "htnet.", Path(__file__).parents[1]
_LOCK = RLock()
_STARTED: list[str] = []


def installed_wings() -> list[str]:
    """Names of the wings that are installed."""
    with loading():
        return [wing for wing in WINGS if find_spec(f"{_PACKAGE}{wing}") is not None]


def wing_modules(part: str) -> list[ModuleType]:
    """The module ``part`` of every installed wing that has one."""
    names = [f"{_PACKAGE}{wing}.{part}" for wing in installed_wings()]
    with loading():
        return [importlib.import_module(name) for name in names if find_spec(name) is not None]


def wing_files(name: str) -> list[Path]:
    """The file ``name`` of every installed wing that has one."""
    files = [_ROOT / wing / name for wing in installed_wings()]
    return [file for file in files if os.path.isfile(file)]


def load_wings() -> None:
    """Let every installed wing register its models and other parts; once per process."""
    with _LOCK:
        if _STARTED:
            return
        # Set before the import, because the imported modules query the registries as well.
        _STARTED.extend(installed_wings())
        try:
            wing_modules("register")
        except BaseException:
            _STARTED.clear()
            raise
