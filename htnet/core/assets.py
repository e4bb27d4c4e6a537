"""Paths of the files that ship with the package."""

from __future__ import annotations

from pathlib import Path

#: The folder of lists, models, schemas, sample pictures and weights.
ASSETS = Path(__file__).parents[1] / "assets"
