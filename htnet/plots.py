"""Pictures of predictions, spotting curves and reliability diagrams; needs ``htnet[plots]``."""

from htnet.core.deprecated import serve_old_names
from htnet.pipeline.plots import (
    plot_confusion,
    plot_prediction,
    plot_reliability,
    plot_spotting,
    save_figure,
)

__all__ = [
    "plot_confusion",
    "plot_prediction",
    "plot_reliability",
    "plot_spotting",
    "save_figure",
]

serve_old_names(__name__)
