"""The inventory of the public API: every name that can be imported, with its arguments, in one committed file.

A change of the API shows as a change of ``tests/data/public_api.txt``. Write it anew with

    HTNET_WRITE_API=1 python -m pytest tests/test_public_api.py

look at the difference, add renamed names to `htnet.core.deprecated`, and commit it with the change.
"""

import enum
import importlib
import inspect
import os
import subprocess
import sys
import typing

import htnet
from htnet.core import deprecated
from htnet.core.wings import WINGS, installed_wings
from tests.support.paths import ROOT

INVENTORY = ROOT / "tests" / "data" / "public_api.txt"
#: Modules whose ``__all__`` is public.
MODULES = (
    "htnet",
    *("htnet.acceleration", "htnet.calibration", "htnet.data", "htnet.errors", "htnet.evaluation", "htnet.export"),
    *("htnet.hub", "htnet.kernels", "htnet.metrics", "htnet.models", "htnet.pipeline", "htnet.plots"),
    *(
        "htnet.prepare",
        "htnet.preprocess",
        "htnet.recordings",
        "htnet.sklearn",
        "htnet.synthesis",
        "htnet.training",
        "htnet.types",
    ),
)
MODULES = sorted((*MODULES, *(f"htnet.{wing}" for wing in installed_wings())))
#: Methods that every model has.
METHODS = ("EmotionModel", "Predictor")


def signature(value):
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    # Long defaults are told where they are made; here it counts that there is one.
    short = [p if p.default is p.empty or len(repr(p.default)) < 30 else p.replace(default=...) for p in plain]
    return str(found.replace(parameters=short, return_annotation=found.empty))


def line(name, value):
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return f"{name}: {', '.join(member.name for member in value)}"
    # The types of typing are callable too, in a way that differs between versions of Python.
    return f"{name}{signature(value)}" if callable(value) and typing.get_origin(value) is None else name


def inventory():
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in sorted(module.__all__):
            value = getattr(module, name)
            yield line(f"{module_name}.{name}", value)
            if name in METHODS:
                old = deprecated.ATTRIBUTES.get(name, {})
                members = [(n, m) for n, m in inspect.getmembers(value) if not n.startswith("_") and n not in old]
                own = [
                    (n, m) for n, m in members if any(n in c.__dict__ for c in value.__mro__ if "htnet" in c.__module__)
                ]
                yield from (line(f"{module_name}.{name}.{n}", m) for n, m in own)


def test_public_api_is_the_committed_one():
    found = "\n".join(inventory()) + "\n"
    if os.environ.get("HTNET_WRITE_API"):
        INVENTORY.write_text(found, "utf-8")
    told = "the public API has changed: see the first lines of tests/test_public_api.py"
    gone = tuple(f"htnet.{wing}." for wing in set(WINGS) - set(installed_wings()))
    committed = [line for line in INVENTORY.read_text("utf-8").splitlines() if not line.startswith(gone)]
    assert found.splitlines() == committed, told


def test_every_public_path_is_reachable_after_import_htnet():
    paths = [name for name in MODULES if name != "htnet"]
    code = f"import htnet; print(*(eval(path).__name__ for path in {paths!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == paths
    for path in paths:
        assert path.removeprefix("htnet.") in dir(htnet)
