"""Pictures of predictions, spotting curves and reliability diagrams; needs ``htnet[plots]``."""

from typing import Any

from htnet.core.deprecated import moved_name
from htnet.pipeline.plots import (
    plot_prediction,
    plot_reliability,
    plot_spotting,
    save_figure,
)

__all__ = [
    "plot_prediction",
    "plot_reliability",
    "plot_spotting",
    "save_figure",
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
