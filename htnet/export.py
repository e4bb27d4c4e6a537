"""Predictions and spotting curves as JSON and CSV."""

from htnet.pipeline.export import (
    prediction_to_dict,
    spotting_to_dict,
    write_curve,
    write_predictions,
)

__all__ = [
    "prediction_to_dict",
    "spotting_to_dict",
    "write_curve",
    "write_predictions",
]
