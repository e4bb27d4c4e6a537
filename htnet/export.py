"""Predictions, spotting curves and events of recordings as JSON, CSV and files of ELAN."""

from htnet.core.deprecated import serve_old_names
from htnet.core.elan import write_elan
from htnet.core.megc import write_megc
from htnet.core.recordings import write_recordings
from htnet.pipeline.export import write_curve, write_predictions

__all__ = ["write_curve", "write_elan", "write_megc", "write_predictions", "write_recordings"]

serve_old_names(__name__)
