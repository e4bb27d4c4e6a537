"""Time of ``import htnet`` in a fresh Python, compared with ``import torch``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.measure import bar, compare, interleave

PROGRAMS = {"import torch": "import torch", "import torch, htnet": "import torch, htnet"}


def run(quick: bool) -> dict[str, Any]:
    """Time both programs from start to end."""
    sides = {name: _program(code) for name, code in PROGRAMS.items()}
    start = compare(interleave(sides, 2 if quick else 11), "import torch")
    ratio = start["ms"]["import torch, htnet"]["median"] / start["ms"]["import torch"]["median"]
    wanted = bar("import htnet, times the time of import torch", 1.1, ratio, at_most=True)
    return {"device": "cpu", "bars": [wanted], "start": start}


def _program(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
