"""Where the shared research data lies, if it is at hand."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("HTNET_SHARED", ROOT.parent / "shared"))
COMPOSITE = SHARED / "data" / "composite"
GOLDEN = SHARED / "golden"

needs_shared = pytest.mark.skipif(
    not COMPOSITE.is_dir(), reason=f"needs the licensed data in {SHARED} (set HTNET_SHARED to its place)"
)
