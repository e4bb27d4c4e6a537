"""Predictions and spotting curves as JSON and CSV."""

from typing import Any

from htnet.core.deprecated import moved_name
from htnet.pipeline.export import write_curve, write_predictions

__all__ = ["write_curve", "write_predictions"]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
