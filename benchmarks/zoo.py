"""The other models against plain baselines in the reference form, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.zoo_mhssa import run_mhssa
from benchmarks.zoo_small import run_dual_stream, run_ststnet
from htnet.core.wings import installed_wings

#: One section a model: takes ``quick``, checks that outputs agree, returns JSON-ready figures. Add yours here.
SECTIONS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "mhssa_gcn": run_mhssa,
    "htnet_dual_stream": run_dual_stream,
    "ststnet": run_ststnet,
}
# The section of a wing, which may have left, or have no model.
for _wing in installed_wings():
    if find_spec(f"benchmarks.zoo_{_wing}") is not None:
        SECTIONS.update(import_module(f"benchmarks.zoo_{_wing}").SECTIONS)


def run(quick: bool) -> dict[str, Any]:
    """All sections."""
    return {"device": "cpu", "models": {name: section(quick) for name, section in SECTIONS.items()}}
