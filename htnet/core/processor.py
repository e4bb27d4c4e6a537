"""What is known of the processor that this runs on."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def is_intel() -> bool:
    """Whether the processor is one of Intel's, for which PyTorch's linear algebra (MKL) has products of its own."""
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:  # not Linux; Windows names the maker here
        return "GenuineIntel" in platform.processor()
