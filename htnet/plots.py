"""Figures of predictions, flow, attention and saliency, and evaluations; needs ``htnet[plots]``.

Every function returns a Matplotlib figure that is not registered with ``pyplot`` and has no window: it need not be
closed, and several threads can draw at the same time. If a path is given, the figure is also saved there.
"""

from htnet.core.deprecated import serve_old_names
from htnet.pipeline.flow_plots import plot_flow, plot_flow_asymmetry, plot_regions
from htnet.pipeline.model_plots import plot_attention, plot_rollout, plot_saliency
from htnet.pipeline.plots import (
    plot_confusion,
    plot_prediction,
    plot_reliability,
    plot_spotting,
    save_figure,
)

__all__ = [
    "plot_attention",
    "plot_confusion",
    "plot_flow",
    "plot_flow_asymmetry",
    "plot_prediction",
    "plot_regions",
    "plot_reliability",
    "plot_rollout",
    "plot_saliency",
    "plot_spotting",
    "save_figure",
]

serve_old_names(__name__)
