"""Predictions, spotting curves and events of recordings as JSON, CSV and files of ELAN."""

from typing import Any

from htnet.core.deprecated import moved_name
from htnet.core.elan import write_elan
from htnet.core.megc import write_megc
from htnet.core.recordings import write_recordings
from htnet.pipeline.export import write_curve, write_predictions

__all__ = ["write_curve", "write_elan", "write_megc", "write_predictions", "write_recordings"]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)
