"""What ``import htnet`` costs a fresh Python, beside ``import torch``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.measure import compare, interleave

PROGRAMS = {"import torch": "import torch", "import torch, htnet": "import torch, htnet"}


def run(quick: bool) -> dict[str, Any]:
    """Time both programs from start to end."""
    sides = {name: _program(code) for name, code in PROGRAMS.items()}
    return {"device": "cpu", "start": compare(interleave(sides, 2 if quick else 11), "import torch")}


def _program(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)
