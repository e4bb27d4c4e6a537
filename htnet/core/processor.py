"""Information about this machine's processor."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def is_intel() -> bool:
    """Whether the processor is from Intel, for which PyTorch's linear algebra library (MKL) has special kernels."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:  # not Linux; on Windows, `platform.processor` names the vendor
        return "GenuineIntel" in platform.processor()
